package notify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
)

// sender delivers to one endpoint.
type sender struct {
	catalog  *catalog.Catalog
	channel  Channel
	endpoint Endpoint
	schedule schedule
	timeout  time.Duration
	jitter   func() float64
	rate     *rate.Limiter
	lanes    int
	log      *slog.Logger
	metrics  *metrics
	wake     chan struct{} // hint: something is due, or an attempt ended

	mu       sync.Mutex
	inFlight int
	failing  bool // as the log was last told
	told     time.Time
	success  time.Time
	looked   time.Time
}

func newSender(cfg Config, e Endpoint, r *Relay, m *metrics) *sender {
	s := &sender{
		catalog: cfg.Catalog, channel: cfg.Channel, endpoint: e, jitter: cfg.Jitter, metrics: m,
		schedule: schedule{horizon: cmp.Or(e.RetryFor, 72*time.Hour)}, timeout: cmp.Or(e.Timeout, defaultTimeout), lanes: cmp.Or(cfg.Lanes, 8), rate: rate.NewLimiter(rate.Inf, 1),
		log: r.log.With("endpoint", e.Name, "url", MaskURL(e.URL)), wake: make(chan struct{}, 1),
	}
	if e.MaxPerSecond > 0 {
		s.rate = rate.NewLimiter(rate.Limit(e.MaxPerSecond), 1)
	}
	return s
}

// defaultTimeout is the time for one attempt.
const defaultTimeout = 10 * time.Second

// look makes the loop look for work at once.
func (s *sender) look() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look already
	}
}

// run claims and delivers until ctx ends, and returns when no attempt runs. The
// attempts last as long as their own context.
func (s *sender) run(ctx, attempts context.Context) {
	var running sync.WaitGroup
	defer s.keepSuccess()
	defer running.Wait()
	for ctx.Err() == nil {
		claimed, wait := s.claim(ctx)
		for _, d := range claimed {
			running.Go(func() {
				s.deliver(attempts, d)
				s.started(-1)
				s.look()
			})
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// keepSuccess records when the endpoint last took something, as exactly as it was shown.
func (s *sender) keepSuccess() {
	s.mu.Lock()
	at := s.success
	s.mu.Unlock()
	if at.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	if err := s.catalog.KeepSuccess(ctx, s.endpoint.Name, at); err != nil {
		s.log.Warn("when the endpoint last took something was not recorded", "error", err)
	}
}

// claim takes deliveries for the lanes that are free, as many as the rate allows,
// and says when to look again if nothing happens before.
func (s *sender) claim(ctx context.Context) (claimed []catalog.Delivery, wait time.Duration) {
	now := time.Now()
	free := s.free(now)
	if free <= 0 {
		return nil, idleLook // an attempt that ends wakes the loop
	}
	if s.rate.Limit() != rate.Inf {
		if tokens := s.rate.TokensAt(now); tokens < 1 {
			seconds := min((1-tokens)/float64(s.rate.Limit()), idleLook.Seconds())
			return nil, time.Duration(seconds*float64(time.Second)).Truncate(time.Microsecond) + time.Microsecond
		}
		free = 1
	}
	claimed, next, err := s.catalog.ClaimDeliveries(ctx, s.endpoint.Name, free, s.timeout+leaseSlop)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("deliveries could not be claimed; trying again", "error", err)
		}
		return nil, errorWait
	}
	s.rate.AllowN(now, len(claimed))
	s.started(len(claimed))
	if next.IsZero() {
		return claimed, idleLook
	}
	return claimed, min(max(time.Until(next), 0), idleLook)
}

func (s *sender) free(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = now
	return s.lanes - s.inFlight
}

func (s *sender) started(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight += n
	s.metrics.inFlight.WithLabelValues(s.endpoint.Name).Set(float64(s.inFlight))
}

// commitTime bounds the transaction that records an outcome.
const commitTime = 5 * time.Second

// deliver makes one attempt and records what came of it: the request first, then
// the outcome. A crash between the two repeats the request under the same id; the
// other order would lose it.
func (s *sender) deliver(attempts context.Context, d catalog.Delivery) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(attempts, s.timeout)
	o := s.channel.Send(ctx, s.endpoint, s.message(d))
	cancel()
	commit, cancel := context.WithTimeout(context.WithoutCancel(attempts), commitTime)
	defer cancel()

	if attempts.Err() != nil && o.Result == Retry && o.Status == 0 {
		s.lost(d, s.catalog.ReleaseDelivery(commit, d))
		return
	}
	now := time.Now()
	result, expired := s.decide(d, o, now)
	if err := s.catalog.FinishDelivery(commit, d, result); err != nil {
		s.lost(d, err)
		return
	}
	s.metrics.attempts.WithLabelValues(s.endpoint.Name, o.Result.String()).Inc()
	s.metrics.duration.WithLabelValues(s.endpoint.Name).Observe(now.Sub(began).Seconds())
	s.tell(d, o, result, now)
	if expired && s.schedule.horizon > 0 { // else each has its one attempt
		s.parkExpired(commit, now, o)
	}
}

