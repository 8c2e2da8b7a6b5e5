package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// world is a watcher on the real catalog, store, intake and registry client. Its
// registries answer without a network, so that it lives in a synctest bubble.
type world struct {
	*testing.T
	catalog    *catalog.Catalog
	closeStore func() error
	intake     *intake.Intake
	client     *oci.Client
	watcher    *watch.Watcher
	registries map[string]*ocitest.Registry
	log        logged
	logins     logins
	config     watch.Config
	stop       func()
}

// logged is what was logged, for tests that read it while the watcher runs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type logins map[string]oci.Credential

func (l logins) Credential(_ context.Context, account string, _ anchore.Reference) (oci.Credential, error) {
	return l[account], nil
}

// RoundTrip sends a request to the registry of its host.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.registries[r.URL.Host].Transport().RoundTrip(r)
}

// newWorld starts a watcher. It ends with the bubble.
func newWorld(t *testing.T, cfg watch.Config, maxMB float64) *world {
	t.Helper()
	return newWorldOf(t, cfg, oci.Config{}, maxMB)
}

// newWorldOf is newWorld with a client that is configured so.
func newWorldOf(t *testing.T, cfg watch.Config, client oci.Config, maxMB float64) *world {
	t.Helper()
	w := &world{T: t, registries: map[string]*ocitest.Registry{"registry.test": ocitest.NewHandler(ocitest.Config{})}, logins: logins{}}
	base := t.TempDir()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(base, "db")})
	w.must(err)
	w.closeStore = s.Close
	t.Cleanup(func() { _ = s.Close() })
	blobs, err := dir.New(dir.Config{Path: filepath.Join(base, "blobs")})
	w.must(err)
	w.catalog, err = catalog.New(catalog.Config{Store: s, Blobs: blobs})
	w.must(err)
	for _, name := range []string{"admin", "team"} {
		w.must(w.catalog.CreateAccount(t.Context(), anchore.Account{Name: name}, "foobar"))
	}
	client.Transport, client.Credentials = w, w.logins
	w.client, err = oci.New(client)
	w.must(err)
	logger := slog.New(slog.NewTextHandler(&w.log, nil))
	w.intake, err = intake.New(intake.Config{Registry: w.client, Catalog: w.catalog, MaxSizeMB: maxMB, Logger: logger})
	w.must(err)
	cfg.Catalog, cfg.Registry, cfg.Intake, cfg.Log = w.catalog, w.client, w.intake, logger
	w.config = cfg
	w.watcher, err = watch.New(cfg)
	w.must(err)
	return w
}

// run starts the watcher, and ends it with the test.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.watcher.Run(ctx); err != nil {
			w.Errorf("Run: %v", err)
		}
	}()
	w.stop = func() { cancel(); <-done }
	w.Cleanup(w.stop)
}

// again starts a new watcher with what the one before has left in the store, as a
// start of the engine does.
func (w *world) again() {
	w.Helper()
	told, err := w.catalog.Troubles(w.Context())
	w.must(err)
	w.config.Down = nil
	for _, t := range told {
		if t.Stands() {
			w.config.Down = append(w.config.Down, t.Resource)
		}
	}
	w.watcher, err = watch.New(w.config)
	w.must(err)
	w.run()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) registry() *ocitest.Registry { return w.registries["registry.test"] }

func (w *world) ref(name string) anchore.Reference {
	w.Helper()
	ref, err := anchore.ParseReference("registry.test/" + name)
	w.must(err)
	return ref
}

// add is an image add of a tag, which subscribes to it.
func (w *world) add(account, name string) anchore.Image {
	w.Helper()
	img, err := w.intake.Add(w.Context(), intake.Request{Account: account, Ref: w.ref(name), AutoSubscribe: true})
	w.must(err)
	return img
}

func (w *world) push(name string, a ocitest.Artifact) ocitest.Artifact {
	w.Helper()
	w.registry().Push(w, name, a)
	return a
}

