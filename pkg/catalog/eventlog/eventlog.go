// Package eventlog records what happened, with the notifications that tell of it,
// and reads, deletes and expires what was recorded.
package eventlog

import (
	"cmp"
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/event"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Log is the events of all accounts. Its methods may be called from many
// goroutines.
type Log struct {
	store    *change.Store
	recorder *Recorder
	told     change.Hint // of the notifications of the events
}

// New builds a Log. told is given when an event was raised.
func New(s *change.Store, r *Recorder, told change.Hint) *Log {
	return &Log{store: s, recorder: r, told: told}
}

// Raise records one event by itself, with the notifications that it asks for. ID
// and At are filled in; an empty account is the admin account, which owns what
// concerns the engine as a whole. Errors: NotFound for the account.
func (l *Log) Raise(ctx context.Context, e anchore.Event) error {
	st, err := l.store.Stamp()
	if err != nil {
		return err
	}
	return l.raise(ctx, e, func(tx store.Tx, acct *account.Row) error {
		return l.recorder.Record(tx, acct, st, 0, e)
	})
}

// raise runs record in a transaction with the account of e.
func (l *Log) raise(ctx context.Context, e anchore.Event, record func(store.Tx, *account.Row) error) error {
	err := l.store.UpdateAccount(ctx, cmp.Or(e.Account, anchore.AdminAccount), record)
	l.told.Wake()
	return err
}

// Filter selects events; zero fields select all.
type Filter struct {
	Type         string // a type; '*' stands for any text
	Level        anchore.Level
	Service      string
	ResourceType string
	ResourceID   string
	Since        time.Time // strictly after
	Before       time.Time // strictly before
}

func (f Filter) compile() func(*event.Row) bool {
	typ := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(f.Type), `\*`, ".*") + "$")
	return func(row *event.Row) bool {
		return (f.Type == "" || typ.MatchString(row.Type)) &&
			(f.Level == "" || row.Level == string(f.Level)) &&
			(f.Service == "" || row.Service == f.Service) &&
			(f.ResourceType == "" || row.ResourceType == f.ResourceType) &&
			(f.ResourceID == "" || row.ResourceID == f.ResourceID) &&
			(f.Since.IsZero() || row.At > table.Nanos(f.Since)) &&
			(f.Before.IsZero() || row.At < table.Nanos(f.Before))
	}
}

// Events returns a page of the account's events, newest first. Pages count from
// 1 and hold limit events; more says whether another one follows.
func (l *Log) Events(ctx context.Context, name string, f Filter, page, limit int) (events []anchore.Event, more bool, err error) {
	skip := (page - 1) * limit
	err = l.eachEvent(ctx, name, f, func(row *event.Row) bool {
		if skip > 0 {
			skip--
			return true
		}
		if more = len(events) == limit; more {
			return false
		}
		events = append(events, row.Domain(name))
		return true
	})
	return events, more, err
}

// eachEvent calls fn with the account's events that f selects, newest first,
// until it returns false.
func (l *Log) eachEvent(ctx context.Context, name string, f Filter, fn func(*event.Row) bool) error {
	match := f.compile()
	r := store.Range{Limit: store.MaxPage}
	for {
		var rows []*event.Row
		err := l.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
			r.Prefix = event.Prefix(acct.No)
			if r.Start == nil && !f.Before.IsZero() {
				r.Start = event.Prefix(acct.No).Descending(table.Nanos(f.Before))
			}
			rows, err = event.Table.Scan(tx, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !f.Since.IsZero() && row.At <= table.Nanos(f.Since) {
				return nil
			}
			if match(row) && !fn(row) {
				return nil
			}
		}
		if len(rows) < store.MaxPage {
			return nil
		}
		r.Start = table.After(event.Table.Key(rows[len(rows)-1]))
	}
}

// Event returns one event of the account. Errors: NotFound.
func (l *Log) Event(ctx context.Context, name, id string) (anchore.Event, error) {
	var e anchore.Event
	err := l.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := findEvent(tx, acct, id)
		if err != nil {
			return err
		}
		e = row.Domain(name)
		return nil
	})
	return e, err
}

func findEvent(tx store.Tx, acct *account.Row, id string) (*event.Row, error) {
	row, err := event.Find(tx, acct.No, id)
	if err == nil && row == nil {
		return nil, anchore.E(anchore.NotFound, "catalog.Event", "Event not found")
	}
	return row, err
}

// DeleteEvent removes one event of the account. Errors: NotFound.
func (l *Log) DeleteEvent(ctx context.Context, name, id string) error {
	return l.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := findEvent(tx, acct, id)
		if err != nil {
			return err
		}
		return event.Table.Delete(tx, row)
	})
}

// deleteEvents is how many events one transaction deletes: three keys each.
const deleteEvents = 25

// DeleteEvents removes the account's events that f selects and returns their ids.
func (l *Log) DeleteEvents(ctx context.Context, name string, f Filter) (ids []string, err error) {
	var doomed []*event.Row
	err = l.eachEvent(ctx, name, f, func(row *event.Row) bool {
		doomed = append(doomed, row)
		return true
	})
	if err != nil {
		return nil, err
	}
	deleted, err := l.deleteRows(ctx, doomed)
	for _, row := range doomed[:deleted] {
		ids = append(ids, row.ID)
	}
	return ids, err
}

// ExpireEvents removes the events of all accounts that are older than keep, also
// those of accounts that are gone, and returns how many. It goes page by page and
// writes nothing if there is nothing to remove.
func (l *Log) ExpireEvents(ctx context.Context, keep time.Duration) (removed int, err error) {
	before := time.Now().Add(-keep)
	var from []byte
	for {
		var old []*event.Row
		err := l.store.View(ctx, func(tx store.Tx) (err error) {
			old, from, err = event.Expirable(tx, from, before)
			return err
		})
		if err != nil {
			return removed, err
		}
		n, err := l.deleteRows(ctx, old)
		removed += n
		if err != nil || from == nil {
			return removed, err
		}
	}
}

// deleteRows deletes events in transactions of a bounded size and returns how many
// there were. What was deleted meanwhile is passed over.
func (l *Log) deleteRows(ctx context.Context, rows []*event.Row) (deleted int, err error) {
	for len(rows) > 0 {
		n := min(deleteEvents, len(rows))
		err := l.store.Update(ctx, func(tx store.Tx) error {
			for _, row := range rows[:n] {
				if err := event.Table.Delete(tx, row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return deleted, err
		}
		deleted, rows = deleted+n, rows[n:]
	}
	return deleted, nil
}
