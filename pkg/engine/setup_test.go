package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/config"
)

// TestThePasswordFileIsReplaced: one that is there is not written into, which a crash
// could leave empty, and nothing is left beside the new one.
func TestThePasswordFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	file, before := filepath.Join(data, passwordFile), filepath.Join(dir, "before")
	if err := os.WriteFile(file, []byte("of a start that was killed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, before); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(nil, []string{"HOME=" + dir, "ANCHORE_DATA_DIR=" + data, "ANCHORE_LISTEN=127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), cfg, Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.close() }()
	if old, err := os.ReadFile(before); err != nil || string(old) != "of a start that was killed\n" {
		t.Errorf("the file that was there has %q, %v; want it untouched", old, err)
	}
	password, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.catalog.Authenticate(t.Context(), "admin", anchore.Secret(strings.TrimSpace(string(password)))); err != nil {
		t.Errorf("the password of the file: %v", err)
	}
	if list, err := filepath.Glob(file + "*"); err != nil || len(list) != 1 {
		t.Errorf("left beside the password: %v, %v", list, err)
	}
}