// wait lets time pass, and what it starts end.
func wait(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

// events lists the account's events of a type, oldest first, as "resource".
func (w *world) events(account string, kind anchore.EventType) []string {
	w.Helper()
	list, _, err := w.catalog.Events(w.Context(), account, catalog.EventFilter{Type: string(kind)}, 1, 100)
	w.must(err)
	ids := make([]string, 0, len(list))
	for _, e := range list {
		ids = append(ids, e.Resource.ID)
	}
	return ids
}

// current is the digest that the account has recorded for a tag.
func (w *world) current(account, name string) string {
	w.Helper()
	tags, _, err := w.catalog.WatchedTags(w.Context(), "", 0)
	w.must(err)
	for _, tag := range tags {
		if tag.Account == account && tag.Ref == w.ref(name) {
			return tag.Digest
		}
	}
	return ""
}

func (w *world) heads() int { return w.registry().Requests("HEAD", "/manifests/") }

func TestOneHeadPerCycleAndNoMoreForAnUnchangedTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(time.Minute)
		w.registry().Reset()
		wait(10 * time.Minute)
		if heads, all := w.heads(), w.registry().Requests("", ""); heads != 10 || all != 10 {
			t.Errorf("%d HEAD of %d requests in ten cycles, want 10 of 10", heads, all)
		}
		if text := w.log.String(); text != "" {
			t.Errorf("an unchanged tag was logged:\n%s", text)
		}
	})
}

func TestAMoveIsTakenWithinOneCycleAlsoBackAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Second}, 0)
		one, two := ocitest.Image(ocitest.Spec{}), ocitest.Image(ocitest.Spec{Version: "2"})
		w.push("app:latest", one)
		w.add("admin", "app:latest")
		w.run()
		wait(3 * time.Second)
		for i, a := range []ocitest.Artifact{two, one, two} {
			w.push("app:latest", a)
			wait(2 * time.Second)
			if got := w.current("admin", "app:latest"); got != a.Digest {
				t.Errorf("move %d: recorded %s, want %s", i, got, a.Digest)
			}
		}
		if got := w.events("admin", anchore.EventTagMoved); len(got) != 3 {
			t.Errorf("%d events of moves, want 3", len(got))
		}
	})
}

// TestLooksThatCross: an image add that was slow does not undo what another one has
// seen meanwhile.
func TestLooksThatCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Hour}, 0)
		one := w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
		defer w.registry().Inject(ocitest.Fault{Method: http.MethodGet, Path: "/blobs/", Delay: 10 * time.Second, Times: 1})()
		slow := make(chan anchore.Image)
		go func() { slow <- w.add("admin", "app:latest") }()
		wait(5 * time.Second) // it has the manifest of the second image
		three := w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "3"}))
		w.add("admin", "app:latest")
		if img := <-slow; img.Digest != three.Digest {
			t.Errorf("the slow add gave %s, want %s", img.Digest, three.Digest)
		}
		if got := w.current("admin", "app:latest"); got != three.Digest {
			t.Errorf("recorded %s, want %s", got, three.Digest)
		}
		moves, _, err := w.catalog.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventTagMoved)}, 1, 10)
		w.must(err)
		if len(moves) != 1 || moves[0].Details["last_digest"] != one.Digest || moves[0].Details["current_digest"] != three.Digest {
			t.Errorf("moves %+v; want one from %s to %s", moves, one.Digest, three.Digest)
		}
	})
}

// TestADeletedImageComesBackWithItsSubscription: the tag still names it, which is no
// move and no news.
func TestADeletedImageComesBackWithItsSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "1"}))
		w.add("admin", "app:latest")
		w.run()
		wait(2 * time.Minute)
		two := w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
		w.push("app:2", ocitest.Image(ocitest.Spec{Version: "2"}))
		w.add("admin", "app:2")
		wait(2 * time.Minute)
		w.must(w.catalog.DeleteImage(t.Context(), "admin", two.Digest, true))
		w.must(w.catalog.Sweep(t.Context()))
		wait(2 * time.Minute)
		if _, err := w.catalog.Image(t.Context(), "admin", two.Digest); anchore.KindOf(err) != anchore.NotFound {
			t.Fatalf("the image after its deletion: %v, want not found", err)
		}
		on := true
		for i, tag := range []string{"latest", "2"} {
			_, err := w.catalog.UpdateSubscription(t.Context(), "admin", anchore.SubscriptionID("admin", "registry.test/app:"+tag, anchore.TagUpdate), catalog.SubscriptionUpdate{Active: &on})
			w.must(err)
			wait(2 * time.Minute)
			img, err := w.catalog.Image(t.Context(), "admin", two.Digest)
			if err != nil || img.Status != anchore.NotAnalyzed || len(img.Tags) != i+1 {
				t.Errorf("the image that the tag %s still names: %v under %d tags, %v; want it to be analyzed, under %d", tag, img.Status, len(img.Tags), err, i+1)
			}
		}
		if got := w.events("admin", anchore.EventTagMoved); len(got) != 1 {
			t.Errorf("%d moves were told, want 1", len(got))
		}
		w.registry().Reset()
		wait(time.Hour)
		if heads, gets := w.heads(), w.registry().Requests("GET", ""); heads != 120 || gets != 0 {
			t.Errorf("%d HEAD and %d GET in an hour after that, want 120 and 0", heads, gets)
		}
	})
}

func TestAnInactiveSubscriptionCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Second}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(5 * time.Second)
		if w.heads() == 0 {
			t.Fatal("the active subscription was not looked at")
		}
		off := false
		id := anchore.SubscriptionID("admin", "registry.test/app:latest", anchore.TagUpdate)
		_, err := w.catalog.UpdateSubscription(t.Context(), "admin", id, catalog.SubscriptionUpdate{Active: &off})
		w.must(err)
		wait(2 * time.Second)
		w.registry().Reset()
		wait(time.Hour)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests for an inactive subscription, want 0", n)
		}
		if w.watcher.Hint("admin", w.ref("app:latest")) {
			t.Error("Hint says that a tag is watched whose subscription is inactive")
		}
		wait(time.Minute)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests after a hint for an inactive subscription, want 0", n)
		}
	})
}

func TestAccountsShareALookIfTheyShareACredential(t *testing.T) {
	for _, tc := range []struct {
		name  string
		team  oci.Credential
		heads int
	}{{"same", oci.Credential{}, 10}, {"own", oci.Credential{Username: "u", Password: "p"}, 20}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				w.logins["team"] = tc.team
				w.push("app:latest", ocitest.Image(ocitest.Spec{}))
				w.add("admin", "app:latest")
				w.add("team", "app:latest")
				w.run()
				wait(time.Minute)
				w.registry().Reset()
				wait(10 * time.Minute)
				if n := w.heads(); n != tc.heads {
					t.Errorf("%d HEAD in ten cycles, want %d", n, tc.heads)
				}
				two := w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
				wait(2 * time.Minute)
				for _, account := range []string{"admin", "team"} {
					if got := w.current(account, "app:latest"); got != two.Digest {
						t.Errorf("%s: recorded %s, want %s", account, got, two.Digest)
					}
				}
			})
		})
	}
}

// without has no account admin once it is deleted.
type without struct {
	oci.Credentials
	deleted *atomic.Bool
}

func (c without) Credential(ctx context.Context, account string, ref anchore.Reference) (oci.Credential, error) {
	if account == "admin" && c.deleted.Load() {
		return oci.Credential{}, anchore.E(anchore.NotFound, "test", "account %q not found", account).Because(catalog.ErrNoAccount)
	}
	return c.Credentials.Credential(ctx, account, ref)
}

// TestWhoSharesALookIsNotToldOfTheOthersLogin: before the set is read again an account
// of it may be deleted, or get another credential.
func TestWhoSharesALookIsNotToldOfTheOthersLogin(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int // that the registry has for admin's new credential; 0: admin is deleted
		gone   int // events of admin
		failed int
	}{{"deleted", 0, 0, 0}, {"may not see it", 404, 1, 0}, {"refused", 401, 0, 1}, {"forbidden", 403, 0, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				w.pushAll("1")
				deleted := new(atomic.Bool)
				var err error
				w.config.Registry, err = oci.New(oci.Config{Transport: w, Credentials: without{w.logins, deleted}})
				w.must(err)
				for _, account := range []string{"admin", "team"} {
					w.watchRepository(account, anchore.RepositoryWatch{})
					w.add(account, "team/app:1")
				}
				w.again()
				wait(2 * time.Minute)
				if tc.status == 0 {
					deleted.Store(true)
				} else {
					w.logins["admin"] = oci.Credential{Username: "u", Password: "p"}
					for _, path := range []string{"/manifests/", "/tags/list"} {
						defer w.registry().Inject(ocitest.Fault{Path: path, Status: tc.status, Times: 1})()
					}
				}
				w.push("team/app:1", ocitest.Image(ocitest.Spec{Version: "2"}))
				wait(90 * time.Second)
				for _, kind := range []anchore.EventType{anchore.EventTagDeleted, anchore.EventListTagsFailed, anchore.EventRegistryLookupFailed} {
					if got := w.events("team", kind); len(got) != 0 {
						t.Errorf("team was told %s of %v", kind, got)
					}
				}
				gone, failed := len(w.events("admin", anchore.EventTagDeleted)), len(w.events("admin", anchore.EventRegistryLookupFailed))
				if gone != tc.gone || failed != tc.failed {
					t.Errorf("admin was told %d times that the tag is gone and %d times that it failed, want %d and %d", gone, failed, tc.gone, tc.failed)
				}
				if got := w.events("team", anchore.EventTagMoved); len(got) != 1 {
					t.Errorf("team was told of %d moves, want 1", len(got))
				}
				for _, key := range []string{"registry.test/team/app", "registry.test/team/app:1"} {
					if look := w.watcher.TagLook("team", key); look.Error != "" {
						t.Errorf("%s: team is shown %q", key, look.Error)
					}
				}
			})
		})
	}
}

