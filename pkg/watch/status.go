package watch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// retriesPerTurn is how often one target is asked for again because its registry
// failed, while the registry does not count as down: a single repository that is
// broken must not hold up the others for ever.
const retriesPerTurn = 3

// finish records what came of a look, and lets the registry be or asks it on. What
// is to be told is told before the look counts as ended, so that a registry that is
// down is asked again only after that.
func (w *Watcher) finish(ctx context.Context, j job, r result) {
	now := time.Now()
	w.mu.Lock()
	t, h := j.target, j.host
	t.looking = false
	if errors.Is(r.err, context.Canceled) { // we stop; it says nothing about the registry
		w.mu.Unlock()
		return
	}
	before := t.lastErr
	t.lastLook, t.lastErr = now, ""
	if r.err != nil {
		t.lastErr = anchore.MessageOf(r.err)
	}
	failed := h.failures > 0
	told := h.outcome(t, r.err, w.interval(h.name), now)
	t.learn(r, now)
	if isHostFailure(r.err) && !h.told && anchore.KindOf(r.err) == anchore.Unavailable {
		t.retries++
	}
	switch {
	case t.wanted() && (t.hinted || r.more):
		t.retries = 0
		w.enqueue(t)
	case isHostFailure(r.err) && t.wanted() && t.retries < retriesPerTurn:
		w.enqueue(t) // its turn is not over: it waits until the registry answers
	default:
		w.schedule(t, now)
	}
	// More than one look may begin if the registry answers again, and the time at
	// which the next one may has come nearer.
	if failed || r.err != nil || t.place >= 0 && (w.wake.IsZero() || t.next.Before(w.wake)) {
		w.turn()
	}
	failures, reason, tags := h.failures, h.reason, t.tags
	if r.err != nil {
		tags = slices.Clone(tags) // the next look may learn meanwhile
	}
	w.mu.Unlock()
	w.cfg.Metrics.look(t.ref.Registry, r.err)
	if told != "" {
		w.tell(context.WithoutCancel(ctx), t.ref.Registry, told, failures, reason)
	}
	if kind := anchore.KindOf(r.err); r.err != nil && !isHostFailure(r.err) && kind != anchore.NotFound && anchore.MessageOf(r.err) != before {
		w.lookFailed(context.WithoutCancel(ctx), tags, r.err)
	}
}

// lookFailed raises the event of a tag that cannot be looked at, for each account
// and once until it can or fails for another reason.
func (w *Watcher) lookFailed(ctx context.Context, tags []catalog.WatchedTag, why error) {
	for _, tag := range tags {
		e := anchore.LookupFailure(tag.Ref, why)
		e.Account = tag.Account
		if err := w.cfg.Catalog.Raise(ctx, e); err != nil && ctx.Err() == nil {
			w.cfg.Log.Error("the event of a failed look was not recorded", "tag", tag.Ref.FullTag(), "error", err)
		}
	}
}

// learn notes what a look found, until the set of watched tags is read again.
func (t *target) learn(r result, now time.Time) {
	for i := range t.tags {
		tag := &t.tags[i]
		switch {
		case anchore.KindOf(r.err) == anchore.NotFound && r.err != nil:
			if tag.GoneSince.IsZero() {
				tag.GoneSince = now
			}
		case r.err == nil:
			tag.GoneSince = time.Time{}
			if tag.Refusal.TagDigest == "" {
				tag.TagDigest = r.digest
			}
		}
	}
}

// isHostFailure reports whether an error says something about the registry rather
// than about one tag.
func isHostFailure(err error) bool {
	kind := anchore.KindOf(err)
	return err != nil && (kind == anchore.Unavailable || kind == anchore.Limited)
}

