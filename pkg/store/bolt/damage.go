package bolt

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

// bbolt trusts its pages: on a damaged one it panics, or follows a pointer out of
// its map, which is a fault that ends the process. Everything here that reads or
// writes pages therefore defers rescue. What a caller's own function panics with
// is none of its business and goes on.

// errShort is a file that ends before its last page.
var errShort = errors.New("the file is shorter than its pages")

// damaged is the error of a file that is not what this package wrote.
func damaged(kind anchore.Kind, op, path string, cause error) *anchore.Error {
	return anchore.E(kind, op, "%s is not a store of this engine, or is damaged; restore it from a backup", path).Because(cause)
}

// rescue turns a panic or a fault into the error that the file is damaged. It must
// be deferred itself, and be given what debug.SetPanicOnFault(true) returned.
func rescue(kind anchore.Kind, op, path string, onFault bool, err *error) {
	debug.SetPanicOnFault(onFault)
	if p := recover(); p != nil {
		*err = broken(kind, op, path, p)
	}
}

// broken is damaged with what bbolt panicked with as its cause.
func broken(kind anchore.Kind, op, path string, p any) *anchore.Error {
	return damaged(kind, op, path, store.Failing(fmt.Errorf("bbolt: %v", p)))
}

// inspect finds damage where that costs little, however large the file: one that
// was cut short, and the first and last page of each bucket with the way there.
func (s *Store) inspect(op, path string) error {
	b, err := s.db.Begin(false)
	if err != nil {
		return unavailable(op, err)
	}
	defer func() { _ = b.Rollback() }()
	info, err := s.file.Stat()
	if err != nil {
		return unavailable(op, err)
	}
	if info.Size() < b.Size() {
		return damaged(anchore.Invalid, op, path, errShort)
	}
	err = b.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
		c := bucket.Cursor()
		c.First()
		c.Last()
		return nil
	})
	if err != nil {
		return damaged(anchore.Invalid, op, path, err)
	}
	return nil
}

// isStub reports whether the file is shorter than its two headers, for which bbolt
// has an error without a name.
func isStub(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0 && info.Size() < 2*int64(os.Getpagesize())
}

// begin opens the write transaction.
func (s *Store) begin(op string) (b *bbolt.Tx, err error) {
	if s.stuck.Load() {
		return nil, damaged(anchore.Unavailable, op, s.name, store.Failing(errUnfinished))
	}
	done := false
	defer func() { s.stuck.CompareAndSwap(false, !done) }()
	defer rescue(anchore.Unavailable, op, s.name, debug.SetPanicOnFault(true), &err)
	b, err = s.db.Begin(true)
	done = true
	if err != nil {
		return nil, unavailable(op, err)
	}
	return b, nil
}

// rollback ends a write transaction; without effect after a commit. If even that
// fails, bbolt keeps its lock, and nobody may wait for it any more.
func (s *Store) rollback(b *bbolt.Tx) {
	done := false
	defer func() { s.stuck.CompareAndSwap(false, !done) }()
	var err error
	defer rescue(anchore.Unavailable, "bolt.rollback", s.name, debug.SetPanicOnFault(true), &err)
	_ = b.Rollback()
	done = true
}

// save commits a write transaction.
func (s *Store) save(op string, b *bbolt.Tx) (err error) {
	defer rescue(anchore.Unavailable, op, s.name, debug.SetPanicOnFault(true), &err)
	if err := b.Commit(); err != nil {
		return unavailable(op, err)
	}
	return nil
}

// release closes the file. One that bbolt cannot close any more is locked until the
// process ends.
func (s *Store) release() error {
	if s.db == nil || s.stuck.Load() {
		return nil
	}
	return s.db.Close()
}