func TestTooManyRequestsHoldTheWholeRegistry(t *testing.T) {
	for name, fault := range map[string]func() ocitest.Fault{
		"seconds": func() ocitest.Fault { return ocitest.TooMany(10 * time.Minute) },
		"date":    func() ocitest.Fault { return ocitest.TooManyUntil(time.Now().Add(10 * time.Minute)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				other := ocitest.NewHandler(ocitest.Config{})
				w.registries["other.test"] = other
				for i := range 20 {
					name := fmt.Sprintf("app%d:latest", i)
					w.push(name, ocitest.Image(ocitest.Spec{}))
					w.add("admin", name)
				}
				w.must(other.Put("registry:2", ocitest.Image(ocitest.Spec{})))
				w.run()
				wait(2 * time.Minute)
				f := fault()
				f.Times = 1
				w.registry().Inject(f)
				w.registry().Reset()
				wait(9 * time.Minute)
				if n := w.registry().Requests("", ""); n > 2 {
					t.Errorf("%d requests while the registry wanted none, want the one refused", n)
				}
				status, _ := w.watcher.Status()
				if len(status) != 1 || status[0].Failures != 1 || status[0].Until.IsZero() {
					t.Errorf("Status = %+v, want one failure of the registry", status)
				}
				wait(3 * time.Minute)
				if n := w.heads(); n < 20 {
					t.Errorf("%d requests after the pause, want one for each of 20 tags at least", n)
				}
				if got := w.events("admin", anchore.EventRegistryDown); len(got) != 0 {
					t.Errorf("a limit was told as a registry that is down: %v", got)
				}
			})
		})
	}
}

func TestARegistryThatFailsBacksOffAloneAndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.registries["other.test"] = ocitest.NewHandler(ocitest.Config{})
		w.must(w.registries["other.test"].Put("app:latest", ocitest.Image(ocitest.Spec{})))
		_, _, err := w.catalog.AddSubscription(t.Context(), anchore.Subscription{Account: "admin", Key: "other.test/app:latest", Type: anchore.TagUpdate, Active: true})
		w.must(err)
		for i := range 10 {
			name := fmt.Sprintf("app%d:latest", i)
			w.push(name, ocitest.Image(ocitest.Spec{}))
			w.add("admin", name)
		}
		w.run()
		wait(2 * time.Minute)
		remove := w.registry().Inject(ocitest.Fault{Status: 502})
		w.registry().Reset()
		w.registries["other.test"].Reset()
		wait(time.Hour)
		if n := w.heads(); n > 15 {
			t.Errorf("%d requests to a dead registry in an hour, want few", n)
		}
		if n := w.registries["other.test"].Requests("HEAD", ""); n != 60 {
			t.Errorf("%d looks at the other registry in an hour, want 60", n)
		}
		if got := w.events("admin", anchore.EventRegistryDown); !cmp.Equal(got, []string{"registry.test"}) {
			t.Errorf("events of a registry down: %v, want one", got)
		}
		if n := strings.Count(w.log.String(), "\n"); n != 1 {
			t.Errorf("%d log lines, want 1:\n%s", n, w.log.String())
		}
		remove()
		wait(20 * time.Minute)
		if got := w.events("admin", anchore.EventRegistryUp); !cmp.Equal(got, []string{"registry.test"}) {
			t.Errorf("events of a registry up: %v, want one", got)
		}
		if look := w.watcher.TagLook("admin", "registry.test/app3:latest"); look.Error != "" || time.Since(look.Last) > time.Minute {
			t.Errorf("TagLook = %+v, want a look within the last cycle", look)
		}
	})
}

func TestALookThatFailedIsMadeAgainAfterThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: 24 * time.Hour}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(time.Second)
		w.registry().Inject(ocitest.Fault{Status: 502, Times: 2})
		w.registry().Reset()
		w.watcher.Hint("admin", w.ref("app:latest"))
		wait(20 * time.Second)
		if n := w.heads(); n != 3 {
			t.Errorf("%d looks at a tag whose registry failed twice, want one more than that", n)
		}
	})
}

