// Package alarm looks for what keeps the engine from doing its work and raises one
// FATAL event for each time that it begins: a store that takes no changes, a disk
// without space, analyses that all fail, an endpoint that takes nothing. What was told
// is recorded with the event, so that a restart does not tell it again. Where the event
// cannot even be recorded, it is sent without the store, best effort, and recorded as
// soon as that is possible.
package alarm

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Standing is what was wrong at the last look, by the type of its event: the ids of
// the resources. At the first look it is what stood when an earlier run ended.
type Standing map[anchore.EventType][]string

// has reports whether that trouble stands.
func (s Standing) has(kind anchore.EventType, resource string) bool {
	return slices.Contains(s[kind], resource)
}

// Condition looks at one part and returns an event for each thing that is fatally
// wrong with it now, none if all is well. It returns soon, and tells the same
// trouble as the same type and resource each time. What it cannot know now, as after
// a restart or without the store, is as it stood.
type Condition func(ctx context.Context, stood Standing) []anchore.Event

// Config is what a Watch is built from. Conditions and Raise are required.
type Config struct {
	Conditions []Condition
	// Raise records an event with its notifications, and that the trouble stands.
	Raise func(ctx context.Context, e anchore.Event) error
	// Record is Raise for an event that Direct has sent: it does not send it again.
	// Nil is Raise.
	Record func(ctx context.Context, e anchore.Event) error
	// Over records that the trouble of that type and resource is over. It may be called
	// for one that Raise did not record. Nil: nothing is recorded.
	Over func(ctx context.Context, kind anchore.EventType, resource string) error
	// Told is what Raise and Over have recorded in earlier runs: what stands is not told
	// again, and what is over is quiet as it would have been without a restart.
	Told []anchore.Trouble
	// Direct sends an event that could not be recorded, without the store, once. Nil: it
	// is only logged.
	Direct   func(ctx context.Context, e anchore.Event) error
	Wake     <-chan struct{} // hint: look now; nil gives none
	Interval time.Duration   // between two looks; 0 is half a minute
	Quiet    time.Duration   // after an event of a trouble that comes and goes, before the next; 0 is an hour
	Log      *slog.Logger    // nil discards
}

// Watch looks at the conditions. Run does; Standing may be called meanwhile.
type Watch struct {
	cfg      Config
	troubles map[trouble]state
	found    atomic.Pointer[[]anchore.Event] // by the last look
}

// trouble is one thing that is wrong.
type trouble struct {
	kind     anchore.EventType
	resource string
}

// state is what is known of a trouble that was found once.
type state struct {
	told    time.Time // by the last event
	stands  bool      // told, and not over
	pending bool      // told, and not recorded yet
	sent    bool      // without the store
	seen    bool      // by this run, while it stands
	found   bool      // at the last look
	unsaved bool      // it is over, which could not be recorded yet
}

// New builds a Watch. It looks at nothing.
func New(cfg Config) (*Watch, error) {
	if len(cfg.Conditions) == 0 || cfg.Raise == nil {
		return nil, errors.New("alarm.New: Conditions and Raise are required")
	}
	cfg.Interval = cmp.Or(cfg.Interval, 30*time.Second)
	if cfg.Record == nil {
		cfg.Record = cfg.Raise
	}
	cfg.Quiet = cmp.Or(cfg.Quiet, time.Hour)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watch{cfg: cfg, troubles: map[trouble]state{}}
	now := time.Now()
	for _, t := range cfg.Told {
		told := t.ToldAt
		if told.After(now) { // the clock was set back: it must not be quiet for longer than that
			told = now
		}
		w.troubles[trouble{t.Type, t.Resource}] = state{told: told, stands: t.Stands(), found: t.Stands()}
	}
	return w, nil
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.look(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-w.cfg.Wake:
		}
	}
	return nil
}

