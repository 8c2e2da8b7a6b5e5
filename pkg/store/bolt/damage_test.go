package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

const rows = 2000 // of 100 bytes: some 60 pages in two levels

func rowKey(i int) string { return fmt.Sprintf("row-%04d", i) }

// filled is the bytes of a store with rows and with free pages.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.db")
	s, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for first := 0; first < rows; first += 100 {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			for i := first; i < first+100; i++ {
				if err := tx.Put(bucket, []byte(rowKey(i)), []byte(rowKey(i)+strings.Repeat("x", 90))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// overwrite is raw with random bytes in pages first to last.
func overwrite(raw []byte, first, last int, seed uint64) []byte {
	raw = slices.Clone(raw)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := min(first*os.Getpagesize(), len(raw)); i < min((last+1)*os.Getpagesize(), len(raw)); i++ {
		raw[i] = byte(r.Uint32())
	}
	return raw
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// saysDamaged checks an error that a damaged page is answered with.
func saysDamaged(t testing.TB, err error, kind anchore.Kind) {
	t.Helper()
	if text := anchore.MessageOf(err); anchore.KindOf(err) != kind || !strings.Contains(text, "engine.db is not a store of this engine, or is damaged; restore it from a backup") {
		t.Errorf("got %v of kind %v; want kind %v and advice to restore a backup", err, anchore.KindOf(err), kind)
	}
}

// freelist is the page of the list of free pages: the last that has its mark, 0x10
// in the flags at byte 8 of its header.
func freelist(raw []byte) int {
	page := os.Getpagesize()
	last := 0
	for i := 2; i < len(raw)/page; i++ {
		if raw[i*page+8] == 0x10 && raw[i*page] == byte(i) {
			last = i
		}
	}
	return last
}

// A damaged file is refused in words, without a panic or a fault.
func TestDamagedFileIsRefused(t *testing.T) {
	good := filled(t)
	page := os.Getpagesize()
	for name, bad := range map[string][]byte{
		"both headers":         overwrite(good, 0, 1, 1),
		"the free list":        overwrite(good, freelist(good), freelist(good), 2),
		"most of it":           overwrite(good, 4, len(good)/os.Getpagesize()-2, 2),
		"all but the headers":  overwrite(good, 2, len(good), 3),
		"zeroes":               append(slices.Clone(good[:2*page]), make([]byte, len(good)-2*page)...),
		"cut in the middle":    good[:10*page],
		"cut behind headers":   good[:2*page],
		"cut in second header": good[:page+page/4],
		"cut in first header":  good[:100],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "engine.db")
			write(t, path, bad)
			_, err := bolt.Open(bolt.Config{Path: path})
			saysDamaged(t, err, anchore.Invalid)
		})
	}
}

// oneBadPage is a store that opens, and whose page with row i is damaged.
func oneBadPage(t *testing.T, i int) *bolt.Store {
	t.Helper()
	raw, mark := filled(t), []byte(rowKey(i)+"x")
	for at := bytes.Index(raw, mark); at >= 0; at = bytes.Index(raw, mark) { // pages that are free now hold it too
		raw = overwrite(raw, at/os.Getpagesize(), at/os.Getpagesize(), 1)
	}
	path := filepath.Join(t.TempDir(), "engine.db")
	write(t, path, raw)
	return open(t, bolt.Config{Path: path})
}

// Who meets a damaged page later fails; the process, the lock of the group and
// the rows of other pages are not affected.
func TestDamagedPageFailsThoseWhoMeetIt(t *testing.T) {
	s := oneBadPage(t, rows/2)
	_, err := get(t, s, rowKey(rows/2))
	saysDamaged(t, err, anchore.Unavailable)
	err = s.View(t.Context(), func(tx store.Tx) error {
		_, err := tx.Scan(bucket, store.Range{Start: []byte(rowKey(rows / 2))})
		saysDamaged(t, err, anchore.Unavailable)
		return nil // it does not help
	})
	saysDamaged(t, err, anchore.Unavailable)

	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { saysDamaged(t, put(t.Context(), s, rowKey(rows/2), "new"), anchore.Unavailable) })
	}
	wg.Wait()
	if err := put(t.Context(), s, rowKey(1), "new"); err != nil {
		t.Errorf("an undamaged row: %v", err)
	}
	if v, err := get(t, s, rowKey(1)); err != nil || v != "new" {
		t.Errorf("an undamaged row is %q, %v", v, err)
	}
}

// A panic of the caller's own function is not taken for damage.
func TestOwnPanicGoesOn(t *testing.T) {
	s := open(t, bolt.Config{})
	for name, do := range map[string]func(context.Context, func(store.Tx) error) error{"Update": s.Update, "View": s.View} {
		func() {
			defer func() {
				if p := recover(); p != "oops" {
					t.Errorf("%s: recovered %v, want the function's own panic", name, p)
				}
			}()
			_ = do(t.Context(), func(store.Tx) error { panic("oops") })
		}()
	}
	if err := put(t.Context(), s, "a", "1"); err != nil {
		t.Error(err)
	}
}

// Whatever pages are damaged, opening, reading and writing end, with an error at
// most, and the file can be closed.
func FuzzDamage(f *testing.F) {
	good := filled(f)
	for page := range uint16(8) {
		f.Add(page, uint16(0), uint64(page))
		f.Add(page*8, page, uint64(page))
	}
	f.Fuzz(func(t *testing.T, first, more uint16, seed uint64) {
		path := filepath.Join(t.TempDir(), "engine.db")
		write(t, path, overwrite(good, int(first), int(first)+int(more), seed))
		s, err := bolt.Open(bolt.Config{Path: path})
		if err != nil {
			saysDamaged(t, err, anchore.Invalid)
			return
		}
		for i := 0; i < rows; i += 97 {
			if v, err := get(t, s, rowKey(i)); err == nil && !strings.HasPrefix(v, rowKey(i)) || err != nil && anchore.KindOf(err) != anchore.Unavailable && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("row %d is %q, %v", i, v, err)
			}
			if err := put(t.Context(), s, rowKey(i), rowKey(i)+"new"); err != nil && anchore.KindOf(err) != anchore.Unavailable {
				t.Errorf("put %d: %v", i, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
