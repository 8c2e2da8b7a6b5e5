package catalog

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/event"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/repository"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// DeleteAccount removes a disabled account with its users and all that belongs to
// it. Notifications are kept: what happened before is still told and delivered, and
// expires. What a crash interrupts, Sweep finishes; until then the account's state is
// deleting. Errors: NotFound; Invalid for the admin account and for one that is not
// disabled.
func (c *Catalog) DeleteAccount(ctx context.Context, name string) error {
	const op = "catalog.DeleteAccount"
	now := table.Nanos(time.Now())
	var no uint32
	err := c.store.UpdateAccount(ctx, name, func(tx store.Tx, old *account.Row) error {
		no = old.No
		switch {
		case old.Type != string(anchore.UserAccount):
			return anchore.E(anchore.Invalid, op, "Account cannot be deleted")
		case old.State == string(anchore.AccountEnabled):
			return anchore.E(anchore.Invalid, op, "Invalid account state change requested. Cannot go from state enabled to state deleting")
		}
		next := *old
		next.State, next.Updated = string(anchore.AccountDeleting), now
		return account.Table.Replace(tx, old, &next)
	})
	if err != nil {
		return err
	}
	return c.removeAccount(ctx, no)
}

// removeAccount tells what happened to an account that is marked as being deleted, and
// then removes it with what belongs to it: who is told is in what is removed.
func (c *Catalog) removeAccount(ctx context.Context, no uint32) error {
	if err := c.tellBefore(ctx, no); err != nil {
		return err
	}
	return c.purgeAccount(ctx, no)
}

// tellBefore serves the causes that there are now, up to the last that may concern
// the account. One that cannot be served is an error, until it is set aside.
func (c *Catalog) tellBefore(ctx context.Context, no uint32) error {
	var last []byte
	err := cause.Table.Each(ctx, c.store, nil, func(row *cause.Row) error {
		if row.MayConcern(no) {
			last = row.ID
		}
		return nil
	})
	for err == nil {
		var first *cause.Row
		err = c.store.View(ctx, func(tx store.Tx) (err error) {
			first, err = cause.First(tx)
			return err
		})
		if err != nil || first == nil || bytes.Compare(first.ID, last) > 0 {
			return err
		}
		_, err = c.FanOut(ctx)
	}
	return err
}

// sweepAccounts finishes deletions of accounts.
func (c *Catalog) sweepAccounts(ctx context.Context) error {
	leaving, err := c.Accounts(ctx, anchore.AccountDeleting)
	for _, a := range leaving {
		no, e := c.store.Number(ctx, a.Name)
		if e == nil {
			e = c.removeAccount(ctx, no)
		}
		err = errors.Join(err, e)
	}
	return err
}

// purgeAccount removes what belongs to an account that is marked as being deleted,
// in transactions that can each be the last before a crash, and at last the account
// itself. What somebody adds meanwhile is removed as well.
func (c *Catalog) purgeAccount(ctx context.Context, no uint32) error {
	for done := false; !done; {
		for _, purge := range []func(context.Context, uint32) error{
			c.purgeUsers, purgeRows(c, &subscription.Table), purgeRows(c, &registry.Table), purgeRows(c, &registry.Sources),
			purgeRows(c, &repository.Table), c.purgeImages, c.purgeImports, purgeRows(c, &archive.Table), purgeRows(c, &image.Tags), purgeRows(c, &image.History), purgeRows(c, &event.Table),
		} {
			if err := purge(ctx, no); err != nil {
				return err
			}
		}
		err := c.store.Update(ctx, func(tx store.Tx) (err error) {
			done, err = removeEmptied(tx, no)
			return err
		})
		if err != nil {
			return err
		}
	}
	c.passwords.Forget(no) // not to keep them; nobody is given them any more
	c.subscriptionsChanged.Wake()
	return nil
}

// purgePageRows is how many rows one transaction removes: up to seven keys each.
const purgePageRows = 12

// purgeRows returns a function that removes the rows of an account from a table.
func purgeRows[T any](c *Catalog, t *table.Table[T]) func(context.Context, uint32) error {
	return func(ctx context.Context, no uint32) error {
		for {
			n := 0
			err := c.store.Update(ctx, func(tx store.Tx) error {
				rows, err := t.Scan(tx, store.Range{Prefix: table.Key{}.Uint32(no), Limit: purgePageRows})
				for _, row := range rows {
					if err := t.Delete(tx, row); err != nil {
						return err
					}
				}
				n = len(rows)
				return err
			})
			if err != nil || n < purgePageRows {
				return err
			}
		}
	}
}

func (c *Catalog) purgeUsers(ctx context.Context, no uint32) error {
	var users []*account.UserRow
	err := c.store.View(ctx, func(tx store.Tx) (err error) {
		users, err = account.UsersOf(tx, no)
		return err
	})
	for _, u := range users {
		if err == nil {
			err = c.store.Update(ctx, func(tx store.Tx) error {
				row, err := account.User(tx, u.Name)
				if err != nil || row == nil || row.Account != no {
					return err // gone, and maybe another account's by now
				}
				return account.Users.Delete(tx, row)
			})
		}
	}
	return err
}

func (c *Catalog) purgeImports(ctx context.Context, no uint32) error {
	return imports.Purge(ctx, c.store, no)
}

// purgeImages removes the images of an account with their tags, and ends its part
// in their analyses.
func (c *Catalog) purgeImages(ctx context.Context, no uint32) error {
	for {
		var page []*image.Row
		err := c.store.View(ctx, func(tx store.Tx) (err error) {
			page, err = image.Table.Scan(tx, store.Range{Prefix: table.Key{}.Uint32(no), Limit: purgePageRows})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, seen := range page {
			if err := c.purgeImage(ctx, no, seen.Digest); err != nil {
				return err
			}
		}
	}
}

func (c *Catalog) purgeImage(ctx context.Context, no uint32, digest string) error {
	err := c.store.Update(ctx, func(tx store.Tx) error {
		row, err := image.Find(tx, no, digest)
		if err != nil || row == nil {
			return err
		}
		next := *row
		next.Deleting = true
		return image.Table.Replace(tx, row, &next)
	})
	if err != nil {
		return err
	}
	return c.purge(ctx, no, digest)
}

// removeEmptied removes the account if nothing belongs to it any more. Whoever adds
// something to an account reads its row in the same transaction, so nothing can
// come in between.
func removeEmptied(tx store.Tx, no uint32) (bool, error) {
	for _, b := range []store.Bucket{
		subscription.Table.Bucket, registry.Table.Bucket, registry.Sources.Bucket, repository.Table.Bucket,
		image.Table.Bucket, image.Tags.Bucket, image.History.Bucket, imports.Table.Bucket, archive.Table.Bucket, event.Table.Bucket,
	} {
		left, err := tx.Scan(b, store.Range{Prefix: table.Key{}.Uint32(no), Limit: 1})
		if err != nil || len(left) > 0 {
			return false, err
		}
	}
	row, err := account.ByNumber(tx, no)
	if err != nil || row == nil || row.State != string(anchore.AccountDeleting) {
		return true, err
	}
	return true, account.Table.Delete(tx, row)
}
