// Package event keeps each account's log of events, newest first.
package event

import (
	"bytes"
	"errors"
	"math"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored event.
type Row struct {
	Account      uint32         `cbor:"1,keyasint"`
	ID           string         `cbor:"2,keyasint"`
	At           int64          `cbor:"3,keyasint"`
	Type         string         `cbor:"4,keyasint"`
	Level        string         `cbor:"5,keyasint"`
	Message      string         `cbor:"6,keyasint"`
	Details      map[string]any `cbor:"7,keyasint,omitempty"`
	ResourceType string         `cbor:"8,keyasint,omitempty"`
	ResourceID   string         `cbor:"9,keyasint,omitempty"`
	Service      string         `cbor:"10,keyasint,omitempty"`
}

const byID store.Bucket = "event_id"

// Table holds the events by (account, newest first, id).
var Table = table.Table[Row]{
	Bucket: "event",
	Key:    func(r *Row) []byte { return Prefix(r.Account).Descending(r.At).Text(r.ID) },
	Indexes: []table.Index[Row]{{Bucket: byID, Keys: func(r *Row) [][]byte {
		return [][]byte{Prefix(r.Account).Text(r.ID)}
	}}},
}

// Prefix is the start of the keys of an account's events.
func Prefix(account uint32) table.Key { return table.Key{}.Uint32(account) }

// Add writes an event whose ID and At are set.
func Add(tx store.Tx, account uint32, e anchore.Event) error {
	return Table.Insert(tx, &Row{
		Account: account, ID: e.ID, At: table.Nanos(e.At), Type: string(e.Type), Level: string(e.Level), Message: e.Message,
		Details: e.Details, ResourceType: e.Resource.Type, ResourceID: e.Resource.ID, Service: e.Service,
	})
}

// Find returns the event with the id, or nil.
func Find(tx store.Tx, account uint32, id string) (*Row, error) {
	key, err := tx.Get(byID, Prefix(account).Text(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Table.Get(tx, key)
}

// expirePage is how many events one View of Expirable reads.
const expirePage = 100

// Expirable returns a page of the events, from the given place on (nil is the
// start), that are older than before, and the place of the next page, nil after
// the last. It reads one page of one account. Nothing is older than 1970.
func Expirable(tx store.Tx, from []byte, before time.Time) (old []*Row, next []byte, err error) {
	limit := table.Nanos(before)
	if limit <= 0 {
		return nil, nil, nil
	}
	entries, err := tx.Scan(Table.Bucket, store.Range{Start: from, Limit: 1})
	if err != nil || len(entries) == 0 {
		return nil, nil, err
	}
	account := table.ReadKey(entries[0].Key).Uint32()
	start := []byte(Prefix(account).Descending(limit - 1))
	if bytes.Compare(from, start) > 0 {
		start = from
	}
	old, err = Table.Scan(tx, store.Range{Prefix: Prefix(account), Start: start, Limit: expirePage})
	switch {
	case err != nil:
		return nil, nil, err
	case len(old) == expirePage:
		return old, table.After(Table.Key(old[expirePage-1])), nil
	case account == math.MaxUint32:
		return old, nil, nil
	}
	return old, Prefix(account + 1), nil
}

// Domain returns the event in the engine's words.
func (r *Row) Domain(account string) anchore.Event {
	return anchore.Event{
		ID: r.ID, Account: account, Type: anchore.EventType(r.Type), Level: anchore.Level(r.Level), Message: r.Message,
		Details: r.Details, Resource: anchore.Resource{Type: r.ResourceType, ID: r.ResourceID}, Service: r.Service, At: table.Time(r.At),
	}
}