// TestARegistryThatAnswersAgainIsAskedAsBefore: what waited for it is not asked for
// one after the other.
func TestARegistryThatAnswersAgainIsAskedAsBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute, PerHost: 4}, 0)
		for i := range 20 {
			name := fmt.Sprintf("app%d:latest", i)
			w.push(name, ocitest.Image(ocitest.Spec{}))
			w.add("admin", name)
		}
		w.run()
		wait(2 * time.Minute)
		remove := w.registry().Inject(ocitest.Fault{Status: 502})
		wait(time.Hour)
		remove()
		w.registry().Inject(ocitest.Fault{Delay: 10 * time.Second})
		w.registry().Reset()
		wait(16 * time.Minute)
		if heads, peak := w.heads(), w.registry().Peak(); heads < 20 || peak != 4 {
			t.Errorf("%d requests, %d at once, want one for each of 20 tags at least, 4 at once", heads, peak)
		}
	})
}

// TestATroubledSourceHoldsItsOwnTagsOnly: a registry has a mirror, and each tag stays
// with the one of the two that has it.
func TestATroubledSourceHoldsItsOwnTagsOnly(t *testing.T) {
	for _, tc := range []struct {
		name              string
		healthy, troubled string
		fault             ocitest.Fault
	}{
		{"the registry limits", "mirror.test", "registry.test", ocitest.TooMany(6 * time.Hour)},
		{"the registry fails", "mirror.test", "registry.test", ocitest.Fault{Status: http.StatusBadGateway}},
		{"the mirror fails", "registry.test", "mirror.test", ocitest.Fault{Status: http.StatusServiceUnavailable}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mirrored := oci.Config{Registries: map[string]oci.Registry{"registry.test": {Mirrors: []string{"mirror.test"}}}}
				w := newWorldOf(t, watch.Config{Interval: time.Minute}, mirrored, 0)
				w.registries["mirror.test"] = ocitest.NewHandler(ocitest.Config{})
				healthy, troubled := w.registries[tc.healthy], w.registries[tc.troubled]
				w.must(healthy.Put("lib/well:1", ocitest.Image(ocitest.Spec{})))
				w.must(troubled.Put("lib/ill:1", ocitest.Image(ocitest.Spec{})))
				w.add("admin", "lib/well:1")
				w.add("admin", "lib/ill:1")
				for i := range 8 { // that nobody has
					_, _, err := w.catalog.AddSubscription(t.Context(), anchore.Subscription{Account: "team", Key: fmt.Sprintf("registry.test/lib/none:%d", i), Type: anchore.TagUpdate, Active: true})
					w.must(err)
				}
				w.run()
				wait(2 * time.Minute)
				defer troubled.Inject(tc.fault)()
				wait(5 * time.Minute)
				two := ocitest.Image(ocitest.Spec{Version: "2"})
				w.must(healthy.Put("lib/well:1", two))
				wait(time.Minute)
				if got := w.current("admin", "lib/well:1"); got != two.Digest {
					t.Errorf("a move at the healthy source was not seen within a cycle: %s, want %s", got, two.Digest)
				}
				healthy.Reset()
				wait(10 * time.Minute)
				if n := healthy.Requests("HEAD", "lib/well"); n != 10 {
					t.Errorf("%d looks at the tag of the healthy source in ten cycles, want 10", n)
				}
				if got := w.events("admin", anchore.EventRegistryUp); len(got) != 0 {
					t.Errorf("told that %v answers again, which did not", got)
				}
			})
		})
	}
}

// TestAFailingStoreIsNotTheRegistrys: what the engine cannot record says nothing of
// the registry that it asked.
func TestAFailingStoreIsNotTheRegistrys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(time.Minute)
		w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
		w.must(w.closeStore())
		w.registry().Reset()
		wait(10 * time.Minute)
		registries, _ := w.watcher.Status()
		if len(registries) != 1 || registries[0].Failures != 0 || !registries[0].Until.IsZero() || w.heads() != 10 {
			t.Errorf("after %d looks that could not be recorded: %+v; want 10, and no failure of the registry", w.heads(), registries)
		}
	})
}

func TestOneBrokenRepositoryDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		for i := range 10 {
			name := fmt.Sprintf("app%d:latest", i)
			w.push(name, ocitest.Image(ocitest.Spec{}))
			w.add("admin", name)
		}
		w.run()
		w.registry().Inject(ocitest.Fault{Path: "/app3/", Status: 500})
		wait(time.Hour)
		for i := range 10 {
			look := w.watcher.TagLook("admin", fmt.Sprintf("registry.test/app%d:latest", i))
			if time.Since(look.Last) > 2*time.Minute || (look.Error != "") != (i == 3) {
				t.Errorf("app%d: %+v at %v, want a look in the last two cycles, an error for app3 alone", i, look, time.Now())
			}
		}
		if got := w.events("admin", anchore.EventRegistryDown); len(got) != 0 {
			t.Errorf("one broken repository was told as a registry that is down: %v", got)
		}
	})
}

