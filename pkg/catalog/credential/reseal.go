package credential

import (
	"context"
	"slices"

	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// SealsInUse returns the ids of the keys that something in the store is encrypted
// under, sorted.
func SealsInUse(ctx context.Context, s store.Store) ([]string, error) {
	var ids []string
	err := eachSealed(ctx, s, func(page []*registry.Row) error {
		for _, row := range page {
			if !slices.Contains(ids, row.Seal) {
				ids = append(ids, row.Seal)
			}
		}
		return nil
	})
	slices.Sort(ids)
	return ids, err
}

// resealPage is how many rows one transaction encrypts anew: each is read and
// written once.
const resealPage = 25

// Reseal encrypts everything anew that is not under the sealer's current key, page
// by page, and returns how many passwords that were. The engine must not be
// running. After an error, or a crash, it can be called again.
func Reseal(ctx context.Context, s store.Store, sealer Sealer) (n int, err error) {
	err = eachSealed(ctx, s, func(page []*registry.Row) error {
		for rows := range slices.Chunk(page, resealPage) {
			done := 0
			err := s.Update(ctx, func(tx store.Tx) error {
				done = 0
				for _, row := range rows {
					changed, err := reseal(tx, sealer, row)
					if err != nil {
						return err
					}
					if changed {
						done++
					}
				}
				return nil
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

func reseal(tx store.Tx, sealer Sealer, seen *registry.Row) (changed bool, err error) {
	row, err := registry.Find(tx, seen.Account, seen.Name)
	if err != nil || row == nil || row.Seal == sealer.Current() {
		return false, err
	}
	about := registry.About(row.Account, row.Name)
	password, err := sealer.Open(row.Seal, row.Sealed, about)
	if err != nil {
		return false, err
	}
	next := *row
	if next.Seal, next.Sealed, err = sealer.Seal(password, about); err != nil {
		return false, err
	}
	return true, registry.Table.Replace(tx, row, &next)
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
