package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
)

// FitDeliveries brings forward what a clock that was set back since has put off, of
// every endpoint that something waits for: holds, and deliveries that nobody has.
// longest is the most that a retry is put off. It goes page by page and writes nothing
// if nothing is too late.
func (q *Queue) FitDeliveries(ctx context.Context, longest time.Duration) error {
	names, err := q.PendingEndpoints(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		now := time.Now()
		if err := q.fitEndpoint(ctx, name, now, longest); err != nil {
			return err
		}
		if err := q.hasten(ctx, name, now, func(d *outbox.Pending) int64 { return d.FitClock(now, longest) }); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) fitEndpoint(ctx context.Context, name string, now time.Time, longest time.Duration) error {
	return q.store.Update(ctx, func(tx store.Tx) error {
		old, ep, err := outbox.FindEndpoint(tx, name)
		if err != nil || old == nil {
			return err
		}
		if ep.FitClock(now, longest); *ep == *old {
			return nil
		}
		return outbox.Endpoints.Replace(tx, old, ep)
	})
}

// hasten makes deliveries to the endpoint that are due after now, and that nobody
// has, due at the time that to returns, if that is earlier, page by page.
func (q *Queue) hasten(ctx context.Context, endpoint string, now time.Time, to func(*outbox.Pending) int64) error {
	var from outbox.Cursor
	for {
		var late []*outbox.Pending
		err := q.store.View(ctx, func(tx store.Tx) (err error) {
			late, from, err = outbox.Late(tx, endpoint, now, from, resumePage)
			return err
		})
		late = slices.DeleteFunc(late, func(d *outbox.Pending) bool { return to(d) >= d.Due })
		if err == nil && len(late) > 0 {
			err = q.store.Update(ctx, func(tx store.Tx) error {
				for _, d := range late {
					if err := outbox.Hasten(tx, d, now, to(d)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err != nil || from == nil {
			return err
		}
	}
}
