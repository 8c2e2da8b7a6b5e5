// Package watch decides when to look at which tag, and looks: one HEAD per cycle
// for each tag that an active tag_update asks for, however many accounts with the
// same credentials do. What it finds changed it hands to intake; an unchanged tag
// costs no write. Repositories that an active repo_update asks for are listed in a
// cycle of their own, under the same limits.
package watch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// Catalog is what the watcher reads and records.
type Catalog interface {
	WatchedTags(ctx context.Context, after string, limit int) (tags []catalog.WatchedTag, next string, err error)
	SubscriptionsChanged() <-chan struct{}
	TagGone(ctx context.Context, account string, ref anchore.Reference, version uint64) (first bool, err error)
	TagLookFailed(ctx context.Context, account string, ref anchore.Reference, why error) (first bool, err error)
	TagLooked(ctx context.Context, account string, ref anchore.Reference) error
	TroubleBegan(ctx context.Context, e anchore.Event) error
	TroubleEnded(ctx context.Context, kind anchore.EventType, resource string, e anchore.Event) (ended bool, err error)
	repositories
}

// Registry is what the watcher asks of registries.
type Registry interface {
	// Head returns the digest of the document that the tag names.
	Head(ctx context.Context, account string, ref anchore.Reference) (digest string, err error)
	// Identity names the credentials with which the account asks for ref: accounts
	// of the same identity get the same answers.
	Identity(ctx context.Context, account string, ref anchore.Reference) (string, error)
	// ListTags returns the tags of ref's repository, sorted.
	ListTags(ctx context.Context, account string, ref anchore.Reference) ([]string, error)
	// Source names who is asked: the registry, a mirror, or all of them while it is not
	// known who of them has the tag. What fails holds those who are asked there, and no
	// others. It asks no registry.
	Source(ctx context.Context, account string, ref anchore.Reference) (string, error)
}

// Intake takes in what changed; see intake.Intake.
type Intake interface {
	Look(ctx context.Context, tag catalog.WatchedTag, digest, why string) (refused catalog.Refusal, err error)
	LookRepository(ctx context.Context, w catalog.WatchedRepository, tags []string) (more bool, err error)
}

// Config is what a Watcher is built from. Catalog, Registry and Intake are
// required.
type Config struct {
	Catalog  Catalog
	Registry Registry
	Intake   Intake

	Interval  time.Duration            // between two looks at a tag; 0 is five minutes, less switches the watcher off
	Intervals map[string]time.Duration // replaces Interval for single registries
	ListEvery time.Duration            // between two lists of a repository; 0 is one minute, less lists none
	Looks     int                      // at once, overall; 0 is 32
	PerHost   int                      // at once, in one registry; 0 is 8
	PerHosts  map[string]int           // replaces PerHost for single registries
	Down      []string                 // registries of which an earlier run told that they are down
	Log       *slog.Logger             // nil discards
	Metrics   *Metrics                 // nil counts nothing
}

const (
	defaultInterval = 5 * time.Minute
	defaultListing  = time.Minute
	defaultLooks    = 32
	defaultPerHost  = 8
	// reloadWait is the least time between two readings of the set of watched tags.
	reloadWait = 500 * time.Millisecond
	// reread is how often the set of watched tags is read without a hint, for
	// changes that another process made.
	reread = 5 * time.Minute
	// downAfter is how many failures in a row make a registry count as down.
	downAfter = 3
)

// Watcher looks at tags. Run works; the other methods may be called from many
// goroutines meanwhile.
type Watcher struct {
	cfg     Config
	nudge   chan struct{} // there may be something to start before Run turns by itself
	workers sync.WaitGroup

	mu      sync.Mutex
	targets map[string]*target // by key and identity
	byKey   map[string][]*target
	queue   dueQueue
	hosts   map[string]*host
	wishes  map[wish]bool // hints for what was not watched yet when they came
	running int
	lastRun time.Time // when the loop last turned
	wake    time.Time // when there is more to start, as it knows; zero if nothing waits for a time
}

