// Package subscription keeps subscriptions: rows by (account, key, type), found
// by id and, the active ones, by type.
package subscription

import (
	"encoding/hex"
	"errors"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored subscription.
type Row struct {
	Account uint32 `cbor:"1,keyasint"`
	Key     string `cbor:"2,keyasint"`
	Type    string `cbor:"3,keyasint"`
	Active  bool   `cbor:"4,keyasint,omitempty"`
	Value   string `cbor:"5,keyasint,omitempty"`
	Created int64  `cbor:"6,keyasint"`
	Updated int64  `cbor:"7,keyasint"`
	ID      []byte `cbor:"8,keyasint"`           // 16 bytes of anchore.SubscriptionID
	Alias   []byte `cbor:"9,keyasint,omitempty"` // of anchore.SubscriptionAliasID, if there is one

	Repository *RepositoryRow `cbor:"10,keyasint,omitempty"` // of a repo_update
}

// RepositoryRow is how far the watch of a repository has come.
type RepositoryRow struct {
	ID     uint64 `cbor:"1,keyasint"`           // never used again: tags that another watch saw do not count
	First  uint64 `cbor:"2,keyasint,omitempty"` // the first list with the tags wanted now; tags passed over in another do not count
	Taken  bool   `cbor:"3,keyasint,omitempty"` // that list was taken
	Added  int    `cbor:"4,keyasint,omitempty"` // tags so far
	Failed int64  `cbor:"5,keyasint,omitempty"` // since when the repository cannot be listed, 0 if it can
}

const (
	byID store.Bucket = "subscription_id"
	// ByActive holds the active subscriptions by (type, key, account).
	ByActive store.Bucket = "subscription_active"
)

// Table holds the subscriptions.
var Table = table.Table[Row]{
	Bucket: "subscription",
	Key:    func(r *Row) []byte { return Key(r.Account, r.Key, anchore.SubscriptionType(r.Type)) },
	Indexes: []table.Index[Row]{
		{Bucket: byID, Keys: func(r *Row) [][]byte {
			keys := [][]byte{table.Key{}.Uint32(r.Account).Text(string(r.ID))}
			if len(r.Alias) > 0 {
				keys = append(keys, table.Key{}.Uint32(r.Account).Text(string(r.Alias)))
			}
			return keys
		}},
		{Bucket: ByActive, Keys: func(r *Row) [][]byte {
			if !r.Active {
				return nil
			}
			return [][]byte{ActiveKey(anchore.SubscriptionType(r.Type), r.Key, r.Account)}
		}},
	},
}

// Key is the key of a row.
func Key(account uint32, key string, t anchore.SubscriptionType) []byte {
	return table.Key{}.Uint32(account).Text(key).Text(string(t))
}

// ActiveKey is a key of ByActive.
func ActiveKey(t anchore.SubscriptionType, key string, account uint32) []byte {
	return table.Key{}.Text(string(t)).Text(key).Uint32(account)
}

// ActivePrefix is the start of all keys of ByActive of one type.
func ActivePrefix(t anchore.SubscriptionType) []byte { return table.Key{}.Text(string(t)) }

// New makes the row of a subscription that belongs to the account of that number.
func New(account uint32, s anchore.Subscription) *Row {
	r := &Row{
		Account: account, Key: s.Key, Type: string(s.Type), Active: s.Active, Value: s.Value,
		Created: table.Nanos(s.CreatedAt), Updated: table.Nanos(s.UpdatedAt), ID: rawID(s.ID()),
	}
	if alias, ok := anchore.SubscriptionAliasID(s.Account, s.Key, s.Type); ok {
		r.Alias = rawID(alias)
	}
	return r
}

func rawID(id string) []byte {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return nil // no stored id is empty, so nothing is found by it
	}
	return raw
}

// ByID returns the subscription with the id, or with it as alias, or nil.
func ByID(tx store.Tx, account uint32, id string) (*Row, error) {
	key, err := tx.Get(byID, table.Key{}.Uint32(account).Text(string(rawID(id))))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Table.Get(tx, key)
}

// Find returns the subscription with the key and type, or nil.
func Find(tx store.Tx, account uint32, key string, t anchore.SubscriptionType) (*Row, error) {
	return Table.Find(tx, Key(account, key, t))
}

// IsActive reports whether the subscription exists and is active.
func IsActive(tx store.Tx, account uint32, key string, t anchore.SubscriptionType) (bool, error) {
	row, err := Find(tx, account, key, t)
	return row != nil && row.Active, err
}

// ActiveOf returns the active subscriptions of a tag.
func ActiveOf(tx store.Tx, account uint32, tag string) ([]*Row, error) {
	var active []*Row
	for _, t := range anchore.TagSubscriptionTypes() {
		row, err := Find(tx, account, tag, t)
		if err != nil {
			return nil, err
		}
		if row != nil && row.Active {
			active = append(active, row)
		}
	}
	return active, nil
}

// SetActive changes the row's flag; it writes nothing if it is so already.
func SetActive(tx store.Tx, row *Row, active bool, now int64) error {
	if row.Active == active {
		return nil
	}
	next := *row
	next.Active, next.Updated = active, now
	return Table.Replace(tx, row, &next)
}

// Domain returns the subscription in the engine's words.
func (r *Row) Domain(account string) anchore.Subscription {
	return anchore.Subscription{
		Account: account, Key: r.Key, Type: anchore.SubscriptionType(r.Type), Active: r.Active, Value: r.value(),
		CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated),
	}
}

// value is the value that users see: that of a repo_update says how many tags were
// added, as the original's does.
func (r *Row) value() string {
	if r.Type != string(anchore.RepoUpdate) {
		return r.Value
	}
	w, err := r.Watch()
	if err != nil {
		return r.Value
	}
	value, err := anchore.RepositoryValue(r.Value, w, map[string]any{"tagcount": r.WatchState().Added})
	if err != nil {
		return r.Value
	}
	return value
}

// Watch is what a repo_update wants. Errors: Invalid, if a value was stored that
// this version does not understand.
func (r *Row) Watch() (anchore.RepositoryWatch, error) { return anchore.ParseRepositoryWatch(r.Value) }

// WatchState is a copy of the state of a repo_update's watch, the zero value for a
// row that has none.
func (r *Row) WatchState() RepositoryRow {
	if r.Repository == nil {
		return RepositoryRow{}
	}
	return *r.Repository
}
