// Package delivery hands out the deliveries of notifications, records what came of
// them and of their endpoints, and expires what ended.
package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Queue is the deliveries to all endpoints. Its methods may be called from many
// goroutines.
type Queue struct {
	store    *change.Store
	recorder *eventlog.Recorder
	ready    change.Hint
}

// New builds a Queue. ready is the hint that DeliveryReady returns.
func New(s *change.Store, r *eventlog.Recorder, ready change.Hint) *Queue {
	return &Queue{store: s, recorder: r, ready: ready}
}

// Delivery is one notification on its way to one endpoint, in the hands of the
// caller until its lease ends.
type Delivery struct {
	Endpoint     string // its name
	Notification anchore.Notification
	Email        string    // the account's, "" for none, or if the account was deleted
	Attempt      int       // 1 for the first
	TriedAt      time.Time // when the attempt before ended, zero for the first

	key   []byte
	token uint64
}

// Result is what came of an attempt, and what to do next.
type Result struct {
	outbox.Attempt
	State outbox.State // Delivered or Parked; Waiting tries again at Due
	Due   time.Time
	// Failed says that the endpoint, not the message, was the reason. Hold is then
	// given the number of failures in a row and says for how long at least the
	// endpoint is left alone; after that, one delivery at a time is tried until one
	// succeeds. It may be called more than once.
	Failed bool
	Hold   func(failures int) time.Duration
	Pause  bool // send nothing more to the endpoint until ResumeEndpoint
}

// MaxClaim is how many deliveries one claim gives at most, so that
// store.MaxKeys is not reached.
const MaxClaim = 10

// parkedQuiet is the least time between two events that tell of parked deliveries
// of one endpoint.
const parkedQuiet = time.Hour

// DeliveryReady hints that a delivery may be due.
func (q *Queue) DeliveryReady() <-chan struct{} { return q.ready }

// ClaimDeliveries takes up to limit (at most MaxClaim) deliveries to the endpoint
// that are due, each the head of its lane, and gives them to the caller for the
// time of the lease. An endpoint that is held gives one at a time, one that is
// paused gives none. next is when there may be more, zero if nothing waits.
func (q *Queue) ClaimDeliveries(ctx context.Context, endpoint string, limit int, lease time.Duration) (claimed []Delivery, next time.Time, err error) {
	now := time.Now()
	limit = min(limit, MaxClaim)
	var due []*outbox.Pending
	err = q.store.View(ctx, func(tx store.Tx) (err error) {
		due, next, _, err = dueAt(tx, endpoint, now, limit)
		return err
	})
	if err != nil || len(due) == 0 {
		return nil, next, err
	}
	err = q.store.Update(ctx, func(tx store.Tx) (err error) {
		claimed = nil
		var held *outbox.Endpoint
		due, next, held, err = dueAt(tx, endpoint, now, limit)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, d := range due {
			one, err := claimDelivery(tx, d, now, lease)
			if err != nil {
				return err
			}
			claimed = append(claimed, one)
		}
		if held == nil {
			return nil
		}
		probing := *held
		probing.Held = table.Nanos(now.Add(lease))
		next = now.Add(lease)
		return outbox.Endpoints.Replace(tx, held, &probing)
	})
	return claimed, next, err
}

// dueAt returns the deliveries that the endpoint may be sent at now, and when to
// look again. held is the endpoint's row if it is tried one delivery at a time.
func dueAt(tx store.Tx, endpoint string, now time.Time, limit int) (due []*outbox.Pending, next time.Time, held *outbox.Endpoint, err error) {
	ep, _, err := outbox.FindEndpoint(tx, endpoint)
	if err != nil || ep != nil && ep.Paused != 0 {
		return nil, time.Time{}, nil, err
	}
	if ep != nil && ep.Held != 0 {
		if until := table.Time(ep.Held); until.After(now) {
			return nil, until, nil, nil
		}
		limit, held = 1, ep
	}
	due, next, err = outbox.Due(tx, endpoint, now, limit)
	return due, next, held, err
}

