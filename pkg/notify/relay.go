package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// Config is what a Relay is built from. Catalog and Channel are required.
type Config struct {
	Catalog    *catalog.Catalog
	Channel    Channel
	Endpoints  []Endpoint
	Lanes      int           // attempts side by side to one endpoint; 0 is 8
	Grace      time.Duration // for attempts that run when the engine stops; 0 is 5 s
	Keep       time.Duration // of notifications, after their deliveries ended; 0 is 30 days
	Log        *slog.Logger  // nil discards
	Registerer prometheus.Registerer
	Jitter     func() float64 // numbers in [0, 1); nil is random
}

// Relay delivers what the outbox holds. Each endpoint has a loop of its own, so
// that one which is slow or dead never delays another.
type Relay struct {
	catalog *catalog.Catalog
	grace   time.Duration
	keep    time.Duration
	log     *slog.Logger
	senders []*sender
}

const (
	idleLook  = 10 * time.Second // between looks without a hint
	errorWait = time.Second      // after a look that failed
	sweepTime = time.Hour        // between removals of old notifications
	leaseSlop = 5 * time.Second  // from the end of an attempt to that of its lease
)

// New builds a Relay. It reads and writes nothing.
func New(cfg Config) (*Relay, error) {
	if cfg.Catalog == nil || cfg.Channel == nil {
		return nil, errors.New("notify.New: Catalog and Channel are required")
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	r := &Relay{
		catalog: cfg.Catalog,
		grace:   cmp.Or(cfg.Grace, 5*time.Second),
		keep:    cmp.Or(cfg.Keep, 30*24*time.Hour),
		log:     cfg.Log,
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(cfg.Registerer, r.Status)
	if err != nil {
		return nil, fmt.Errorf("notify.New: %w", err)
	}
	for _, e := range cfg.Endpoints {
		r.senders = append(r.senders, newSender(cfg, e, r, m))
	}
	return r, nil
}

// Run delivers until ctx ends. Then it claims nothing more, lets attempts that run
// end within the grace, and records what came of them; an attempt that does not end
// in time is given back and made again after the next start.
func (r *Relay) Run(ctx context.Context) error {
	if err := r.liftPauses(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	attempts, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	defer context.AfterFunc(ctx, func() { r.killLate(attempts, kill) })()

	var parts sync.WaitGroup
	parts.Go(func() { r.housekeep(ctx) })
	parts.Go(func() { r.wake(ctx) })
	for _, s := range r.senders {
		parts.Go(func() { s.run(ctx, attempts) })
	}
	parts.Wait()
	return nil
}

// killLate ends the attempts that still run after the grace.
func (r *Relay) killLate(attempts context.Context, kill context.CancelFunc) {
	late := time.NewTimer(r.grace)
	defer late.Stop()
	select {
	case <-late.C:
		kill()
	case <-attempts.Done():
	}
}

// liftPauses lifts pauses: a restart is how an operator says that an endpoint is
// back. Holds stay: that the engine was restarted is no reason to disregard how long
// an endpoint asked to be left alone.
func (r *Relay) liftPauses(ctx context.Context) error {
	for _, s := range r.senders {
		if err := r.catalog.LiftPause(ctx, s.endpoint.Name); err != nil {
			return fmt.Errorf("notify.Run: %w", err)
		}
	}
	return nil
}

// wake passes the catalog's hint on to the endpoints' loops.
func (r *Relay) wake(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.catalog.DeliveryReady():
			for _, s := range r.senders {
				s.look()
			}
		}
	}
}

// housekeep parks what waits for endpoints that are no longer configured, once,
// and removes old notifications from time to time.
func (r *Relay) housekeep(ctx context.Context) {
	orphans := true
	for {
		if orphans {
			orphans = r.parkOrphans(ctx) != nil
		}
		if _, err := r.catalog.ExpireNotifications(ctx, r.keep); err != nil && ctx.Err() == nil {
			r.log.Error("old notifications could not be removed; trying again later", "error", err)
		}
		wait := sweepTime
		if orphans {
			wait = errorWait
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

func (r *Relay) parkOrphans(ctx context.Context) error {
	configured := make(map[string]bool, len(r.senders))
	for _, s := range r.senders {
		configured[s.endpoint.Name] = true
	}
	names, err := r.catalog.PendingEndpoints(ctx)
	for _, name := range names {
		if configured[name] || err != nil {
			continue
		}
		var n int
		n, err = r.catalog.ParkEndpoint(ctx, name, "the endpoint is no longer configured")
		if n > 0 {
			r.log.Warn("parked deliveries to an endpoint that is no longer configured", "endpoint", name, "deliveries", n)
		}
	}
	if err != nil && ctx.Err() == nil {
		r.log.Error("deliveries to endpoints that are no longer configured could not be parked; trying again", "error", err)
	}
	return err
}

// sleep waits and reports whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// EndpointStatus is the state of one endpoint, for operators.
type EndpointStatus struct {
	Name string
	URL  string   // scheme and host
	Keys []string // of the configuration, that made it
	catalog.EndpointState
	InFlight int       // attempts that run now
	LookedAt time.Time // when its loop last looked for work, which it does every few seconds; zero before the first look
	Removed  bool      // it is not configured any more, but has deliveries
}

// Status returns the state of every configured endpoint, and of those that were
// removed from the configuration and have deliveries, parked or still to be.
func (r *Relay) Status(ctx context.Context) ([]EndpointStatus, error) {
	list := make([]EndpointStatus, 0, len(r.senders))
	for _, s := range r.senders {
		state, err := r.catalog.EndpointState(ctx, s.endpoint.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, s.status(state))
	}
	known, err := r.catalog.KnownEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range known {
		if slices.ContainsFunc(list, func(s EndpointStatus) bool { return s.Name == name }) {
			continue
		}
		state, err := r.catalog.EndpointState(ctx, name)
		if err != nil {
			return nil, err
		}
		list = append(list, EndpointStatus{Name: name, EndpointState: state, Removed: true})
	}
	return list, nil
}

// Resume lifts the pause of an endpoint, and its hold, also one that it asked for, and
// makes due at once what waits for it. One delivery is tried first. Errors: NotFound
// if it is not configured.
func (r *Relay) Resume(ctx context.Context, endpoint string) error {
	s, err := r.sender(endpoint)
	if err != nil {
		return err
	}
	if err := r.catalog.ResumeEndpoint(ctx, endpoint); err != nil {
		return err
	}
	s.look()
	return nil
}

// Direct makes one attempt to hand n to an endpoint, without the outbox: nothing is
// recorded and nothing is tried again. It is for what tells that the outbox does not
// work. Errors: NotFound if the endpoint is not configured; Unavailable if it did
// not take n.
func (r *Relay) Direct(ctx context.Context, endpoint string, n anchore.Notification) error {
	s, err := r.sender(endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	o := s.channel.Send(ctx, s.endpoint, Message{Notification: n, Attempt: 1, Until: n.CreatedAt})
	if o.Result != Delivered {
		return anchore.E(anchore.Unavailable, "notify.Direct", "endpoint %s did not take it: %s", endpoint, o.Reason)
	}
	return nil
}

func (r *Relay) sender(endpoint string) (*sender, error) {
	for _, s := range r.senders {
		if s.endpoint.Name == endpoint {
			return s, nil
		}
	}
	return nil, anchore.E(anchore.NotFound, "notify.sender", "no webhook endpoint %q is configured", endpoint)
}
