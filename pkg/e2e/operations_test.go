package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

func TestDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	e := startEngine(t, offline)
	out, err := e.command(t.Context(), freeAddress(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") || !strings.Contains(string(out), e.dataDir()) {
		t.Errorf("a second engine on the same data directory: %v\n%s", err, out)
	}
	e.mustCLI("system", "status") // the first one is unharmed
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	e := newEngine(t, offline)
	e.env = nil
	e.start()
	file := e.dataDir() + "/admin-password"
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v, want 0600", file, info.Mode().Perm())
	}
	if n := strings.Count(e.log.String(), file); n != 1 {
		t.Errorf("the log names %s %d times, want once:\n%s", file, n, e.log)
	}
	password, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r := whoami(t, e, strings.TrimSpace(string(password))); r.Code != 0 || !strings.Contains(r.Stdout, "admin") {
		t.Errorf("with the password of %s: exit code %d\n%s", file, r.Code, r.Stdout)
	}
	if r := whoami(t, e, "foobar"); r.Code != 2 {
		t.Errorf("with another password: exit code %d\n%s", r.Code, r.Stdout)
	}
	if info, err := os.Stat(e.dataDir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory: %v, %v; want mode 0700", info.Mode(), err)
	}
}

// A CLI on the engine's host finds the password's file wherever the data is, as long
// as the engine runs.
func TestPasswordFileIsFound(t *testing.T) {
	t.Parallel()
	e := newEngine(t, offline)
	e.env = nil
	e.start()
	file := filepath.Join(e.dataDir(), "admin-password")
	if r := whoami(t, e, "foobar"); r.Code != 2 || !strings.Contains(r.Stdout, file) {
		t.Errorf("with a wrong password: exit code %d, want 2 and a word of %s\n%s", r.Code, file, r.Stdout)
	}
	notes := filepath.Join(e.dir, ".cache", "anchore-engine")
	if list, err := os.ReadDir(notes); err != nil || len(list) != 1 {
		t.Errorf("notes while the engine runs: %v, %v; want one", list, err)
	}
	e.stop()
	if list, err := os.ReadDir(notes); err != nil || len(list) > 0 {
		t.Errorf("notes of a stopped engine: %v, %v; want none", list, err)
	}
}

// whoami asks with the given password, named by flags.
func whoami(t *testing.T, e *engine, password string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.cli, "--u", "admin", "--p", password, "--url", e.url(), "account", "whoami")
	cmd.Env = []string{"HOME=" + e.dir}
	out, _ := cmd.CombinedOutput() // the exit code is below
	return result{Stdout: string(out), Code: cmd.ProcessState.ExitCode()}
}

func TestRelativeDataDirectory(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	e := newEngine(t, offline)
	e.relative = true
	e.start()
	ref := reg.ref("ops/relative", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	if out := e.mustCLI("image", "wait", ref, "--interval", "0.1", "--timeout", "90"); !strings.Contains(out, "Analysis Status: analyzed") {
		t.Errorf("an image under a relative data directory:\n%s", out)
	}
}

// TestBackup follows the procedure of docs/operations.md: stop, copy, start.
func TestBackup(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	e := startEngine(t, offline)
	ref := reg.ref("ops/backup", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	e.mustCLI("image", "wait", ref, "--interval", "0.1", "--timeout", "90")
	type view struct{ images, subscriptions, packages, events string }
	look := func(e *engine) view {
		return view{
			e.mustCLI("image", "list"), e.mustCLI("subscription", "list", "--full"),
			e.mustCLI("image", "content", ref, "os"), e.mustCLI("event", "list"),
		}
	}
	want := look(e)
	e.stop()

	restored := newEngine(t, offline)
	if out, err := exec.Command("cp", "-a", e.dataDir()+"/.", restored.dataDir()).CombinedOutput(); err != nil {
		t.Fatalf("cp -a: %v\n%s", err, out)
	}
	restored.start()
	if diff := cmp.Diff(want, look(restored), cmp.AllowUnexported(view{})); diff != "" {
		t.Errorf("after the restore (-before +after):\n%s", diff)
	}
}

func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "policy_eval:\n  url: 'http://localhost:9090/x'\nwatch:\n  interval: soon\nfoo: 1\n")
	out, err := e.command(t.Context(), e.addr).CombinedOutput()
	if err == nil {
		t.Fatal("the engine took a wrong configuration")
	}
	file := filepath.Join(e.dir, "config.yaml")
	for _, want := range []string{file + ":2:3: policy_eval: belongs under webhooks:", file + `:4:13: watch.interval: "soon": must be`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the message lacks %q:\n%s", want, out)
		}
	}
}

// TestNewerData has data of an engine that does not exist yet: this one refuses it
// and leaves it as it is.
func TestNewerData(t *testing.T) {
	t.Parallel()
	e := startEngine(t, offline)
	e.stop()
	file := filepath.Join(e.dataDir(), "engine.db")
	raiseSchema(t, file, 100)
	before := contents(t, e.dataDir())
	out, err := e.command(t.Context(), e.addr).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the engine ended with %v, want exit code 2", err)
	}
	if text := string(out); strings.Count(text, "\n") != 1 || !strings.Contains(text, "schema 100") || !strings.Contains(text, "start the engine that wrote it") {
		t.Errorf("the engine said\n%s", text)
	}
	if diff := cmp.Diff(before, contents(t, e.dataDir())); diff != "" {
		t.Errorf("the data directory (-before +after):\n%s", diff)
	}
}

// raiseSchema makes a store one of a later schema, by migrations that do nothing.
func raiseSchema(t *testing.T, file string, schema uint) {
	t.Helper()
	var steps []bolt.Migration
	for to := uint(2); to <= schema; to++ {
		steps = append(steps, bolt.Migration{To: to, Name: "nothing", Run: func(context.Context, store.Store) error { return nil }})
	}
	s, err := bolt.Open(bolt.Config{Path: file, Schema: schema, Migrations: steps})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// contents are the files in a directory, each with its hash.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found[path] = d.Type().String()
		if d.IsDir() {
			return nil
		}
		raw, err := os.ReadFile(path)
		found[path] += fmt.Sprintf(" %x", sha256.Sum256(raw))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