func claimDelivery(tx store.Tx, d *outbox.Pending, now time.Time, lease time.Duration) (Delivery, error) {
	n, err := d.Notification(tx)
	if err != nil {
		return Delivery{}, err
	}
	acct, err := account.ByNumber(tx, d.Account)
	if err != nil {
		return Delivery{}, err
	}
	email := ""
	if acct != nil { // else it was deleted; what happened before is still told
		email = acct.Email
	}
	leased, err := outbox.Claim(tx, d, now, lease)
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{
		Endpoint: d.Endpoint, Notification: n.Domain(), Email: email, Attempt: leased.Attempts, TriedAt: table.Time(d.Tried),
		key: outbox.Deliveries.Key(d), token: leased.Token,
	}, nil
}

// FinishDelivery records what came of a claimed delivery, and of its endpoint, in
// one transaction. Parking raises an event, at most one an hour for each endpoint;
// so does a pause. Errors: Conflict if the lease was lost; another attempt then
// counts.
func (q *Queue) FinishDelivery(ctx context.Context, d Delivery, r Result) error {
	st, err := q.store.Stamp()
	if err != nil {
		return err
	}
	err = q.store.Update(ctx, func(tx store.Tx) error {
		row, err := outbox.Held(tx, d.key, d.token)
		if err != nil {
			return err
		}
		old, ep, err := outbox.FindEndpoint(tx, d.Endpoint)
		if err != nil {
			return err
		}
		note(ep, row, r)
		if r.State == outbox.Waiting {
			err = outbox.Again(tx, row, r.Attempt, r.Due)
		} else {
			err = outbox.End(tx, row, r.State, r.Attempt)
		}
		if err == nil && r.State == outbox.Parked {
			err = q.tellParked(tx, st, ep, d.Notification, r.Reason)
		}
		if err == nil && r.Pause && (old == nil || old.Paused == 0) {
			err = q.tellPaused(tx, st, ep)
		}
		if err != nil {
			return err
		}
		return outbox.Endpoints.Replace(tx, old, ep)
	})
	if err == nil && (r.State == outbox.Parked || r.Pause) {
		q.ready.Wake() // for the notifications of the events
	}
	return err
}

// note changes the endpoint's state by what came of an attempt.
func note(ep *outbox.Endpoint, d *outbox.Pending, r Result) {
	at := table.Nanos(r.At)
	endProbe(ep, d, at)
	switch {
	case r.Failed:
		ep.Failed(d.Claimed, r.Attempt)
		if r.Hold != nil {
			if wait := r.Hold(ep.Failures); wait > 0 {
				ep.Hold(r.At.Add(wait))
			}
		}
	case r.State == outbox.Parked:
		ep.Refused(d.Claimed, r.Attempt)
	default:
		ep.Succeeded(d.Claimed, at)
	}
	if r.Pause && ep.Paused == 0 {
		ep.Paused = at
	}
}

// endProbe lets the next delivery be tried if the endpoint is held and d was the
// one tried: a claim holds the endpoint to the end of the probe's lease.
func endProbe(ep *outbox.Endpoint, d *outbox.Pending, at int64) {
	if ep.Held != 0 && ep.Held == d.Due {
		ep.Held = at
	}
}

// KeepSuccess records when the endpoint last took something, to be called before the
// engine stops: until then that is kept to the minute. It writes nothing if a later time
// is recorded.
func (q *Queue) KeepSuccess(ctx context.Context, endpoint string, at time.Time) error {
	return q.store.Update(ctx, func(tx store.Tx) error {
		old, ep, err := outbox.FindEndpoint(tx, endpoint)
		if err != nil || old == nil || old.LastSuccess >= table.Nanos(at) {
			return err
		}
		ep.LastSuccess = table.Nanos(at)
		return outbox.Endpoints.Replace(tx, old, ep)
	})
}

