// Package alarm looks for what keeps the engine from doing its work and raises one
// FATAL event for each time that it begins: a store that takes no changes, a disk
// without space, analyses that all fail, an endpoint that takes nothing. Where the
// event cannot even be recorded, it is sent without the store, best effort.
package alarm

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Condition looks at one part and returns an event for each thing that is fatally
// wrong with it now, none if all is well. It returns soon, and tells the same
// trouble as the same type and resource each time.
type Condition func(ctx context.Context) []anchore.Event

// Config is what a Watch is built from. Conditions and Raise are required.
type Config struct {
	Conditions []Condition
	// Raise records an event with its notifications.
	Raise func(ctx context.Context, e anchore.Event) error
	// Direct sends an event that could not be recorded, without the store. Nil: it is
	// only logged.
	Direct   func(ctx context.Context, e anchore.Event) error
	Wake     <-chan struct{} // hint: look now; nil gives none
	Interval time.Duration   // between two looks; 0 is half a minute
	Quiet    time.Duration   // after an event of a trouble that comes and goes, before the next; 0 is an hour
	Log      *slog.Logger    // nil discards
}

// Watch looks at the conditions. Only Run may use it.
type Watch struct {
	cfg    Config
	active map[trouble]bool      // told, and not over
	told   map[trouble]time.Time // when, also of those that are over
}

// trouble is one thing that is wrong.
type trouble struct {
	kind     anchore.EventType
	resource string
}

// New builds a Watch. It looks at nothing.
func New(cfg Config) (*Watch, error) {
	if len(cfg.Conditions) == 0 || cfg.Raise == nil {
		return nil, errors.New("alarm.New: Conditions and Raise are required")
	}
	cfg.Interval = cmp.Or(cfg.Interval, 30*time.Second)
	cfg.Quiet = cmp.Or(cfg.Quiet, time.Hour)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watch{cfg: cfg, active: map[trouble]bool{}, told: map[trouble]time.Time{}}, nil
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

// look tells of every trouble that has begun since the last look.
func (w *Watch) look(ctx context.Context) {
	now := time.Now()
	found := map[trouble]bool{}
	for _, condition := range w.cfg.Conditions {
		for _, e := range condition(ctx) {
			t := trouble{e.Type, e.Resource.ID}
			found[t] = true
			if w.active[t] || ctx.Err() != nil {
				continue
			}
			if last, ok := w.told[t]; ok && now.Sub(last) < w.cfg.Quiet {
				continue // it came back soon; told when the quiet is over, if it lasts
			}
			w.active[t], w.told[t] = true, now
			w.tell(ctx, e)
		}
	}
	for t := range w.active {
		if !found[t] {
			delete(w.active, t)
			w.cfg.Log.Info("a fatal trouble is over", "event", t.kind, "resource", t.resource)
		}
	}
}

// tellTime bounds what telling of one trouble may take.
const tellTime = 15 * time.Second

func (w *Watch) tell(ctx context.Context, e anchore.Event) {
	e.Level = anchore.Fatal
	w.cfg.Log.Error("fatal: "+e.Message, "event", e.Type, "resource", e.Resource.ID, "details", e.Details)
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	err := w.cfg.Raise(ctx, e)
	if err == nil || w.cfg.Direct == nil {
		if err != nil {
			w.cfg.Log.Error("the fatal event could not be recorded", "event", e.Type, "error", err)
		}
		return
	}
	w.cfg.Log.Error("the fatal event could not be recorded; sending it to error_event without the store, once", "event", e.Type, "error", err)
	if err := w.cfg.Direct(ctx, e); err != nil {
		w.cfg.Log.Error("the fatal event could not be sent either", "event", e.Type, "error", err)
	}
}