// target is one tag, or one repository, asked for with one identity, for all its
// accounts.
type target struct {
	key     string // FullTag, or RepositoryName
	ref     anchore.Reference
	source  string                      // who is asked, see Registry
	tags    []catalog.WatchedTag        // one for each account
	repos   []catalog.WatchedRepository // the same of a repository
	rushed  time.Time                   // of a repository: the change after which it was listed at once
	next    time.Time
	place   int // in the queue, -1 if it is not there
	waiting bool
	looking bool
	hinted  bool // look again, with this cause, as soon as possible

	lastLook time.Time
	lastErr  string
	retries  int // failures of the registry in this turn
}

// wish is a hint for a tag that may just have been subscribed to: the set that is
// known does not have it, the next one may.
type wish struct{ account, key string }

// maxWishes bounds what hints for unknown tags can cost.
const maxWishes = 1000

// host is one registry.
type host struct {
	name     string
	ready    []*target // due, in the order in which they became so
	running  int
	targets  int       // how many it has
	failures int       // in a row
	several  bool      // of these failures were of different targets
	failed   *target   // the last one
	held     time.Time // nothing is asked before
	reason   string
	limited  bool // the last failure was that it asked to wait
	told     bool // that it is down
	stood    bool // an earlier run told so, and it has not answered since

	unwatched time.Time // since when it has no targets, zero if it has
}

// job is one look: the target, and what was known of it when the look began.
type job struct {
	target *target
	host   *host
	tags   []catalog.WatchedTag
	repos  []catalog.WatchedRepository
	why    string
}

// account is the one that the look is made with.
func (j job) account() string { return accountOf(j.tags, j.repos) }

// result is what came of a look.
type result struct {
	tags    []catalog.WatchedTag // that the answer counts for
	digest  string
	gone    map[string]bool            // of a tag: it is recorded now that it is gone, by account
	failed  map[string]string          // of a tag: what is now recorded in WatchedTag.Failed, by account, where it changed
	refused map[string]catalog.Refusal // the same of WatchedTag.Refusal
	more    bool                       // of a repository: there is more to take at once
	err     error
}

// concerns reports whether the answer counts for the account, probably in the ith
// place.
func (r result) concerns(i int, account string) bool {
	return i < len(r.tags) && r.tags[i].Account == account ||
		slices.ContainsFunc(r.tags, func(tag catalog.WatchedTag) bool { return tag.Account == account })
}

// New builds a Watcher.
func New(cfg Config) (*Watcher, error) {
	if cfg.Catalog == nil || cfg.Registry == nil || cfg.Intake == nil {
		return nil, errors.New("watch.New: Catalog, Registry and Intake are required")
	}
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	cfg.ListEvery = cmp.Or(cfg.ListEvery, defaultListing)
	cfg.Looks = cmp.Or(cfg.Looks, defaultLooks)
	cfg.PerHost = cmp.Or(cfg.PerHost, defaultPerHost)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{
		cfg: cfg, nudge: make(chan struct{}, 1),
		targets: map[string]*target{}, byKey: map[string][]*target{}, hosts: map[string]*host{}, wishes: map[wish]bool{},
	}
	for _, registry := range cfg.Down {
		w.hosts[registry] = &host{name: registry, stood: true}
	}
	return w, nil
}

// interval is the time between two looks at a tag of the registry; 0 or less is
// never.
func (w *Watcher) interval(registry string) time.Duration {
	if d, ok := w.cfg.Intervals[registry]; ok {
		return d
	}
	return w.cfg.Interval
}

func (w *Watcher) perHost(registry string) int {
	return cmp.Or(w.cfg.PerHosts[registry], w.cfg.PerHost)
}

// Run looks at tags until ctx ends, and returns when the looks under way have
// ended.
func (w *Watcher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var readAt time.Time // of the watched set
	stale := true
	for ctx.Err() == nil {
		now := time.Now()
		stale = stale || w.wished()
		if stale && now.Sub(readAt) >= reloadWait || now.Sub(readAt) >= reread {
			if err := w.reload(ctx, now); err != nil && ctx.Err() == nil {
				w.cfg.Log.Error("the watched tags could not be read; trying again", "error", err)
			} else {
				stale = false
			}
			readAt = now
		}
		wake := w.start(ctx, now)
		if stale {
			wake = earlier(wake, readAt.Add(reloadWait))
		}
		timer.Reset(time.Until(earlier(wake, readAt.Add(reread))))
		select {
		case <-ctx.Done():
		case <-w.cfg.Catalog.SubscriptionsChanged():
			stale = true
		case <-w.nudge:
		case <-timer.C:
		}
	}
	w.workers.Wait()
	return nil
}