// outcome counts a success or failure of the registry and returns the event that
// it calls for, "" if none. What ends while the registry is left alone was begun
// before: it neither counts again nor ends the pause.
func (h *host) outcome(t *target, err error, interval time.Duration, now time.Time) anchore.EventType {
	held := h.held.After(now)
	if !isHostFailure(err) {
		if held {
			return ""
		}
		up := h.told
		h.failures, h.several, h.failed, h.held, h.reason, h.told = 0, false, nil, time.Time{}, "", false
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

// tell raises the event that a registry is down or up, once for each time.
func (w *Watcher) tell(ctx context.Context, registry string, what anchore.EventType, failures int, reason string) {
	e := anchore.Event{
		Type: what, Level: anchore.Info, Service: "catalog", Message: "Registry answers again",
		Resource: anchore.Resource{Type: "registry", ID: registry},
	}
	if what == anchore.EventRegistryDown {
		e.Level, e.Message = anchore.Failure, "Registry does not answer; its tags are not watched until it does"
		e.Details = map[string]any{"msg": reason, "failures": failures}
		w.cfg.Log.Warn("a registry does not answer", "registry", registry, "reason", reason)
	}
	if err := w.cfg.Catalog.Raise(ctx, e); err != nil && ctx.Err() == nil {
		w.cfg.Log.Error("the event of a registry was not recorded", "registry", registry, "error", err)
	}
}

// Hint makes the watcher look at a tag of the account now, or, if ref has no tag, at
// all watched tags of a repository and at its list, and reports whether any is watched. A tag that
// is not is looked at if the next reading of the watched set has it: somebody may
// have just subscribed to it.
func (w *Watcher) Hint(account string, ref anchore.Reference) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := false
	for _, t := range w.named(ref) {
		if t.concerns(account) {
			found = true
			w.hint(t)
		}
	}
	if !found && ref.Tag != "" && len(w.wishes) < maxWishes {
		w.wishes[wish{account, ref.FullTag()}] = true
	}
	w.turn()
	return found
}

// turn makes Run see what may begin.
func (w *Watcher) turn() {
	select {
	case w.nudge <- struct{}{}:
	default: // it is told already
	}
}

// named returns the targets of a tag, or of a repository if ref has no tag.
func (w *Watcher) named(ref anchore.Reference) []*target {
	if ref.Tag != "" {
		return w.byKey[ref.FullTag()]
	}
	var list []*target
	for _, t := range w.targets {
		if t.ref.RepositoryName() == ref.RepositoryName() {
			list = append(list, t)
		}
	}
	return list
}

// hint puts the target before what waits for its registry.
func (w *Watcher) hint(t *target) {
	t.hinted = true
	if !t.waiting && !t.looking {
		w.queue.remove(t)
		w.enqueue(t)
	}
}

func (t *target) concerns(account string) bool {
	for _, tag := range t.tags {
		if tag.Account == account {
			return true
		}
	}
	for _, repo := range t.repos {
		if repo.Account == account {
			return true
		}
	}
	return false
}

// Look is what is known of the looks at one tag.
type Look struct {
	Last    time.Time // zero if none since the start
	Changed time.Time // when the tag was last seen to move
	Next    time.Time // zero if it is not watched
	Error   string    // of the last look, for the user
}

// TagLook returns what is known of the looks at a tag of the account, or at a
// repository, whose list has no time of change.
func (w *Watcher) TagLook(account, key string) Look {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.byKey[key] {
		if !t.concerns(account) {
			continue
		}
		look := Look{Last: t.lastLook, Next: t.next, Error: t.lastErr}
		if h := w.hosts[t.ref.Registry]; h != nil && h.held.After(look.Next) {
			look.Next = h.held
			if t.waiting && (h.limited || h.told) { // it waits because of its registry
				look.Error = cmp.Or(look.Error, h.reason)
			}
		}
		for _, tag := range t.tags {
			if tag.Account == account {
				look.Changed, look.Error = tag.ChangedAt, cmp.Or(look.Error, tag.Refusal.Message)
			}
		}
		return look
	}
	return Look{}
}

// RegistryStatus is how a registry is doing.
type RegistryStatus struct {
	Registry string
	Waiting  int       // tags that are due and wait
	Failures int       // looks in a row to which it gave no answer
	Until    time.Time // it is left alone until then; zero if it is not
	Reason   string    // of the last failure
}

// Status returns how each registry that is watched is doing, by name, and when the
// watcher last turned.
func (w *Watcher) Status() (registries []RegistryStatus, lastRun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		registries = append(registries, RegistryStatus{Registry: h.name, Waiting: len(h.ready), Failures: h.failures, Until: h.held, Reason: h.reason})
	}
	slices.SortFunc(registries, func(a, b RegistryStatus) int { return cmp.Compare(a.Registry, b.Registry) })
	return registries, w.lastRun
}
