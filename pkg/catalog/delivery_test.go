package catalog_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// movedTags makes n accounts, a tag moved in each, and the notifications of that.
// Every Update runs twice.
func movedTags(t *testing.T, n int, endpoints ...string) *world {
	t.Helper()
	s, blobs := openStores(t)
	w := worldOn(t, storetest.Rerun{Store: s}, blobs, func(c *catalog.Config) {
		c.Endpoints = func(anchore.SubscriptionType) []string { return endpoints }
	})
	for i := range n {
		name := fmt.Sprint("account", i)
		w.account(name, anchore.UserAccount)
		w.add(name, "alpine:3", "a")
		w.look(name, "alpine:3", "b")
	}
	for more := true; more; {
		var err error
		if more, err = w.FanOut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// The largest claim stays within the limits of a transaction, which the store
// enforces.
func TestClaimDeliveriesWithinTheLimits(t *testing.T) {
	w := movedTags(t, catalog.MaxClaim+2, "general")
	first, _, err := w.ClaimDeliveries(t.Context(), "general", 100, time.Minute)
	if err != nil || len(first) != catalog.MaxClaim {
		t.Fatalf("ClaimDeliveries = %d deliveries, %v; want %d", len(first), err, catalog.MaxClaim)
	}
	rest, next, err := w.ClaimDeliveries(t.Context(), "general", 100, time.Minute)
	if err != nil || len(rest) != 2 || next.IsZero() {
		t.Errorf("the second claim = %d deliveries, next %v, %v; want 2, and when the leases end", len(rest), next, err)
	}
	if none, _, err := w.ClaimDeliveries(t.Context(), "tag_update", 100, time.Minute); len(none) != 0 || err != nil {
		t.Errorf("an endpoint without deliveries = %v, %v", none, err)
	}
}

func TestNotificationsShowTheirDeliveries(t *testing.T) {
	w := movedTags(t, 1, "general", "tag_update")
	claimed, _, err := w.ClaimDeliveries(t.Context(), "general", 1, time.Minute)
	if err != nil || len(claimed) != 1 || claimed[0].Notification.Account != "account0" || claimed[0].Attempt != 1 {
		t.Fatalf("ClaimDeliveries = %+v, %v", claimed, err)
	}
	done := catalog.DeliveryResult{State: outbox.Delivered, Attempt: outbox.Attempt{At: time.Now(), Status: 204}}
	if err := w.FinishDelivery(t.Context(), claimed[0], done); err != nil {
		t.Fatal(err)
	}
	if n, err := w.ParkEndpoint(t.Context(), "tag_update", "no longer configured"); n != 1 || err != nil {
		t.Errorf("ParkEndpoint = %d, %v; want 1", n, err)
	}
	list, err := w.Notifications(t.Context(), "account0", "", 10)
	if err != nil || len(list) != 1 || list[0].Type != anchore.TagUpdate {
		t.Fatalf("Notifications = %+v, %v; want one", list, err)
	}
	got := map[string]outbox.State{}
	for _, d := range list[0].Deliveries {
		got[d.Endpoint] = d.State
	}
	if diff := cmp.Diff(map[string]outbox.State{"general": outbox.Delivered, "tag_update": outbox.Parked}, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	if more, err := w.Notifications(t.Context(), "account0", list[0].ID, 10); len(more) != 0 || err != nil {
		t.Errorf("the page after the last = %v, %v", more, err)
	}
	if _, err := w.Notifications(t.Context(), "admin", list[0].ID, 10); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("after another account's notification: %v; want NotFound", err)
	}
	if n, err := w.ExpireNotifications(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("ExpireNotifications of a fresh one = %d, %v; want 0", n, err)
	}
	if n, err := w.ExpireNotifications(t.Context(), -time.Hour); n != 1 || err != nil {
		t.Errorf("ExpireNotifications of an old one = %d, %v; want 1", n, err)
	}
}

// A notification is recorded also where no endpoint is configured.
func TestNotificationWithoutAnEndpoint(t *testing.T) {
	w := movedTags(t, 1)
	list, err := w.Notifications(t.Context(), "account0", "", 10)
	if err != nil || len(list) != 1 || len(list[0].Deliveries) != 0 {
		t.Errorf("Notifications = %+v, %v; want one without deliveries", list, err)
	}
	const century = 36500 * 24 * time.Hour
	if n, err := w.ExpireNotifications(t.Context(), century); n != 0 || err != nil {
		t.Errorf("ExpireNotifications of those of before 1970 = %d, %v; want 0", n, err)
	}
}

// Resuming an endpoint makes what waits due, page by page, but not what somebody holds,
// and writes nothing where nothing waits.
func TestResumeEndpoint(t *testing.T) {
	w := movedTags(t, 60, "general", "tag_update")
	if known, err := w.KnownEndpoints(t.Context()); err != nil || !slices.Equal(known, []string{"general", "tag_update"}) {
		t.Errorf("KnownEndpoints = %v, %v; want both", known, err)
	}
	for { // every delivery is to be tried tomorrow, the last claimed
		claimed, _, err := w.ClaimDeliveries(t.Context(), "general", 1, time.Hour)
		if err != nil || len(claimed) != 1 {
			t.Fatalf("ClaimDeliveries = %v, %v", claimed, err)
		}
		if s, err := w.EndpointState(t.Context(), "general"); err != nil {
			t.Fatal(err)
		} else if s.OldestDue.After(time.Now()) {
			break // this one stays claimed
		}
		again := catalog.DeliveryResult{State: outbox.Waiting, Due: time.Now().Add(24 * time.Hour), Attempt: outbox.Attempt{At: time.Now(), Status: 503}}
		if err := w.FinishDelivery(t.Context(), claimed[0], again); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.ResumeEndpoint(t.Context(), "general"); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for {
		claimed, _, err := w.ClaimDeliveries(t.Context(), "general", catalog.MaxClaim, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(claimed) == 0 {
			break
		}
		for _, d := range claimed {
			got[d.Notification.ID] = true
		}
	}
	if len(got) != 59 {
		t.Errorf("%d deliveries are due; want 59, all but the one that is claimed", len(got))
	}
	writes := w.store.writes.Load()
	for _, endpoint := range []string{"general", "tag_update", "nowhere"} {
		if err := w.ResumeEndpoint(t.Context(), endpoint); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.store.writes.Load() - writes; n != 0 {
		t.Errorf("resuming endpoints for which nothing waits made %d changes; want none", n)
	}
}
