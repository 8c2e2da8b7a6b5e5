package notify_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// receiver answers requests by a script and remembers them. It is a RoundTripper,
// since sockets do not count as waiting under synctest.
type receiver struct {
	mu    sync.Mutex
	got   []hit
	reply func(r *http.Request, nth int) *http.Response // nil answers 200
}

type hit struct {
	endpoint string // the first part of the path
	id       string // of the notification
	at       time.Time
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	var body struct{ DataID string }
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, hit{endpoint: req.URL.Host, id: body.DataID, at: time.Now()})
	n := len(r.got)
	r.mu.Unlock()
	resp := answer(200)
	if r.reply != nil {
		resp = r.reply(req, n)
	}
	if resp == nil { // hang
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return resp, nil
}

func answer(status int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// ids lists what an endpoint received, in order.
func (r *receiver) ids(endpoint string) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.got {
		if h.endpoint == endpoint {
			ids = append(ids, h.id)
		}
	}
	return ids
}

func (r *receiver) hits() []hit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// engine is what of an engine delivers, on real backends.
type engine struct {
	t testing.TB
	*catalog.Catalog
	store     store.Store
	endpoints []notify.Endpoint
	receiver  *receiver
	relay     *notify.Relay
	stop      func()
}

func named(names ...string) (list []notify.Endpoint) {
	for _, name := range names {
		list = append(list, notify.Endpoint{Name: name, URL: anchore.Secret("http://" + name + "/token")})
	}
	return list
}

// openStore opens a store all of whose Updates run twice.
func openStore(t testing.TB, folder string) store.Store {
	t.Helper()
	return storetest.Rerun{Store: openPlain(t, folder)}
}

func openPlain(t testing.TB, folder string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(folder, "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newEngine is newEngineOn with the account whose notifications the tests put.
func newEngine(t testing.TB, s store.Store, r *receiver, endpoints ...notify.Endpoint) *engine {
	t.Helper()
	e := newEngineOn(t, s, r, endpoints...)
	err := s.Update(t.Context(), func(tx store.Tx) error {
		_, err := account.Create(tx, anchore.Account{Name: "admin", Type: anchore.AdminType}) // without a user: hashing takes time
		return err
	})
	if err != nil && anchore.KindOf(err) != anchore.Conflict {
		t.Fatal(err)
	}
	return e
}

// kept are blobs that nobody asks for again.
type kept struct{ store.Blobs }

func (kept) Put(_ context.Context, r io.Reader) (store.Digest, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return store.Digest(fmt.Sprintf("sha256:%x", sum.Sum(nil))), err
}

func newEngineOn(t testing.TB, s store.Store, r *receiver, endpoints ...notify.Endpoint) *engine {
	t.Helper()
	c, err := catalog.New(catalog.Config{Store: s, Blobs: kept{}, Endpoints: notify.Route(endpoints)})
	if err != nil {
		t.Fatal(err)
	}
	return &engine{t: t, Catalog: c, store: s, endpoints: endpoints, receiver: r}
}

// put writes the nth notification of a tag; their ids are "tag-n".
func (e *engine) put(tag string, ns ...int) {
	e.t.Helper()
	for _, n := range ns {
		if err := putNth(e.t.Context(), e.store, tag, n, time.Now(), notify.Route(e.endpoints)(anchore.TagUpdate)); err != nil {
			e.t.Fatal(err)
		}
	}
}

func putNth(ctx context.Context, s store.Store, tag string, n int, at time.Time, endpoints []string) error {
	var cause [16]byte
	binary.BigEndian.PutUint64(cause[:], uint64(at.UnixNano()))
	binary.BigEndian.PutUint64(cause[8:], uint64(n))
	return s.Update(ctx, func(tx store.Tx) error {
		return outbox.Put(tx, 1, cause, anchore.Notification{
			ID: fmt.Sprintf("%s-%d", tag, n), Account: "admin", Type: anchore.TagUpdate, Key: tag,
			SubscriptionID: anchore.SubscriptionID("admin", tag, anchore.TagUpdate), Payload: []byte(`{}`), CreatedAt: at,
		}, endpoints)
	})
}

// start runs a relay until stop.
func (e *engine) start() {
	e.t.Helper()
	channel, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: e.endpoints, Transport: e.receiver})
	if err != nil {
		e.t.Fatal(err)
	}
	e.relay, err = notify.New(notify.Config{Catalog: e.Catalog, Channel: channel, Endpoints: e.endpoints, Jitter: func() float64 { return 0 }})
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.relay.Run(ctx) }()
	e.stop = func() {
		e.t.Helper()
		cancel()
		if err := <-done; err != nil {
			e.t.Errorf("Run: %v", err)
		}
	}
}

