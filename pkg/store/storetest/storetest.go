// Package storetest is the conformance suite of store.Store: every backend, and
// every fake a test uses, passes it. It also has the two wrappers with which code
// above the store is tested, Rerun and Crash. Only tests import it.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

const bucket store.Bucket = "storetest"

// Run runs the suite. open returns an empty store, and closes it when the test
// ends.
func Run(t *testing.T, open func(t testing.TB) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"missing and empty", missingAndEmpty},
		{"own writes", ownWrites},
		{"buckets", buckets},
		{"order and ranges", ranges},
		{"paging", paging},
		{"delete while paging", deleteWhilePaging},
		{"values are copies", copies},
		{"rollback on error", rollbackOnError},
		{"rollback on panic", rollbackOnPanic},
		{"view fails to write", viewWrites},
		{"bad keys", badKeys},
		{"key limit", keyLimit},
		{"byte limit", byteLimit},
		{"context ended", contextEnded},
		{"lost updates", lostUpdates},
		{"write skew", writeSkew},
		{"snapshot", snapshot},
		{"failures among others", failuresAmongOthers},
		{"closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// RunReopen checks that what was committed is there after Close and open. open
// opens the store in dir, which exists; the suite closes it.
func RunReopen(t *testing.T, open func(t testing.TB, dir string) store.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", "1", "empty", "", "gone", "x")
	update(t, s, func(tx store.Tx) error { return tx.Delete(bucket, []byte("gone")) })
	_ = s.Update(t.Context(), func(tx store.Tx) error {
		_ = tx.Put(bucket, []byte("a"), []byte("rolled back"))
		return errors.New("no")
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	wantAll(t, s, "a=1", "empty=")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func missingAndEmpty(t *testing.T, s store.Store) {
	put(t, s, "empty", "", "nil", "")
	update(t, s, func(tx store.Tx) error { return tx.Put(bucket, []byte("nil"), nil) })
	view(t, s, func(tx store.Tx) error {
		for _, key := range []string{"empty", "nil"} {
			if v, err := tx.Get(bucket, []byte(key)); err != nil || v == nil || len(v) != 0 {
				t.Errorf("Get(%s) = %v, %v; want an empty value", key, v, err)
			}
		}
		if _, err := tx.Get(bucket, []byte("absent")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(absent): %v, want ErrNotFound", err)
		}
		if _, err := tx.Get("never written", []byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get in a new bucket: %v, want ErrNotFound", err)
		}
		page, err := tx.Scan("never written", store.Range{})
		if err != nil || len(page) != 0 {
			t.Errorf("Scan of a new bucket = %v, %v", page, err)
		}
		return nil
	})
	update(t, s, func(tx store.Tx) error { // absent keys and buckets are no error
		return errors.Join(tx.Delete(bucket, []byte("absent")), tx.Delete("never written", []byte("a")))
	})
}

func ownWrites(t *testing.T, s store.Store) {
	put(t, s, "b", "old", "c", "old", "e", "old")
	update(t, s, func(tx store.Tx) error {
		err := errors.Join(
			tx.Put(bucket, []byte("a"), []byte("new")),
			tx.Put(bucket, []byte("b"), []byte("lost")), tx.Put(bucket, []byte("b"), []byte("new")),
			tx.Delete(bucket, []byte("c")),
			tx.Put(bucket, []byte("d"), []byte("x")), tx.Delete(bucket, []byte("d")),
			tx.Delete(bucket, []byte("e")), tx.Put(bucket, []byte("e"), []byte("again")),
			tx.Put(bucket, []byte("f"), nil))
		if err != nil {
			return err
		}
		if got, want := all(t, tx, store.Range{}), []string{"a=new", "b=new", "e=again", "f="}; !cmp.Equal(got, want) {
			t.Errorf("Scan in the transaction: %s", cmp.Diff(want, got))
		}
		if got, want := all(t, tx, store.Range{Start: []byte("b"), Limit: 2}), []string{"b=new", "e=again"}; !cmp.Equal(got, want) {
			t.Errorf("page in the transaction: %s", cmp.Diff(want, got))
		}
		if v, err := tx.Get(bucket, []byte("b")); err != nil || string(v) != "new" {
			t.Errorf("Get(b) = %q, %v", v, err)
		}
		if v, err := tx.Get(bucket, []byte("f")); err != nil || v == nil {
			t.Errorf("Get(f) = %v, %v; want an empty value", v, err)
		}
		if _, err := tx.Get(bucket, []byte("c")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(c) after Delete: %v", err)
		}
		return nil
	})
	wantAll(t, s, "a=new", "b=new", "e=again", "f=")
}

func buckets(t *testing.T, s store.Store) {
	put(t, s, "k", "here")
	update(t, s, func(tx store.Tx) error { return tx.Put(bucket+"2", []byte("k"), []byte("there")) })
	update(t, s, func(tx store.Tx) error { return tx.Delete(bucket+"2", []byte("k")) })
	wantAll(t, s, "k=here")
}

func ranges(t *testing.T, s store.Store) {
	put(t, s, "b", "", "a\x00", "", "a", "", "a\xff", "", "a\xff\xff", "", "ab", "", "\xff", "", "\x00", "")
	for _, c := range []struct {
		name string
		r    store.Range
		want []string
	}{
		{"all", store.Range{}, []string{"\x00=", "a=", "a\x00=", "ab=", "a\xff=", "a\xff\xff=", "b=", "\xff="}},
		{"prefix", store.Range{Prefix: []byte("a")}, []string{"a=", "a\x00=", "ab=", "a\xff=", "a\xff\xff="}},
		{"prefix of ones", store.Range{Prefix: []byte("a\xff")}, []string{"a\xff=", "a\xff\xff="}},
		{"last prefix", store.Range{Prefix: []byte("\xff")}, []string{"\xff="}},
		{"no such prefix", store.Range{Prefix: []byte("zz")}, nil},
		{"start is a key", store.Range{Start: []byte("ab"), Limit: 2}, []string{"ab=", "a\xff="}},
		{"start between", store.Range{Start: []byte("aa")}, []string{"ab=", "a\xff=", "a\xff\xff=", "b=", "\xff="}},
		{"start before the prefix", store.Range{Prefix: []byte("b"), Start: []byte("a")}, []string{"b="}},
		{"start in the prefix", store.Range{Prefix: []byte("a"), Start: []byte("ab\x00")}, []string{"a\xff=", "a\xff\xff="}},
		{"start after the prefix", store.Range{Prefix: []byte("a"), Start: []byte("b")}, nil},
		{"limit", store.Range{Limit: 1}, []string{"\x00="}},
	} {
		view(t, s, func(tx store.Tx) error {
			if got := all(t, tx, c.r); !cmp.Equal(got, c.want) {
				t.Errorf("%s: %s", c.name, cmp.Diff(c.want, got))
			}
			return nil
		})
	}
}

func paging(t *testing.T, s store.Store) {
	const n = store.MaxPage + 20
	fill(t, s, n)
	view(t, s, func(tx store.Tx) error {
		if page, err := tx.Scan(bucket, store.Range{}); err != nil || len(page) != store.MaxPage {
			t.Errorf("a page without limit has %d entries, %v; want %d", len(page), err, store.MaxPage)
		}
		for _, limit := range []int{-1, store.MaxPage + 1} {
			if _, err := tx.Scan(bucket, store.Range{Limit: limit}); err == nil {
				t.Errorf("Scan with limit %d did not fail", limit)
			}
		}
		return nil
	})
	seen, start := 0, []byte(nil)
	for {
		var page []store.Entry
		view(t, s, func(tx store.Tx) (err error) {
			page, err = tx.Scan(bucket, store.Range{Prefix: []byte("k"), Start: start, Limit: 37})
			return err
		})
		for _, e := range page {
			if want := fmt.Sprintf("k%05d", seen); string(e.Key) != want {
				t.Fatalf("entry %d is %s", seen, e.Key)
			}
			seen++
		}
		if len(page) < 37 {
			break
		}
		start = append(page[len(page)-1].Key, 0)
	}
	if seen != n {
		t.Errorf("the pages have %d entries, want %d", seen, n)
	}
}

func deleteWhilePaging(t *testing.T, s store.Store) {
	const n = 51
	fill(t, s, n)
	var deleted int
	update(t, s, func(tx store.Tx) error {
		deleted = 0
		if err := tx.Put(bucket, []byte("k00000"), []byte("touched")); err != nil {
			return err
		}
		start := []byte(nil)
		for deleted < 40 {
			page, err := tx.Scan(bucket, store.Range{Start: start, Limit: 7})
			if err != nil {
				return err
			}
			for _, e := range page {
				if err := tx.Delete(bucket, e.Key); err != nil {
					return err
				}
				deleted++
				start = e.Key
			}
		}
		return nil
	})
	view(t, s, func(tx store.Tx) error {
		if got := all(t, tx, store.Range{}); len(got) != n-deleted {
			t.Errorf("%d deleted of %d, %d left", deleted, n, len(got))
		}
		return nil
	})
}

func copies(t *testing.T, s store.Store) {
	var page []store.Entry
	var got []byte
	update(t, s, func(tx store.Tx) error {
		key, value := []byte("key"), []byte("value")
		if err := tx.Put(bucket, key, value); err != nil {
			return err
		}
		copy(key, "xxx")
		copy(value, "xxxxx")
		var err error
		if got, err = tx.Get(bucket, []byte("key")); err != nil {
			return err
		}
		copy(got, "yyyyy")
		if page, err = tx.Scan(bucket, store.Range{}); err != nil {
			return err
		}
		copy(page[0].Key, "yyy")
		copy(page[0].Value, "yyyyy")
		return nil
	})
	wantAll(t, s, "key=value")
	view(t, s, func(tx store.Tx) (err error) {
		if got, err = tx.Get(bucket, []byte("key")); err != nil {
			return err
		}
		page, err = tx.Scan(bucket, store.Range{})
		return err
	})
	copy(got, "zzzzz") // after the transaction: still the caller's
	copy(page[0].Value, "zzzzz")
	_ = append(page[0].Key, "more"...)
	wantAll(t, s, "key=value")
}

func rollbackOnError(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	no := errors.New("no")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Put(bucket, []byte("a"), []byte("2")), tx.Put("other", []byte("b"), nil), no)
	})
	if !errors.Is(err, no) {
		t.Errorf("Update returned %v, want what fn returned", err)
	}
	if err := s.View(t.Context(), func(store.Tx) error { return no }); !errors.Is(err, no) {
		t.Errorf("View returned %v, want what fn returned", err)
	}
	wantAll(t, s, "a=1")
}

func rollbackOnPanic(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	for name, run := range map[string]func(context.Context, func(store.Tx) error) error{"Update": s.Update, "View": s.View} {
		func() {
			defer func() {
				if p := recover(); p != "oops" {
					t.Errorf("%s: recovered %v, want the panic of fn", name, p)
				}
			}()
			_ = run(t.Context(), func(tx store.Tx) error {
				_ = tx.Put(bucket, []byte("a"), []byte("2"))
				panic("oops")
			})
		}()
	}
	wantAll(t, s, "a=1")
	put(t, s, "a", "3") // the store still works
	wantAll(t, s, "a=3")
}

func viewWrites(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	view(t, s, func(tx store.Tx) error {
		if tx.Put(bucket, []byte("a"), []byte("2")) == nil {
			t.Error("Put in a View did not fail")
		}
		if tx.Delete(bucket, []byte("a")) == nil {
			t.Error("Delete in a View did not fail")
		}
		return nil
	})
	wantAll(t, s, "a=1")
}

func badKeys(t *testing.T, s store.Store) {
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Put(bucket, nil, []byte("x")); err == nil {
			t.Error("Put of an empty key did not fail")
		}
		return tx.Put(bucket, []byte("beside"), nil)
	})
	if err == nil {
		t.Error("Update succeeded although a Put failed")
	}
	wantAll(t, s)
}

