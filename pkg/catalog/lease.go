package catalog

import (
	"context"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// EndLeases makes due at once what a process held that was killed: the analyses it
// ran and the deliveries it made. Only the one process that holds the store may
// call it, before it claims anything: what it ends must have no living holder. A
// holder that lives all the same finds its lease lost.
func (c *Catalog) EndLeases(ctx context.Context) error {
	now := table.Nanos(time.Now())
	analyses, err := heldKeys(ctx, c.store, &work.Table, work.ByDue, func(r *work.Row) bool { return r.State == work.Running && r.Due > now })
	if err != nil {
		return err
	}
	deliveries, err := heldKeys(ctx, c.store, &outbox.Deliveries, outbox.ByDue, func(d *outbox.Pending) bool { return d.Leased && d.Due > now })
	if err != nil {
		return err
	}
	for _, key := range analyses {
		if err := c.store.Update(ctx, func(tx store.Tx) error { return work.EndLease(tx, key, now) }); err != nil {
			return err
		}
	}
	for _, key := range deliveries {
		if err := c.store.Update(ctx, func(tx store.Tx) error { return outbox.EndLease(tx, key, now) }); err != nil {
			return err
		}
	}
	return nil
}

// heldKeys returns the keys of the rows that an index points to and held selects,
// read page by page.
func heldKeys[T any](ctx context.Context, s store.Store, t *table.Table[T], index store.Bucket, held func(*T) bool) (keys [][]byte, err error) {
	r := store.Range{Limit: store.MaxPage}
	for {
		var page []store.Entry
		err := s.View(ctx, func(tx store.Tx) error {
			if page, err = tx.Scan(index, r); err != nil {
				return err
			}
			for _, e := range page {
				row, err := t.Get(tx, e.Value)
				if err != nil {
					return err
				}
				if held(row) {
					keys = append(keys, e.Value)
				}
			}
			return nil
		})
		if err != nil || len(page) < store.MaxPage {
			return keys, err
		}
		r.Start = table.After(page[len(page)-1].Key)
	}
}

// longestPause is the most that an analysis is put off: a registry may ask for a day.
const longestPause = 24 * time.Hour

// FitClock brings forward what a clock that was set back since has put off: analyses,
// and deliveries, whose retries are put off by longest at most. It may be called while
// the engine runs, and writes nothing if nothing is too late.
func (c *Catalog) FitClock(ctx context.Context, longest time.Duration) error {
	now := time.Now()
	late, err := heldKeys(ctx, c.store, &work.Table, work.ByDue, func(r *work.Row) bool { return r.FitClock(now, longestPause) < r.Due })
	if err != nil {
		return err
	}
	for _, key := range late {
		if err := c.store.Update(ctx, func(tx store.Tx) error { return work.FitClock(tx, key, now, longestPause) }); err != nil {
			return err
		}
	}
	return c.FitDeliveries(ctx, longest)
}
