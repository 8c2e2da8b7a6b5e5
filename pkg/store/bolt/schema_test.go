package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

// copyOf copies the stored file of schema 1, so that a test may write to it.
func copyOf(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "schema1.db"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "engine.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testdata/schema1.db was written by the first version of this package: every
// later one must read it. Its rows are a=1 and empty="".
func TestStoredFile(t *testing.T) {
	s := open(t, bolt.Config{Path: copyOf(t), Strict: true})
	for key, want := range map[string]string{"a": "1", "empty": ""} {
		if v, err := get(t, s, key); err != nil || v != want {
			t.Errorf("row %s is %q, %v; want %q", key, v, err, want)
		}
	}
	if err := put(t.Context(), s, "b", "2"); err != nil {
		t.Error(err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	if err := open(t, bolt.Config{Path: path, Schema: 3}).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := bolt.Open(bolt.Config{Path: path, Schema: 2})
	if text := anchore.MessageOf(err); anchore.KindOf(err) != anchore.Invalid ||
		!strings.Contains(text, "schema 3") || !strings.Contains(text, "up to 2") {
		t.Errorf("a newer store: %v", err)
	}
	open(t, bolt.Config{Path: path, Schema: 3}) // and the refusal changed nothing
}

func TestMigrations(t *testing.T) {
	path := copyOf(t)
	var ran []uint
	fail := true
	step := func(to uint) bolt.Migration {
		return bolt.Migration{To: to, Name: "step", Run: func(ctx context.Context, s store.Store) error {
			ran = append(ran, to)
			if to == 3 && fail {
				return errors.New("the power fails")
			}
			return put(ctx, s, "step", string(rune('0'+to)))
		}}
	}
	all := []bolt.Migration{step(2), step(3)}
	if _, err := bolt.Open(bolt.Config{Path: path, Schema: 3, Migrations: all[:1]}); err == nil {
		t.Error("a missing migration was not noticed")
	}
	if _, err := bolt.Open(bolt.Config{Path: path, Schema: 3, Migrations: all}); err == nil {
		t.Error("a failed migration was not noticed")
	}
	// Some rows may already have schema 3: code that knows only 2 must not touch them.
	if _, err := bolt.Open(bolt.Config{Path: path, Schema: 2, Migrations: all[:1]}); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("a store half way to schema 3, opened by code of schema 2: %v", err)
	}
	fail = false
	s := open(t, bolt.Config{Path: path, Schema: 3, Migrations: all})
	if v, err := get(t, s, "step"); err != nil || v != "3" {
		t.Errorf("the last step left %q, %v", v, err)
	}
	if want := []uint{2, 3, 3}; !cmp.Equal(ran, want) {
		t.Errorf("migrations ran: %s", cmp.Diff(want, ran))
	}
}

func TestNotAStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a store\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(bolt.Config{Path: path}); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("Open: %v, want kind Invalid", err)
	}
}