// ReleaseDelivery gives a claimed delivery back as if it had not been tried, when
// the engine stops before the answer came. Errors: Conflict if the lease was lost.
func (q *Queue) ReleaseDelivery(ctx context.Context, d Delivery) error {
	now := time.Now()
	return q.store.Update(ctx, func(tx store.Tx) error {
		row, err := outbox.Held(tx, d.key, d.token)
		if err != nil {
			return err
		}
		old, ep, err := outbox.FindEndpoint(tx, d.Endpoint)
		if err != nil {
			return err
		}
		endProbe(ep, row, table.Nanos(now))
		if old != nil {
			if err := outbox.Endpoints.Replace(tx, old, ep); err != nil {
				return err
			}
		}
		return outbox.Release(tx, row, now)
	})
}

// LiftPause lifts the pause of an endpoint; a hold without a pause stays. It writes
// nothing if there is no pause.
func (q *Queue) LiftPause(ctx context.Context, endpoint string) error {
	return q.store.Update(ctx, func(tx store.Tx) error {
		old, ep, err := outbox.FindEndpoint(tx, endpoint)
		if err != nil || old == nil || old.Paused == 0 {
			return err
		}
		ep.Paused, ep.Failures, ep.Held, ep.Since = 0, 0, 0, 0
		return outbox.Endpoints.Replace(tx, old, ep)
	})
}

// resumePage is how many deliveries one transaction makes due: four keys each.
const resumePage = 20

// ResumeEndpoint lifts the pause and the hold of an endpoint, and makes due now what
// waits for it, page by page: one delivery is tried first, the others once one
// succeeded. It writes nothing if there is nothing to lift and nothing waits.
func (q *Queue) ResumeEndpoint(ctx context.Context, endpoint string) error {
	now := time.Now()
	if err := q.lift(ctx, endpoint, now); err != nil {
		return err
	}
	return q.hasten(ctx, endpoint, now, func(*outbox.Pending) int64 { return table.Nanos(now) })
}

// lift lets one delivery at a time be tried at an endpoint that is paused or held.
// The failures after which it is held stay counted until one succeeds: if none does,
// the next hold is as long as it would have been.
func (q *Queue) lift(ctx context.Context, endpoint string, now time.Time) error {
	stopped := func(ep *outbox.Endpoint) bool { return ep.Paused != 0 || ep.Held > table.Nanos(now) }
	var old *outbox.Endpoint
	err := q.store.View(ctx, func(tx store.Tx) (err error) {
		old, _, err = outbox.FindEndpoint(tx, endpoint)
		return err
	})
	if err != nil || old == nil || !stopped(old) {
		return err
	}
	return q.store.Update(ctx, func(tx store.Tx) error {
		old, ep, err := outbox.FindEndpoint(tx, endpoint)
		if err != nil || old == nil || !stopped(old) {
			return err
		}
		if ep.Paused != 0 {
			ep.Paused, ep.Failures, ep.Since = 0, 0, 0
		}
		ep.Held = table.Nanos(now)
		return outbox.Endpoints.Replace(tx, old, ep)
	})
}

// PendingEndpoints returns the names of the endpoints with deliveries that have
// not ended, in alphabetical order.
func (q *Queue) PendingEndpoints(ctx context.Context) (names []string, err error) {
	err = q.store.View(ctx, func(tx store.Tx) error {
		names, err = outbox.WithPending(tx)
		return err
	})
	return names, err
}

