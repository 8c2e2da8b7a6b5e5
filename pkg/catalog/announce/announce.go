// Package announce turns causes into the notifications of the subscriptions that they
// concern, page by page.
package announce

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Config is what an Announcer is built from. All of it is required.
type Config struct {
	Store     *change.Store
	Recorder  *eventlog.Recorder
	Endpoints func(anchore.SubscriptionType) []string // asked inside a transaction
	BaseURL   string                                  // that links to images begin with
	Causes    change.Hint                             // given when there may be a cause
	Told      change.Hint                             // to give when there is something to deliver
	Log       *slog.Logger
}

// Announcer serves the causes of all accounts, in order. Its methods may be called
// from many goroutines: a cause is read in the transaction that serves it.
type Announcer struct {
	cfg    Config
	turned atomic.Pointer[time.Time]
}

// New builds an Announcer. It serves nothing yet.
func New(cfg Config) *Announcer {
	return &Announcer{cfg: cfg}
}

// idleLook is how often the fan-out looks without a hint, for causes that another
// process, or an earlier one, has written.
const idleLook = 5 * time.Second

// maxFailures is how often in a row a cause may fail before it is set aside: a defect
// or a damaged row must not hold up every other notification.
const maxFailures = 10

// RunFanOut turns causes into notifications until ctx ends.
func (a *Announcer) RunFanOut(ctx context.Context) error {
	look := time.NewTicker(idleLook)
	defer look.Stop()
	failures, told := 0, false
	for ctx.Err() == nil {
		now := time.Now()
		a.turned.Store(&now)
		more, err := a.FanOut(ctx)
		if err != nil && !told && ctx.Err() == nil {
			a.cfg.Log.Error("the notifications of a change could not be written; trying again", "error", err)
		}
		told = err != nil
		switch {
		case err == nil:
			failures = 0
		case anchore.KindOf(err) == anchore.Internal:
			if failures++; failures >= maxFailures {
				failures, told = 0, false
				a.park(ctx, err)
			}
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-a.cfg.Causes:
		case <-look.C:
		}
	}
	return nil
}

// LastFanOut is when RunFanOut last turned, zero before it first did. It sleeps for
// seconds.
func (a *Announcer) LastFanOut() time.Time {
	if at := a.turned.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// park sets the oldest cause aside and, in the same transaction, says so where an
// operator looks.
func (a *Announcer) park(ctx context.Context, why error) {
	st, err := a.cfg.Store.Stamp()
	if err == nil {
		err = a.cfg.Store.UpdateAccount(ctx, anchore.AdminAccount, func(tx store.Tx, acct *account.Row) error {
			if err := cause.ParkFirst(tx); err != nil {
				return err
			}
			return a.cfg.Recorder.Record(tx, acct, st, 0, anchore.Event{
				Type: anchore.EventCauseParked, Level: anchore.Fatal, Service: "catalog",
				Message:  "The notifications of a change could not be written; the change was set aside",
				Resource: anchore.Resource{Type: "service", ID: "catalog"},
				Details:  map[string]any{"msg": why.Error()},
			})
		})
	}
	if err != nil {
		a.cfg.Log.Error("a change whose notifications cannot be written could not be set aside", "error", err)
		return
	}
	a.cfg.Log.Error("a change whose notifications cannot be written was set aside", "failures", maxFailures, "error", why)
	a.cfg.Told.Wake()
}

// FanOut serves one page of the oldest cause: in one transaction it writes the
// notifications of some of the subscriptions concerned and moves the cause's
// cursor, or removes the cause after the last. more says whether a cause is left.
func (a *Announcer) FanOut(ctx context.Context) (more bool, err error) {
	idle := false
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		row, err := cause.First(tx)
		idle = row == nil
		return err
	})
	if idle || err != nil {
		return false, err
	}
	st, err := a.cfg.Store.Stamp()
	if err != nil {
		return false, err
	}
	err = a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		row, err := cause.First(tx)
		if err != nil || row == nil {
			return err
		}
		f := fanOut{cfg: &a.cfg, tx: tx, Stamp: st, cause: *row}
		done, err := f.page()
		if err != nil {
			return err
		}
		if done {
			return cause.Table.Delete(tx, row)
		}
		return cause.Table.Replace(tx, row, &f.cause)
	})
	if err != nil {
		return false, err
	}
	a.cfg.Told.Wake()
	return true, nil
}