func keyLimit(t *testing.T, s store.Store) {
	fill(t, s, store.MaxKeys+1)
	key := func(i int) []byte { return fmt.Appendf(nil, "k%05d", i) }
	for _, c := range []struct {
		name string
		fn   func(tx store.Tx, n int) error
	}{
		{"put", func(tx store.Tx, n int) error {
			for i := range n {
				_ = tx.Put(bucket, key(i), nil)
			}
			return nil
		}},
		{"delete", func(tx store.Tx, n int) error {
			for i := range n {
				_ = tx.Delete(bucket, key(i))
			}
			return nil
		}},
		{"get", func(tx store.Tx, n int) error {
			for i := range n {
				if _, err := tx.Get(bucket, key(i)); err != nil {
					return err
				}
			}
			return nil
		}},
		{"scan", func(tx store.Tx, n int) error {
			_, err := tx.Scan(bucket, store.Range{Limit: n})
			return err
		}},
		{"read and written", func(tx store.Tx, n int) error {
			if _, err := tx.Scan(bucket, store.Range{Limit: n - n/2}); err != nil {
				return err
			}
			for i := range n / 2 {
				_ = tx.Put(bucket, key(i), nil)
			}
			return nil
		}},
	} {
		for n, want := range map[int]error{store.MaxKeys: nil, store.MaxKeys + 1: store.ErrTooLarge} {
			no := errors.New("rolled back")
			err := s.Update(t.Context(), func(tx store.Tx) error {
				if err := c.fn(tx, n); err != nil {
					return err
				}
				if want == nil {
					return no // so that the next case finds the same rows
				}
				return nil // an error that fn ignored fails the Update as well
			})
			if want == nil {
				want = no
			}
			if !errors.Is(err, want) {
				t.Errorf("%s %d keys: %v, want %v", c.name, n, err, want)
			}
		}
	}
	view(t, s, func(tx store.Tx) error {
		if got := all(t, tx, store.Range{}); len(got) != store.MaxKeys+1 {
			t.Errorf("%d rows are left of %d: a refused Update left something", len(got), store.MaxKeys+1)
		}
		return nil
	})
}

