package outbox_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// box is an outbox on a real store. Every Update runs twice.
type box struct {
	t *testing.T
	store.Store
}

func newBox(t *testing.T) *box {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "store"), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &box{t: t, Store: storetest.Rerun{Store: s}}
}

func (b *box) update(fn func(store.Tx) error) {
	b.t.Helper()
	if err := b.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) view(fn func(store.Tx) error) {
	b.t.Helper()
	if err := b.View(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// put writes the nth notification of a tag of account 1, created n minutes after
// the start.
func (b *box) put(tag string, n int, endpoints ...string) {
	b.t.Helper()
	b.update(func(tx store.Tx) error { return putNth(tx, 1, tag, n, endpoints) })
}

func putNth(tx store.Tx, account uint32, tag string, n int, endpoints []string) error {
	at := start.Add(time.Duration(n) * time.Minute)
	var cause [16]byte
	binary.BigEndian.PutUint64(cause[:], uint64(at.UnixNano()))
	return outbox.Put(tx, account, cause, anchore.Notification{
		ID: fmt.Sprintf("%d-%s-%d", account, tag, n), Type: anchore.TagUpdate, SubscriptionID: anchore.SubscriptionID("a", tag, anchore.TagUpdate), Key: tag,
		Payload: []byte(`{}`), CreatedAt: at,
	}, endpoints)
}

// due returns the ids of the notifications that are due at the endpoint.
func (b *box) due(endpoint string, now time.Time) (ids []string) {
	b.t.Helper()
	b.view(func(tx store.Tx) error {
		due, _, err := outbox.Due(tx, endpoint, now, 100)
		for _, d := range due {
			n, err := d.Notification(tx)
			if err != nil {
				return err
			}
			ids = append(ids, n.ID)
		}
		return err
	})
	return ids
}

// head applies fn to the delivery that is due first.
func (b *box) head(endpoint string, fn func(store.Tx, *outbox.Pending) error) {
	b.t.Helper()
	b.update(func(tx store.Tx) error {
		due, _, err := outbox.Due(tx, endpoint, start.Add(time.Hour), 1)
		if err != nil {
			return err
		}
		if len(due) != 1 {
			return fmt.Errorf("nothing is due at %s", endpoint)
		}
		return fn(tx, due[0])
	})
}

func (b *box) want(endpoint string, ids ...string) {
	b.t.Helper()
	if diff := cmp.Diff(ids, b.due(endpoint, start.Add(time.Hour))); diff != "" {
		b.t.Errorf("due at %s (-want +got):\n%s", endpoint, diff)
	}
}

// verify checks the indexes and that each lane has one head.
func (b *box) verify() {
	b.t.Helper()
	ctx := b.t.Context()
	found := func(problem string) { b.t.Error(problem) }
	for _, verify := range []func(context.Context, store.Store, func(string)) error{
		outbox.Notifications.Verify, outbox.Deliveries.Verify, outbox.Done.Verify, outbox.Endpoints.Verify,
	} {
		if err := verify(ctx, b, found); err != nil {
			b.t.Fatal(err)
		}
	}
	heads := map[string]int{}
	b.view(func(tx store.Tx) error {
		all, err := outbox.Deliveries.Scan(tx, store.Range{})
		for _, d := range all {
			lane := fmt.Sprintf("%s %d %x", d.Endpoint, d.Account, d.Subscription)
			heads[lane] += min(1, int(d.Due))
		}
		return err
	})
	for lane, n := range heads {
		if n != 1 {
			b.t.Errorf("lane %s has %d heads", lane, n)
		}
	}
}

func TestLanes(t *testing.T) {
	b := newBox(t)
	for n := 1; n <= 3; n++ {
		b.put("x", n, "general", "tag_update")
	}
	b.put("y", 4, "general")
	b.put("x", 1, "general", "tag_update") // once more: nothing happens
	b.want("general", "1-x-1", "1-y-4")
	b.want("tag_update", "1-x-1")
	b.verify()

	b.head("general", func(tx store.Tx, d *outbox.Pending) error {
		return outbox.Again(tx, d, outbox.Attempt{At: start, Reason: "failed"}, start.Add(2*time.Hour))
	})
	b.want("general", "1-y-4") // the lane waits for its head, the other lane does not
	b.want("tag_update", "1-x-1")
	b.head("tag_update", func(tx store.Tx, d *outbox.Pending) error {
		return outbox.End(tx, d, outbox.Delivered, outbox.Attempt{At: start.Add(time.Minute)})
	})
	b.want("tag_update", "1-x-2")
	b.head("tag_update", func(tx store.Tx, d *outbox.Pending) error {
		return outbox.End(tx, d, outbox.Parked, outbox.Attempt{At: start.Add(time.Minute), Status: 400, Reason: "no"})
	})
	b.want("tag_update", "1-x-3")
	b.verify()
	b.head("tag_update", func(tx store.Tx, d *outbox.Pending) error {
		return outbox.End(tx, d, outbox.Delivered, outbox.Attempt{At: start.Add(time.Minute)})
	})
	b.want("tag_update")
	b.put("x", 5, "tag_update")
	b.want("tag_update", "1-x-5")
	b.verify()
}

// A cause that is older than the head of its lane, as after a clock was set back,
// waits for the head and is then the next.
func TestOlderCauseDoesNotOvertakeTheHead(t *testing.T) {
	b := newBox(t)
	b.put("x", 5, "general")
	b.put("x", 2, "general")
	b.put("x", 7, "general")
	b.want("general", "1-x-5")
	b.verify()
	for _, next := range []string{"1-x-2", "1-x-7"} {
		b.head("general", func(tx store.Tx, d *outbox.Pending) error {
			return outbox.End(tx, d, outbox.Delivered, outbox.Attempt{At: start.Add(10 * time.Minute)})
		})
		b.want("general", next)
	}
	b.verify()
}

func TestLease(t *testing.T) {
	b := newBox(t)
	b.put("x", 1, "general")
	now := start.Add(time.Hour)
	var key []byte
	claim := func(at time.Time) (token uint64) {
		b.update(func(tx store.Tx) error {
			due, _, err := outbox.Due(tx, "general", at, 1)
			if err != nil || len(due) == 0 {
				return fmt.Errorf("nothing is due: %v", err)
			}
			d, err := outbox.Claim(tx, due[0], at, time.Minute)
			if err != nil {
				return err
			}
			key, token = outbox.Deliveries.Key(d), d.Token
			return nil
		})
		return token
	}
	first := claim(now)
	b.want("general") // it is taken
	second := claim(now.Add(2 * time.Minute))
	held := func(token uint64) error {
		return b.View(t.Context(), func(tx store.Tx) error {
			_, err := outbox.Held(tx, key, token)
			return err
		})
	}
	if err := held(first); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("a lease that another one took over: %v; want Conflict", err)
	}
	if err := held(second); err != nil {
		t.Errorf("the newest lease: %v", err)
	}
	b.update(func(tx store.Tx) error {
		d, err := outbox.Held(tx, key, second)
		if err != nil {
			return err
		}
		return outbox.Release(tx, d, now)
	})
	if err := held(second); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("a lease given back: %v; want Conflict", err)
	}
	b.verify()
}

