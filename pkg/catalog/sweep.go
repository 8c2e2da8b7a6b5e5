package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/watchlist"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// purgeTags is how many tags of an image one transaction removes: each is up to
// 17 keys, so that store.MaxKeys is not reached.
const purgeTags = 4

// purgeBytes is how many bytes the values of the subscriptions may have that one
// transaction switches off, unless it is a single one: a version without a limit on
// them has stored some that are nearly as large as a transaction may be.
const purgeBytes = store.MaxBytes / 2

// purge removes what belongs to an image that is marked as being deleted, in
// transactions that can each be the last before a crash.
func (c *Catalog) purge(ctx context.Context, no uint32, digest string) error {
	now := table.Nanos(time.Now())
	for done := false; !done; {
		err := c.store.Update(ctx, func(tx store.Tx) (err error) {
			done, err = purgePage(tx, no, digest, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	c.subscriptionsChanged.Wake()
	return nil
}

// purgePage removes some of the image's tags, or, when none is left, the image.
func purgePage(tx store.Tx, no uint32, digest string, now int64) (done bool, err error) {
	row, err := image.Find(tx, no, digest)
	if err != nil || row == nil || !row.Deleting {
		return true, err // gone, or added again meanwhile
	}
	named, err := image.Named.Scan(tx, store.Range{Prefix: image.NamedKey(no, digest), Limit: purgeTags})
	if err != nil {
		return false, err
	}
	room := purgeBytes
	for _, n := range named {
		if row.Forced {
			all, err := deactivateNewest(tx, n, now, &room)
			if err != nil || !all {
				return false, err
			}
		}
		if err := image.Named.Delete(tx, n); err != nil {
			return false, err
		}
	}
	if len(named) > 0 {
		return false, nil
	}
	if err := work.Detach(tx, row.Analysis, no); err != nil {
		return false, err
	}
	return true, image.Table.Delete(tx, row)
}

// deactivateNewest switches the subscriptions of a tag off if its newest image is
// the one being deleted. It takes the bytes of their values from room and reports
// whether those were enough for all of them; for one, what a whole page may have always
// is.
func deactivateNewest(tx store.Tx, n *image.NamedRow, now int64, room *int) (all bool, err error) {
	newest, err := image.Newest(tx, n.Account, n.Tag)
	if err != nil || newest != n.Digest {
		return true, err
	}
	active, err := subscription.ActiveOf(tx, n.Account, n.Tag)
	if err != nil {
		return false, err
	}
	for _, s := range active {
		if len(s.Value) > *room && *room < purgeBytes {
			return false, nil
		}
		*room -= len(s.Value)
		if err := subscription.SetActive(tx, s, false, now); err != nil {
			return false, err
		}
	}
	return true, nil
}

// blobGrace is how old an unreferenced blob must be to be collected: longer than
// any time between a blob's Put and the transaction that refers to it.
const blobGrace = time.Hour

// troubleKeep is how long a trouble that is over is remembered after it was told:
// longer than any quiet after which it would be told again.
const troubleKeep = 24 * time.Hour

// Sweep finishes deletions that a crash interrupted, throws away imports whose time
// is over, forgets troubles of long ago, and collects blobs that no row refers to. It
// writes nothing if there is nothing to do. A deletion that fails holds up nothing else.
func (c *Catalog) Sweep(ctx context.Context) error {
	return errors.Join(c.sweepImages(ctx), c.sweepAccounts(ctx), watchlist.Sweep(ctx, c.store), imports.Sweep(ctx, c.store),
		c.ExpireTroubles(ctx, troubleKeep), c.sweepBlobs(ctx, blobGrace))
}

// sweepImages finishes deletions of images, each by itself.
func (c *Catalog) sweepImages(ctx context.Context) error {
	var failed []error
	err := table.Pages(ctx, c.store, image.ByDeleting, nil, func(e store.Entry) error {
		key := table.ReadKey(e.Key)
		no, digest := key.Uint32(), key.Text()
		err := key.Err()
		if err == nil {
			err = c.purge(ctx, no, digest)
		}
		if err != nil {
			failed = append(failed, err)
		}
		return ctx.Err()
	})
	return errors.Join(append(failed, err)...)
}

func (c *Catalog) sweepBlobs(ctx context.Context, grace time.Duration) error {
	return c.blobs.List(ctx, func(b store.BlobInfo) error {
		if b.Age < grace {
			return nil
		}
		used := false
		err := c.store.View(ctx, func(tx store.Tx) (err error) {
			for _, referenced := range []func(store.Tx, store.Digest) (bool, error){work.Referenced, imports.Referenced, archive.Referenced} {
				if used, err = referenced(tx, b.Digest); used || err != nil {
					break
				}
			}
			return err
		})
		if err != nil || used {
			return err
		}
		return c.blobs.Delete(ctx, b.Digest, grace)
	})
}
