package watch

import (
	"context"
	"errors"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// isHostFailure reports whether an error says something about the registry rather
// than about one tag.
func isHostFailure(err error) bool {
	kind := anchore.KindOf(err)
	return err != nil && (kind == anchore.Unavailable || kind == anchore.Limited) && !saysNothing(err)
}

// saysNothing reports whether a look ended before its registry was asked, for want of
// the engine's own store, or because the account that it was made for was deleted.
func saysNothing(err error) bool {
	return errors.Is(err, anchore.ErrNotAsked) || errors.Is(err, catalog.ErrNoAccount) || errors.Is(err, catalog.ErrStoreFailing)
}

// outcome counts a success or failure of the registry and returns the event that
// it calls for, "" if none. What ends while the registry is left alone was begun
// before: it neither counts again nor ends the pause. What did not ask it is neither.
func (h *host) outcome(t *target, err error, interval time.Duration, now time.Time) anchore.EventType {
	held := h.held.After(now)
	if !isHostFailure(err) {
		if held || saysNothing(err) {
			return ""
		}
		up := h.told || h.stood
		h.failures, h.several, h.failed, h.held, h.reason, h.told, h.stood = 0, false, nil, time.Time{}, "", false, false
		if up {
			return anchore.EventRegistryUp
		}
		return ""
	}
	asked := anchore.AfterOf(err)
	h.several = h.several || h.failed != nil && h.failed != t
	h.failed, h.reason, h.limited = t, anchore.MessageOf(err), anchore.KindOf(err) == anchore.Limited
	if held {
		if until := now.Add(asked); until.After(h.held) {
			h.held = until
		}
		return ""
	}
	h.failures++
	h.held = now.Add(backoff(h.failures, interval, asked))
	if h.failures < downAfter || h.told || anchore.KindOf(err) == anchore.Limited || !h.several && h.targets > 1 {
		return ""
	}
	h.told = true
	return anchore.EventRegistryDown
}

// tellDown raises the event that a registry is down, seen being its state now. One
// that an earlier run has told so is only logged. What was not recorded is told with
// the next failure.
func (w *Watcher) tellDown(ctx context.Context, h *host, seen host) {
	w.cfg.Log.Warn("a registry does not answer", "registry", seen.name, "reason", seen.reason)
	if seen.stood {
		return
	}
	err := w.cfg.Catalog.TroubleBegan(ctx, anchore.Event{
		Type: anchore.EventRegistryDown, Level: anchore.Failure, Service: "catalog", Resource: registryResource(seen.name),
		Message: "Registry does not answer; its tags are not watched until it does",
		Details: map[string]any{"msg": seen.reason, "failures": seen.failures},
	})
	w.unrecorded(ctx, h, err, func() { h.told = false })
}

// tellUp raises the event that a registry answers again, if one told that it did
// not, and says so in the log, where its failure was a warning. What was not recorded is told with the next answer.
func (w *Watcher) tellUp(ctx context.Context, h *host) {
	_, err := w.cfg.Catalog.TroubleEnded(ctx, anchore.EventRegistryDown, h.name, anchore.Event{
		Type: anchore.EventRegistryUp, Level: anchore.Info, Service: "catalog", Resource: registryResource(h.name),
		Message: "Registry answers again",
	})
	if err == nil {
		w.cfg.Log.Info("a registry answers again", "registry", h.name)
	}
	w.unrecorded(ctx, h, err, func() { h.stood = true })
}

// unrecorded undoes in a registry's state what an error says was not recorded.
func (w *Watcher) unrecorded(ctx context.Context, h *host, err error, undo func()) {
	if err == nil {
		return
	}
	w.mu.Lock()
	undo()
	w.mu.Unlock()
	if ctx.Err() == nil {
		w.cfg.Log.Error("the event of a registry was not recorded", "registry", h.name, "error", err)
	}
}

func registryResource(registry string) anchore.Resource {
	return anchore.Resource{Type: "registry", ID: registry}
}

// forgetAfter is how long nothing must be watched at a registry before what was told
// of it, and then all that is known of it, is forgotten: longer than somebody takes
// who changes subscriptions.
const forgetAfter = time.Hour

// idle reports whether nothing has been watched at the registry for so long, and
// nothing is to be told of it.
func (h *host) idle(now time.Time) bool {
	return now.Sub(h.unwatched) >= forgetAfter && len(h.ready) == 0 && h.running == 0 && !h.told && !h.stood && !h.held.After(now)
}

// forgetDown ends, without an event, what was told of registries that nothing is
// watched at any more: nobody would learn that they answer again. What cannot be
// recorded is tried again with the next reading of the watched set.
func (w *Watcher) forgetDown(ctx context.Context, now time.Time) {
	for _, h := range w.forgettable(now) {
		_, err := w.cfg.Catalog.TroubleEnded(ctx, anchore.EventRegistryDown, h.name, anchore.Event{})
		if err != nil {
			if ctx.Err() == nil {
				w.cfg.Log.Error("that a registry is watched no more was not recorded", "registry", h.name, "error", err)
			}
			continue
		}
		w.mu.Lock()
		h.told, h.stood = false, false
		w.mu.Unlock()
	}
}

func (w *Watcher) forgettable(now time.Time) (list []*host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		if h.targets == 0 && (h.told || h.stood) && now.Sub(h.unwatched) >= forgetAfter {
			list = append(list, h)
		}
	}
	return list
}
