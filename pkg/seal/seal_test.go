package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestOpenMakesTheFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	one := mustOpen(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file has mode %v, %v; want 0600", info.Mode(), err)
	}
	id, sealed, err := one.Seal([]byte("correct-horse"), []byte("here"))
	if err != nil || bytes.Contains(sealed, []byte("horse")) {
		t.Fatalf("Seal = %q, %v", sealed, err)
	}
	two := mustOpen(t, path, id)
	if got, err := two.Open(id, sealed, []byte("here")); err != nil || string(got) != "correct-horse" {
		t.Errorf("Open = %q, %v", got, err)
	}
	_, again, err := two.Seal([]byte("correct-horse"), []byte("here"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same text sealed twice is the same: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	r := mustOpen(t, filepath.Join(t.TempDir(), "key"))
	id, sealed, err := r.Seal([]byte("correct-horse"), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(id, sealed, []byte("there")); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("opened for something else: %v", err)
	}
	if _, err := r.Open("00000000", sealed, []byte("here")); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("opened with an unknown key: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := r.Open(id, bad, []byte("here")); err == nil {
			t.Errorf("byte %d changed: opened", i)
		}
		if _, err := r.Open(id, sealed[:i], []byte("here")); err == nil {
			t.Errorf("cut at %d: opened", i)
		}
	}
}

func TestKeyFileThatDoesNotFit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		used  []string
		says  string
	}{
		{"missing", os.Remove, []string{"0a1b2c3d"}, "is missing"},
		{"of another engine", nil, []string{"0a1b2c3d"}, "lacks the key"},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, nil, "it holds no key"},
		{"garbage", func(p string) error { return os.WriteFile(p, []byte("hello world\n"), 0o600) }, nil, "it is not a key file"},
		{"open to others", func(p string) error { return os.Chmod(p, 0o644) }, nil, "set it to 0600"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			mustOpen(t, path)
			if tt.spoil != nil {
				if err := tt.spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(path, tt.used)
			if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), tt.says) || !strings.Contains(anchore.MessageOf(err), path) {
				t.Errorf("Open: %v; want %q with the file's name", err, tt.says)
			}
		})
	}
}

func TestExisting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	none, err := Existing(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("Existing made the file")
	}
	id, sealed, err := mustOpen(t, path).Seal([]byte("correct-horse"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Open(id, sealed, nil); err == nil {
		t.Error("a ring without keys opens something")
	}
	r, err := Existing(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Open(id, sealed, nil); err != nil || string(got) != "correct-horse" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Existing(path); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("Existing of an empty file: %v, want invalid", err)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	old := mustOpen(t, path)
	id, sealed, err := old.Seal([]byte("correct-horse"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Renew(path)
	if err != nil || r.Current() == id {
		t.Fatalf("Renew: key %q, %v; want another than %q", r.Current(), err, id)
	}
	if got, err := r.Open(id, sealed, nil); err != nil || string(got) != "correct-horse" {
		t.Errorf("during the rotation Open = %q, %v", got, err)
	}
	again, err := Renew(path) // as after a crash
	if err != nil || again.Current() != r.Current() {
		t.Errorf("an interrupted rotation goes on with %q, %v; want %q", again.Current(), err, r.Current())
	}
	if err := Retire(path); err != nil {
		t.Fatal(err)
	}
	last := mustOpen(t, path, r.Current())
	if _, err := last.Open(id, sealed, nil); err == nil {
		t.Error("the old key is still there")
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func FuzzParse(f *testing.F) {
	r, err := renewed(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(r.format()))
	f.Add("00000000 AAAA\n#\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(string(r.format()))
		if err != nil || string(again.format()) != string(r.format()) {
			t.Errorf("parse(format) of %q: %v", text, err)
		}
	})
}

func mustOpen(t *testing.T, path string, used ...string) *Ring {
	t.Helper()
	r, err := Open(path, used)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
