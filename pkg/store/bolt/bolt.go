// Package bolt keeps the store in one bbolt file: the embedded backend, for one
// engine on one disk. It is the only importer of bbolt, and nothing above it may
// rely on more than package store promises.
package bolt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/disk"
)

// mapSize is the address space reserved for the file, in bytes. A file that
// outgrows its map must wait for every open View, and new Views wait behind it;
// a generous map makes that rare. It costs no memory: it is only address space.
const mapSize = 1 << 30

// Config says where the file is and what the code knows about its rows. Only
// Path is required.
type Config struct {
	Path       string        // the file; it and its directory are created, for this user only
	Schema     uint          // the schema the code reads and writes; 0 is 1
	Migrations []Migration   // how older schemas become this one
	LockWait   time.Duration // how long to wait for another process to let go; 0 is one second
	MaxSize    int64         // bytes the file may grow to; 0 is no limit
	Strict     bool          // check the whole file at each commit; for tests
	Logger     *slog.Logger  // nil is silent
}

// Store is a store.Store in one file. Its methods may be called from many
// goroutines.
type Store struct {
	db   *bbolt.DB
	file *os.File // that db has open, with its lock
	name string   // of the file, without its directory, which is not for clients
	log  *slog.Logger

	stuck atomic.Bool // a write transaction could not be ended, so there will be no other

	mu      sync.Mutex
	idle    *sync.Cond // on mu: nobody leads
	leading bool       // somebody has the write transaction
	queue   []*call    // Updates that wait for it, oldest first
	closed  bool

	commits, updates atomic.Uint64
}

var _ store.Store = (*Store)(nil)

// Stats are numbers for measurements and tests.
type Stats struct {
	Pending int    // Updates that wait for the running commit
	Updates uint64 // Updates committed since Open
	Commits uint64 // commits since Open: fewer than Updates when they shared one
}

// Open opens the file, creates it if there is none, and migrates older rows. It
// fails with kind Conflict when another process has the file open, and with kind
// Invalid when the file was written by a newer engine or is no store.
func Open(c Config) (*Store, error) {
	const op = "bolt.Open"
	c.Schema = max(c.Schema, 1)
	folder := filepath.Dir(c.Path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, anchore.E(anchore.Unavailable, op, "the data directory %s cannot be created", folder).Because(err)
	}
	s := &Store{log: c.Logger, name: filepath.Base(c.Path)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.idle = sync.NewCond(&s.mu)
	err := s.open(op, c)
	if err == nil {
		err = s.migrate(c.Schema, c.Migrations)
	}
	if err == nil { // bbolt syncs the file, not the directory which it is created in
		if failed := disk.SyncFolder(folder); failed != nil {
			err = unavailable(op, failed)
		}
	}
	if err != nil {
		_ = s.release()
		return nil, err
	}
	return s, nil
}

// open opens the file and reads what shows damage.
func (s *Store) open(op string, c Config) (err error) {
	defer rescue(anchore.Invalid, op, c.Path, debug.SetPanicOnFault(true), &err)
	s.db, err = bbolt.Open(c.Path, 0o600, &bbolt.Options{
		Timeout:         cmp.Or(c.LockWait, time.Second),
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapSize,
		MaxSize:         int(c.MaxSize),
		OpenFile:        s.openFile,
	})
	if err != nil {
		return openError(op, c.Path, err)
	}
	s.db.StrictMode = c.Strict
	return s.inspect(op, c.Path)
}

// openFile keeps the first file that bbolt opens, the locked one; later ones are
// for backups.
func (s *Store) openFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if s.file == nil {
		s.file = f
	}
	return f, err
}

// View runs fn on one snapshot; see store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := s.db.Begin(false)
	if err != nil {
		return unavailable("bolt.View", err)
	}
	defer func() { _ = b.Rollback() }()
	return newTx(b, s.name, false).run(fn)
}

// Close waits for transactions that run or wait, and releases the file. Closing
// twice is no error.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	for s.leading {
		s.idle.Wait()
	}
	s.mu.Unlock()
	if err := s.release(); err != nil {
		return unavailable("bolt.Close", err)
	}
	return nil
}

// Stats returns the store's numbers.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Pending: len(s.queue), Updates: s.updates.Load(), Commits: s.commits.Load()}
}

// openError says what an operator can do about a file that does not open.
func openError(op, path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return anchore.E(anchore.Conflict, op,
			"the data directory %s is in use by another engine; stop it, or choose another data directory",
			filepath.Dir(path)).Because(err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return damaged(anchore.Invalid, op, path, err)
	case errors.Is(err, os.ErrPermission):
		return anchore.E(anchore.Unavailable, op, "%s may not be read and written by this user", path).Because(err)
	case isStub(path):
		return damaged(anchore.Invalid, op, path, err)
	}
	return unavailable(op, err)
}

// unavailable translates what bbolt or the disk said.
func unavailable(op string, err error) *anchore.Error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return anchore.E(anchore.Unavailable, op, "the store is closed; the engine is stopping").Because(store.Failing(err))
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return anchore.E(anchore.Unavailable, op, "the store has reached its maximum size").Because(store.Failing(err))
	}
	return disk.Failed(op, err)
}
