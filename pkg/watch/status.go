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
	source, err := w.cfg.Registry.Source(ctx, j.account(), j.target.ref) // as the look has left it
	now := time.Now()
	w.mu.Lock()
	t, h := j.target, j.host
	t.looking = false
	if err == nil && source != t.source && t.wanted() {
		w.host(t.source).targets--
		w.host(source).targets++
		t.source = source
	}
	if r.err == nil {
		h = w.host(t.source) // who answered; asked were perhaps others before
	}
	if errors.Is(r.err, context.Canceled) { // we stop; it says nothing about the registry
		w.mu.Unlock()
		return
	}
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
	seen := *h
	w.mu.Unlock()
	w.cfg.Metrics.look(t.ref.Registry, r.err)
	ctx = context.WithoutCancel(ctx) // what was found is told also while the engine stops
	switch told {
	case anchore.EventRegistryDown:
		w.tellDown(ctx, h, seen)
	case anchore.EventRegistryUp:
		w.tellUp(ctx, h)
	}
}

// notLookedAt tells of tags that are gone or cannot be looked at, each account once
// until they can or it fails for another reason, and returns why.
func (w *Watcher) notLookedAt(ctx context.Context, r *result, tags []catalog.WatchedTag, why error) error {
	if isHostFailure(why) || errors.Is(why, catalog.ErrNoAccount) || ctx.Err() != nil {
		return why // says nothing of the tag
	}
	if anchore.KindOf(why) == anchore.NotFound && !saysNothing(why) {
		return errors.Join(why, w.gone(ctx, r, tags))
	}
	reason := anchore.MessageOf(why)
	for _, tag := range tags {
		if tag.Failed == reason {
			continue
		}
		_, err := w.cfg.Catalog.TagLookFailed(ctx, tag.Account, tag.Ref, why)
		w.learned(ctx, r, tag, reason, err)
	}
	return why
}

// lookedAt records that a tag can be looked at again.
func (w *Watcher) lookedAt(ctx context.Context, r *result, tag catalog.WatchedTag) {
	w.learned(ctx, r, tag, "", w.cfg.Catalog.TagLooked(ctx, tag.Account, tag.Ref))
}

// learned notes in a result what is recorded of a tag now, unless that failed: then
// the next look tries again.
func (w *Watcher) learned(ctx context.Context, r *result, tag catalog.WatchedTag, reason string, err error) {
	switch {
	case err == nil:
		if r.failed == nil {
			r.failed = map[string]string{}
		}
		r.failed[tag.Account] = reason
	case ctx.Err() == nil:
		w.cfg.Log.Error("what came of a look was not recorded", "account", tag.Account, "tag", tag.Ref.FullTag(), "error", err)
	}
}

// learn notes what a look found, until the set of watched tags is read again. An
// account that subscribed while the look ran was not handed what it found.
func (t *target) learn(r result, now time.Time) {
	for i := range t.tags {
		tag := &t.tags[i]
		if reason, changed := r.failed[tag.Account]; changed {
			tag.Failed = reason
		}
		if refusal, changed := r.refused[tag.Account]; changed {
			tag.Refusal = refusal
		}
		if r.gone[tag.Account] {
			tag.GoneSince = now
		}
		if r.err == nil && r.concerns(i, tag.Account) {
			tag.GoneSince = time.Time{}
			if tag.Refusal.TagDigest == "" {
				tag.TagDigest = r.digest
			}
		}
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
		if h := w.hosts[t.source]; h != nil && h.held.After(look.Next) {
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
	Limited  bool      // that failure was that it allows no more requests for now
}

// Status returns how each registry that is watched is doing, by name, and when the
// watcher last turned.
func (w *Watcher) Status() (registries []RegistryStatus, lastRun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		if h.targets == 0 && h.failures == 0 {
			continue
		}
		registries = append(registries, RegistryStatus{Registry: h.name, Waiting: len(h.ready), Failures: h.failures, Until: h.held, Reason: h.reason, Limited: h.limited})
	}
	slices.SortFunc(registries, func(a, b RegistryStatus) int { return cmp.Compare(a.Registry, b.Registry) })
	return registries, w.lastRun
}
