// Package blobtest is the conformance suite of store.Blobs: every implementation
// passes it. Only tests import it.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Backend is what the suite needs to know of an implementation.
type Backend struct {
	// Open returns blobs without any content.
	Open func(t testing.TB) store.Blobs
	// Spoil replaces the stored content of d behind the back of the blobs that
	// Open returned last.
	Spoil func(t testing.TB, d store.Digest, content []byte)
	// Grow makes d older by age, behind the back of the blobs that Open returned
	// last.
	Grow func(t testing.TB, d store.Digest, age time.Duration)
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Backend, store.Blobs)
	}{
		{"kept under its digest", kept},
		{"absent", absent},
		{"not a digest", notDigest},
		{"half a write", halfWrite},
		{"context ended", contextEnded},
		{"spoiled", spoiled},
		{"spoiled and put again", healed},
		{"same content at once", sameAtOnce},
		{"list", list},
		{"age begins anew", young},
		{"renewed blob stays", renewed},
		{"sweep beside puts", sweep},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b, b.Open(t)) })
	}
}

func digest(content []byte) store.Digest {
	return store.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
}

func put(t *testing.T, s store.Blobs, content []byte) store.Digest {
	t.Helper()
	d, err := s.Put(t.Context(), bytes.NewReader(content))
	if err != nil || d != digest(content) {
		t.Errorf("Put = %s, %v; want %s", d, err, digest(content))
	}
	return d
}

func read(ctx context.Context, s store.Blobs, d store.Digest) ([]byte, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

func wantContent(t *testing.T, s store.Blobs, content []byte) {
	t.Helper()
	if got, err := read(t.Context(), s, digest(content)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the blob of %d bytes has %d bytes, %v", len(content), len(got), err)
	}
}

func infos(t *testing.T, s store.Blobs) map[store.Digest]store.BlobInfo {
	t.Helper()
	all := map[store.Digest]store.BlobInfo{}
	err := s.List(t.Context(), func(i store.BlobInfo) error {
		if _, twice := all[i.Digest]; twice {
			t.Errorf("List gives %s twice", i.Digest)
		}
		all[i.Digest] = i
		return nil
	})
	if err != nil {
		t.Errorf("List: %v", err)
	}
	return all
}

func kept(t *testing.T, _ Backend, s store.Blobs) {
	for _, content := range [][]byte{{}, []byte("a"), bytes.Repeat([]byte("blob"), 1<<18)} {
		d := put(t, s, content)
		put(t, s, content) // twice is once
		wantContent(t, s, content)
		if err := s.Delete(t.Context(), d, 0); err != nil {
			t.Error(err)
		}
		if _, err := s.Open(t.Context(), d); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Open after Delete: %v, want ErrNotFound", err)
		}
	}
}

func absent(t *testing.T, _ Backend, s store.Blobs) {
	d := digest([]byte("never put"))
	if _, err := s.Open(t.Context(), d); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Open: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), d, 0); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if n := len(infos(t, s)); n != 0 {
		t.Errorf("%d blobs, want none", n)
	}
}

func notDigest(t *testing.T, _ Backend, s store.Blobs) {
	hexa := strings.Repeat("ab", 32)
	for _, d := range []store.Digest{"", "sha256:", store.Digest(hexa), store.Digest("sha512:" + hexa),
		store.Digest("sha256:" + strings.ToUpper(hexa)), store.Digest("sha256:" + hexa[:62] + "/."), "sha256:../../etc/passwd"} {
		if _, err := s.Open(t.Context(), d); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Open(%q): %v, want kind Invalid", d, err)
		}
		if err := s.Delete(t.Context(), d, 0); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Delete(%q): %v, want kind Invalid", d, err)
		}
	}
}

func halfWrite(t *testing.T, _ Backend, s store.Blobs) {
	cut := errors.New("cut")
	half := []byte("the first half")
	_, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(half), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) {
		t.Errorf("Put: %v, want the reader's error", err)
	}
	if n := len(infos(t, s)); n != 0 {
		t.Errorf("%d blobs after half a write, want none", n)
	}
	if _, err := s.Open(t.Context(), digest(half)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the half has become a blob: %v", err)
	}
}