// KnownEndpoints returns the names of the endpoints that have deliveries, waiting or
// parked, in alphabetical order, configured or not.
func (q *Queue) KnownEndpoints(ctx context.Context) (names []string, err error) {
	err = q.store.View(ctx, func(tx store.Tx) error {
		pending, err := outbox.WithPending(tx)
		if err != nil {
			return err
		}
		parked, err := outbox.WithParked(tx)
		names = append(pending, parked...)
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// parkPage is how many deliveries one transaction parks: eight keys each.
const parkPage = 8

// ParkEndpoint parks all deliveries to an endpoint that is no longer configured
// and returns how many there were.
func (q *Queue) ParkEndpoint(ctx context.Context, endpoint, reason string) (parked int, err error) {
	return q.park(ctx, endpoint, reason, func(tx store.Tx) ([]*outbox.Pending, error) {
		return outbox.First(tx, endpoint, parkPage)
	})
}

// ParkExpired parks the deliveries to the endpoint that are due and were created
// before the given time, and returns how many; none if the endpoint is not held.
// What waits there for its turn would otherwise wait much longer than the horizon.
func (q *Queue) ParkExpired(ctx context.Context, endpoint string, before time.Time, reason string) (parked int, err error) {
	return q.park(ctx, endpoint, reason, func(tx store.Tx) (expired []*outbox.Pending, err error) {
		ep, _, err := outbox.FindEndpoint(tx, endpoint)
		if err != nil || ep == nil || ep.Held == 0 {
			return nil, err
		}
		due, _, err := outbox.Due(tx, endpoint, time.Now(), store.MaxPage-1)
		for _, d := range due {
			if d.Created < table.Nanos(before) && len(expired) < parkPage {
				expired = append(expired, d)
			}
		}
		return expired, err
	})
}

// park parks what pick gives, page by page, until it gives nothing more.
func (q *Queue) park(ctx context.Context, endpoint, reason string, pick func(store.Tx) ([]*outbox.Pending, error)) (parked int, err error) {
	for {
		var page []*outbox.Pending
		err := q.store.View(ctx, func(tx store.Tx) (err error) {
			page, err = pick(tx)
			return err
		})
		if err != nil || len(page) == 0 {
			return parked, err
		}
		st, err := q.store.Stamp()
		if err != nil {
			return parked, err
		}
		n := 0
		err = q.store.Update(ctx, func(tx store.Tx) (err error) {
			n, err = q.parkAll(tx, st, endpoint, page, reason)
			return err
		})
		parked += n
		if err != nil || n == 0 {
			return parked, err
		}
	}
}

// parkAll parks those deliveries of a page that nobody holds or ended since it was
// read, and returns how many.
func (q *Queue) parkAll(tx store.Tx, st change.Stamp, endpoint string, page []*outbox.Pending, reason string) (n int, err error) {
	var last *outbox.Pending
	for _, seen := range page {
		d, err := outbox.Deliveries.Find(tx, outbox.Deliveries.Key(seen))
		if err != nil {
			return 0, err
		}
		if d == nil || d.Token != seen.Token {
			continue
		}
		if err := outbox.End(tx, d, outbox.Parked, outbox.Attempt{At: st.Now, Status: d.Status, Reason: reason}); err != nil {
			return 0, err
		}
		n, last = n+1, d
	}
	if last == nil {
		return 0, nil
	}
	old, ep, err := outbox.FindEndpoint(tx, endpoint)
	if err != nil {
		return 0, err
	}
	row, err := last.Notification(tx)
	if err != nil {
		return 0, err
	}
	if err := q.tellParked(tx, st, ep, row.Domain(), reason); err != nil {
		return 0, err
	}
	return n, outbox.Endpoints.Replace(tx, old, ep)
}

// tellParked raises the event that a delivery was parked, unless one was raised
// for the endpoint a short while ago: a receiver that refuses all it gets would
// fill the log.
func (q *Queue) tellParked(tx store.Tx, st change.Stamp, ep *outbox.Endpoint, n anchore.Notification, reason string) error {
	now := table.Nanos(st.Now)
	if quiet := now - ep.Told; ep.Told != 0 && quiet >= 0 && quiet < int64(parkedQuiet) { // less than 0 after the clock was set back
		return nil
	}
	ep.Told = now
	return q.tellAdmin(tx, st, 0, anchore.Event{
		Type: anchore.EventDeliveryParked, Level: anchore.Failure, Service: "catalog",
		Message:  "Notification could not be delivered and was parked",
		Resource: anchore.Resource{Type: "webhook", ID: ep.Name},
		Details: map[string]any{
			"endpoint": ep.Name, "reason": reason, "notification_id": n.ID,
			"subscription_type": string(n.Type), "subscription_key": n.Key,
		},
	})
}

func (q *Queue) tellPaused(tx store.Tx, st change.Stamp, ep *outbox.Endpoint) error {
	return q.tellAdmin(tx, st, 1, anchore.Event{
		Type: anchore.EventEndpointPaused, Level: anchore.Failure, Service: "catalog",
		Message:  "Webhook endpoint answered 410 Gone; nothing more is sent to it until it is resumed or the engine restarts",
		Resource: anchore.Resource{Type: "webhook", ID: ep.Name},
		Details:  map[string]any{"endpoint": ep.Name, "reason": ep.Reason},
	})
}

// tellAdmin raises an event of the account that owns what concerns the engine as a
// whole, as the endpoints do.
func (q *Queue) tellAdmin(tx store.Tx, st change.Stamp, n int, e anchore.Event) error {
	acct, err := account.ByName(tx, anchore.AdminAccount)
	if anchore.KindOf(err) == anchore.NotFound {
		return nil // an engine that never started has nobody to tell
	}
	if err != nil {
		return err
	}
	return q.recorder.Record(tx, acct, st, n, e)
}

// EndpointState is what the store knows of an endpoint.
type EndpointState struct {
	outbox.Stats
	HeldUntil    time.Time // zero if not held; in the past while one delivery at a time is tried
	PausedAt     time.Time // zero if not paused
	Failures     int       // in a row
	FailingSince time.Time // when the first of these was, or zero
	LastSuccess  time.Time // to the minute while the engine runs, or zero
	LastFailure  time.Time
	Reason       string // of the last failure
}

// EndpointState returns the state of an endpoint and the work it has.
func (q *Queue) EndpointState(ctx context.Context, endpoint string) (s EndpointState, err error) {
	err = q.store.View(ctx, func(tx store.Tx) error {
		_, ep, err := outbox.FindEndpoint(tx, endpoint)
		if err != nil {
			return err
		}
		s = EndpointState{
			HeldUntil: table.Time(ep.Held), PausedAt: table.Time(ep.Paused), Failures: ep.Failures, FailingSince: table.Time(ep.FailingSince()),
			LastSuccess: table.Time(ep.LastSuccess), LastFailure: table.Time(ep.LastFailure), Reason: ep.Reason,
		}
		s.Stats, err = outbox.Count(tx, endpoint)
		return err
	})
	return s, err
}

// Notified is a notification with its deliveries, by endpoint.
type Notified struct {
	anchore.Notification
	Deliveries []outbox.Delivery
}

// Notifications returns up to limit notifications of the account that come after
// the one with the id after ("" is the start), the newest first. Errors: NotFound
// if there is no notification after.
func (q *Queue) Notifications(ctx context.Context, name, after string, limit int) (list []Notified, err error) {
	err = q.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		rows, err := outbox.Page(tx, acct.No, after, limit)
		if err != nil {
			return err
		}
		list = make([]Notified, 0, len(rows))
		for _, row := range rows {
			deliveries, err := outbox.Of(tx, row)
			if err != nil {
				return err
			}
			list = append(list, Notified{Notification: row.Domain(), Deliveries: deliveries})
		}
		return nil
	})
	return list, err
}

// removePage is how many notifications one transaction removes: up to ten keys
// each with two endpoints, so that ten endpoints are safe as well.
const removePage = 2

// ExpireNotifications removes the notifications that are older than keep and whose
// deliveries all ended longer ago than that, and returns how many. It goes page by
// page and writes nothing if there is nothing to remove.
func (q *Queue) ExpireNotifications(ctx context.Context, keep time.Duration) (removed int, err error) {
	before := time.Now().Add(-keep)
	var from outbox.Cursor
	for {
		var ended []*outbox.Row
		err := q.store.View(ctx, func(tx store.Tx) (err error) {
			ended, from, err = outbox.Expirable(tx, from, before)
			return err
		})
		if err != nil {
			return removed, err
		}
		for len(ended) > 0 {
			n := min(removePage, len(ended))
			err := q.store.Update(ctx, func(tx store.Tx) error {
				for _, row := range ended[:n] {
					if err := outbox.Remove(tx, row); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return removed, err
			}
			removed, ended = removed+n, ended[n:]
		}
		if from == nil {
			return removed, nil
		}
	}
}