func (w *Watcher) wished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.wishes) > 0
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// reload reads the set of watched tags. What is known of a tag that stays, stays.
func (w *Watcher) reload(ctx context.Context, now time.Time) error {
	w.mu.Lock()
	asked := w.wishes // what is added from now on may miss this reading
	w.wishes = map[wish]bool{}
	w.mu.Unlock()
	found, err := w.read(ctx)
	w.mu.Lock()
	if err != nil {
		maps.Copy(w.wishes, asked)
		w.mu.Unlock()
		return err
	}
	w.replace(found, asked, now)
	w.mu.Unlock()
	w.forgetDown(ctx, now)
	return nil
}

// target returns the one of found that is asked for with the account's credentials, a
// new one if there is none.
func (w *Watcher) target(ctx context.Context, found map[string]*target, account string, ref anchore.Reference, key string) (*target, error) {
	identity, err := w.cfg.Registry.Identity(ctx, account, ref)
	if err != nil {
		return nil, err
	}
	id := key + "\x00" + identity
	if found[id] == nil {
		found[id] = &target{key: key, ref: ref, place: -1}
	}
	return found[id], nil
}

// read returns what is watched, by key and identity.
func (w *Watcher) read(ctx context.Context) (map[string]*target, error) {
	found := map[string]*target{}
	for after := ""; ; {
		tags, next, err := w.cfg.Catalog.WatchedTags(ctx, after, 0)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			if w.interval(tag.Ref.Registry) <= 0 {
				continue
			}
			t, err := w.target(ctx, found, tag.Account, tag.Ref, tag.Ref.FullTag())
			if err != nil {
				return nil, err
			}
			t.tags = append(t.tags, tag)
		}
		if after = next; after == "" {
			break
		}
	}
	if err := w.readRepositories(ctx, found); err != nil {
		return nil, err
	}
	for _, t := range found {
		source, err := w.cfg.Registry.Source(ctx, t.account(), t.ref)
		if err != nil {
			return nil, err
		}
		t.source = source
	}
	return found, nil
}

// replace makes found the set of targets, and grants what was asked for before it was
// read.
func (w *Watcher) replace(found map[string]*target, asked map[wish]bool, now time.Time) {
	for id, old := range w.targets {
		if fresh := found[id]; fresh != nil {
			old.tags, old.repos, old.source = fresh.tags, fresh.repos, fresh.source
			found[id] = old
			continue
		}
		old.tags, old.repos = nil, nil // a look that runs, or waits in its host's queue, comes to nothing
		w.queue.remove(old)
	}
	known := w.byKey
	w.targets = found
	w.byKey = make(map[string][]*target, len(found))
	for _, h := range w.hosts {
		h.targets = 0
	}
	for _, t := range found {
		w.byKey[t.key] = append(w.byKey[t.key], t)
		w.host(t.source).targets++
	}
	for name, h := range w.hosts {
		switch {
		case h.targets > 0:
			h.unwatched = time.Time{}
		case h.unwatched.IsZero():
			h.unwatched = now
		case h.idle(now):
			delete(w.hosts, name)
		}
	}
	w.grant(asked)
	for _, t := range found {
		if t.place < 0 && !t.waiting && !t.looking {
			w.schedule(t, now)
		}
		w.rush(t, len(known[t.key]) > 0, now)
	}
	w.cfg.Metrics.watched(len(found))
}

// grant turns the wishes for what is watched now into hints.
func (w *Watcher) grant(asked map[wish]bool) {
	for want := range asked {
		for _, t := range w.byKey[want.key] {
			if t.concerns(want.account) {
				w.hint(t)
			}
		}
	}
}

