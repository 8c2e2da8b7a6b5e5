package bolt

import (
	"context"
	"encoding/binary"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

// meta is the bucket of what the backend knows about the file. Names of the
// store's buckets never begin with NUL, so none can be this one.
const meta = "\x00meta"

// Keys in meta; their values are big-endian uint64.
const (
	schemaKey    = "schema"    // the schema of all rows
	migratingKey = "migrating" // the schema some rows may already have
)

// Migration turns the rows of schema To-1 into those of schema To. Run works in
// transactions of the usual limits, so it is stopped by a crash between two of
// them; it then runs again from the start and must accept rows it has already
// changed.
type Migration struct {
	To   uint
	Name string // for the log: "index of digests"
	Run  func(ctx context.Context, s store.Store) error
}

// migrate refuses a file from a newer engine, and brings an older one to schema
// known, one number after the other.
func (s *Store) migrate(known uint, all []Migration) error {
	const op = "bolt.Open"
	at, toward, err := s.schema()
	if err != nil {
		return err
	}
	if newest := max(at, toward); newest > known {
		return anchore.E(anchore.Invalid, op,
			"the store has schema %d, this engine knows schemas up to %d; start the engine that wrote it, or a newer one", newest, known)
	}
	if at == 0 { // a new file has nothing to migrate
		return s.setNumber(op, schemaKey, known)
	}
	for at < known {
		m, ok := find(all, at+1)
		if !ok {
			return anchore.E(anchore.Invalid, op, "no migration leads from schema %d of the store to %d", at, at+1)
		}
		s.log.Info("migrating the store", "schema", m.To, "migration", m.Name)
		if err := s.setNumber(op, migratingKey, m.To); err != nil {
			return err
		}
		if err := m.Run(context.Background(), s); err != nil {
			return anchore.E(anchore.KindOf(err), op, "migration of the store to schema %d (%s) failed", m.To, m.Name).Because(err)
		}
		if err := s.setNumber(op, schemaKey, m.To); err != nil {
			return err
		}
		at = m.To
	}
	return nil
}

func find(all []Migration, to uint) (Migration, bool) {
	for _, m := range all {
		if m.To == to {
			return m, true
		}
	}
	return Migration{}, false
}

// schema reads both numbers, 0 where there is none.
func (s *Store) schema() (at, toward uint, err error) {
	defer rescue(anchore.Invalid, "bolt.Open", s.name, debug.SetPanicOnFault(true), &err)
	err = s.db.View(func(b *bbolt.Tx) error {
		if m := b.Bucket([]byte(meta)); m != nil {
			at, toward = number(m.Get([]byte(schemaKey))), number(m.Get([]byte(migratingKey)))
		}
		return nil
	})
	if err != nil {
		return 0, 0, unavailable("bolt.Open", err)
	}
	return at, toward, nil
}

// number decodes a number of meta. One of another length was written by code
// that is not known here: it counts as newer than everything.
func number(v []byte) uint {
	switch len(v) {
	case 0:
		return 0
	case 8:
		return uint(binary.BigEndian.Uint64(v))
	}
	return ^uint(0)
}

func (s *Store) setNumber(op, key string, n uint) error {
	b, err := s.begin(op)
	if err != nil {
		return err
	}
	defer s.rollback(b)
	if err := putNumber(op, s.name, b, key, n); err != nil {
		return err
	}
	return s.save(op, b)
}

func putNumber(op, file string, b *bbolt.Tx, key string, n uint) (err error) {
	defer rescue(anchore.Unavailable, op, file, debug.SetPanicOnFault(true), &err)
	m, err := b.CreateBucketIfNotExists([]byte(meta))
	if err == nil {
		err = m.Put([]byte(key), binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	if err != nil {
		return unavailable(op, err)
	}
	return nil
}
