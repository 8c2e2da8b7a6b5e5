package notify_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := true
		r := &receiver{reply: func(*http.Request, int) *http.Response {
			if gone {
				return answer(410)
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1)
		e.start()
		defer e.stop()
		pass(2 * time.Hour)
		e.wantReceived("general", "x-1")
		gone = false
		if err := e.relay.Resume(t.Context(), "general"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		e.wantReceived("general", "x-1", "x-1")
		if s := e.status("general"); !s.PausedAt.IsZero() || !s.FailingSince.IsZero() || s.Pending != 0 {
			t.Errorf("status after Resume: %+v", s)
		}
		if err := e.relay.Resume(t.Context(), "nowhere"); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("Resume of an unknown endpoint: %v", err)
		}
	})
}

// TestResumeLiftsAHold: also one that the endpoint asked for, with all that waits for
// its turn; one delivery is tried first. A restart lifts no hold.
func TestResumeLiftsAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks := true
		r := &receiver{reply: func(*http.Request, int) *http.Response {
			if asks {
				return answer(503, "Retry-After", "86400")
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1)
		e.start()
		began := time.Now()
		pass(time.Minute)
		for n := range 200 { // lanes of more than one page
			e.put(fmt.Sprint("tag", n), 1)
		}
		e.stop()
		e.start()
		defer func() { e.stop() }()
		pass(time.Hour)
		e.wantReceived("general", "x-1")
		resume := func() {
			t.Helper()
			if err := e.relay.Resume(t.Context(), "general"); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		resume()
		if n := len(r.hits()); n != 2 {
			t.Errorf("%d requests after a resume that did not help; want the first and the one tried", n)
		}
		if s := e.status("general"); !s.HeldUntil.After(began.Add(24 * time.Hour)) {
			t.Errorf("held until %v, although the endpoint asked again", s.HeldUntil)
		}
		asks = false
		resume()
		pass(time.Minute)
		if s := e.status("general"); s.Pending != 0 || !s.HeldUntil.IsZero() || s.Failures != 0 || time.Since(began) > 2*time.Hour {
			t.Errorf("status after Resume: %+v", s)
		}
		if n := len(r.hits()); n != 203 {
			t.Errorf("%d requests; want 203", n)
		}
	})
}

// TestResumeTriesOneFirst: it lifts the wait of each delivery, which are not all sent
// to an endpoint that still fails.
func TestResumeTriesOneFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(500) }}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		for n := range 5 {
			e.put(fmt.Sprint("tag", n), 1)
		}
		e.start()
		defer e.stop()
		pass(10 * time.Hour)
		before := len(r.hits())
		if err := e.relay.Resume(t.Context(), "general"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := len(r.hits()) - before; got != 1 {
			t.Errorf("%d requests after Resume; want 1", got)
		}
		if s := e.status("general"); s.FailingSince.IsZero() || s.Failures == 0 {
			t.Errorf("status after a Resume that did not help: %+v", s)
		}
	})
}

// TestFailingSinceIsTheFirstFailure: retries do not move it.
func TestFailingSinceIsTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(500) }}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1)
		e.start()
		defer e.stop()
		began := time.Now()
		pass(5 * time.Hour)
		if s := e.status("general"); s.Failures < 5 || s.FailingSince.Sub(began) > time.Minute || !s.LastFailure.After(s.FailingSince.Add(time.Hour)) {
			t.Errorf("failing since %v after %v, %d failures, the last at %v", s.FailingSince, began, s.Failures, s.LastFailure)
		}
	})
}

// TestDirectPassesTheOutboxBy: for what tells that the outbox does not work.
func TestDirectPassesTheOutboxBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 200
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(status) }}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("error_event")...)
		e.start()
		defer e.stop()
		n := anchore.Notification{ID: "direct", Account: "admin", Type: anchore.ErrorEvent, Payload: []byte(`{}`), CreatedAt: time.Now()}
		if err := e.relay.Direct(t.Context(), "error_event", n); err != nil {
			t.Errorf("Direct() = %v", err)
		}
		e.wantReceived("error_event", "direct")
		status = 500
		if err := e.relay.Direct(t.Context(), "error_event", n); anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("Direct() to an endpoint that fails = %v", err)
		}
		if err := e.relay.Direct(t.Context(), "general", n); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("Direct() to an unknown endpoint = %v", err)
		}
		if list, err := e.Notifications(t.Context(), "admin", "", 10); err != nil || len(list) != 0 {
			t.Errorf("the outbox has %d notifications, %v", len(list), err)
		}
	})
}

// TestADeadErrorEventEndpointRaisesNoErrorEvent: what parks and pauses it is an
// event for operators who look, and is sent nowhere.
func TestADeadErrorEventEndpointRaisesNoErrorEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(422) }}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("error_event")...)
		fatal := anchore.Event{Type: anchore.EventDiskFull, Level: anchore.Fatal, Message: "full", Resource: anchore.Resource{Type: "service", ID: "data_dir"}}
		if err := e.Raise(t.Context(), fatal); err != nil {
			t.Fatal(err)
		}
		e.start()
		defer e.stop()
		pass(10 * time.Hour)
		if got := len(r.hits()); got != 1 {
			t.Errorf("the endpoint was sent %d requests, want 1", got)
		}
		e.wantEvents(anchore.EventDeliveryParked, 1)
		list, err := e.Notifications(t.Context(), "admin", "", 10)
		if err != nil || len(list) != 1 {
			t.Errorf("%d notifications, %v; want that of the event alone", len(list), err)
		}
	})
}