// schedule puts the target back in the queue for its next look.
func (w *Watcher) schedule(t *target, now time.Time) {
	t.retries = 0
	if !t.wanted() {
		return
	}
	interval := w.interval(t.ref.Registry)
	if len(t.repos) > 0 {
		interval = w.listing(t.ref.Registry)
	}
	t.next = nextLook(t.key, interval, t.goneSince(), now)
	w.queue.add(t)
}

// account is the one that the target is asked for with.
func (t *target) account() string { return accountOf(t.tags, t.repos) }

func accountOf(tags []catalog.WatchedTag, repos []catalog.WatchedRepository) string {
	if len(repos) > 0 {
		return repos[0].Account
	}
	return tags[0].Account
}

// wanted reports whether any account still asks for the target.
func (t *target) wanted() bool { return len(t.tags) > 0 || len(t.repos) > 0 }

// goneSince is since when the registry does not have the tag, or does not list the
// repository, zero if any account has seen it.
func (t *target) goneSince() time.Time {
	var since time.Time
	for _, repo := range t.repos {
		if repo.FailedSince.IsZero() {
			return time.Time{}
		}
		since = repo.FailedSince
	}
	for _, tag := range t.tags {
		if tag.GoneSince.IsZero() {
			return time.Time{}
		}
		since = tag.GoneSince
	}
	return since
}

// start starts as many looks as the limits allow, and returns when there is more to
// start, zero if nothing waits for a time.
func (w *Watcher) start(ctx context.Context, now time.Time) (wake time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastRun = now
	for j, ok := w.take(now); ok; j, ok = w.take(now) {
		w.workers.Go(func() { w.work(ctx, j) })
	}
	for _, h := range w.hosts {
		if len(h.ready) > 0 && h.held.After(now) {
			wake = earlier(wake, h.held)
		}
	}
	if t := w.queue.first(); t != nil {
		wake = earlier(wake, t.next)
	}
	w.wake = wake
	return wake
}

// take moves what is due to its registry's queue and begins a look that the limits
// allow, if there is one.
func (w *Watcher) take(now time.Time) (j job, ok bool) {
	for t := w.queue.first(); t != nil && !t.next.After(now); t = w.queue.first() {
		w.queue.remove(t)
		w.enqueue(t)
	}
	for _, h := range w.hosts {
		for w.running < w.cfg.Looks && len(h.ready) > 0 && h.running < w.allowed(h, now) {
			t := h.ready[0]
			h.ready = h.ready[1:]
			t.waiting = false
			if t.wanted() {
				return w.begin(h, t, now), true
			}
		}
	}
	return job{}, false
}

// allowed is how many looks may run at once in the registry: none while it is to
// be left alone, then one to see whether it answers again.
func (w *Watcher) allowed(h *host, now time.Time) int {
	switch {
	case h.held.After(now):
		return 0
	case h.failures > 0:
		return 1
	}
	return w.perHost(h.name)
}

// host returns what is kept of the registry, or the mirror, of that name.
func (w *Watcher) host(name string) *host {
	h := w.hosts[name]
	if h == nil {
		h = &host{name: name}
		w.hosts[name] = h
	}
	return h
}

// enqueue lets the target wait for its registry.
func (w *Watcher) enqueue(t *target) {
	h := w.host(t.source)
	t.waiting = true
	if t.hinted {
		h.ready = append([]*target{t}, h.ready...) // somebody waits for it
		return
	}
	h.ready = append(h.ready, t)
}

// begin counts a look at the target as running.
func (w *Watcher) begin(h *host, t *target, now time.Time) job {
	if !t.hinted {
		w.cfg.Metrics.late(now.Sub(t.next))
	}
	t.looking = true
	h.running++
	w.running++
	j := job{target: t, host: h, tags: t.tags, repos: t.repos, why: "watcher"}
	if t.hinted {
		j.why, t.hinted = "hint", false
	}
	return j
}

// work makes a look, and then those that may begin because it has ended. A goroutine
// for each look would cost more than all that the watcher does for it: its stack has
// to grow for the request, each time anew.
func (w *Watcher) work(ctx context.Context, j job) {
	for more := true; more; {
		w.finish(ctx, j, w.look(ctx, j))
		j, more = w.next(ctx, j)
	}
}