func TestADeletedTagIsToldOnceAndAskedForLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		one := w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(2 * time.Minute)
		w.must(w.registry().Delete("app:latest"))
		w.registry().Reset()
		wait(24 * time.Hour)
		if n := w.heads(); n < 5 || n > 40 {
			t.Errorf("%d looks at a deleted tag in a day, want some, not 1440", n)
		}
		if got := w.events("admin", anchore.EventTagDeleted); len(got) != 1 {
			t.Errorf("%d events, want 1", len(got))
		}
		w.push("app:latest", one)
		wait(24 * time.Hour)
		w.registry().Reset()
		wait(10 * time.Minute)
		if n := w.heads(); n != 10 {
			t.Errorf("%d looks in ten cycles after the tag came back, want 10", n)
		}
		if got := w.events("admin", anchore.EventTagMoved); len(got) != 0 {
			t.Errorf("the same image under the tag again was told as a move: %v", got)
		}
	})
}

// forgetful is a catalog that does not take some times that a tag is gone.
type forgetful struct {
	watch.Catalog
	times int
}

func (f *forgetful) TagGone(ctx context.Context, account string, ref anchore.Reference, version uint64) (bool, error) {
	if f.times--; f.times >= 0 {
		return false, anchore.E(anchore.Unavailable, "test", "the disk is full").Because(store.Failing(errors.New("disk")))
	}
	return f.Catalog.TagGone(ctx, account, ref, version)
}

// TestADeletionThatWasNotRecordedIsToldByTheNextLook, and one that a look itself runs
// into, by that.
func TestADeletionThatWasNotRecordedIsToldByTheNextLook(t *testing.T) {
	for name, times := range map[string]int{"the store fails": 1, "between two requests": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
				w.config.Catalog = &forgetful{w.catalog, times}
				w.push("app:latest", ocitest.Image(ocitest.Spec{}))
				w.add("admin", "app:latest")
				w.again()
				wait(time.Minute)
				if times == 0 {
					w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
					defer w.registry().Inject(ocitest.Fault{Method: http.MethodGet, Path: "/manifests/latest", Status: http.StatusNotFound, Body: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, Times: 1})()
					wait(65 * time.Second)
				}
				w.must(w.registry().Delete("app:latest"))
				if times > 0 {
					wait(150 * time.Second)
				}
				if got := w.events("admin", anchore.EventTagDeleted); len(got) != 1 {
					t.Errorf("%d events, want 1", len(got))
				}
			})
		})
	}
}

// TestATagThatComesBackTooLarge is there, although its image is not taken.
func TestATagThatComesBackTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 1)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		w.must(w.registry().Delete("app:latest"))
		wait(time.Hour)
		w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2", Padding: 2 << 20}))
		wait(24 * time.Hour)
		for _, start := range []string{"the same run", "another run"} {
			w.registry().Reset()
			wait(10 * time.Minute)
			if n := w.heads(); n != 10 {
				t.Errorf("%s: %d looks in ten cycles after the tag came back, want 10", start, n)
			}
			w.stop()
			w.again()
			wait(time.Minute)
		}
		if got := w.events("admin", anchore.EventImageTooLarge); len(got) != 1 {
			t.Errorf("%d events, want 1", len(got))
		}
	})
}

// TestWhoSubscribesDuringALook is not taken for somebody who was told what it found.
func TestWhoSubscribesDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		one := w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(time.Minute)
		defer w.registry().Inject(ocitest.Fault{Method: http.MethodHead, Delay: 20 * time.Second, Times: 1})()
		for w.registry().Reset(); w.heads() == 0; {
			wait(time.Second) // until the slow look has begun
		}
		_, _, err := w.catalog.AddSubscription(t.Context(), anchore.Subscription{Account: "team", Key: "registry.test/app:latest", Type: anchore.TagUpdate, Active: true})
		w.must(err)
		wait(2 * time.Minute)
		for _, account := range []string{"admin", "team"} {
			if got := w.current(account, "app:latest"); got != one.Digest {
				t.Errorf("%s: recorded %q, want %s", account, got, one.Digest)
			}
		}
	})
}

