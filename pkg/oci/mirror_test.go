package oci_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// hosts is a transport with a registry for each host, without a network.
type hosts map[string]*ocitest.Registry

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	reg := h[r.URL.Host]
	if reg == nil {
		return nil, fmt.Errorf("no such host %s", r.URL.Host)
	}
	return reg.Transport().RoundTrip(r)
}

// sources is a store of tags' sources that outlives a client.
type sources struct {
	mu     sync.Mutex
	known  map[string]string
	writes int
}

func (s *sources) TagSource(_ context.Context, account string, ref anchore.Reference) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[account+" "+ref.String()], nil
}

func (s *sources) SetTagSource(_ context.Context, account string, ref anchore.Reference, source string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[account+" "+ref.String()] = source
	s.writes++
	return nil
}

var (
	oldImage = ocitest.Image(ocitest.Spec{Revision: "old"})
	newImage = ocitest.Image(ocitest.Spec{Revision: "new"})
)

// mirrored is a hub that is ahead of its mirror, which knows the hub's
// repositories below proxy/.
func mirrored(t *testing.T) (hub, mirror *ocitest.Registry, cfg oci.Config, kept *sources) {
	t.Helper()
	hub, mirror = ocitest.NewHandler(ocitest.Config{}), ocitest.NewHandler(ocitest.Config{})
	hub.Push(t, "library/app:1", newImage)
	mirror.Push(t, "proxy/library/app:1", oldImage)
	kept = &sources{known: map[string]string{}}
	return hub, mirror, oci.Config{
		Transport:  hosts{"registry-1.docker.io": hub, "mirror.test": mirror},
		Registries: map[string]oci.Registry{"docker.io": {Mirrors: []string{"mirror.test/proxy"}}}, Sources: kept,
	}, kept
}

func head(t *testing.T, c *oci.Client, ref string) string {
	t.Helper()
	return headOf(t, c, "admin", ref)
}

func headOf(t *testing.T, c *oci.Client, account, ref string) string {
	t.Helper()
	got, err := c.Head(t.Context(), account, mustRef(t, ref))
	if err != nil {
		return anchore.KindOf(err).String()
	}
	return map[string]string{oldImage.Digest: "old", newImage.Digest: "new"}[got]
}

// TestLaggingMirror: the mirror answers first, so it is the tag's source; while it
// is down for a moment the hub's newer digest must not show up and vanish again.
func TestLaggingMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, mirror, cfg, kept := mirrored(t)
		c := newClient(t, cfg)
		var seen []string
		look := func(wait time.Duration) {
			time.Sleep(wait)
			seen = append(seen, head(t, c, "app:1"))
		}
		look(0)
		repair := mirror.Inject(ocitest.Fault{Status: 503})
		look(5 * time.Minute)
		look(5 * time.Minute)
		repair()
		look(5 * time.Minute)
		limited := mirror.Inject(ocitest.TooMany(time.Minute)) // is no failure, however long
		look(0)
		look(time.Hour)
		look(time.Hour)
		look(time.Hour)
		limited()
		want := []string{"old", "unavailable", "unavailable", "old", "limited", "limited", "limited", "limited"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("a short failure (-want +got):\n%s", diff)
		}
		if kept.writes != 1 {
			t.Errorf("%d writes, want 1", kept.writes)
		}
		// Down for good: the tag goes over to the hub, once, and stays there.
		seen = nil
		repair = mirror.Inject(ocitest.Fault{Status: 503})
		look(0)
		look(5 * time.Minute)
		look(5 * time.Minute)
		look(5 * time.Minute)
		look(5 * time.Minute)
		repair()
		look(5 * time.Minute)
		want = []string{"unavailable", "unavailable", "unavailable", "new", "new", "new"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("a long failure (-want +got):\n%s", diff)
		}
		// After a restart too: the mirror stands first again and still lags.
		if got := head(t, newClient(t, cfg), "app:1"); got != "new" || kept.writes != 2 {
			t.Errorf("after a restart the tag names the %s image, %d writes; want the new one and 2", got, kept.writes)
		}
	})
}

