package watch_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// TestARegistryThatIsDownOverRestarts: what was told is not told again by the next
// run, and what ended meanwhile is.
func TestARegistryThatIsDownOverRestarts(t *testing.T) {
	type step struct {
		what     string // down, up: the registry; stop, start: the engine; off, on: the subscription; "": time passes
		wait     time.Duration
		down, up int // events so far
	}
	const minute = time.Minute
	for name, steps := range map[string][]step{
		"it stands": {
			{"down", time.Hour, 1, 0}, {"stop", minute, 1, 0}, {"start", time.Hour, 1, 0}, {"stop", minute, 1, 0}, {"start", time.Hour, 1, 0},
			{"up", time.Hour, 1, 1}, {"stop", minute, 1, 1}, {"start", time.Hour, 1, 1}, {"down", time.Hour, 2, 1},
		},
		"it answers while the engine is down": {
			{"down", time.Hour, 1, 0}, {"stop", 0, 1, 0}, {"up", minute, 1, 0}, {"start", 2 * minute, 1, 1}, {"stop", minute, 1, 1}, {"start", time.Hour, 1, 1},
		},
		"it answered for a while, the engine being down": {
			{"down", time.Hour, 1, 0}, {"stop", 0, 1, 0}, {"up", minute, 1, 0}, {"down", minute, 1, 0}, {"start", time.Hour, 1, 0}, {"up", time.Hour, 1, 1},
		},
		"it fails after a restart, too rarely to be told": {
			{"down", time.Hour, 1, 0}, {"up", time.Hour, 1, 1}, {"stop", 0, 1, 1}, {"down", minute, 1, 1}, {"start", time.Second, 1, 1}, {"up", time.Hour, 1, 1},
		},
		"nothing is watched there any more": {
			{"down", time.Hour, 1, 0}, {"stop", 0, 1, 0}, {"off", minute, 1, 0}, {"start", 2 * time.Hour, 1, 0}, {"stop", 0, 1, 0},
			{"up", minute, 1, 0}, {"on", 0, 1, 0}, {"start", time.Hour, 1, 0}, // who told so is forgotten
		},
		"its subscription is off for a while": {
			{"down", time.Hour, 1, 0}, {"off", minute, 1, 0}, {"on", time.Hour, 1, 0}, {"stop", 0, 1, 0}, {"off", 0, 1, 0},
			{"start", minute, 1, 0}, {"on", time.Hour, 1, 0}, {"up", time.Hour, 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				w.push("app:latest", ocitest.Image(ocitest.Spec{}))
				w.add("admin", "app:latest")
				w.run()
				wait(2 * time.Minute)
				repair := func() {}
				for i, s := range steps {
					switch s.what {
					case "down":
						repair = w.registry().Inject(ocitest.Fault{Status: 502})
					case "up":
						repair()
					case "stop":
						w.stop()
					case "start":
						w.again()
					case "off", "on":
						active := s.what == "on"
						id := anchore.SubscriptionID("admin", "registry.test/app:latest", anchore.TagUpdate)
						_, err := w.catalog.UpdateSubscription(t.Context(), "admin", id, catalog.SubscriptionUpdate{Active: &active})
						w.must(err)
					}
					wait(s.wait)
					down, up := len(w.events("admin", anchore.EventRegistryDown)), len(w.events("admin", anchore.EventRegistryUp))
					if down != s.down || up != s.up {
						t.Errorf("step %d, %s: down was told %d times and up %d times, want %d and %d", i, s.what, down, up, s.down, s.up)
					}
					if n := strings.Count(w.log.String(), "a registry answers again"); n != s.up {
						t.Errorf("step %d, %s: the log says %d times that it answers again, want %d", i, s.what, n, s.up)
					}
				}
			})
		})
	}
}

// failing is a catalog whose store takes no troubles.
type failing struct {
	watch.Catalog
	fails atomic.Bool
}

func (f *failing) TroubleBegan(ctx context.Context, e anchore.Event) error {
	if f.fails.Load() {
		return anchore.E(anchore.Unavailable, "test", "the disk is full")
	}
	return f.Catalog.TroubleBegan(ctx, e)
}

