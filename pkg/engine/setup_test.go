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
	e, err := newEngine(t, data)
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

// newEngine builds an engine on a data directory, with further variables.
func newEngine(t *testing.T, data string, env ...string) (*Engine, error) {
	t.Helper()
	cfg, err := config.Load(nil, append([]string{"HOME=" + filepath.Dir(data), "ANCHORE_DATA_DIR=" + data, "ANCHORE_LISTEN=127.0.0.1:0"}, env...))
	if err != nil {
		t.Fatal(err)
	}
	return New(t.Context(), cfg, Options{Version: "test"})
}

// mustClose is newEngine for one that starts, and ends it.
func mustClose(t *testing.T, data string, env ...string) {
	t.Helper()
	e, err := newEngine(t, data, env...)
	if err == nil {
		err = e.close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestALostStoreIsNoFirstStart: beside blobs, a store without content was lost. A
// first start that was cut off has none.
func TestALostStoreIsNoFirstStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	mustClose(t, data)
	store := filepath.Join(data, storeFile)
	for _, lose := range []func() error{
		func() error { return os.Truncate(store, 0) },
		func() error { return os.Remove(store) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		mustClose(t, data)
		blob := filepath.Join(data, blobsDir, "ab", "ab"+strings.Repeat("0", 62))
		if err := os.WriteFile(blob, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		mustClose(t, data) // the store is whole
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		_, err := newEngine(t, data)
		if message := anchore.MessageOf(err); anchore.KindOf(err) != anchore.Invalid || !strings.Contains(message, store+" is missing or empty") || !strings.Contains(message, "restore the whole data directory from a backup") {
			t.Errorf("New() without the store's content = %v, want a refusal that says what to do", err)
		}
		if _, err := RotateKey(t.Context(), data, nil); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("RotateKey() without the store's content = %v, want a refusal", err)
		}
		if info, err := os.Stat(store); err == nil && info.Size() > 0 {
			t.Errorf("the refusal made a store of %d bytes", info.Size())
		}
		if err := os.Remove(blob); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheConfiguredPasswordCounts: at the first start only, so that its form does not
// keep an engine from starting that has its users.
func TestTheConfiguredPasswordCounts(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, password := range []string{"abc", strings.Repeat("a", 129)} {
		_, err := newEngine(t, data, "ANCHORE_ADMIN_PASSWORD="+password)
		if message := anchore.MessageOf(err); anchore.KindOf(err) != anchore.Invalid || !strings.Contains(message, "default_admin_password") || !strings.Contains(message, "6 to 128 characters") || strings.Contains(message, password) {
			t.Errorf("New() at the first start with a password of %d characters = %v, want a refusal that names the key and the bounds", len(password), err)
		}
	}
	mustClose(t, data, "ANCHORE_ADMIN_PASSWORD=foobar")
	mustClose(t, data, "ANCHORE_ADMIN_PASSWORD=abc")
}