// TestMirrorDownForAll: a scheduler that asks a failing registry for one tag after
// the other, seldom, has each tag go over as soon as the mirror has been down for
// long, and not one by one after each has failed for long itself.
func TestMirrorDownForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, mirror, cfg, _ := mirrored(t)
		c := newClient(t, cfg)
		for _, tag := range []string{"1", "2", "3", "4"} {
			hub.Push(t, "library/app:"+tag, newImage)
			mirror.Push(t, "proxy/library/app:"+tag, oldImage)
			if got := head(t, c, "app:"+tag); got != "old" {
				t.Fatalf("app:%s is %s", tag, got)
			}
		}
		mirror.Inject(ocitest.Fault{Status: 503})
		var seen []string
		for _, tag := range []string{"1", "2", "3", "4", "1"} {
			seen = append(seen, head(t, c, "app:"+tag))
			time.Sleep(8 * time.Minute)
		}
		if diff := cmp.Diff([]string{"unavailable", "unavailable", "new", "new", "new"}, seen); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	})
}

// refused is a store of credentials that has none for the account broken, if why says so.
type refused struct{ why error }

func (r *refused) Credential(_ context.Context, account string, _ anchore.Reference) (oci.Credential, error) {
	if account == "broken" {
		return oci.Credential{}, r.why
	}
	return oci.Credential{}, nil
}

// TestALoginsTroubleIsNotItsSources: what a source does not let one account do says
// nothing of what it does for others, who stay with it.
func TestALoginsTroubleIsNotItsSources(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		why    error
		end    string // of the account with the trouble
	}{
		{"unauthorized", 401, nil, "new"},
		{"forbidden", 403, nil, "new"},
		{"no login to show", 0, anchore.E(anchore.Forbidden, "test", "set it again").Because(anchore.ErrNotAsked), "forbidden"},
		{"no store to ask", 0, anchore.E(anchore.Unavailable, "test", "the disk is full"), "unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub, mirror, cfg, _ := mirrored(t)
				hub.Push(t, "library/broken:1", newImage)
				mirror.Push(t, "proxy/library/broken:1", oldImage)
				login := &refused{}
				cfg.Credentials = login
				c := newClient(t, cfg)
				look := func(account, ref string) string { return headOf(t, c, account, ref) }
				if one, two := look("admin", "app:1"), look("broken", "broken:1"); one != "old" || two != "old" {
					t.Fatalf("app:1 is %s and broken:1 %s", one, two)
				}
				if login.why = tc.why; tc.status != 0 {
					mirror.Inject(ocitest.Fault{Path: "/broken/", Status: tc.status})
				}
				var end string
				for range 4 {
					end = look("broken", "broken:1")
					time.Sleep(6 * time.Minute)
				}
				if end != tc.end {
					t.Errorf("the tag with the trouble is %s in the end, want %s", end, tc.end)
				}
				mirror.Inject(ocitest.Fault{Status: 502, Times: 1})
				if got := look("admin", "app:1"); got != "unavailable" {
					t.Errorf("at the first failure of the source app:1 is %s, want unavailable", got)
				}
			})
		})
	}
}

// TestASourceIsNotInherited: an account that has the name of a deleted one chooses for
// itself, and that is kept.
func TestASourceIsNotInherited(t *testing.T) {
	_, mirror, cfg, kept := mirrored(t)
	c := newClient(t, cfg)
	if got := head(t, c, "app:1"); got != "old" {
		t.Fatalf("app:1 is %s", got)
	}
	clear(kept.known) // as the deletion of an account does
	if err := mirror.Delete("proxy/library/app:1"); err != nil {
		t.Fatal(err)
	}
	if got := head(t, c, "app:1"); got != "new" || kept.writes != 2 {
		t.Errorf("for the new account app:1 is %s, with %d writes in all; want what the hub has, and 2", got, kept.writes)
	}
}