// pass lets time go by until every goroutine waits.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (e *engine) deliveries() map[string][]outbox.Delivery {
	e.t.Helper()
	list, err := e.Notifications(e.t.Context(), "admin", "", 500)
	if err != nil {
		e.t.Fatal(err)
	}
	byID := map[string][]outbox.Delivery{}
	for _, n := range list {
		byID[n.ID] = n.Deliveries
	}
	return byID
}

// wantStates checks how the deliveries of a notification stand, by endpoint.
func (e *engine) wantStates(id string, want ...outbox.State) {
	e.t.Helper()
	var got []outbox.State
	for _, d := range e.deliveries()[id] {
		got = append(got, d.State)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Errorf("deliveries of %s (-want +got):\n%s", id, diff)
	}
}

func (e *engine) wantReceived(endpoint string, want ...string) {
	e.t.Helper()
	if diff := cmp.Diff(want, e.receiver.ids(endpoint)); diff != "" {
		e.t.Errorf("received at %s (-want +got):\n%s", endpoint, diff)
	}
}

func (e *engine) wantEvents(typ anchore.EventType, want int) {
	e.t.Helper()
	events, _, err := e.Events(e.t.Context(), "admin", catalog.EventFilter{Type: string(typ)}, 1, 100)
	if err != nil {
		e.t.Fatal(err)
	}
	if len(events) != want {
		e.t.Errorf("%d events %s; want %d", len(events), typ, want)
	}
}

func (e *engine) status(name string) notify.EndpointStatus {
	e.t.Helper()
	list, err := e.relay.Status(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	e.t.Fatalf("no status of %s", name)
	return notify.EndpointStatus{}
}

func TestRelayDeliversToEachEndpointOnItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(req *http.Request, _ int) *http.Response {
			if req.URL.Host == "general" {
				return nil // hangs for ever
			}
			return answer(202)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general", "tag_update")...)
		e.put("x", 1, 2, 3)
		e.start()
		defer e.stop()
		pass(time.Second)
		e.wantReceived("tag_update", "x-1", "x-2", "x-3")
		e.wantReceived("general", "x-1")
		e.wantStates("x-3", outbox.Waiting, outbox.Delivered)
		if s := e.status("general"); s.InFlight != 1 || s.Pending != 3 || s.URL != "http://general" || s.OldestDue.IsZero() {
			t.Errorf("status of the hanging endpoint: %+v", s)
		}
		if s := e.status("tag_update"); s.InFlight != 0 || s.Pending != 0 || time.Since(s.LastSuccess) > time.Second {
			t.Errorf("status of the other: %+v", s)
		}
	})
}

// TestLastSuccessOverARestart: it does not go back to what the store keeps of it while
// the engine runs.
func TestLastSuccessOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(200) }}
		s := openStore(t, t.TempDir())
		e := newEngine(t, s, r, named("general")...)
		e.put("x", 1)
		e.start()
		pass(20 * time.Second)
		e.put("x", 2)
		pass(20 * time.Second)
		shown := e.status("general").LastSuccess
		e.stop()
		e = newEngineOn(t, s, r, named("general")...)
		e.start()
		defer e.stop()
		if got := e.status("general").LastSuccess; time.Since(shown) > 21*time.Second || !got.Equal(shown) {
			t.Errorf("the last success was at %v, and at %v after a restart", shown, got)
		}
	})
}

func TestRelayKeepsTheOrderOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := 0
		r := &receiver{reply: func(req *http.Request, n int) *http.Response {
			if n%2 == 1 {
				failed++
				return answer(503)
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1, 2, 3, 4)
		e.start()
		defer e.stop()
		pass(time.Hour)
		e.wantReceived("general", "x-1", "x-1", "x-2", "x-2", "x-3", "x-3", "x-4", "x-4")
		if failed != 4 {
			t.Errorf("%d failures", failed)
		}
	})
}

func TestRelayGivesUpAtTheHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(*http.Request, int) *http.Response { return answer(401) }}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		for n := range 20 {
			e.put(fmt.Sprint("tag", n), 1, 2)
		}
		e.start()
		defer e.stop()
		pass(71 * time.Hour)
		e.wantStates("tag0-1", outbox.Waiting)
		s := e.status("general")
		if s.Pending != 40 || s.HeldUntil.IsZero() || s.Failures < 10 || s.Reason != "answered 401 Unauthorized" {
			t.Errorf("status while it fails: %+v", s)
		}
		if n := len(r.hits()); n > 1200 {
			t.Errorf("%d attempts in 71 hours; the endpoint is held", n)
		}
		pass(3 * time.Hour)
		if s := e.status("general"); s.Pending != 0 || s.Parked != 40 {
			t.Errorf("status after the horizon: %+v; want all parked", s)
		}
		d := e.deliveries()["tag0-1"][0]
		if d.State != outbox.Parked || d.Status != 401 || d.Reason == "" || d.EndedAt.IsZero() {
			t.Errorf("the parked delivery: %+v", d)
		}
		events, _, err := e.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventDeliveryParked)}, 1, 100)
		if err != nil || len(events) == 0 || len(events) > 3 {
			t.Errorf("%d events of parked deliveries, %v; want at most one an hour", len(events), err)
		}
	})
}