// look tells of every trouble that has begun since the last look, and notes which
// are over.
func (w *Watch) look(ctx context.Context) {
	events := w.ask(ctx)
	if ctx.Err() == nil {
		w.found.Store(&events)
	}
	found := map[trouble]bool{}
	for _, e := range events {
		if ctx.Err() != nil {
			return // a look that was cut short says nothing
		}
		t := trouble{e.Type, e.Resource.ID}
		found[t] = true
		w.troubles[t] = w.wrong(ctx, w.troubles[t], e)
	}
	for t, s := range w.troubles {
		if found[t] {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if s = w.well(ctx, t, s); s.unsaved || time.Since(s.told) < w.cfg.Quiet {
			w.troubles[t] = s
		} else {
			delete(w.troubles, t)
		}
	}
}

// Standing returns what is wrong, as the last look has found it: nothing before the
// first.
func (w *Watch) Standing() []anchore.Event {
	if events := w.found.Load(); events != nil {
		return slices.Clone(*events)
	}
	return nil
}

// ask asks every condition what is wrong.
func (w *Watch) ask(ctx context.Context) (events []anchore.Event) {
	stood := Standing{}
	for t, s := range w.troubles {
		if s.found {
			stood[t.kind] = append(stood[t.kind], t.resource)
		}
	}
	for _, condition := range w.cfg.Conditions {
		events = append(events, condition(ctx, stood)...)
	}
	return events
}

// wrong is the state of a trouble that a look has found. It tells of it unless that
// was done.
func (w *Watch) wrong(ctx context.Context, s state, e anchore.Event) state {
	now := time.Now()
	s.found = true
	switch {
	case s.stands && !s.seen:
		w.cfg.Log.Error("fatal, as told before the start: "+e.Message, "event", e.Type, "resource", e.Resource.ID, "details", e.Details, "told", s.told.UTC().Format(time.RFC3339))
	case s.pending:
		s.pending = w.record(ctx, s, e) != nil
	case s.stands:
	case !s.told.IsZero() && now.Sub(s.told) < w.cfg.Quiet:
		return s // it came back soon; told when the quiet is over, if it lasts
	default:
		s.told, s.stands, s.unsaved = now, true, false
		s.pending, s.sent = w.tell(ctx, e)
	}
	s.seen = true
	return s
}

// well is the state of a trouble that a look has not found. What ended is recorded,
// at a later look if it cannot be now.
func (w *Watch) well(ctx context.Context, t trouble, s state) state {
	ended := s.stands
	s.stands, s.seen, s.found, s.pending, s.sent = false, false, false, false, false
	if ended {
		s.unsaved = w.cfg.Over != nil
		w.cfg.Log.Info("a fatal trouble is over", "event", t.kind, "resource", t.resource)
	}
	if !s.unsaved {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	err := w.cfg.Over(ctx, t.kind, t.resource)
	if err != nil && ended {
		w.cfg.Log.Warn("the end of a fatal trouble could not be recorded; trying again", "event", t.kind, "resource", t.resource, "error", err)
	}
	s.unsaved = err != nil
	return s
}

// tellTime bounds what telling of one trouble, or recording its end, may take.
const tellTime = 15 * time.Second

// tell logs a trouble that has begun, and raises its event. It says whether that is
// still to be recorded, and whether it was sent without.
func (w *Watch) tell(ctx context.Context, e anchore.Event) (pending, sent bool) {
	e.Level = anchore.Fatal
	w.cfg.Log.Error("fatal: "+e.Message, "event", e.Type, "resource", e.Resource.ID, "details", e.Details)
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	err := w.cfg.Raise(ctx, e)
	if err == nil {
		return false, false
	}
	if w.cfg.Direct == nil {
		w.cfg.Log.Error("the fatal event could not be recorded; trying again", "event", e.Type, "error", err)
		return true, false
	}
	w.cfg.Log.Error("the fatal event could not be recorded; sending it to error_event without the store, once, and trying again", "event", e.Type, "error", err)
	if err := w.cfg.Direct(ctx, e); err != nil {
		w.cfg.Log.Error("the fatal event could not be sent either", "event", e.Type, "error", err)
		return true, false
	}
	return true, true
}

// record records a trouble that was told and stands, once that is possible.
func (w *Watch) record(ctx context.Context, s state, e anchore.Event) error {
	e.Level = anchore.Fatal
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	record := w.cfg.Raise
	if s.sent {
		record = w.cfg.Record
	}
	err := record(ctx, e)
	if err == nil {
		w.cfg.Log.Info("the fatal event is recorded now", "event", e.Type, "resource", e.Resource.ID)
	}
	return err
}