func TestEndpointState(t *testing.T) {
	at := func(s int) int64 { return start.Add(time.Duration(s) * time.Second).UnixNano() }
	var e outbox.Endpoint
	e.Failed(at(0), outbox.Attempt{At: start.Add(10 * time.Second), Reason: "a"})
	e.Failed(at(5), outbox.Attempt{At: start.Add(11 * time.Second), Reason: "b"})
	if e.Failures != 1 || e.Reason != "b" {
		t.Errorf("two that ran side by side: %+v; want one failure", e)
	}
	e.Failed(at(12), outbox.Attempt{At: start.Add(13 * time.Second)})
	e.Hold(start.Add(time.Minute))
	e.Hold(start.Add(time.Second))
	if e.Failures != 2 || e.Held != at(60) {
		t.Errorf("%+v; want two failures, held for a minute", e)
	}
	e.Succeeded(at(12), at(14))
	if e.Failures != 2 || e.Held == 0 {
		t.Errorf("a success that began before the failure lifted the hold: %+v", e)
	}
	e.Succeeded(at(60), at(61))
	if e.Failures != 0 || e.Held != 0 || e.LastSuccess != at(61) {
		t.Errorf("%+v; want no hold", e)
	}
	before := e
	e.Succeeded(at(62), at(63))
	if e != before {
		t.Errorf("a second success changed the row: %+v", e)
	}
	e.Failed(at(64), outbox.Attempt{At: start.Add(65 * time.Second), Status: 503})
	e.Hold(start.Add(time.Hour))
	e.Refused(at(66), outbox.Attempt{At: start.Add(67 * time.Second), Status: 422, Reason: "refused"})
	want := outbox.Endpoint{LastSuccess: at(61), LastFailure: at(67), Status: 422, Reason: "refused"}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("after a refusal, which shows that the endpoint works (-want +got):\n%s", diff)
	}
}