func byteLimit(t *testing.T, s store.Store) {
	half := make([]byte, store.MaxBytes/2-1)
	update(t, s, func(tx store.Tx) error { // exactly the limit; the last Put of a key counts
		return errors.Join(tx.Put(bucket, []byte("a"), half), tx.Put(bucket, []byte("a"), half), tx.Put(bucket, []byte("b"), half))
	})
	err := s.Update(t.Context(), func(tx store.Tx) error {
		_ = tx.Put(bucket, []byte("c"), half)
		_ = tx.Put(bucket, []byte("dd"), half)
		return nil
	})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("one byte too many: %v, want ErrTooLarge", err)
	}
	view(t, s, func(tx store.Tx) error {
		if got := all(t, tx, store.Range{}); len(got) != 2 {
			t.Errorf("%d rows, want 2", len(got))
		}
		return nil
	})
}

func contextEnded(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := func(store.Tx) error { t.Error("fn ran although the context had ended"); return nil }
	if err := s.View(ctx, ran); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v, want the context's error", err)
	}
	if err := s.Update(ctx, ran); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want the context's error", err)
	}
}

func lostUpdates(t *testing.T, s store.Store) {
	const workers, each = 8, 15
	parallel(workers, func(int) {
		for range each {
			update(t, s, func(tx store.Tx) error { return add(tx, "n", 1) })
		}
	})
	view(t, s, func(tx store.Tx) error {
		if n, err := count(tx, "n"); err != nil || n != workers*each {
			t.Errorf("the counter is %d, %v; want %d", n, err, workers*each)
		}
		return nil
	})
}

