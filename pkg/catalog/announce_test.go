package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
)

// listening configures endpoints as notify.Route does: general takes all but
// error_event, and the two of the events take theirs.
func listening(cfg *catalog.Config) {
	cfg.Endpoints = func(t anchore.SubscriptionType) []string {
		switch t {
		case anchore.ErrorEvent:
			return []string{"error_event"}
		case anchore.EventLog:
			return []string{"event_log", "general"}
		}
		return []string{"general"}
	}
	cfg.EventLog = func(l anchore.Level) bool { return l != anchore.Info }
	cfg.HostID, cfg.BaseURL = "host-1", "http://engine:8228"
}

// sent is what waits for an endpoint: type, account and summary of each.
func (w *world) sent(endpoint string) (list []string) {
	w.t.Helper()
	for _, d := range w.deliveries(endpoint) {
		list = append(list, fmt.Sprintf("%s %s %s", d.Notification.Type, d.Notification.Account, d.Notification.Summary))
	}
	return list
}

// deliveries delivers all that waits for an endpoint.
func (w *world) deliveries(endpoint string) (list []catalog.Delivery) {
	w.t.Helper()
	for {
		claimed, _, err := w.ClaimDeliveries(w.t.Context(), endpoint, catalog.MaxClaim, time.Minute)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(claimed) == 0 {
			return list
		}
		for _, d := range claimed {
			list = append(list, d)
			result := catalog.DeliveryResult{Attempt: outbox.Attempt{At: time.Now(), Status: 200}, State: outbox.Delivered}
			if err := w.FinishDelivery(w.t.Context(), d, result); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) raise(e anchore.Event) {
	w.t.Helper()
	if err := w.Raise(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

func TestEventsAreToldByLevel(t *testing.T) {
	w := newWorld(t, listening)
	w.raise(anchore.Event{Type: anchore.EventRegistryUp, Level: anchore.Info, Message: "up"})
	w.raise(anchore.Event{Type: anchore.EventRegistryDown, Level: anchore.Failure, Message: "down", Resource: anchore.Resource{Type: "registry", ID: "r.io"}})
	w.raise(anchore.Event{Type: anchore.EventStoreFailing, Level: anchore.Fatal, Message: "broken"})
	for endpoint, want := range map[string][]string{
		"error_event": {"error_event admin system.storage.failing: broken"},
		"event_log":   {"event_log admin system.registry.unavailable: down", "event_log admin system.storage.failing: broken"},
		"general":     {"event_log admin system.registry.unavailable: down", "event_log admin system.storage.failing: broken"},
	} {
		diff(t, "sent to "+endpoint, want, w.sent(endpoint))
	}
}

func TestEventsAreNotToldUnlessAskedFor(t *testing.T) {
	w := newWorld(t, func(cfg *catalog.Config) {
		cfg.Endpoints = func(t anchore.SubscriptionType) []string {
			if t == anchore.ErrorEvent {
				return nil
			}
			return []string{"general"}
		}
	})
	w.raise(anchore.Event{Type: anchore.EventStoreFailing, Level: anchore.Fatal, Message: "broken"})
	diff(t, "sent to general", []string(nil), w.sent("general"))
	diff(t, "events", []string{"system.storage.failing "}, w.events("admin"))
}

// TestSubscribedEventsAreNotToldTwice: a move and an analysis have notifications
// of their own.
func TestSubscribedEventsAreNotToldTwice(t *testing.T) {
	w := newWorld(t, listening, func(cfg *catalog.Config) { cfg.EventLog = func(anchore.Level) bool { return true } })
	w.add("admin", "alpine", "one")
	w.analyze()
	w.look("admin", "alpine", "two")
	w.told("admin")
	diff(t, "sent to event_log", []string(nil), w.sent("event_log"))
}

// TestAnEndpointIsNotToldOfItself: what tells that an endpoint does not take
// anything is not added to what waits for it.
func TestAnEndpointIsNotToldOfItself(t *testing.T) {
	w := newWorld(t, listening)
	for _, name := range []string{"error_event", "event_log", "general"} {
		w.raise(anchore.Event{Type: anchore.EventEndpointDead, Level: anchore.Fatal, Message: name, Resource: anchore.Resource{Type: "webhook", ID: name}})
	}
	const dead = " admin system.webhook.endpoint_dead: "
	diff(t, "sent to error_event", []string{"error_event" + dead + "event_log", "error_event" + dead + "general"}, w.sent("error_event"))
	diff(t, "sent to event_log", []string{"event_log" + dead + "error_event", "event_log" + dead + "general"}, w.sent("event_log"))
}

func TestEventPayload(t *testing.T) {
	w := newWorld(t, listening)
	w.raise(anchore.Event{Type: anchore.EventDiskFull, Level: anchore.Fatal, Message: "full", Service: "catalog",
		Resource: anchore.Resource{Type: "service", ID: "catalog"}, Details: map[string]any{"free_mb": 1}})
	claimed, _, err := w.ClaimDeliveries(t.Context(), "error_event", 1, time.Minute)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("ClaimDeliveries() = %v, %v", claimed, err)
	}
	stored, _, err := w.Events(t.Context(), "admin", catalog.EventFilter{}, 1, 1)
	if err != nil || len(stored) != 1 {
		t.Fatalf("Events() = %v, %v", stored, err)
	}
	at := stored[0].At.Format("2006-01-02T15:04:05.000000Z")
	want := map[string]any{
		"notificationId": claimed[0].Notification.ID, "userId": "admin", "generated_uuid": stored[0].ID, "created_at": at,
		"event": map[string]any{
			"type": "system.storage.disk_full", "level": "fatal", "message": "full", "details": map[string]any{"free_mb": 1.0}, "timestamp": at,
			"resource": map[string]any{"user_id": "admin", "type": "service", "id": "catalog"},
			"source":   map[string]any{"servicename": "catalog", "hostid": "host-1", "base_url": "http://engine:8228", "request_id": nil},
		},
	}
	var got map[string]any
	if err := json.Unmarshal(claimed[0].Notification.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("payload (-want +got):\n%s", d)
	}
}

// TestFanOutWithEveryEndpointStaysInTheLimit: a failed analysis of an image with
// many tags is the largest page there is; the store refuses one that is too large.
func TestFanOutWithEveryEndpointStaysInTheLimit(t *testing.T) {
	w := newWorld(t, listening, func(cfg *catalog.Config) {
		cfg.EventLog = func(anchore.Level) bool { return true }
		cfg.Endpoints = func(t anchore.SubscriptionType) []string { return []string{"general", string(t)} }
	})
	const tags = 10
	for i := range tags {
		w.add("admin", fmt.Sprintf("alpine:%d", i), "one")
	}
	job, _ := w.claim()
	reason := strings.Repeat("<", 64<<10) // the most that an analysis may say, each six bytes of JSON
	if err := w.FailAnalysis(t.Context(), job, reason); err != nil {
		t.Fatal(err)
	}
	w.told("admin")
	if got := len(w.sent("event_log")); got != tags {
		t.Errorf("event_log was sent %d notifications, want %d", got, tags)
	}
}

func TestExpireEvents(t *testing.T) {
	w := newWorld(t)
	w.account("alice", anchore.UserAccount)
	const many = 230 // more than two pages
	for i := range many {
		w.raise(anchore.Event{Type: anchore.EventRegistryUp, Level: anchore.Info, Message: fmt.Sprint(i)})
	}
	w.raise(anchore.Event{Account: "alice", Type: anchore.EventTagDeleted, Level: anchore.Failure, Message: "gone"})
	before := w.store.writes.Load()
	for _, keep := range []time.Duration{time.Hour, 36500 * 24 * time.Hour, math.MaxInt64} {
		if n, err := w.ExpireEvents(t.Context(), keep); n != 0 || err != nil {
			t.Errorf("ExpireEvents(%v) = %d, %v; want none", keep, n, err)
		}
	}
	if got := w.store.writes.Load(); got != before {
		t.Errorf("expiring nothing made %d writes", got-before)
	}
	if n, err := w.ExpireEvents(t.Context(), 0); n != many+1 || err != nil {
		t.Errorf("ExpireEvents(0) = %d, %v; want %d", n, err, many+1)
	}
	diff(t, "events", []string(nil), append(w.events("admin"), w.events("alice")...))
}

// TestCauseThatCannotBeServed: it is set aside after a while, and told as FATAL in
// the same transaction; what came after it is served.
func TestCauseThatCannotBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, listening)
		id := cause.NewID(1, 1) // older than any other
		if err := w.store.Update(t.Context(), func(tx store.Tx) error {
			return cause.Table.Insert(tx, &cause.Row{ID: id[:], Kind: "of a later version", At: 1})
		}); err != nil {
			t.Fatal(err)
		}
		w.add("admin", "alpine", "A")
		w.look("admin", "alpine", "B")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.RunFanOut(ctx) }()
		time.Sleep(2 * time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("RunFanOut: %v", err)
		}
		diff(t, "notifications", []string{"tag_update " + alpine + " A→B", "event_log catalog  →",
			"error_event catalog The notifications of a change could not be written; the change was set aside"}, w.told("admin"))
		diff(t, "events", []string{"user.image.tag.updated " + alpine, string(anchore.EventCauseParked) + " catalog"}, w.events("admin"))
		diff(t, "sent to error_event", 1, len(w.sent("error_event")))
	})
}

