package archive

import (
	"context"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Archive is the archived images of all accounts. Its methods may be called from
// many goroutines.
type Archive struct {
	store    *change.Store
	blobs    store.Blobs
	recorder *eventlog.Recorder
	told     change.Hint // of the notifications of events
}

// New builds an Archive. told is given when an event was recorded.
func New(s *change.Store, blobs store.Blobs, r *eventlog.Recorder, told change.Hint) *Archive {
	return &Archive{store: s, blobs: blobs, recorder: r, told: told}
}

// Event is one about an image of the archive.
func Event(t anchore.EventType, digest, message, detail string) anchore.Event {
	return anchore.Event{
		Type: t, Level: anchore.Info, Service: "catalog", Message: message,
		Resource: anchore.Resource{Type: "image_digest", ID: digest}, Details: map[string]any{"msg": detail},
	}
}

// ArchivedImage returns the account's archived image with the digest, or else the
// one archived last that was found in an index of that digest. Errors: NotFound.
func (a *Archive) ArchivedImage(ctx context.Context, name, digest string) (img anchore.ArchivedImage, err error) {
	err = a.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := findAny(tx, acct.No, digest)
		if err != nil {
			return err
		}
		img, err = row.domain(acct)
		return err
	})
	return img, err
}

// Restorable returns the row of an archived image that can be brought back. Errors:
// as the function.
func (a *Archive) Restorable(ctx context.Context, name, digest string) (row *Row, err error) {
	err = a.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
		row, err = Restorable(tx, acct.No, digest, 0)
		return err
	})
	return row, err
}

// readPage is how many archived images one transaction reads: a row may be large.
const readPage = 50

// ArchivedImages returns the account's archived images, those archived last first,
// from the one after the given token on. limit 0 is all. next is the token of the
// following page, "" at the end. Errors: NotFound for the account.
func (a *Archive) ArchivedImages(ctx context.Context, name, after string, limit int) (list []anchore.ArchivedImage, next string, err error) {
	r := store.Range{Start: []byte(after), Limit: readPage}
	for full := true; full && next == ""; {
		err := a.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
			r.Prefix = table.Key{}.Uint32(acct.No)
			entries, err := tx.Scan(byTime, r)
			if err != nil {
				return err
			}
			full = len(entries) == readPage
			for _, e := range entries {
				if limit > 0 && len(list) == limit {
					next = string(e.Key)
					return nil
				}
				r.Start = table.After(e.Key)
				row, err := Table.Get(tx, e.Value)
				if err != nil {
					return err
				}
				img, err := row.domain(acct)
				if err != nil {
					return err
				}
				list = append(list, img)
			}
			return nil
		})
		if err != nil {
			return nil, "", err
		}
	}
	return list, next, nil
}

// ArchiveSummary sums the account's archive up. Errors: NotFound for the account.
func (a *Archive) ArchiveSummary(ctx context.Context, name string) (sum anchore.ArchiveSummary, err error) {
	no, err := a.store.Number(ctx, name)
	if err != nil {
		return sum, err
	}
	err = Table.Each(ctx, a.store, table.Key{}.Uint32(no), func(row *Row) error {
		sum.Images++
		sum.Tags += len(row.Tags)
		sum.Bytes += row.Bytes
		if at := table.Time(row.Created); at.After(sum.UpdatedAt) {
			sum.UpdatedAt = at
		}
		return nil
	})
	return sum, err
}

// DeleteArchivedImage removes the account's archived image. One that is in use stays
// in use. The digest must be the image's own. Errors: NotFound.
func (a *Archive) DeleteArchivedImage(ctx context.Context, name, digest string) error {
	st, err := a.store.Stamp()
	if err != nil {
		return err
	}
	err = a.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := find(tx, acct.No, digest)
		if err != nil {
			return err
		}
		if err := Table.Delete(tx, row); err != nil {
			return err
		}
		e := Event(anchore.EventArchivedImageDeleted, digest, "Archived image analysis deleted", "deleted by a request")
		return a.recorder.Record(tx, acct, st, 0, e)
	})
	a.told.Wake()
	return err
}
