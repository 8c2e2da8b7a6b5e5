package catalog_test

import (
	"path/filepath"
	"testing"

	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// openStores opens real backends in a directory that goes with the test.
func openStores(t testing.TB) (store.Store, store.Blobs) {
	t.Helper()
	path := t.TempDir()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(path, "engine.db"), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	blobs, err := dir.New(dir.Config{Path: filepath.Join(path, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	return s, blobs
}