// damaged is a store whose page with the causes cannot be read while it is so.
type damaged struct {
	store.Store
	now atomic.Bool
}

func (d *damaged) View(ctx context.Context, fn func(store.Tx) error) error {
	return d.Store.View(ctx, func(tx store.Tx) error { return fn(damagedTx{tx, d}) })
}

type damagedTx struct {
	store.Tx
	at *damaged
}

func (d damagedTx) Scan(b store.Bucket, r store.Range) ([]store.Entry, error) {
	if d.at.now.Load() && b == cause.Table.Bucket {
		return nil, anchore.E(anchore.Unavailable, "bolt.Scan", "the store is damaged").Because(store.Failing(errors.New("bad page")))
	}
	return d.Tx.Scan(b, r)
}

// TestCausesThatCannotBeRead: the log says so, once for each time that it begins.
func TestCausesThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, blobs := openStores(t)
		below := &damaged{Store: s}
		var text strings.Builder
		w := worldOn(t, below, blobs, func(c *catalog.Config) { c.Log = slog.New(slog.NewTextHandler(&text, nil)) })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.RunFanOut(ctx) }()
		for i, step := range []struct {
			damaged bool
			logged  int
		}{{false, 0}, {true, 1}, {true, 1}, {false, 1}, {true, 2}} {
			below.now.Store(step.damaged)
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := strings.Count(text.String(), "could not be written; trying again"); n != step.logged {
				t.Errorf("step %d: the log says %d times that notifications cannot be written, want %d", i, n, step.logged)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("RunFanOut: %v", err)
		}
	})
}

