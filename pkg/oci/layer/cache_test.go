package layer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCache(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	c, err := Open(dir, 30)
	if err != nil {
		t.Fatal(err)
	}
	get := func(c *Cache, name string) bool {
		t.Helper()
		path := filepath.Join(out, name)
		hit, err := c.Get(t.Context(), "sha256:"+name, 10, path, func(to string) error { return os.WriteFile(to, []byte("0123456789"), 0o600) })
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(path); err != nil || len(raw) != 10 {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
		return hit
	}
	for _, step := range []struct {
		name string
		hit  bool
	}{
		{"a", false}, {"a", true}, {"b", false}, {"c", false}, {"a", true},
		{"d", false}, // b was used least recently
		{"a", true}, {"c", true}, {"b", false},
	} {
		if hit := get(c, step.name); hit != step.hit {
			t.Errorf("%s: hit %v, want %v", step.name, hit, step.hit)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("%d files in a cache for three", len(files))
	}
	if err := os.WriteFile(filepath.Join(dir, "sha256-x"+partial), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, 20)
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 || again.size != 20 {
		t.Errorf("%d files of %d bytes after opening it smaller, want 2 of 20", len(files), again.size)
	}
}

func TestCacheFetchesOnceAndForgetsFailures(t *testing.T) {
	c, err := Open(t.TempDir(), 100)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	var fetched atomic.Int32
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := c.Get(t.Context(), "sha256:a", 1, filepath.Join(out, fmt.Sprint(i)), func(to string) error {
				if fetched.Add(1) == 1 {
					return errors.New("the first one's credential is refused")
				}
				return os.WriteFile(to, []byte("x"), 0o600)
			})
			if err != nil && fetched.Load() < 1 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fetched.Load(); n != 2 {
		t.Errorf("fetched %d times, want once in vain and once for all", n)
	}
}