// next ends a look and begins another one if it may.
func (w *Watcher) next(ctx context.Context, ended job) (j job, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended.host.running--
	w.running--
	if ctx.Err() != nil {
		return job{}, false
	}
	return w.take(time.Now())
}

// look asks for what the job is about.
func (w *Watcher) look(ctx context.Context, j job) (r result) {
	if len(j.repos) > 0 {
		r.more, r.err = w.list(ctx, j.target.ref, j.repos)
		return r
	}
	r.err = w.lookAt(ctx, &r, j)
	return r
}

// lookAt asks for the tag's digest and hands over what changed, for each account.
// A failure that is the tag's own is told of once.
func (w *Watcher) lookAt(ctx context.Context, r *result, j job) error {
	for r.tags = j.tags; ; {
		digest, err := w.cfg.Registry.Head(ctx, r.tags[0].Account, j.target.ref)
		if err == nil {
			r.digest = digest
			return w.handOver(ctx, r, j.why)
		}
		same, rest := alike(ctx, w, j.target.ref, r.tags, err, func(tag catalog.WatchedTag) string { return tag.Account })
		if err = w.notLookedAt(ctx, r, same, err); len(rest) == 0 {
			return err
		}
		r.tags = rest
	}
}

// handOver hands over what a look found, for each account that it counts for.
func (w *Watcher) handOver(ctx context.Context, r *result, why string) (err error) {
	for i, tag := range r.tags {
		if tag.TagDigest != r.digest || !tag.GoneSince.IsZero() || tag.Refusal.TagDigest != "" {
			refused, e := w.cfg.Intake.Look(ctx, tag, r.digest, why)
			if errors.Is(e, catalog.ErrNoAccount) {
				continue // deleted meanwhile; the others' look is as good
			}
			if e != nil {
				err = errors.Join(err, w.notLookedAt(ctx, r, r.tags[i:i+1], e))
				continue
			}
			r.refuses(tag, refused)
		}
		if tag.Failed != "" {
			w.lookedAt(ctx, r, tag)
		}
	}
	return err
}

// alike divides those that asking the first of them failed for with why, in those for
// whom that is the answer, and the rest: since the set was read the first one may have
// been deleted, or have got another credential, of which the others know nothing. What
// the registry itself fails at is everybody's.
func alike[T any](ctx context.Context, w *Watcher, ref anchore.Reference, all []T, why error, account func(T) string) (same, rest []T) {
	switch {
	case errors.Is(why, catalog.ErrNoAccount):
		return all[:1], all[1:]
	case len(all) == 1, isHostFailure(why), errors.Is(why, catalog.ErrStoreFailing), ctx.Err() != nil:
		return all, nil
	}
	asked, err := w.cfg.Registry.Identity(ctx, account(all[0]), ref)
	for i, one := range all {
		id, e := w.cfg.Registry.Identity(ctx, account(one), ref)
		if i == 0 || err == nil && e == nil && id == asked {
			same = append(same, one)
		} else {
			rest = append(rest, one)
		}
	}
	return same, rest
}

// refuses notes that what a tag names is refused, or, if refused is zero, that it is
// not.
func (r *result) refuses(tag catalog.WatchedTag, refused catalog.Refusal) {
	if refused.Reason == tag.Refusal.Reason && refused.TagDigest == tag.Refusal.TagDigest && refused.Limit == tag.Refusal.Limit {
		return
	}
	if r.refused == nil {
		r.refused = map[string]catalog.Refusal{}
	}
	r.refused[tag.Account] = refused
}

// gone records that the registry does not have a tag, and notes in a result for whom:
// what is not recorded is tried again by the next look.
func (w *Watcher) gone(ctx context.Context, r *result, tags []catalog.WatchedTag) error {
	var errs error
	for _, tag := range tags {
		if !tag.GoneSince.IsZero() {
			continue
		}
		_, err := w.cfg.Catalog.TagGone(ctx, tag.Account, tag.Ref, tag.Version)
		if errors.Is(err, catalog.ErrSeenMeanwhile) {
			continue // this answer is the older one
		}
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		if r.gone == nil {
			r.gone = map[string]bool{}
		}
		r.gone[tag.Account] = true
	}
	return errs
}