func TestATooLargeImageIsToldOncePerDigestAndLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 1)
		one := w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(2 * time.Minute)
		w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2", Padding: 2 << 20}))
		wait(2 * time.Minute)
		w.registry().Reset()
		wait(10 * time.Minute)
		if gets := w.registry().Requests("GET", ""); gets != 0 {
			t.Errorf("%d pulls of a refused image, want 0", gets)
		}
		if got := w.events("admin", anchore.EventImageTooLarge); len(got) != 1 {
			t.Errorf("%d events, want 1", len(got))
		}
		if log := w.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "service=catalog") {
			t.Errorf("log, want one error of the catalog:\n%s", log)
		}
		if got := w.current("admin", "app:latest"); got != one.Digest {
			t.Errorf("the tag's state changed to %s, want %s", got, one.Digest)
		}
	})
}

func TestARebuiltIndexIsRecordedAndNobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		img := ocitest.Image(ocitest.Spec{})
		w.push("app:latest", ocitest.Attested("1", img))
		w.add("admin", "app:latest")
		w.run()
		wait(2 * time.Minute)
		w.push("app:latest", ocitest.Attested("2", img))
		wait(2 * time.Minute)
		w.registry().Reset()
		wait(10 * time.Minute)
		if gets := w.registry().Requests("GET", ""); gets != 0 {
			t.Errorf("%d pulls of a rebuilt index that was seen, want 0", gets)
		}
		if got := w.events("admin", anchore.EventTagMoved); len(got) != 0 || w.current("admin", "app:latest") != img.Digest {
			t.Errorf("a rebuilt index was told as a move: %v", got)
		}
	})
}

func TestHintLooksNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Hour}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.run()
		wait(time.Second)
		two := w.push("app:latest", ocitest.Image(ocitest.Spec{Version: "2"}))
		if !w.watcher.Hint("admin", w.ref("app:latest")) {
			t.Error("Hint says that the tag is not watched")
		}
		synctest.Wait()
		if got := w.current("admin", "app:latest"); got != two.Digest {
			t.Errorf("recorded %s after the hint, want %s", got, two.Digest)
		}
		// A hint that is faster than the news of its subscription is not lost.
		w.push("new:latest", two)
		_, _, err := w.catalog.AddSubscription(t.Context(), anchore.Subscription{Account: "admin", Key: "registry.test/new:latest", Type: anchore.TagUpdate, Active: true})
		w.must(err)
		w.watcher.Hint("admin", w.ref("new:latest"))
		wait(2 * time.Second)
		if got := w.current("admin", "new:latest"); got != two.Digest {
			t.Errorf("new tag: recorded %s after the hint, want %s", got, two.Digest)
		}
	})
}

// What a look refuses shows at once, to each account, and no longer than it is refused.
func TestARefusalShowsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: 10 * time.Second}, 1)
		big, small := ocitest.Image(ocitest.Spec{Padding: 2 << 20}), ocitest.Image(ocitest.Spec{Version: "2"})
		arm := ocitest.Index(ocitest.Image(ocitest.Spec{Platform: anchore.Platform{OS: "linux", Architecture: "arm64"}}))
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.add("team", "app:latest")
		w.run()
		wait(11 * time.Second)
		for i, step := range []struct {
			what ocitest.Artifact
			says string // "" if it is taken
		}{
			{big, "Image size is too large"}, {arm, "linux/amd64"}, {big, "Image size is too large"},
			{small, ""}, {big, "Image size is too large"}, {small, ""},
		} {
			w.push("app:latest", step.what)
			wait(11 * time.Second)
			for _, account := range []string{"admin", "team"} {
				look := w.watcher.TagLook(account, "registry.test/app:latest")
				if (look.Error == "") != (step.says == "") || !strings.Contains(look.Error, step.says) {
					t.Errorf("step %d: the last error of %s is %q, want %q", i, account, look.Error, step.says)
				}
			}
			w.registry().Reset()
			wait(20 * time.Second)
			if n := w.registry().Requests("GET", ""); n != 0 {
				t.Errorf("step %d: %d pulls for what is settled, want 0", i, n)
			}
		}
		if got := w.events("admin", anchore.EventImageTooLarge); len(got) != 1 {
			t.Errorf("%d events of images that are too large, want 1: the same image under the same limit is no news", len(got))
		}
	})
}

// Docker Hub tells with each answer how many pulls are left, and a look is none.
func TestAUsedUpAllowanceOfPullsStopsNoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.registry().Inject(ocitest.Fault{Header: http.Header{
			"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"0;w=21600"}, "Ratelimit-Reset": {"3600"},
		}})
		w.run()
		wait(time.Minute)
		w.registry().Reset()
		wait(10 * time.Minute)
		if n := w.heads(); n != 10 {
			t.Errorf("%d looks in ten cycles, want 10", n)
		}
	})
}

