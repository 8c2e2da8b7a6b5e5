// Package cause keeps the causes of notifications: a row written in the
// transaction that changed the state, and removed when the last subscription that
// it concerns has its notification.
package cause

import (
	"fmt"

	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// ID orders causes by time. The second half tells causes of one instant apart.
type ID [16]byte

// NewID makes an id from nanoseconds since 1970 and eight random bytes.
func NewID(nanos int64, random uint64) ID {
	var id ID
	copy(id[:], table.Key{}.Uint64(uint64(nanos)).Uint64(random))
	return id
}

// Kind is what happened.
type Kind string

const (
	TagMoved Kind = "tag"      // one tag of one account names another digest
	Analysis Kind = "analysis" // an analysis ended; concerns all images attached to it
	Refused  Kind = "refused"  // an account may not have the image; concerns its tags
	Attached Kind = "attached" // one tag was attached to an image that was analyzed already
	Imported Kind = "imported" // an account handed in an analysis; concerns its tags
)

// Row is a stored cause. Which fields are set depends on the kind.
type Row struct {
	ID       []byte `cbor:"1,keyasint"`
	Kind     Kind   `cbor:"2,keyasint"`
	At       int64  `cbor:"3,keyasint"`
	Account  uint32 `cbor:"4,keyasint,omitempty"`
	Tag      string `cbor:"5,keyasint,omitempty"`
	Before   string `cbor:"6,keyasint,omitempty"` // digest
	After    string `cbor:"7,keyasint,omitempty"` // digest
	Why      string `cbor:"8,keyasint,omitempty"` // watcher, hint, image add, image import
	Analysis string `cbor:"10,keyasint,omitempty"`
	Failed   bool   `cbor:"11,keyasint,omitempty"`
	Reason   string `cbor:"12,keyasint,omitempty"`

	// How far the fan-out has come: the last account and tag that were served.
	DoneAccount uint32 `cbor:"13,keyasint,omitempty"`
	DoneTag     string `cbor:"14,keyasint,omitempty"`
}

// Table holds the causes in the order in which they happened.
var Table = table.Table[Row]{
	Bucket: "cause",
	Key:    func(r *Row) []byte { return r.ID },
}

// First returns the oldest cause that is not yet fanned out, or nil.
func First(tx store.Tx) (*Row, error) {
	rows, err := Table.Scan(tx, store.Range{Limit: 1})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// parked holds, as they were stored, the causes that could not be fanned out.
const parked store.Bucket = "cause_parked"

// ParkFirst sets the oldest cause aside, so that the others go on. It is kept for
// whoever repairs the store.
func ParkFirst(tx store.Tx) error {
	entries, err := tx.Scan(Table.Bucket, store.Range{Limit: 1})
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := tx.Put(parked, entries[0].Key, entries[0].Value); err != nil {
		return err
	}
	return tx.Delete(Table.Bucket, entries[0].Key)
}

// MayConcern reports whether the account of that number may be told of the cause.
func (r *Row) MayConcern(account uint32) bool {
	return r.Account == account || r.Kind == Analysis // of an analysis, all that are attached are
}

// IDOf returns the row's id.
func (r *Row) IDOf() (ID, error) {
	var id ID
	if len(r.ID) != len(id) {
		return id, fmt.Errorf("cause: id of %d bytes", len(r.ID))
	}
	copy(id[:], r.ID)
	return id, nil
}
