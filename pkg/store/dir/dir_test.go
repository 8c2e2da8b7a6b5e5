package dir_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/blobtest"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

func open(t testing.TB, path string) *dir.Blobs {
	t.Helper()
	b, err := dir.New(dir.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// file is where a blob lies; the layout is documented, so a test may know it.
func file(path string, d store.Digest) string {
	name := strings.TrimPrefix(string(d), "sha256:")
	return filepath.Join(path, name[:2], name)
}

func TestConformance(t *testing.T) {
	var path string // of the blobs opened last
	blobtest.Run(t, blobtest.Backend{
		Open: func(t testing.TB) store.Blobs {
			path = filepath.Join(t.TempDir(), "blobs")
			return open(t, path)
		},
		Spoil: func(t testing.TB, d store.Digest, content []byte) {
			if err := os.WriteFile(file(path, d), content, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Grow: func(t testing.TB, d store.Digest, age time.Duration) {
			when := time.Now().Add(-age)
			if err := os.Chtimes(file(path, d), when, when); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// What a killed process was writing goes at the next start; what it had finished
// stays, and so do files that are not ours.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blobs")
	d, err := open(t, path).Put(t.Context(), strings.NewReader("kept"))
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(path, "tmp", "12345")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(filepath.Dir(file(path, d)), "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, path)
	if _, err := os.Stat(left); err == nil {
		t.Error("the temporary file of the killed process is still there")
	}
	var seen []store.Digest
	if err := b.List(t.Context(), func(i store.BlobInfo) error { seen = append(seen, i.Digest); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != d {
		t.Errorf("List gives %v, want %s", seen, d)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLeftInTmp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blobs")
	b := open(t, path)
	for _, content := range []string{"a", "a", "b"} {
		if _, err := b.Put(t.Context(), strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(path, "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("tmp holds %v, %v", left, err)
	}
	err = filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v: others may read it", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPathIsNoDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blobs")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.New(dir.Config{Path: path}); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("New: %v, want kind Unavailable", err)
	}
}
