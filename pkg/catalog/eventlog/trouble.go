package eventlog

import (
	"context"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/trouble"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Troubles returns what events told of as wrong: what stands, and what ended lately
// (ExpireTroubles forgets it).
func (l *Log) Troubles(ctx context.Context) ([]anchore.Trouble, error) {
	var list []anchore.Trouble
	err := l.eachTrouble(ctx, func(row *trouble.Row) { list = append(list, row.Domain()) })
	return list, err
}

// TroubleBegan is Raise for an event that tells of a trouble, and records that it
// stands: a trouble that was told is remembered, one that is remembered was told.
// It does not ask what was told before; its caller knows that from Troubles. Errors:
// as of Raise.
func (l *Log) TroubleBegan(ctx context.Context, e anchore.Event) error {
	return l.troubleBegan(ctx, e, l.recorder.Record)
}

// TroubleSent is TroubleBegan for an event that was sent to error_event already: it
// makes no notification for that.
func (l *Log) TroubleSent(ctx context.Context, e anchore.Event) error {
	return l.troubleBegan(ctx, e, l.recorder.recordSent)
}

func (l *Log) troubleBegan(ctx context.Context, e anchore.Event, record func(store.Tx, *account.Row, change.Stamp, int, anchore.Event) error) error {
	st, err := l.store.Stamp()
	if err != nil {
		return err
	}
	return l.raise(ctx, e, func(tx store.Tx, acct *account.Row) error {
		old, err := trouble.Find(tx, e.Type, e.Resource.ID)
		if err != nil {
			return err
		}
		row := &trouble.Row{Type: string(e.Type), Resource: e.Resource.ID, Level: string(e.Level), Told: table.Nanos(st.Now)}
		if err := trouble.Table.Replace(tx, old, row); err != nil {
			return err
		}
		return record(tx, acct, st, 0, e)
	})
}

// TroubleEnded records that the trouble of that type and resource is over, and
// raises e to tell so; an e without a type is not raised. It writes nothing if no
// such trouble stands: ended says which. Errors: as of Raise.
func (l *Log) TroubleEnded(ctx context.Context, kind anchore.EventType, resource string, e anchore.Event) (ended bool, err error) {
	st, err := l.store.Stamp()
	if err != nil {
		return false, err
	}
	err = l.raise(ctx, e, func(tx store.Tx, acct *account.Row) error {
		row, err := trouble.Find(tx, kind, resource)
		ended = err == nil && row != nil && row.Over == 0
		if err != nil || !ended {
			return err
		}
		next := *row
		next.Over = table.Nanos(st.Now)
		if err := trouble.Table.Replace(tx, row, &next); err != nil || e.Type == "" {
			return err
		}
		return l.recorder.Record(tx, acct, st, 0, e)
	})
	return ended && err == nil, err
}

// troublePage is how many troubles one transaction forgets: a read and a write
// each.
const troublePage = 45

// ExpireTroubles forgets the troubles that are over and were told longer ago than
// keep. It writes nothing if there are none.
func (l *Log) ExpireTroubles(ctx context.Context, keep time.Duration) error {
	before := table.Nanos(time.Now().Add(-keep))
	old := func(row *trouble.Row) bool { return row.Over != 0 && row.Told < before }
	var doomed []*trouble.Row
	err := l.eachTrouble(ctx, func(row *trouble.Row) {
		if old(row) {
			doomed = append(doomed, row)
		}
	})
	for err == nil && len(doomed) > 0 {
		page := doomed[:min(troublePage, len(doomed))]
		doomed = doomed[len(page):]
		err = l.store.Update(ctx, func(tx store.Tx) error {
			for _, seen := range page {
				row, err := trouble.Table.Find(tx, trouble.Table.Key(seen))
				if err == nil && row != nil && old(row) { // else it came back meanwhile
					err = trouble.Table.Delete(tx, row)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

// eachTrouble calls fn with every trouble, outside of the transactions.
func (l *Log) eachTrouble(ctx context.Context, fn func(*trouble.Row)) error {
	return trouble.Table.Each(ctx, l.store, nil, func(row *trouble.Row) error {
		fn(row)
		return nil
	})
}