// writeSkew: each doctor may go off duty if another stays; without serializable
// isolation both go.
func writeSkew(t *testing.T, s store.Store) {
	for round := range 25 {
		put(t, s, "duty/a", "", "duty/b", "")
		parallel(2, func(i int) {
			update(t, s, func(tx store.Tx) error {
				on, err := tx.Scan(bucket, store.Range{Prefix: []byte("duty/")})
				runtime.Gosched()
				if err != nil || len(on) < 2 {
					return err
				}
				return tx.Delete(bucket, []byte([]string{"duty/a", "duty/b"}[i]))
			})
		})
		view(t, s, func(tx store.Tx) error {
			if got := all(t, tx, store.Range{Prefix: []byte("duty/")}); len(got) != 1 {
				t.Fatalf("round %d: %d on duty, want 1", round, len(got))
			}
			return nil
		})
	}
}

// snapshot: writers move units between two rows; no View ever sees another sum.
func snapshot(t *testing.T, s store.Store) {
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for range 20 {
				update(t, s, func(tx store.Tx) error { return errors.Join(add(tx, "a", 1), add(tx, "b", ^uint64(0))) })
			}
		})
	}
	stop := make(chan struct{})
	go func() { writers.Wait(); close(stop) }()
	for running := true; running; {
		select {
		case <-stop:
			running = false
		default:
		}
		view(t, s, func(tx store.Tx) error {
			a, err := count(tx, "a")
			runtime.Gosched()
			b, err2 := count(tx, "b")
			if a+b != 0 {
				t.Errorf("a View sees a=%d b=%d", a, b)
			}
			return errors.Join(err, err2)
		})
	}
}

