package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// crashTags is how many notifications each tag has.
var crashTags = map[string]int{"x": 2, "y": 1}

// crashScript is for two endpoints: the first request to each fails, so that it is
// held, and one is refused.
func crashScript(req *http.Request, n int) *http.Response {
	switch {
	case n <= 2:
		return answer(503, "Retry-After", "5")
	case n == 4:
		return answer(400)
	}
	return answer(200)
}

// The engine dies at its first cut, at its second, and so on. Each time another one
// goes on with what is on the disk, and everything is delivered, in order, or
// parked.
func TestRelayCrashes(t *testing.T) {
	for n := 1; ; n++ {
		var outlived bool
		synctest.Test(t, func(t *testing.T) { outlived = crashAt(t, n) })
		if t.Failed() {
			t.Fatalf("the engine that dies at cut %d does not recover", n)
		}
		if outlived {
			if n < 20 {
				t.Errorf("the script has only %d cuts", n)
			}
			return
		}
	}
}

// crashAt runs the script on an engine that dies at cut n, then on one that does
// not, and reports whether the first outlived it.
func crashAt(t *testing.T, n int) bool {
	folder := t.TempDir()
	disk := openPlain(t, folder)
	r := &receiver{reply: crashScript}
	e := newEngine(t, disk, r, named("general", "tag_update")...)
	began := time.Now()
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	dying := storetest.NewCrash(disk, n, kill)
	err := putAll(ctx, dying, began)
	if err == nil {
		runUntilIdle(t, ctx, dying, r)
	} else if !errors.Is(err, storetest.ErrCrashed) {
		t.Fatal(err)
	}

	r.mu.Lock()
	r.reply = nil
	r.mu.Unlock()
	if err := putAll(t.Context(), disk, began); err != nil {
		t.Fatal(err)
	}
	e.start()
	pass(5 * time.Minute)
	e.stop()
	checkRecovered(t, e)
	return !dying.Dead()
}

func putAll(ctx context.Context, s store.Store, at time.Time) error {
	for tag, last := range crashTags {
		for n := 1; n <= last; n++ {
			if err := putNth(ctx, s, tag, n, at, []string{"general", "tag_update"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// runUntilIdle runs a relay on a store that may die. What was in flight then never
// gets its answer recorded.
func runUntilIdle(t *testing.T, ctx context.Context, s store.Store, r *receiver) {
	e := newEngineOn(t, s, r, named("general", "tag_update")...)
	channel, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: e.endpoints, Transport: r})
	if err != nil {
		t.Fatal(err)
	}
	relay, err := notify.New(notify.Config{Catalog: e.Catalog, Channel: channel, Endpoints: e.endpoints})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if err := relay.Run(ctx); err != nil && !errors.Is(err, storetest.ErrCrashed) {
		t.Error(err)
	}
}

func checkRecovered(t *testing.T, e *engine) {
	t.Helper()
	for _, endpoint := range []string{"general", "tag_update"} {
		seen := map[string][]string{}
		for _, id := range e.receiver.ids(endpoint) {
			tag, _, _ := strings.Cut(id, "-")
			seen[tag] = append(seen[tag], id)
		}
		for tag, last := range crashTags {
			want := []string{tag + "-1", tag + "-2", tag + "-3"}[:last]
			if got := slices.Compact(seen[tag]); !slices.Equal(got, want) {
				t.Errorf("%s received %v of %s; want each in order, repeats aside", endpoint, seen[tag], tag)
			}
		}
	}
	parked := 0
	for id, list := range e.deliveries() {
		for _, d := range list {
			if d.State == outbox.Parked {
				parked++
			}
			if d.State == outbox.Waiting || len(list) != 2 {
				t.Errorf("delivery of %s: %+v", id, d)
			}
		}
	}
	if parked > 1 {
		t.Errorf("%d deliveries are parked; one was refused", parked)
	}
	found := func(problem string) { t.Error(problem) }
	for _, verify := range []func(context.Context, store.Store, func(string)) error{
		outbox.Notifications.Verify, outbox.Deliveries.Verify, outbox.Done.Verify, outbox.Endpoints.Verify,
	} {
		if err := verify(t.Context(), e.store, found); err != nil {
			t.Error(err)
		}
	}
}

// Another attempt has taken a delivery over: the outcome of the first does not
// count, and an endpoint that is held gives one delivery at a time.
func TestStaleLeaseConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, openStore(t, t.TempDir()), &receiver{}, named("general")...)
		e.put("x", 1)
		e.put("y", 1)
		claim := func(limit, want int) catalog.Delivery {
			t.Helper()
			list, _, err := e.ClaimDeliveries(t.Context(), "general", limit, time.Minute)
			if err != nil || len(list) != want {
				t.Fatalf("ClaimDeliveries = %v, %v; want %d", list, err, want)
			}
			if want == 0 {
				return catalog.Delivery{}
			}
			return list[0]
		}
		first := claim(1, 1)
		time.Sleep(2 * time.Minute)
		claim(1, 1) // y, due before the lease ended
		second := claim(1, 1)
		if first.Notification.ID != second.Notification.ID || second.Attempt != 2 {
			t.Fatalf("claimed %+v and then %+v; want the same again", first, second)
		}
		done := catalog.DeliveryResult{State: outbox.Delivered, Attempt: outbox.Attempt{At: time.Now()}}
		if err := e.FinishDelivery(t.Context(), first, done); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("FinishDelivery with a lost lease: %v; want Conflict", err)
		}
		if err := e.ReleaseDelivery(t.Context(), first); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("ReleaseDelivery with a lost lease: %v; want Conflict", err)
		}
		failed := catalog.DeliveryResult{
			State: outbox.Waiting, Due: time.Now(), Failed: true, Attempt: outbox.Attempt{At: time.Now(), Reason: "no"},
			Hold: func(int) time.Duration { return time.Hour },
		}
		if err := e.FinishDelivery(t.Context(), second, failed); err != nil {
			t.Fatal(err)
		}
		claim(10, 0)
		time.Sleep(time.Hour)
		probe := claim(10, 1)
		claim(10, 0) // while the probe runs
		if err := e.ReleaseDelivery(t.Context(), probe); err != nil {
			t.Fatal(err)
		}
		claim(10, 1)
	})
}

func ExampleRoute() {
	route := notify.Route([]notify.Endpoint{{Name: "general"}, {Name: "policy_eval"}})
	fmt.Println(route(anchore.TagUpdate), route(anchore.PolicyEval))
	// Output: [general] [general policy_eval]
}
