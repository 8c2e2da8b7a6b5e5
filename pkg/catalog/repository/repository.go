// Package repository keeps what became of the tags of watched repositories: one
// row by (account, repository, tag), since a repository may have thousands.
package repository

import (
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// State is what became of a tag.
type State uint8

// The states of a tag.
const (
	Added   State = 1 // its image was taken in
	Passed  State = 2 // it was there when the watch began, and is not wanted
	Failing State = 3 // its image could not be taken in; it is tried again
)

// Row is one tag that a watch has seen.
type Row struct {
	Account    uint32 `cbor:"1,keyasint"`
	Repository string `cbor:"2,keyasint"`
	Tag        string `cbor:"3,keyasint"`
	Watch      uint64 `cbor:"4,keyasint"` // id of the watch that saw it
	State      State  `cbor:"5,keyasint"`
	First      uint64 `cbor:"6,keyasint,omitempty"` // Passed: the first list that it was in
	Attempts   int    `cbor:"7,keyasint,omitempty"` // Failing: so far
	Next       int64  `cbor:"8,keyasint,omitempty"` // Failing: when it is tried again
	Told       bool   `cbor:"9,keyasint,omitempty"` // Failing: an event told of it
}

// Table holds the tags.
var Table = table.Table[Row]{
	Bucket: "repository_tag",
	Key:    func(r *Row) []byte { return Key(r.Account, r.Repository, r.Tag) },
}

// Key is the key of a row.
func Key(account uint32, repository, tag string) []byte {
	return Prefix(account, repository).Text(tag)
}

// Prefix is the start of the keys of one repository's tags.
func Prefix(account uint32, repository string) table.Key {
	return table.Key{}.Uint32(account).Text(repository)
}

// Find returns the row of a tag, or nil.
func Find(tx store.Tx, account uint32, repository, tag string) (*Row, error) {
	return Table.Find(tx, Key(account, repository, tag))
}

// Next returns the account and repository of the first tag from start on, and
// where the tags after that repository's begin; ok is false if there is no tag.
func Next(tx store.Tx, start []byte) (account uint32, name string, after []byte, ok bool, err error) {
	entries, err := tx.Scan(Table.Bucket, store.Range{Start: start, Limit: 1})
	if err != nil || len(entries) == 0 {
		return 0, "", nil, false, err
	}
	key := table.ReadKey(entries[0].Key)
	account, name = key.Uint32(), key.Text()
	_ = key.Text()
	if err := key.Err(); err != nil {
		return 0, "", nil, false, err
	}
	prefix := Prefix(account, name)
	prefix[len(prefix)-1]++ // the NUL that ends the name: nothing of this repository is above
	return account, name, prefix, true, nil
}
