package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

const bucket store.Bucket = "rows"

func open(t testing.TB, c bolt.Config) *bolt.Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "engine.db")
	}
	s, err := bolt.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, bolt.Config{Strict: true}) })
}

func TestConformanceRerun(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		return storetest.Rerun{Store: open(t, bolt.Config{Strict: true})}
	})
}

func TestReopen(t *testing.T) {
	storetest.RunReopen(t, func(t testing.TB, dir string) store.Store {
		return open(t, bolt.Config{Path: filepath.Join(dir, "engine.db")})
	})
}

func put(ctx context.Context, s store.Store, key, value string) error {
	return s.Update(ctx, func(tx store.Tx) error { return tx.Put(bucket, []byte(key), []byte(value)) })
}

func get(t *testing.T, s store.Store, key string) (string, error) {
	t.Helper()
	var v []byte
	err := s.View(t.Context(), func(tx store.Tx) (err error) {
		v, err = tx.Get(bucket, []byte(key))
		return err
	})
	return string(v), err
}

// While one Update runs, others gather; they then share one commit. One of them
// fails and one panics: neither leaves a trace, and the rest are committed.
func TestUpdatesShareACommit(t *testing.T) {
	s := open(t, bolt.Config{Strict: true})
	const n = 40
	var wg sync.WaitGroup
	first := make(chan struct{})
	before := s.Stats()
	wg.Go(func() {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			close(first)
			for s.Stats().Pending < n { // until all have come
				time.Sleep(time.Millisecond)
			}
			return tx.Put(bucket, []byte("first"), nil)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-first
	no := errors.New("no")
	for i := range n {
		wg.Go(func() {
			defer func() {
				if p := recover(); (p != nil) != (i == 7) {
					t.Errorf("call %d recovered %v", i, p)
				}
			}()
			err := s.Update(t.Context(), func(tx store.Tx) error {
				if err := tx.Put(bucket, fmt.Appendf(nil, "%02d", i), nil); err != nil {
					return err
				}
				switch i {
				case 3:
					return no
				case 7:
					panic("oops")
				}
				return nil
			})
			if errors.Is(err, no) != (i == 3) {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	after := s.Stats()
	if after.Commits-before.Commits != 1 || after.Updates-before.Updates != n-1 {
		t.Errorf("%d commits for %d updates, want 1 for %d", after.Commits-before.Commits, after.Updates-before.Updates, n-1)
	}
	for i := range n {
		_, err := get(t, s, fmt.Sprintf("%02d", i))
		if gone := errors.Is(err, store.ErrNotFound); gone != (i == 3 || i == 7) {
			t.Errorf("row %d: %v", i, err)
		}
	}
}

// A waiting Update leaves the queue when its context ends, and never runs.
func TestContextEndsWhileWaiting(t *testing.T) {
	s := open(t, bolt.Config{})
	running, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Update(t.Context(), func(tx store.Tx) error { close(running); <-release; return nil })
	})
	<-running
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := put(ctx, s, "a", "never"); !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v, want the context's error", err)
		}
		close(release)
	})
	for s.Stats().Pending < 1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	if _, err := get(t, s, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it was written all the same: %v", err)
	}
}

func TestUpdateWithoutWritesCommitsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	s := open(t, bolt.Config{Path: path})
	if err := put(t.Context(), s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	commits := s.Stats().Commits
	for range 10 {
		if err := s.Update(t.Context(), func(tx store.Tx) error { _, err := tx.Get(bucket, []byte("a")); return err }); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) || s.Stats().Commits != commits {
		t.Error("an Update that wrote nothing changed the file")
	}
}

func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	s := open(t, bolt.Config{Path: path, MaxSize: 1 << 20})
	value := strings.Repeat("x", 100_000)
	var err error
	kept := 0
	for ; err == nil; kept++ {
		if kept > 20 {
			t.Fatal("the store outgrew its maximum size")
		}
		err = put(t.Context(), s, fmt.Sprint(kept), value)
	}
	if anchore.KindOf(err) != anchore.Unavailable || !strings.Contains(anchore.MessageOf(err), "maximum size") {
		t.Errorf("a full store says %v", err)
	}
	for i := range kept - 1 {
		if v, err := get(t, s, fmt.Sprint(i)); err != nil || v != value {
			t.Errorf("row %d was acknowledged and is lost: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	roomy := open(t, bolt.Config{Path: path, Strict: true})
	if err := put(t.Context(), roomy, "more", value); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestTransactionEnds(t *testing.T) {
	s := open(t, bolt.Config{})
	for name, run := range map[string]func(context.Context, func(store.Tx) error) error{"Update": s.Update, "View": s.View} {
		var kept store.Tx
		if err := run(t.Context(), func(tx store.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Get(bucket, []byte("a")); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get after %s: %v", name, err)
		}
	}
}