func TestLooksAreSpreadAndBoundedAndARestartMakesNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute, PerHost: 2}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		for i := range 120 {
			_, _, err := w.catalog.AddSubscription(t.Context(), anchore.Subscription{Account: "admin", Key: fmt.Sprintf("registry.test/app%d:latest", i), Type: anchore.TagUpdate, Active: true})
			w.must(err)
		}
		w.run()
		synctest.Wait()
		for second := range 60 {
			w.registry().Reset()
			wait(time.Second)
			if n := w.heads(); n > 10 {
				t.Errorf("second %d: %d looks, want about 2", second, n)
			}
		}
		if peak := w.registry().Peak(); peak > 2 {
			t.Errorf("%d requests at once, want 2 at most", peak)
		}
	})
}

func TestRefusedCredentialsAreToldOncePerTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.registry().Inject(ocitest.Fault{Status: 403})
		w.run()
		wait(10 * time.Minute)
		if got := w.events("admin", anchore.EventRegistryLookupFailed); len(got) != 1 {
			t.Errorf("%d events, want 1", len(got))
		}
		if look := w.watcher.TagLook("admin", "registry.test/app:latest"); look.Error == "" || look.Last.IsZero() || look.Next.IsZero() {
			t.Errorf("TagLook = %+v, want times and an error", look)
		}
	})
}

// TestALookThatFailsIsToldOnceOverRestarts: for each account, until the look works or
// fails for another reason.
func TestALookThatFailsIsToldOnceOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute}, 0)
		w.push("app:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "app:latest")
		w.add("team", "app:latest")
		w.run()
		fault, remove := 0, func() {}
		for i, step := range []struct {
			status  int // that the registry answers with, 0 for what is true
			restart bool
			want    int // events so far of each account
		}{
			{403, false, 1}, {403, true, 1}, {403, true, 1},
			{502, false, 1}, {403, false, 1}, {502, true, 1}, {403, true, 1}, // the registry's own trouble says nothing of the tag
			{0, true, 1}, {403, false, 2}, {0, false, 2}, {0, true, 2}, {403, true, 3},
		} {
			if step.restart {
				w.stop()
			}
			if step.status != fault {
				remove()
				fault, remove = step.status, func() {}
				if fault != 0 {
					remove = w.registry().Inject(ocitest.Fault{Status: fault})
				}
			}
			if step.restart {
				w.again()
			}
			wait(20 * time.Minute)
			for _, account := range []string{"admin", "team"} {
				if got := len(w.events(account, anchore.EventRegistryLookupFailed)); got != step.want {
					t.Errorf("step %d, %d: %s has %d events, want %d", i, step.status, account, got, step.want)
				}
			}
		}
	})
}

// reading is a catalog that is told when the watched tags were read, and may say that
// they cannot be.
type reading struct {
	watch.Catalog
	read func() error // nil: nobody is told
}

func (r *reading) WatchedTags(ctx context.Context, after string, limit int) ([]catalog.WatchedTag, string, error) {
	tags, next, err := r.Catalog.WatchedTags(ctx, after, limit)
	if done := r.read; done != nil && err == nil {
		r.read, err = nil, done()
	}
	return tags, next, err
}

// TestAHintWhileTheSetIsRead: a tag that is subscribed to, and hinted at, after its page
// was read, or before a reading that fails, is looked at as soon as it is known.
func TestAHintWhileTheSetIsRead(t *testing.T) {
	for name, why := range map[string]error{"that succeeds": nil, "that fails": errors.New("the store does not serve")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, watch.Config{Interval: 24 * time.Hour}, 0)
				set := &reading{Catalog: w.catalog}
				w.config.Catalog = set
				w.push("app:latest", ocitest.Image(ocitest.Spec{}))
				subscribe := func() {
					w.add("admin", "app:latest")
					w.registry().Reset()
					w.watcher.Hint("admin", w.ref("app:latest"))
				}
				set.read = func() error {
					if why == nil {
						subscribe()
					}
					return why
				}
				var err error
				w.watcher, err = watch.New(w.config)
				w.must(err)
				if why != nil {
					subscribe()
				}
				w.run()
				wait(time.Minute)
				if n := w.heads(); n != 1 {
					t.Errorf("%d looks at the tag within a minute, want one", n)
				}
			})
		})
	}
}