func (s *sender) message(d catalog.Delivery) Message {
	return Message{
		Notification: d.Notification, Email: d.Email, Attempt: d.Attempt, TriedAt: d.TriedAt,
		Until: d.Notification.CreatedAt.Add(max(s.schedule.horizon, 0)),
	}
}

// decide says what an outcome means for the delivery and for its endpoint, and
// whether the delivery reached the horizon.
func (s *sender) decide(d catalog.Delivery, o Outcome, now time.Time) (r catalog.DeliveryResult, expired bool) {
	r.Attempt = outbox.Attempt{At: now, Status: o.Status, Reason: o.Reason}
	switch o.Result {
	case Delivered:
		r.State = outbox.Delivered
		return r, false
	case Refused:
		r.State = outbox.Parked
		return r, false
	}
	jitter := s.jitter()
	r.Failed, r.Pause = true, o.Result == Gone
	r.Hold = func(failures int) time.Duration { return s.schedule.hold(failures, o, jitter) }
	wait, again := s.schedule.next(d.Attempt, o, now.Sub(d.Notification.CreatedAt), s.jitter())
	if !again {
		r.State = outbox.Parked
		r.Reason = fmt.Sprintf("not delivered within %s; the last of %d attempts: %s", max(s.schedule.horizon, 0), d.Attempt, o.Reason)
		return r, true
	}
	r.State, r.Due = outbox.Waiting, now.Add(wait)
	return r, false
}

// parkExpired parks what waited for its turn at an endpoint that is held and is
// past the horizon as well.
func (s *sender) parkExpired(ctx context.Context, now time.Time, o Outcome) {
	reason := fmt.Sprintf("not delivered within %s; the endpoint was held: %s", s.schedule.horizon, o.Reason)
	n, err := s.catalog.ParkExpired(ctx, s.endpoint.Name, now.Add(-s.schedule.horizon), reason)
	if err != nil {
		s.log.Error("expired deliveries could not be parked; trying again later", "error", err)
	}
	if n > 0 {
		s.log.Error("parked deliveries that waited for an endpoint which is held", "deliveries", n, "reason", o.Reason)
	}
}

// lost tells that an outcome was not recorded, or an attempt not given back. It is
// made again when its lease ends.
func (s *sender) lost(d catalog.Delivery, err error) {
	if err == nil {
		return
	}
	if anchore.KindOf(err) == anchore.Conflict {
		s.log.Warn("an attempt outlived its lease; another one counts", "notification", d.Notification.ID)
		return
	}
	s.log.Error("the outcome of an attempt could not be recorded; it will be made again", "notification", d.Notification.ID, "error", err)
}

// toldQuiet keeps an endpoint that fails now and then from filling the log.
const toldQuiet = time.Minute

// tell logs what an operator would act on: when an endpoint begins and ceases to
// fail, is paused, or a delivery is parked. Attempts are counted, not logged.
func (s *sender) tell(d catalog.Delivery, o Outcome, r catalog.DeliveryResult, now time.Time) {
	s.mu.Lock()
	began, ended := r.Failed && !s.failing && now.Sub(s.told) >= toldQuiet, !r.Failed && s.failing
	if began || ended {
		s.failing, s.told = began, now
	}
	if o.Result == Delivered {
		s.success = now
		s.metrics.delay.WithLabelValues(s.endpoint.Name).Observe(now.Sub(d.Notification.CreatedAt).Seconds())
	}
	s.mu.Unlock()
	switch {
	case r.Pause:
		s.log.Error("webhook endpoint is gone; paused until it is resumed or the engine restarts", "reason", o.Reason)
	case began:
		s.log.Warn("webhook endpoint fails; deliveries are tried again", "reason", o.Reason)
	case ended:
		s.log.Info("webhook endpoint answers again")
	}
	if r.State == outbox.Parked {
		s.log.Error("notification parked", "notification", d.Notification.ID, "subscription_key", d.Notification.Key,
			"type", string(d.Notification.Type), "attempts", d.Attempt, "reason", r.Reason)
	}
}

func (s *sender) status(state catalog.EndpointState) EndpointStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.success.After(state.LastSuccess) { // the store keeps it to the minute
		state.LastSuccess = s.success
	}
	return EndpointStatus{Name: s.endpoint.Name, URL: MaskURL(s.endpoint.URL), Keys: s.endpoint.Keys, EndpointState: state, InFlight: s.inFlight, LookedAt: s.looked}
}
