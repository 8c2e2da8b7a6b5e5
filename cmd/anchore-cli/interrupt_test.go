//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const patience = 10 * time.Second // of a test that fails

// TestMain is the program itself when it is started under the program's name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "anchore-cli" {
		main()
	}
	os.Exit(m.Run())
}

// command is a run of the program that is killed if it outlives the test's patience.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Args = append([]string{"anchore-cli"}, args...)
	cmd.Env = []string{"ANCHORE_CLI_URL=http://127.0.0.1:1/v1"}
	tooLong := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() { tooLong.Stop() })
	return cmd
}

// pipes starts cmd with pipes for its input and for what it says.
func pipes(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, talk *bufio.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewReader(said)
}

func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// Ctrl-C ends a read of standard input that would go on.
func TestInterruptedInput(t *testing.T) {
	asked := func(t *testing.T, _ io.Writer, talk *bufio.Reader) {
		if line, err := talk.ReadString('\n'); !strings.HasPrefix(line, "Reading the password of bob at quay.io") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	// More than a pipe holds: the write returns once the program reads.
	taken := func(t *testing.T, in io.Writer, _ *bufio.Reader) {
		if _, err := in.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args  string
		reads func(*testing.T, io.Writer, *bufio.Reader) // returns once the program reads its input
	}{
		{"registry add quay.io bob -", asked},
		{"registry update quay.io bob", asked},
		{"image import --infile -", taken},
		{"image import --infile /dev/stdin", taken},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := command(t, strings.Fields(tt.args)...)
			var out bytes.Buffer
			cmd.Stdout = &out
			in, talk := pipes(t, cmd)
			tt.reads(t, in, talk)
			interrupt(t, cmd)
			said, err := io.ReadAll(talk)
			if err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 || string(said) != "\nAborted!\n" || out.Len() > 0 {
				t.Errorf("%v, %q, %q", err, out.String(), said)
			}
		})
	}
}

// A second Ctrl-C ends the program also where the first finds nothing to interrupt:
// where nobody takes what it writes.
func TestSecondInterrupt(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `["`+strings.Repeat("x", 1<<20)+`"]`)
	}))
	defer engine.Close()
	cmd := command(t, "--json", "--url", engine.URL, "image", "list")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Process.Wait()
	}()
	// When the first has been taken note of cannot be seen from here.
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	giveUp := time.After(patience / 2)
	for {
		interrupt(t, cmd)
		select {
		case <-ended:
			return
		case <-again.C:
		case <-giveUp:
			t.Fatal("it goes on whatever is pressed")
		}
	}
}