// Where nothing is tried again, everything is tried once all the same, also at an
// endpoint that is held.
func TestRelayTriesEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(_ *http.Request, nth int) *http.Response {
			if nth <= 8 {
				return answer(503, "Retry-After", "60")
			}
			return answer(200)
		}}
		once := named("general")
		once[0].RetryFor = -1
		e := newEngine(t, openStore(t, t.TempDir()), r, once...)
		for i := range 30 {
			e.put(fmt.Sprint("tag", i), 0)
		}
		e.start()
		defer e.stop()
		pass(30 * time.Second)
		if n := len(r.hits()); n != 8 {
			t.Errorf("%d attempts within the wait that the endpoint asks for, want 8", n)
		}
		pass(time.Hour)
		got := map[outbox.State]int{}
		for id, list := range e.deliveries() {
			got[list[0].State]++
			if list[0].Attempts != 1 {
				t.Errorf("%s was tried %d times, %s: %s", id, list[0].Attempts, list[0].State, list[0].Reason)
			}
		}
		if diff := cmp.Diff(map[outbox.State]int{outbox.Parked: 8, outbox.Delivered: 22}, got); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

func TestRelayProbesAHeldEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := &receiver{reply: func(*http.Request, int) *http.Response {
			if time.Since(began) < 10*time.Minute {
				return answer(429, "Retry-After", "600")
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("a", 1)
		e.start()
		defer e.stop()
		pass(time.Minute)
		for n := range 30 {
			e.put(fmt.Sprint("tag", n), 1)
		}
		pass(8 * time.Minute)
		e.wantReceived("general", "a-1") // nothing else was sent while it asked to wait
		if s := e.status("general"); !s.HeldUntil.Equal(began.Add(10 * time.Minute)) {
			t.Errorf("held until %v; want ten minutes after the start", s.HeldUntil)
		}
		pass(2 * time.Minute)
		if n := len(r.hits()); n != 32 {
			t.Errorf("%d requests after the hold; want 32", n)
		}
		if s := e.status("general"); s.Pending != 0 || !s.HeldUntil.IsZero() || s.Failures != 0 {
			t.Errorf("status after the hold: %+v", s)
		}
	})
}

func TestRelayTriesOneAtATimeWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		began := time.Now()
		r := &receiver{}
		r.reply = func(req *http.Request, _ int) *http.Response {
			mu.Lock()
			running++
			if time.Since(began) > time.Minute {
				most = max(most, running)
			}
			mu.Unlock()
			<-req.Context().Done() // each attempt takes its whole time
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		for n := range 50 {
			e.put(fmt.Sprint("tag", n), 1)
		}
		e.start()
		defer e.stop()
		pass(2 * time.Hour)
		if most != 1 {
			t.Errorf("%d attempts at a time while held; want 1", most)
		}
		if n := len(r.hits()); n > 24+30 {
			t.Errorf("%d attempts in two hours", n)
		}
	})
}

func TestRelayParksWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(_ *http.Request, n int) *http.Response {
			if n == 1 {
				return answer(422)
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1, 2)
		e.start()
		defer e.stop()
		pass(time.Second)
		e.wantReceived("general", "x-1", "x-2")
		e.wantStates("x-1", outbox.Parked)
		e.wantStates("x-2", outbox.Delivered)
		e.wantEvents(anchore.EventDeliveryParked, 1)
	})
}

func TestRelayPausesAnEndpointThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := true
		r := &receiver{reply: func(*http.Request, int) *http.Response {
			if gone {
				return answer(410)
			}
			return answer(200)
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.put("x", 1, 2)
		e.start()
		pass(100 * time.Hour)
		e.wantReceived("general", "x-1")
		e.wantEvents(anchore.EventEndpointPaused, 1)
		if s := e.status("general"); s.PausedAt.IsZero() || s.Pending != 2 {
			t.Errorf("status: %+v; want paused with two pending", s)
		}
		e.stop()
		gone = false
		e.start()
		defer e.stop()
		pass(time.Hour)
		e.wantReceived("general", "x-1", "x-1", "x-2")
	})
}

func TestRelayStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{reply: func(req *http.Request, _ int) *http.Response {
			if req.URL.Host == "general" {
				time.Sleep(3 * time.Second) // ends within the grace
				return answer(200)
			}
			return nil // does not
		}}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general", "tag_update")...)
		e.put("x", 1, 2)
		e.start()
		pass(time.Second)
		began := time.Now()
		e.stop()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopping took %v", took)
		}
		e.wantStates("x-1", outbox.Delivered, outbox.Waiting)
		e.wantReceived("general", "x-1") // no new claim
		if d := e.deliveries()["x-1"][1]; d.Attempts != 0 || d.NextAt.After(time.Now()) {
			t.Errorf("the attempt that was cut off: %+v; want it given back", d)
		}
		r.reply = nil
		e.start()
		pass(time.Second)
		e.stop()
		e.wantReceived("tag_update", "x-1", "x-1", "x-2")
		e.wantReceived("general", "x-1", "x-2")
	})
}

func TestRelayParksForEndpointsNoLongerConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := openStore(t, t.TempDir()), &receiver{}
		before := newEngine(t, s, r, named("general", "tag_update")...)
		for n := range 30 {
			before.put(fmt.Sprint("tag", n%3), n)
		}
		e := newEngine(t, s, r, named("general")...)
		e.start()
		pass(time.Second)
		e.wantStates("tag0-0", outbox.Delivered, outbox.Parked)
		e.wantStates("tag2-29", outbox.Delivered, outbox.Parked)
		e.wantEvents(anchore.EventDeliveryParked, 1)
		if s := e.status("tag_update"); !s.Removed || s.Parked != 30 || s.URL != "" {
			t.Errorf("status of the endpoint that was removed: %+v", s)
		}
		e.put("new", 1) // recorded, and delivered where it can be
		pass(time.Minute)
		e.wantStates("new-1", outbox.Delivered)
		e.stop()
		pass(31 * 24 * time.Hour)
		e.start()
		pass(time.Second)
		e.stop()
		if left := e.deliveries(); len(left) != 0 {
			t.Errorf("%d notifications are kept after 31 days", len(left))
		}
	})
}

func TestRelayKeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		endpoints := named("general")
		endpoints[0].MaxPerSecond = 2
		e := newEngine(t, openStore(t, t.TempDir()), r, endpoints...)
		for n := range 21 {
			e.put(fmt.Sprint("tag", n), 1)
		}
		e.start()
		defer e.stop()
		pass(20 * time.Second)
		hits := r.hits()
		if len(hits) != 21 {
			t.Fatalf("%d requests; want 21", len(hits))
		}
		if took := hits[20].at.Sub(hits[0].at); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("21 requests at two a second took %v", took)
		}
	})
}

// A commit's hint wakes the relay, and a tag that moves is told at once.
// An endpoint that is sent little is looked at all the same: that its loop turns is
// how it is seen that it lives.
func TestRelayLooksThoughTheRateIsLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := named("general")
		slow[0].MaxPerSecond = 1.0 / 3600
		e := newEngine(t, openStore(t, t.TempDir()), &receiver{}, slow...)
		e.put("a", 0, 1)
		e.start()
		defer e.stop()
		pass(30 * time.Minute)
		e.wantReceived("general", "a-0")
		if ago := time.Since(e.status("general").LookedAt); ago > 10*time.Second {
			t.Errorf("the endpoint's loop last turned %v ago, want seconds", ago)
		}
		pass(31 * time.Minute)
		e.wantReceived("general", "a-0", "a-1")
	})
}

func TestRelayWakesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		e := newEngine(t, openStore(t, t.TempDir()), r, named("general")...)
		e.start()
		defer e.stop()
		pass(time.Minute)
		ref, err := anchore.ParseReference("alpine:3")
		if err != nil {
			t.Fatal(err)
		}
		for i, image := range []string{"a", "b"} {
			digest := fmt.Sprintf("sha256:%064x", i+1)
			s := catalog.Sighting{Account: "admin", Cause: "watcher", Manifest: anchore.Manifest{
				Ref: ref, Digest: digest, TagDigest: digest, Raw: []byte(image), Config: []byte(image),
			}}
			if i == 0 {
				s.Add = &catalog.Addition{AutoSubscribe: true}
			}
			state, err := e.TagState(t.Context(), s.Account, ref)
			if err != nil {
				t.Fatal(err)
			}
			s.Version = state.Version
			if _, err := e.SawTag(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for more := true; more; {
			if more, err = e.FanOut(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		hits := r.hits()
		if len(hits) != 1 || hits[0].at.Sub(began) != 0 {
			t.Errorf("requests %v; want one at once", hits)
		}
	})
}