// failuresAmongOthers: one that fails or panics takes nobody with it.
func failuresAmongOthers(t *testing.T, s store.Store) {
	const workers, each = 16, 6
	no := errors.New("no")
	parallel(workers, func(i int) {
		for range each {
			func() {
				defer func() {
					if p := recover(); (p != nil) != (i%4 == 1) {
						t.Errorf("worker %d recovered %v", i, p)
					}
				}()
				err := s.Update(t.Context(), func(tx store.Tx) error {
					if err := add(tx, "n", 1); err != nil {
						return err
					}
					switch i % 4 {
					case 0:
						return no
					case 1:
						panic("oops")
					}
					return nil
				})
				if (i%4 == 0) != errors.Is(err, no) {
					t.Errorf("worker %d: %v", i, err)
				}
			}()
		}
	})
	view(t, s, func(tx store.Tx) error {
		if n, err := count(tx, "n"); err != nil || n != workers*each/2 {
			t.Errorf("the counter is %d, %v; want %d", n, err, workers*each/2)
		}
		return nil
	})
}

func closed(t *testing.T, s store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context, func(store.Tx) error) error{"Update": s.Update, "View": s.View} {
		err := run(t.Context(), func(store.Tx) error { t.Errorf("%s ran fn after Close", name); return nil })
		if anchore.KindOf(err) != anchore.Unavailable || !errors.Is(err, store.ErrFailing) {
			t.Errorf("%s after Close: %v, want kind Unavailable and ErrFailing", name, err)
		}
	}
}

func parallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Errorf("Update: %v", err)
	}
}

func view(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Errorf("View: %v", err)
	}
}

// put stores keys and values, given in turns.
func put(t *testing.T, s store.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx store.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Put(bucket, []byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill stores n keys, k00000 and on.
func fill(t *testing.T, s store.Store, n int) {
	t.Helper()
	for from := 0; from < n; from += store.MaxKeys {
		update(t, s, func(tx store.Tx) error {
			for i := from; i < min(from+store.MaxKeys, n); i++ {
				if err := tx.Put(bucket, fmt.Appendf(nil, "k%05d", i), []byte("v")); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// all returns a page as "key=value".
func all(t *testing.T, tx store.Tx, r store.Range) []string {
	t.Helper()
	page, err := tx.Scan(bucket, r)
	if err != nil {
		t.Errorf("Scan: %v", err)
	}
	var got []string
	for _, e := range page {
		got = append(got, string(e.Key)+"="+string(e.Value))
	}
	return got
}

func wantAll(t *testing.T, s store.Store, want ...string) {
	t.Helper()
	view(t, s, func(tx store.Tx) error {
		if got := all(t, tx, store.Range{}); !cmp.Equal(got, want) {
			t.Errorf("the bucket: %s", cmp.Diff(want, got))
		}
		return nil
	})
}

// count reads a counter, 0 if there is none.
func count(tx store.Tx, key string) (uint64, error) {
	v, err := tx.Get(bucket, []byte(key))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(v) != 8 {
		return 0, errors.Join(err, fmt.Errorf("counter of %d bytes", len(v)))
	}
	return binary.BigEndian.Uint64(v), nil
}

func add(tx store.Tx, key string, n uint64) error {
	old, err := count(tx, key)
	if err != nil {
		return err
	}
	runtime.Gosched() // invite another writer
	return tx.Put(bucket, []byte(key), binary.BigEndian.AppendUint64(nil, old+n))
}