func (f *failing) TroubleEnded(ctx context.Context, kind anchore.EventType, resource string, e anchore.Event) (bool, error) {
	if f.fails.Load() {
		return false, anchore.E(anchore.Unavailable, "test", "the disk is full")
	}
	return f.Catalog.TroubleEnded(ctx, kind, resource, e)
}

// TestWhatTheStoreDidNotTakeIsToldLater: both that a registry is down and that it
// answers, in this order.
func TestWhatTheStoreDidNotTakeIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		f := &failing{Catalog: w.catalog}
		w.config.Catalog = f
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.again()
		repair := w.registry().Inject(ocitest.Fault{Status: 502})
		for i, step := range []struct {
			fails    bool
			down, up int
		}{{true, 0, 0}, {false, 1, 0}, {true, 1, 0}, {false, 1, 1}} {
			if i == 2 {
				repair()
			}
			f.fails.Store(step.fails)
			wait(time.Hour)
			down, up := len(w.events("admin", anchore.EventRegistryDown)), len(w.events("admin", anchore.EventRegistryUp))
			if down != step.down || up != step.up {
				t.Errorf("step %d: down was told %d times and up %d times, want %d and %d", i, down, up, step.down, step.up)
			}
			if n := strings.Count(w.log.String(), "a registry answers again"); n != step.up {
				t.Errorf("step %d: the log says %d times that it answers again, want %d", i, n, step.up)
			}
		}
	})
}

// TestARegistryThatIsNotWatchedIsForgotten: users name registries, and what failed
// there is not shown, nor kept, for ever.
func TestARegistryThatIsNotWatchedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(2 * time.Minute)
		w.registry().Inject(ocitest.Fault{Status: 502})
		wait(time.Minute)
		off := false
		_, err := w.catalog.UpdateSubscription(t.Context(), "admin", anchore.SubscriptionID("admin", "registry.test/app:latest", anchore.TagUpdate), catalog.SubscriptionUpdate{Active: &off})
		w.must(err)
		for _, s := range []struct {
			wait  time.Duration
			shown int
		}{{30 * time.Minute, 1}, {45 * time.Minute, 0}} {
			wait(s.wait)
			if shown, _ := w.watcher.Status(); len(shown) != s.shown {
				t.Errorf("%v later Status is %+v, want %d", s.wait, shown, s.shown)
			}
		}
	})
}

// untold has no credential for the account team: that ends with why.
type untold struct {
	oci.Credentials
	why error
}

func (u untold) Credential(ctx context.Context, account string, ref anchore.Reference) (oci.Credential, error) {
	if account == "team" {
		return oci.Credential{}, u.why
	}
	return u.Credentials.Credential(ctx, account, ref)
}

// TestALookThatDidNotAskIsNoAnswer: what ends before a registry is asked says nothing
// of it, and so ends no outage.
func TestALookThatDidNotAskIsNoAnswer(t *testing.T) {
	for name, why := range map[string]error{
		"a password that cannot be decrypted": anchore.E(anchore.Forbidden, "test", "set it again").Because(anchore.ErrNotAsked),
		"an account that is deleted":          anchore.E(anchore.NotFound, "test", "account not found").Because(catalog.ErrNoAccount),
		"a store that fails":                  anchore.E(anchore.Unavailable, "test", "the disk is full").Because(store.Failing(errors.New("disk"))),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				for _, tag := range []string{"app:1", "app:2", "app:3"} {
					w.push(tag, ocitest.Image(ocitest.Spec{}))
					w.add("admin", tag)
				}
				w.add("team", "app:1")
				var err error
				w.config.Registry, err = oci.New(oci.Config{Transport: w, Credentials: untold{w.logins, why}})
				w.must(err)
				w.again()
				wait(2 * time.Minute)
				repair := w.registry().Inject(ocitest.Fault{Status: 502})
				wait(24 * time.Hour)
				repair()
				wait(time.Hour)
				down, up := len(w.events("admin", anchore.EventRegistryDown)), len(w.events("admin", anchore.EventRegistryUp))
				if down != 1 || up != 1 {
					t.Errorf("down was told %d times and up %d times, want once each", down, up)
				}
			})
		})
	}
}