// annotate gives an image of the admin account an annotation, as a version without a
// limit has stored it.
func (w *world) annotate(name, text string) {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		row, err := image.Find(tx, 1, digest(name))
		if err != nil {
			return err
		}
		next := *row
		next.Annotations = map[string]string{"k": text}
		return image.Table.Replace(tx, row, &next)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestLargeLabelsLoseNoNotification: whoever pushes an image writes them. A version
// that had no limit has stored them too.
func TestLargeLabelsLoseNoNotification(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("<", 200_000)
	w.add("admin", "alpine", "A")
	m := manifest("alpine", "B")
	m.Labels = map[string]string{"org.opencontainers.image.revision": large, "org.opencontainers.image.source": large}
	if _, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m, Cause: "watcher"}); err != nil {
		t.Fatal(err)
	}
	diff(t, "notifications of a move", 1, len(w.told("admin")))
	err := w.store.Update(t.Context(), func(tx store.Tx) error {
		row, err := image.Find(tx, 1, digest("B"))
		if err != nil {
			return err
		}
		next := *row
		next.Revision, next.Source = large, large
		return image.Table.Replace(tx, row, &next)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.analyze()
	diff(t, "notifications with the analyses", 3, len(w.told("admin")))
}

// TestLargeAnnotationsLoseNoNotification: those that were stored before there was a
// limit are told as long as they fit, and else left out.
func TestLargeAnnotationsLoseNoNotification(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		told bool
	}{
		"two tags at once":         {strings.Repeat("x", 60_000), true},
		"one tag at once":          {strings.Repeat("x", 120_000), true},
		"too large":                {strings.Repeat("x", 200_000), false},
		"too large as JSON":        {strings.Repeat("<", 190_000), false},
		"as large as a row may be": {strings.Repeat("\x01", 1_000_000), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, tag := range tags("alpine", 3) {
				w.add("admin", tag, "B")
			}
			w.add("admin", "alpine", "A")
			w.annotate("B", tt.text)
			w.look("admin", "alpine", "B")
			w.analyze()
			w.told("admin")
			whole, leftOut := 0, 0
			for _, d := range w.deliveries("general") {
				var got struct{ Annotations map[string]string }
				if err := json.Unmarshal(d.Notification.Payload, &got); err != nil {
					t.Fatal(err)
				}
				if got.Annotations["k"] == tt.text {
					whole++
				}
				if strings.Contains(got.Annotations["anchore.system/annotations"], "/v1/images/"+digest("B")) {
					leftOut++
				}
			}
			want := [2]int{0, 5} // the move, and the analysis under four tags
			if tt.told {
				want = [2]int{5, 0}
			}
			diff(t, "notifications with the annotations, and without", want, [2]int{whole, leftOut})
		})
	}
}
