package catalog_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/trouble"
	"github.com/anchore/anchore-engine/pkg/store"
)

// The events of a full disk, and of a registry that is down and up again.
var (
	full    = anchore.Event{Type: anchore.EventDiskFull, Level: anchore.Fatal, Message: "full", Resource: anchore.Resource{Type: "service", ID: "data_dir"}}
	silent  = anchore.Event{Type: anchore.EventRegistryDown, Level: anchore.Failure, Message: "down", Resource: anchore.Resource{Type: "registry", ID: "quay.io"}}
	answers = anchore.Event{Type: anchore.EventRegistryUp, Level: anchore.Info, Message: "up", Resource: anchore.Resource{Type: "registry", ID: "quay.io"}}
)

// stored is how many rows there are of events, notifications and troubles.
type stored struct{ Events, Notifications, Troubles int }

func (w *world) stored() (n stored) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(tx store.Tx) error {
		for bucket, count := range map[store.Bucket]*int{
			"event": &n.Events, outbox.Notifications.Bucket: &n.Notifications, trouble.Table.Bucket: &n.Troubles,
		} {
			page, err := tx.Scan(bucket, store.Range{})
			if err != nil {
				return err
			}
			*count = len(page)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestATroubleAndItsEventAreOne goes through the life of two troubles: what is
// recorded and told is one write, and what is recorded already none.
func TestATroubleAndItsEventAreOne(t *testing.T) {
	w := newWorld(t)
	began := func(e anchore.Event) func() (bool, error) {
		return func() (bool, error) { return false, w.TroubleBegan(t.Context(), e) }
	}
	ended := func(of, e anchore.Event) func() (bool, error) {
		return func() (bool, error) { return w.TroubleEnded(t.Context(), of.Type, of.Resource.ID, e) }
	}
	for i, step := range []struct {
		do     func() (bool, error)
		ended  bool
		writes int64
		want   stored
	}{
		{ended(full, anchore.Event{}), false, 0, stored{0, 0, 0}}, // it never began
		{began(full), false, 1, stored{1, 1, 1}},                  // one error_event
		{began(silent), false, 1, stored{2, 1, 2}},
		{ended(silent, answers), true, 1, stored{3, 1, 2}},
		{ended(silent, answers), false, 0, stored{3, 1, 2}}, // it is over
		{began(silent), false, 1, stored{4, 1, 2}},
		{ended(silent, anchore.Event{}), true, 1, stored{4, 1, 2}}, // nobody is told
		{ended(full, anchore.Event{}), true, 1, stored{4, 1, 2}},
		{began(full), false, 1, stored{5, 2, 2}},
		{ended(full, anchore.Event{}), true, 1, stored{5, 2, 2}},
		{func() (bool, error) { return false, w.TroubleSent(t.Context(), full) }, false, 1, stored{6, 2, 2}}, // error_event was told
	} {
		before := w.store.writes.Load()
		got, err := step.do()
		if got != step.ended || err != nil {
			t.Errorf("step %d: ended = %v, %v; want %v", i, got, err, step.ended)
		}
		if n := w.store.writes.Load() - before; n != step.writes {
			t.Errorf("step %d: %d writes, want %d", i, n, step.writes)
		}
		diff(t, fmt.Sprintf("step %d: rows", i), step.want, w.stored())
	}
	got, err := w.Troubles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []anchore.Trouble{
		{Type: silent.Type, Resource: "quay.io", Level: anchore.Failure},
		{Type: full.Type, Resource: "data_dir", Level: anchore.Fatal},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(anchore.Trouble{}, "ToldAt", "OverAt")); d != "" {
		t.Errorf("Troubles() (-want +got):\n%s", d)
	}
	for _, tr := range got {
		if time.Since(tr.ToldAt) > time.Minute || tr.Stands() != (tr.Type == full.Type) {
			t.Errorf("Troubles() = %+v", tr)
		}
	}
}

// TestNeitherWithoutTheOther: a transaction that fails leaves no event without its
// trouble, and no trouble without its event.
func TestNeitherWithoutTheOther(t *testing.T) {
	w := newWorld(t)
	nobody := full
	nobody.Account = "nobody"
	if err := w.TroubleBegan(t.Context(), nobody); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("TroubleBegan() = %v, want not found", err)
	}
	diff(t, "rows", stored{}, w.stored())
	if err := w.TroubleBegan(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	nobody = answers
	nobody.Account = "nobody"
	if ended, err := w.TroubleEnded(t.Context(), silent.Type, "quay.io", nobody); ended || anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("TroubleEnded() = %v, %v; want not found", ended, err)
	}
	diff(t, "rows", stored{Events: 1, Troubles: 1}, w.stored())
	if ended, err := w.TroubleEnded(t.Context(), silent.Type, "quay.io", answers); !ended || err != nil {
		t.Errorf("TroubleEnded() = %v, %v; it stands still", ended, err)
	}
}

// TestOldTroublesAreForgotten: the sweep removes what is over for long, page by
// page, and nothing that stands or may be quiet still.
func TestOldTroublesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		raise := func(n int, over bool) {
			t.Helper()
			for range n {
				e := silent
				e.Resource.ID = fmt.Sprintf("r%d.test", w.stored().Troubles)
				if err := w.TroubleBegan(t.Context(), e); err != nil {
					t.Fatal(err)
				}
				if !over {
					continue
				}
				if _, err := w.TroubleEnded(t.Context(), e.Type, e.Resource.ID, anchore.Event{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		raise(2, false)
		raise(100, true)
		time.Sleep(20 * time.Hour)
		raise(3, true)
		for _, tt := range []struct {
			wait   time.Duration
			left   int
			writes int64
		}{{time.Hour, 105, 0}, {4 * time.Hour, 5, 3}, {time.Hour, 5, 0}, {20 * time.Hour, 2, 1}} {
			time.Sleep(tt.wait)
			before := w.store.writes.Load()
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left, writes := w.stored().Troubles, w.store.writes.Load()-before; left != tt.left || writes != tt.writes {
				t.Errorf("after another %v: %d troubles, %d writes; want %d, %d", tt.wait, left, writes, tt.left, tt.writes)
			}
		}
	})
}
