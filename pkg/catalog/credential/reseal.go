package credential

import (
	"context"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// SealsInUse returns the ids of the keys that passwords in the store are encrypted
// under, sorted.
func SealsInUse(ctx context.Context, s store.Store) ([]string, error) {
	var ids []string
	err := eachSealed(ctx, s, func(page []*registry.Row) error {
		for _, row := range page {
			if row.HasPassword() && !row.Lost() && !slices.Contains(ids, row.Seal) {
				ids = append(ids, row.Seal)
			}
		}
		return nil
	})
	slices.Sort(ids)
	return ids, err
}

// Reseal encrypts everything anew that is not under the sealer's current key, page
// by page, and returns how many passwords that were. The engine must not be
// running. After an error, or a crash, it can be called again. Errors: Unavailable
// for a password that cannot be decrypted.
func Reseal(ctx context.Context, s store.Store, sealer Sealer) (n int, err error) {
	return changeSealed(ctx, s, func(tx store.Tx, row *registry.Row) (changed bool, err error) {
		if row.Lost() || row.Seal == sealer.Current() {
			return false, nil
		}
		about := registry.About(row.Account, row.Name)
		var password []byte
		if row.HasPassword() {
			if password, err = sealer.Open(row.Seal, row.Sealed, about); err != nil {
				return false, anchore.E(anchore.Unavailable, "credential.Reseal", "the password for registry %s cannot be decrypted; set it again with anchore-cli registry update, or run engine key reset, which drops it", row.Name).Because(err)
			}
		}
		next := *row
		if next.Seal, next.Sealed, err = sealer.Seal(password, about); err != nil {
			return false, err
		}
		return true, registry.Table.Replace(tx, row, &next)
	})
}

// Lost names a credential whose password cannot be decrypted.
type Lost struct {
	Account  string // "" if it was deleted
	Registry string
}

// Unreadable returns the credentials whose passwords the sealer cannot decrypt, in
// the order of the store.
func Unreadable(ctx context.Context, s store.Store, sealer Sealer) (list []Lost, err error) {
	err = eachSealed(ctx, s, func(page []*registry.Row) error {
		for _, row := range page {
			if !unreadable(sealer, row) {
				continue
			}
			lost := Lost{Registry: row.Name}
			err := s.View(ctx, func(tx store.Tx) error {
				acct, err := account.ByNumber(tx, row.Account)
				if acct != nil {
					lost.Account = acct.Name
				}
				return err
			})
			if err != nil {
				return err
			}
			list = append(list, lost)
		}
		return nil
	})
	return list, err
}

// Drop removes the passwords that Unreadable tells of, and returns how many those
// were. Their credentials stay, marked. The engine must not be running. After an
// error, or a crash, it can be called again.
func Drop(ctx context.Context, s store.Store, sealer Sealer) (n int, err error) {
	return changeSealed(ctx, s, func(tx store.Tx, row *registry.Row) (changed bool, err error) {
		if !unreadable(sealer, row) {
			return false, nil
		}
		next := *row
		next.Seal, next.Sealed = "", nil
		return true, registry.Table.Replace(tx, row, &next)
	})
}

// unreadable reports whether there is a password in row that cannot be decrypted.
func unreadable(sealer Sealer, row *registry.Row) bool {
	if !row.HasPassword() || row.Lost() {
		return false
	}
	_, err := sealer.Open(row.Seal, row.Sealed, registry.About(row.Account, row.Name))
	return err != nil
}

// changePage is how many rows one transaction changes: each is read and written once.
const changePage = 25

// changeSealed calls change with all rows that hold something encrypted, each as it
// is in the transaction, and returns how many it changed.
func changeSealed(ctx context.Context, s store.Store, change func(store.Tx, *registry.Row) (bool, error)) (n int, err error) {
	err = eachSealed(ctx, s, func(page []*registry.Row) error {
		for rows := range slices.Chunk(page, changePage) {
			done := 0
			err := s.Update(ctx, func(tx store.Tx) (err error) {
				done, err = changeRows(tx, rows, change)
				return err
			})
			if err != nil {
				return err
			}
			n += done
		}
		return nil
	})
	return n, err
}

func changeRows(tx store.Tx, rows []*registry.Row, change func(store.Tx, *registry.Row) (bool, error)) (n int, err error) {
	for _, seen := range rows {
		row, err := registry.Find(tx, seen.Account, seen.Name)
		if err != nil {
			return 0, err
		}
		if row == nil {
			continue
		}
		changed, err := change(tx, row)
		if err != nil {
			return 0, err
		}
		if changed {
			n++
		}
	}
	return n, nil
}

// eachSealed calls fn with the pages of all rows that hold something encrypted.
func eachSealed(ctx context.Context, s store.Store, fn func([]*registry.Row) error) error {
	r := store.Range{Limit: store.MaxPage}
	for {
		var page []*registry.Row
		err := s.View(ctx, func(tx store.Tx) (err error) {
			page, err = registry.Table.Scan(tx, r)
			return err
		})
		if err != nil {
			return err
		}
		if err := fn(page); err != nil {
			return err
		}
		if len(page) < store.MaxPage {
			return nil
		}
		r.Start = table.After(registry.Table.Key(page[len(page)-1]))
	}
}