func contextEnded(t *testing.T, _ Backend, s store.Blobs) {
	d := put(t, s, []byte("content"))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v, want the context's error", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	_, err = s.Put(ctx, strings.NewReader("other"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want the context's error", err)
	}
	if err := s.Delete(ctx, d, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v, want the context's error", err)
	}
	err = s.List(ctx, func(store.BlobInfo) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want the context's error", err)
	}
	wantContent(t, s, []byte("content"))
}

func spoiled(t *testing.T, b Backend, s store.Blobs) {
	for name, content := range map[string]string{"changed": "blXb", "shorter": "blo", "longer": "blobs", "empty": ""} {
		d := put(t, s, []byte("blob"))
		b.Spoil(t, d, []byte(content))
		if got, err := read(t.Context(), s, d); err == nil || anchore.KindOf(err) != anchore.Internal {
			t.Errorf("%s: read %q, %v; want an error of kind Internal", name, got, err)
		}
	}
}

func healed(t *testing.T, b Backend, s store.Blobs) {
	b.Spoil(t, put(t, s, []byte("blob")), []byte("junk"))
	put(t, s, []byte("blob"))
	wantContent(t, s, []byte("blob"))
}

func sameAtOnce(t *testing.T, _ Backend, s store.Blobs) {
	content := bytes.Repeat([]byte("same"), 1<<14)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				put(t, s, content)
				wantContent(t, s, content)
			}
		})
	}
	wg.Wait()
	if n := len(infos(t, s)); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

func list(t *testing.T, _ Backend, s store.Blobs) {
	want := map[store.Digest]int64{}
	for i := range 20 {
		content := bytes.Repeat([]byte{byte(i)}, i)
		want[put(t, s, content)] = int64(i)
	}
	got := map[store.Digest]int64{}
	for d, i := range infos(t, s) {
		got[d] = i.Size
		if i.Age < 0 || i.Age > time.Minute {
			t.Errorf("a new blob has age %s", i.Age)
		}
	}
	if !cmp.Equal(got, want) {
		t.Errorf("List: %s", cmp.Diff(want, got))
	}
	stop, calls := errors.New("stop"), 0
	err := s.List(t.Context(), func(store.BlobInfo) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("List after an error of fn: %v, %d calls", err, calls)
	}
}

func young(t *testing.T, b Backend, s store.Blobs) {
	d := put(t, s, []byte("blob"))
	b.Grow(t, d, 3*time.Hour)
	if age := infos(t, s)[d].Age; age < 2*time.Hour || age > 4*time.Hour {
		t.Fatalf("age %s, want three hours", age)
	}
	put(t, s, []byte("blob")) // a transaction is about to refer to it
	if age := infos(t, s)[d].Age; age > time.Hour {
		t.Errorf("put again, its age is %s: a sweep would delete it", age)
	}
}

// renewed asks for an old blob's removal after it was put again, as a sweep does
// that listed it before: it stays.
func renewed(t *testing.T, b Backend, s store.Blobs) {
	content := []byte("old, then young")
	d := put(t, s, content)
	b.Grow(t, d, 3*time.Hour)
	put(t, s, content)
	if err := s.Delete(t.Context(), d, time.Hour); err != nil {
		t.Errorf("Delete: %v", err)
	}
	wantContent(t, s, content)
}

// sweep deletes old blobs while young ones are put: no young one may go.
func sweep(t *testing.T, b Backend, s store.Blobs) {
	var old []store.Digest
	for i := range 10 {
		d := put(t, s, fmt.Appendf(nil, "old %d", i))
		b.Grow(t, d, 3*time.Hour)
		old = append(old, d)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			put(t, s, fmt.Appendf(nil, "young %d", i))
		}
	})
	wg.Go(func() {
		err := s.List(t.Context(), func(i store.BlobInfo) error {
			if i.Age < time.Hour {
				return nil
			}
			return s.Delete(t.Context(), i.Digest, time.Hour) // while it is listed
		})
		if err != nil {
			t.Errorf("sweep: %v", err)
		}
	})
	wg.Wait()
	left := infos(t, s)
	if len(left) != 20 {
		t.Errorf("%d blobs left, want the 20 young ones", len(left))
	}
	if i := slices.IndexFunc(old, func(d store.Digest) bool { _, there := left[d]; return there }); i >= 0 {
		t.Errorf("old blob %d is still there", i)
	}
}