func TestOf(t *testing.T) {
	b := newBox(t)
	b.put("x", 1, "general", "tag_update", "general")
	b.put("z", 2)
	b.head("tag_update", func(tx store.Tx, d *outbox.Pending) error {
		return outbox.End(tx, d, outbox.Parked, outbox.Attempt{At: start.Add(time.Hour), Status: 400, Reason: "refused"})
	})
	created := start.Add(time.Minute)
	want := map[string][]outbox.Delivery{
		"1-z-2": {},
		"1-x-1": {
			{Endpoint: "general", State: outbox.Waiting, NextAt: created, CreatedAt: created},
			{Endpoint: "tag_update", State: outbox.Parked, Status: 400, Reason: "refused", EndedAt: start.Add(time.Hour), CreatedAt: created},
		},
	}
	got := map[string][]outbox.Delivery{}
	b.view(func(tx store.Tx) error {
		page, err := outbox.Page(tx, 1, "", 1)
		if err != nil {
			return err
		}
		if len(page) != 1 || page[0].ID != "1-z-2" {
			return fmt.Errorf("the newest is not first: %+v", page)
		}
		rest, err := outbox.Page(tx, 1, page[0].ID, 10)
		if err != nil {
			return err
		}
		for _, row := range append(page, rest...) {
			if got[row.ID], err = outbox.Of(tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Of (-want +got):\n%s", diff)
	}
	b.view(func(tx store.Tx) error {
		s, err := outbox.Count(tx, "tag_update")
		if diff := cmp.Diff(outbox.Stats{Parked: 1}, s); diff != "" {
			t.Errorf("Count (-want +got):\n%s", diff)
		}
		if err != nil {
			return err
		}
		names, err := outbox.WithPending(tx)
		if diff := cmp.Diff([]string{"general"}, names); diff != "" {
			t.Errorf("WithPending (-want +got):\n%s", diff)
		}
		return err
	})
}

func TestExpire(t *testing.T) {
	b := newBox(t)
	for n := range 120 {
		b.put("x", n, "general")
	}
	b.put("waits", 0, "general")
	b.put("none", 1)
	b.update(func(tx store.Tx) error { return putNth(tx, 2, "x", 1, nil) })
	end := func(minute int) {
		b.head("general", func(tx store.Tx, d *outbox.Pending) error {
			return outbox.End(tx, d, outbox.Delivered, outbox.Attempt{At: start.Add(time.Duration(minute) * time.Minute)})
		})
	}
	for b.left("x") > 20 { // "waits" is due first but once; it goes to the back
		if b.due("general", start.Add(24*time.Hour))[0] == "1-waits-0" {
			b.head("general", func(tx store.Tx, d *outbox.Pending) error {
				return outbox.Again(tx, d, outbox.Attempt{At: start}, start.Add(40*time.Minute))
			})
		}
		end(30)
	}
	removed := 0
	var from outbox.Cursor
	for {
		var ended []*outbox.Row
		b.view(func(tx store.Tx) (err error) {
			ended, from, err = outbox.Expirable(tx, from, start.Add(60*time.Minute))
			return err
		})
		for _, row := range ended {
			b.update(func(tx store.Tx) error { return outbox.Remove(tx, row) })
			removed++
		}
		if from == nil {
			break
		}
	}
	// Minutes 0 to 60 of x, "none" and the one of account 2.
	if removed != 63 || b.left("waits") != 1 {
		t.Errorf("removed %d; want 63", removed)
	}
	b.verify()
}

// left counts the pending deliveries of a tag.
func (b *box) left(tag string) (n int) {
	b.t.Helper()
	b.view(func(tx store.Tx) error {
		all, err := outbox.Deliveries.Scan(tx, store.Range{})
		for _, d := range all {
			if fmt.Sprintf("%x", d.Subscription) == anchore.SubscriptionID("a", tag, anchore.TagUpdate) {
				n++
			}
		}
		return err
	})
	return n
}
