package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/anchore/anchore-engine/pkg/store"
)

// Table is a bucket of rows of one type with its indexes. It is a description:
// it holds no state and its functions are given the transaction.
type Table[T any] struct {
	Bucket  store.Bucket
	Key     func(*T) []byte // the row's key, from its own fields
	Indexes []Index[T]
}

// Index is a bucket whose keys are derived from the rows of a table and whose
// values are the rows' keys.
type Index[T any] struct {
	Bucket store.Bucket
	Keys   func(*T) [][]byte // none for a row that the index does not hold
}

// Get returns the row with key, or store.ErrNotFound.
func (t *Table[T]) Get(tx store.Tx, key []byte) (*T, error) {
	stored, err := tx.Get(t.Bucket, key)
	if err != nil {
		return nil, err
	}
	return t.decode(key, stored)
}

// Find is Get with nil for a row that does not exist.
func (t *Table[T]) Find(tx store.Tx, key []byte) (*T, error) {
	row, err := t.Get(tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return row, err
}

func (t *Table[T]) decode(key, stored []byte) (*T, error) {
	row := new(T)
	if err := Decode(stored, row); err != nil {
		return nil, fmt.Errorf("%s %x: %w", t.Bucket, key, err)
	}
	return row, nil
}

// Insert writes a new row and its index entries.
func (t *Table[T]) Insert(tx store.Tx, row *T) error { return t.Replace(tx, nil, row) }

// Replace writes row over old, which is the row as it was read in the same
// transaction (nil if there was none), and adjusts the indexes. It writes nothing
// that did not change.
func (t *Table[T]) Replace(tx store.Tx, old, row *T) error {
	key := t.Key(row)
	stored, err := Encode(row)
	if err != nil {
		return err
	}
	var before []byte
	if old != nil {
		if !bytes.Equal(t.Key(old), key) {
			return fmt.Errorf("table %s: a row cannot change its key", t.Bucket)
		}
		if before, err = Encode(old); err != nil {
			return err
		}
	}
	if bytes.Equal(before, stored) {
		return nil
	}
	if err := tx.Put(t.Bucket, key, stored); err != nil {
		return err
	}
	return t.reindex(tx, key, old, row)
}

// Delete removes the row, given as it was read in the same transaction, and its
// index entries.
func (t *Table[T]) Delete(tx store.Tx, old *T) error {
	key := t.Key(old)
	if err := tx.Delete(t.Bucket, key); err != nil {
		return err
	}
	return t.reindex(tx, key, old, nil)
}

func (t *Table[T]) reindex(tx store.Tx, key []byte, old, row *T) error {
	for _, index := range t.Indexes {
		was, is := index.keys(old), index.keys(row)
		for _, k := range was {
			if !contains(is, k) {
				if err := tx.Delete(index.Bucket, k); err != nil {
					return err
				}
			}
		}
		for _, k := range is {
			if !contains(was, k) {
				if err := tx.Put(index.Bucket, k, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (i Index[T]) keys(row *T) [][]byte {
	if row == nil {
		return nil
	}
	return i.Keys(row)
}

func contains(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// Scan returns the rows of r in the order of their keys.
func (t *Table[T]) Scan(tx store.Tx, r store.Range) ([]*T, error) {
	entries, err := tx.Scan(t.Bucket, r)
	if err != nil {
		return nil, err
	}
	rows := make([]*T, 0, len(entries))
	for _, e := range entries {
		row, err := t.decode(e.Key, e.Value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// By returns the rows that the entries of an index in r point to, in the index's
// order.
func (t *Table[T]) By(tx store.Tx, index store.Bucket, r store.Range) ([]*T, error) {
	entries, err := tx.Scan(index, r)
	if err != nil {
		return nil, err
	}
	rows := make([]*T, 0, len(entries))
	for _, e := range entries {
		row, err := t.Get(tx, e.Value)
		if err != nil {
			return nil, fmt.Errorf("index %s of %s: %w", index, t.Bucket, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// After is the start of the page that follows key.
func After(key []byte) []byte {
	next := make([]byte, len(key)+1)
	copy(next, key)
	return next
}

// Verify compares the indexes with their rows, both ways, page by page, and calls
// found with each difference. It reads while others write, so a caller repeats it
// before it believes a difference.
func (t *Table[T]) Verify(ctx context.Context, s store.Store, found func(problem string)) error {
	want := map[store.Bucket]map[string]bool{}
	for _, index := range t.Indexes {
		want[index.Bucket] = map[string]bool{}
	}
	err := Pages(ctx, s, t.Bucket, nil, func(e store.Entry) error {
		row, err := t.decode(e.Key, e.Value)
		if err != nil {
			found(err.Error())
			return nil
		}
		if !bytes.Equal(t.Key(row), e.Key) {
			found(fmt.Sprintf("%s %x: the row's fields give another key", t.Bucket, e.Key))
		}
		for _, index := range t.Indexes {
			for _, k := range index.Keys(row) {
				want[index.Bucket][string(k)] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, index := range t.Indexes {
		missing := want[index.Bucket]
		err := Pages(ctx, s, index.Bucket, nil, func(e store.Entry) error {
			if !missing[string(e.Key)] {
				found(fmt.Sprintf("index %s %x: no row has this entry", index.Bucket, e.Key))
			}
			delete(missing, string(e.Key))
			return nil
		})
		if err != nil {
			return err
		}
		for k := range missing {
			found(fmt.Sprintf("index %s %x: the entry is missing", index.Bucket, k))
		}
	}
	return nil
}

// Each calls fn with the rows whose keys have the prefix, in the order of the keys. They
// are read page by page, each page in a View of its own; fn is called between them.
func (t *Table[T]) Each(ctx context.Context, s store.Store, prefix []byte, fn func(*T) error) error {
	return Pages(ctx, s, t.Bucket, prefix, func(e store.Entry) error {
		row, err := t.decode(e.Key, e.Value)
		if err != nil {
			return err
		}
		return fn(row)
	})
}

// All returns the rows whose keys have the prefix, in the order of the keys. It is for
// what one account, or one tag, has few of.
func (t *Table[T]) All(tx store.Tx, prefix []byte) (rows []*T, err error) {
	r := store.Range{Prefix: prefix, Limit: store.MaxPage}
	for {
		page, err := t.Scan(tx, r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page...)
		if len(page) < store.MaxPage {
			return rows, nil
		}
		r.Start = After(t.Key(page[len(page)-1]))
	}
}

// Pages calls fn with every entry that has prefix, each page in a View of its
// own. fn runs outside of the transactions, so it may open its own.
func Pages(ctx context.Context, s store.Store, b store.Bucket, prefix []byte, fn func(store.Entry) error) error {
	r := store.Range{Prefix: prefix, Limit: store.MaxPage}
	for {
		var page []store.Entry
		err := s.View(ctx, func(tx store.Tx) (err error) {
			page, err = tx.Scan(b, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(page) < store.MaxPage {
			return nil
		}
		r.Start = After(page[len(page)-1].Key)
	}
}
