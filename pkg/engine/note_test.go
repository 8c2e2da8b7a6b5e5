package engine

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/config"
)

// newNoted starts an engine with a password file, or without one, and returns it with
// the path of its note.
func newNoted(t *testing.T, cacheDir, password string) (e *Engine, path string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	text := "data_dir: " + filepath.Join(dir, "data") + "\nlisten: 127.0.0.1:0\n" + password
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(nil, []string{"ANCHORE_CONFIG=" + file, "HOME=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	e, err = New(t.Context(), cfg, Options{Version: "test", CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.close() })
	_, port, err := net.SplitHostPort(e.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e, anchore.PasswordNote(cacheDir, port)
}

func TestNoteOfThePassword(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	e, path := newNoted(t, cache, "")
	text, err := os.ReadFile(path)
	if want := filepath.Join(e.cfg.DataDir, passwordFile) + "\n"; err != nil || string(text) != want {
		t.Errorf("the note is %q, %v; want %q", text, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the note has mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("after a clean stop there are %v, %v; want nothing", left, err)
	}
}

func TestNoteOfAnotherEngineStays(t *testing.T) {
	e, path := newNoted(t, t.TempDir(), "")
	if err := os.WriteFile(path, []byte("/another/admin-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("another engine's note: %v", err)
	}
}

// What is no note is none: no password file, no directory, a file in its place.
func TestNoNote(t *testing.T) {
	cache := t.TempDir()
	if _, path := newNoted(t, cache, "default_admin_password: foobar\n"); exists(path) {
		t.Errorf("%s is there without a password file", path)
	}
	blocked := filepath.Join(cache, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newNoted(t, blocked, "")
	newNoted(t, "", "")
	if exists("anchore-engine") {
		t.Error("without a cache directory the note was written to the working directory")
	}
	stale := note{path: filepath.Join(cache, "x", "1"), about: "/gone"}
	stale.remove()
	if err := stale.write(); err != nil || !exists(stale.path) {
		t.Errorf("write: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