func TestMirrorIsAskedFirst(t *testing.T) {
	hub, mirror, cfg, _ := mirrored(t)
	hub.Push(t, "library/app:2", newImage)
	c := newClient(t, cfg)
	if got := head(t, c, "app:1"); got != "old" || hub.Requests("", "") != 0 {
		t.Errorf("app:1 names the %s image after %d requests to the hub; want the mirror's and none", got, hub.Requests("", ""))
	}
	// What the mirror lacks, the hub has; the key of what is returned stays docker.io.
	m, err := c.Resolve(t.Context(), "admin", mustRef(t, "app:2"), anchore.Platform{})
	if err != nil || m.Digest != newImage.Digest || m.Ref.FullTag() != "docker.io/library/app:2" {
		t.Errorf("Resolve(app:2) = %s %s, %v", m.Ref, m.Digest, err)
	}
	// Content comes from whoever has it.
	mirror.Push(t, "proxy/library/app:2", oldImage)
	ref := mustRef(t, "app@"+newImage.Digest)
	if err := c.Fetch(t.Context(), "admin", ref, filepath.Join(t.TempDir(), "layout"), nil); err != nil {
		t.Errorf("Fetch: %v", err)
	}
	// What a mirror that works says of its tag is believed.
	if err := mirror.Delete("proxy/library/app:1"); err != nil {
		t.Fatal(err)
	}
	if got := head(t, c, "app:1"); got != "not found" {
		t.Errorf("the mirror's tag is gone, but app:1 is %s", got)
	}
	tags, err := c.ListTags(t.Context(), "admin", mustRef(t, "app"))
	if diff := cmp.Diff([]string{"2"}, tags); diff != "" || err != nil {
		t.Errorf("ListTags: %v (-want +got):\n%s", err, diff)
	}
	if got := head(t, c, "none:1"); got != "not found" {
		t.Errorf("none:1 is %s", got)
	}
	mirror.Inject(ocitest.Fault{Status: 503})
	if got := head(t, c, "none:1"); got != "unavailable" {
		t.Errorf("none:1 is %s, although the mirror could not say", got)
	}
}

// perHost has a credential for each host.
type perHost map[string]oci.Credential

func (p perHost) Credential(_ context.Context, _ string, ref anchore.Reference) (oci.Credential, error) {
	return p[ref.Registry], nil
}

// TestMirrorsGetTheirOwnCredential: the hub's password is not the mirror's business.
func TestMirrorsGetTheirOwnCredential(t *testing.T) {
	secured := func(user string) *ocitest.Registry {
		return ocitest.NewHandler(ocitest.Config{Auth: ocitest.Basic, User: user, Password: user + "-horse"})
	}
	hub, mirror := secured("hub"), secured("mirror")
	mirror.Push(t, "library/app:1", oldImage)
	hub.Push(t, "library/app:2", newImage)
	creds := perHost{"docker.io": {Username: "hub", Password: "hub-horse"}, "mirror.test": {Username: "mirror", Password: "mirror-horse"}}
	seen := map[string]bool{}
	network := hosts{"registry-1.docker.io": hub, "mirror.test": mirror}
	c := newClient(t, oci.Config{
		Credentials: creds, Registries: map[string]oci.Registry{"docker.io": {Mirrors: []string{"mirror.test"}}},
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if user, _, ok := r.BasicAuth(); ok {
				seen[user+" at "+r.URL.Host] = true
			}
			return network.RoundTrip(r)
		}),
	})
	if one, two := head(t, c, "app:1"), head(t, c, "app:2"); one != "old" || two != "new" {
		t.Errorf("app:1 is %s, app:2 is %s", one, two)
	}
	want := map[string]bool{"mirror at mirror.test": true, "hub at registry-1.docker.io": true}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	// Accounts share a look only if they are the same everywhere.
	app := mustRef(t, "app:1")
	both, err := c.Identity(t.Context(), "a", app)
	if err != nil || both == "" {
		t.Errorf("Identity = %q, %v", both, err)
	}
	creds["mirror.test"] = oci.Credential{}
	if one, err := c.Identity(t.Context(), "a", app); one == both || one == "" || err != nil {
		t.Errorf("another credential at the mirror: Identity = %q, %v; before %q", one, err, both)
	}
	clear(creds)
	if none, err := c.Identity(t.Context(), "a", app); none != "" || err != nil {
		t.Errorf("anonymous: Identity = %q, %v", none, err)
	}
}
