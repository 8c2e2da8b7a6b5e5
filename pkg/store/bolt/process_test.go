package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

// childPath names the file that a child process of these tests writes to.
const childPath = "BOLT_TEST_CHILD_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child writes until it is killed, from several goroutines, and says each row on
// its output once the store has acknowledged it.
func child(path string) {
	s, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%06d", w, i)
				if err := put(context.Background(), s, key, strings.Repeat(key, 20)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(key) // one write of one line
			}
		})
	}
	wg.Wait()
}

// start runs a child on path and returns its output, past the line "open".
func start(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the child said %q", lines.Text())
	}
	return cmd, lines
}

// A process killed in the middle of its writes loses none that were acknowledged.
func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	cmd, lines := start(t, path)
	var acknowledged []string
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == 300 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if len(acknowledged) < 300 {
		t.Fatalf("the child ended after %d rows", len(acknowledged))
	}
	s := open(t, bolt.Config{Path: path, Strict: true})
	for _, key := range acknowledged {
		if len(key) < len("0-000000") { // the last line may be cut
			continue
		}
		if v, err := get(t, s, key); err != nil || v != strings.Repeat(key, 20) {
			t.Errorf("row %s was acknowledged, and now is %q, %v", key, v, err)
		}
	}
	if err := put(t.Context(), s, "after", ""); err != nil {
		t.Errorf("after the crash: %v", err)
	}
}

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	cmd, _ := start(t, path)
	s, err := bolt.Open(bolt.Config{Path: path, LockWait: 1})
	if err == nil {
		_ = s.Close()
		t.Fatal("two processes have the store open")
	}
	if text := anchore.MessageOf(err); anchore.KindOf(err) != anchore.Conflict ||
		!strings.Contains(text, "in use by another engine") || !strings.Contains(text, filepath.Dir(path)) {
		t.Errorf("the second process is told: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	open(t, bolt.Config{Path: path}) // the lock died with its process
}
