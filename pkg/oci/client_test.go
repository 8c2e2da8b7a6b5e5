package oci_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// logins are the credentials of a test's accounts.
type logins map[string]oci.Credential

func (l logins) Credential(_ context.Context, account string, _ anchore.Reference) (oci.Credential, error) {
	return l[account], nil
}

var admin = logins{"admin": {Username: "user", Password: "correct-horse"}, "other": {Username: "user", Password: "wrong-mule"}}

func newClient(t testing.TB, cfg oci.Config) *oci.Client {
	t.Helper()
	c, err := oci.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustRef(t testing.TB, s string) anchore.Reference {
	t.Helper()
	ref, err := anchore.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestHead(t *testing.T) {
	img := ocitest.Image(ocitest.Spec{})
	for _, tc := range []struct {
		name  string
		cfg   ocitest.Config
		fault *ocitest.Fault
		heads int
		gets  int
	}{
		{name: "open", heads: 1},
		{name: "basic", cfg: ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"}, heads: 2},
		{name: "token", cfg: ocitest.Config{Auth: ocitest.Token, User: "user", Password: "correct-horse"}, heads: 2},
		{name: "no digest header", fault: &ocitest.Fault{Drop: "Docker-Content-Digest"}, heads: 1, gets: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.StartWith(t, tc.cfg)
			ref := mustRef(t, srv.Push(t, "team/app:latest", img))
			if tc.fault != nil {
				srv.Inject(*tc.fault)
			}
			c := newClient(t, oci.Config{Credentials: admin})
			got, err := c.Head(t.Context(), "admin", ref)
			if err != nil || got != img.Digest {
				t.Fatalf("Head = %q, %v; want %q", got, err, img.Digest)
			}
			if h, g := srv.Requests("HEAD", "/manifests/"), srv.Requests("GET", "/manifests/"); h != tc.heads || g != tc.gets {
				t.Errorf("%d HEAD and %d GET, want %d and %d", h, g, tc.heads, tc.gets)
			}
			srv.Reset()
			if _, err := c.Head(t.Context(), "admin", ref); err != nil {
				t.Fatal(err)
			}
			if h, n := srv.Requests("HEAD", ""), srv.Requests("GET", "/token"); h != 1 || n != 0 {
				t.Errorf("second look: %d HEAD and %d tokens, want 1 and 0", h, n)
			}
		})
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	img := ocitest.Image(ocitest.Spec{})
	at := time.Now().Add(90 * time.Second)
	secured := ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"}
	for _, tc := range []struct {
		name     string
		cfg      ocitest.Config
		account  string
		fault    *ocitest.Fault
		tag      string
		kind     anchore.Kind
		code     string
		min, max time.Duration
	}{
		{name: "anonymous", cfg: secured, account: "nobody", kind: anchore.Unauthorized, code: "REGISTRY_PERMISSION_DENIED"},
		{name: "wrong password", cfg: secured, account: "other", kind: anchore.Unauthorized, code: "REGISTRY_PERMISSION_DENIED"},
		{name: "wrong password for the token", cfg: ocitest.Config{Auth: ocitest.Token, User: "user", Password: "correct-horse"}, account: "other", kind: anchore.Unauthorized, code: "REGISTRY_PERMISSION_DENIED"},
		{name: "forbidden", fault: &ocitest.Fault{Status: 403}, kind: anchore.Forbidden, code: "REGISTRY_PERMISSION_DENIED"},
		{name: "no such tag", tag: "none", kind: anchore.NotFound, code: "REGISTRY_IMAGE_NOT_FOUND"},
		{name: "429 in seconds", fault: new(ocitest.TooMany(30 * time.Second)), kind: anchore.Limited, min: 30 * time.Second, max: 30 * time.Second},
		{name: "429 with a date", fault: new(ocitest.TooManyUntil(at)), kind: anchore.Limited, min: 60 * time.Second, max: 90 * time.Second},
		{name: "503", fault: &ocitest.Fault{Status: 503}, kind: anchore.Unavailable, code: "REGISTRY_NOT_ACCESSIBLE"},
		{name: "500", fault: &ocitest.Fault{Status: 500}, kind: anchore.Unavailable, code: "REGISTRY_NOT_ACCESSIBLE"},
		{name: "cut body", fault: &ocitest.Fault{Method: "GET", Path: "/manifests/", Cut: true}, kind: anchore.Unavailable, code: "REGISTRY_NOT_ACCESSIBLE"},
		{name: "altered body", fault: &ocitest.Fault{Method: "GET", Path: "/manifests/", Flip: true}, kind: anchore.Unavailable, code: "REGISTRY_NOT_ACCESSIBLE"},
		{name: "altered configuration", fault: &ocitest.Fault{Method: "GET", Path: "/blobs/", Flip: true}, kind: anchore.Unavailable, code: "REGISTRY_NOT_ACCESSIBLE"},
		{name: "no JSON", fault: &ocitest.Fault{Method: "GET", Status: 200, Body: "<html>"}, kind: anchore.Invalid},
		{name: "schema 1", fault: &ocitest.Fault{Method: "GET", Status: 200, Body: `{"schemaVersion":1,"fsLayers":[]}`}, kind: anchore.Invalid},
		{name: "image and index at once", fault: &ocitest.Fault{Method: "GET", Status: 200, Body: `{"schemaVersion":2,"manifests":[],"layers":[]}`}, kind: anchore.Invalid},
		{name: "no image", fault: &ocitest.Fault{Method: "GET", Status: 200, Body: `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"},"layers":[]}`}, kind: anchore.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.StartWith(t, tc.cfg)
			ref := mustRef(t, srv.Push(t, "team/app:latest", img))
			if tc.tag != "" {
				ref.Tag = tc.tag
			}
			if tc.fault != nil {
				srv.Inject(*tc.fault)
			}
			c := newClient(t, oci.Config{Credentials: admin})
			_, err := c.Resolve(t.Context(), tc.account, ref, anchore.Platform{})
			var e *anchore.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || tc.code != "" && strings.Join(e.Codes, " ") != tc.code {
				t.Fatalf("Resolve: %v, want kind %v with code %q", err, tc.kind, tc.code)
			}
			if e.After < tc.min || e.After > tc.max {
				t.Errorf("After = %v, want between %v and %v", e.After, tc.min, tc.max)
			}
			if all := err.Error() + e.Message; strings.Contains(all, "horse") || strings.Contains(all, "mule") {
				t.Errorf("error %q holds a password", all)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	srv := ocitest.Start(t)
	ref := mustRef(t, srv.Host()+"/team/app:latest")
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := newClient(t, oci.Config{}).Head(t.Context(), "admin", ref)
	if anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("Head: %v, want kind unavailable", err)
	}
}

func TestResolvePlatforms(t *testing.T) {
	arm := anchore.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	amdImage, armImage := ocitest.Image(ocitest.Spec{Revision: "abc"}), ocitest.Image(ocitest.Spec{Platform: arm})
	docker := ocitest.Image(ocitest.Spec{Docker: true})
	for _, tc := range []struct {
		name   string
		what   ocitest.Artifact
		want   anchore.Platform
		digest string // "" for OSARCH_MISMATCH
	}{
		{"image", amdImage, anchore.Platform{}, amdImage.Digest},
		{"image of another platform", armImage, anchore.Platform{}, armImage.Digest},
		{"docker", docker, anchore.Platform{}, docker.Digest},
		{"index of nothing", ocitest.Index(), anchore.Platform{}, ""},
		{"index", ocitest.Index(armImage, amdImage), anchore.Platform{}, amdImage.Digest},
		{"index for arm64", ocitest.Index(amdImage, armImage), anchore.Platform{OS: "linux", Architecture: "arm64"}, armImage.Digest},
		{"list", ocitest.DockerList(armImage, docker), anchore.Platform{}, docker.Digest},
		{"with attestations", ocitest.Attested("1", amdImage), anchore.Platform{}, amdImage.Digest},
		{"nested", ocitest.Nested(ocitest.Index(amdImage)), anchore.Platform{}, amdImage.Digest},
		{"missing", ocitest.Index(armImage), anchore.Platform{}, ""},
		{"other variant", ocitest.Index(armImage), anchore.Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.Start(t)
			ref := mustRef(t, srv.Push(t, "team/app:latest", tc.what))
			m, err := newClient(t, oci.Config{}).Resolve(t.Context(), "admin", ref, tc.want)
			if tc.digest == "" {
				var e *anchore.Error
				if !errors.As(err, &e) || e.Kind != anchore.Invalid || !cmp.Equal(e.Codes, []string{"OSARCH_MISMATCH"}) || m.TagDigest != tc.what.Digest {
					t.Errorf("Resolve: %v with tag digest %q, want OSARCH_MISMATCH with %q", err, m.TagDigest, tc.what.Digest)
				}
				if have, ok := e.Detail["available_platforms"].([]string); !ok || have == nil {
					t.Errorf("Resolve: available_platforms = %#v, want a list", e.Detail["available_platforms"])
				}
				return
			}
			if err != nil || m.Digest != tc.digest || m.TagDigest != tc.what.Digest || m.Ref != ref {
				t.Fatalf("Resolve = %+v, %v; want digest %s in %s", m, err, tc.digest, tc.what.Digest)
			}
			if m.Size == 0 || m.Layers != 2 || !anchore.IsImageID(m.ImageID) || len(m.Raw) == 0 || len(m.Config) == 0 || m.Platform.OS != "linux" {
				t.Errorf("Resolve leaves out something: %+v", m)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TLS: true})
	img := ocitest.Image(ocitest.Spec{})
	ref := mustRef(t, srv.Push(t, "team/app:latest", img))
	if _, err := newClient(t, oci.Config{}).Head(t.Context(), "a", ref); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("Head with an unknown certificate: %v, want kind unavailable", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(srv.CA())
	for name, reg := range map[string]oci.Registry{"own CA": {RootCAs: pool}, "not verified": {SkipVerify: true}} {
		c := newClient(t, oci.Config{Registries: map[string]oci.Registry{srv.Host(): reg}})
		if got, err := c.Head(t.Context(), "a", ref); err != nil || got != img.Digest {
			t.Errorf("%s: Head = %q, %v; want %q", name, got, err, img.Digest)
		}
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoPlainHTTPThatNobodyApproved(t *testing.T) {
	var schemes []string
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		schemes = append(schemes, r.URL.Scheme)
		if r.Header.Get("Authorization") != "" {
			t.Errorf("a credential was sent to %s", r.URL)
		}
		return nil, errors.New("http: server gave HTTP response to HTTPS client")
	})
	c := newClient(t, oci.Config{Transport: transport, Credentials: admin, Registries: map[string]oci.Registry{"approved:5000": {PlainHTTP: true}}})
	for _, tc := range []struct {
		host string
		want []string
	}{
		{"10.0.0.1:5000", []string{"https"}},
		{"registry.local", []string{"https"}},
		{"approved:5000", []string{"https", "http"}},
		{"localhost:5000", []string{"https", "http"}},
		{"[::1]:5000", []string{"https", "http"}},
	} {
		schemes = nil
		_, err := c.Head(t.Context(), "admin", anchore.Reference{Registry: tc.host, Repository: "x", Tag: "y"})
		if diff := cmp.Diff(tc.want, schemes); diff != "" || err == nil {
			t.Errorf("%s: %v, schemes (-want +got):\n%s", tc.host, err, diff)
		}
	}
}

func TestTokensAreKeptAndRenewed(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, User: "user", Password: "correct-horse"})
	img := ocitest.Image(ocitest.Spec{})
	ref := mustRef(t, srv.Push(t, "team/app:latest", img))
	c := newClient(t, oci.Config{Credentials: admin})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Head(t.Context(), "admin", ref); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := srv.Requests("GET", "/token"); n != 1 {
		t.Errorf("20 looks at once took %d tokens, want 1", n)
	}
	srv.Revoke()
	if _, err := c.Head(t.Context(), "admin", ref); err != nil {
		t.Errorf("Head after the tokens were revoked: %v", err)
	}
}

func TestListTags(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TagsPage: 2})
	img := ocitest.Image(ocitest.Spec{})
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		srv.Push(t, "team/app:"+tag, img)
	}
	c := newClient(t, oci.Config{})
	repo := mustRef(t, srv.Host()+"/team/app")
	got, err := c.ListTags(t.Context(), "admin", repo)
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, got); diff != "" || err != nil {
		t.Errorf("ListTags: %v (-want +got):\n%s", err, diff)
	}
	remove := srv.Inject(ocitest.Fault{Path: "tags/list", Status: 200, Body: `{"tags":["a"]}`, Header: http.Header{"Link": {`</v2/team/app/tags/list?last=a>; rel="next"`}}})
	if _, err := c.ListTags(t.Context(), "admin", repo); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("ListTags without end: %v, want kind invalid", err)
	}
	remove()
	srv.Inject(ocitest.Fault{Path: "tags/list", Status: 200, Body: `{"tags":["a"]}`, Header: http.Header{"Link": {`<http://elsewhere.test/x>; rel="next"`}}})
	if _, err := c.ListTags(t.Context(), "admin", repo); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("ListTags at another host: %v, want kind unavailable", err)
	}
}

func TestFetch(t *testing.T) {
	srv := ocitest.Start(t)
	one, two := ocitest.Image(ocitest.Spec{Padding: 1 << 16}), ocitest.Image(ocitest.Spec{Padding: 1 << 16, Revision: "r"})
	c := newClient(t, oci.Config{LayerCache: filepath.Join(t.TempDir(), "layers"), LayerCacheBytes: 1 << 20})
	for i, img := range []ocitest.Artifact{one, two} {
		ref := mustRef(t, srv.Push(t, "team/app:latest", img))
		ref.Digest = img.Digest
		dir := filepath.Join(t.TempDir(), "layout")
		srv.Reset()
		var mu sync.Mutex
		var most, total int64
		err := c.Fetch(t.Context(), "admin", ref, dir, func(done, all int64) {
			mu.Lock()
			defer mu.Unlock()
			most, total = max(most, done), all
		})
		if err != nil {
			t.Fatalf("Fetch: %v", err)
		}
		if most != img.Size || total != img.Size {
			t.Errorf("progress ended at %d of %d, want %d", most, total, img.Size)
		}
		var index struct{ Manifests []struct{ Digest string } }
		raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err := errors.Join(err, json.Unmarshal(raw, &index)); err != nil || index.Manifests[0].Digest != img.Digest {
			t.Errorf("index.json = %s, %v; want %s", raw, err, img.Digest)
		}
		blobs, _ := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
		if len(blobs) != 5 {
			t.Errorf("%d blobs, want manifest, configuration and three layers", len(blobs))
		}
		// The second image has the first one's layers: only its configuration is new.
		if got, want := srv.Requests("GET", "/blobs/"), []int{4, 1}[i]; got != want {
			t.Errorf("image %d took %d blobs, want %d", i, got, want)
		}
	}
}

// TestIncompleteImage: an image that the registry has in part is no tag that is gone.
func TestIncompleteImage(t *testing.T) {
	img := ocitest.Image(ocitest.Spec{})
	list := ocitest.Index(img)
	for _, tc := range []struct {
		name, lacks string // part of the path that is not there
		push        ocitest.Artifact
		says        string
	}{
		{"configuration", "/blobs/", img, "lacks the configuration sha256:"},
		{"image of an index", "/manifests/" + img.Digest, list, "lacks the manifest " + img.Digest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.Start(t)
			ref := mustRef(t, srv.Push(t, "team/app:latest", tc.push))
			srv.Inject(ocitest.Fault{Path: tc.lacks, Status: 404})
			_, err := newClient(t, oci.Config{}).Resolve(t.Context(), "admin", ref, anchore.Platform{})
			incomplete(t, err, tc.says)
		})
	}
	for _, says := range []string{"lacks the configuration sha256:", "lacks the layer sha256:"} {
		srv := ocitest.Start(t)
		srv.Push(t, "team/app:latest", img)
		ref := mustRef(t, srv.Host()+"/team/app@"+img.Digest)
		c := newClient(t, oci.Config{})
		m, err := c.Resolve(t.Context(), "admin", ref, anchore.Platform{})
		if err != nil {
			t.Fatal(err)
		}
		fault := ocitest.Fault{Path: "/blobs/", Status: 404}
		if strings.Contains(says, "layer") {
			srv.Inject(ocitest.Fault{Path: "/blobs/sha256:" + m.ImageID}) // the configuration is there
		}
		srv.Inject(fault)
		incomplete(t, c.Fetch(t.Context(), "admin", ref, filepath.Join(t.TempDir(), "layout"), nil), says)
	}
}

func incomplete(t *testing.T, err error, says string) {
	t.Helper()
	if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), says) || strings.Contains(anchore.MessageOf(err), "does not have") {
		t.Errorf("%v, want invalid with %q", err, says)
	}
}

func TestFetchRefuses(t *testing.T) {
	img, foreign := ocitest.Image(ocitest.Spec{Padding: 4096}), ocitest.Image(ocitest.Spec{Docker: true, Foreign: true})
	for _, tc := range []struct {
		name  string
		img   ocitest.Artifact
		fault *ocitest.Fault
		kind  anchore.Kind
	}{
		{name: "foreign layer", img: foreign, kind: anchore.Invalid},
		{name: "cut layer", img: img, fault: &ocitest.Fault{Path: "/blobs/", Cut: true}, kind: anchore.Unavailable},
		{name: "altered layer", img: img, fault: &ocitest.Fault{Path: "/blobs/", Flip: true}, kind: anchore.Unavailable},
		{name: "limited", img: img, fault: new(ocitest.TooMany(time.Minute)), kind: anchore.Limited},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.Start(t)
			ref := mustRef(t, srv.Host()+"/team/app@"+tc.img.Digest)
			srv.Push(t, "team/app:latest", tc.img)
			cache := t.TempDir()
			c := newClient(t, oci.Config{LayerCache: cache})
			if tc.fault != nil {
				srv.Inject(*tc.fault)
			}
			err := c.Fetch(t.Context(), "admin", ref, filepath.Join(t.TempDir(), "layout"), nil)
			if anchore.KindOf(err) != tc.kind {
				t.Errorf("Fetch: %v, want kind %v", err, tc.kind)
			}
			if left, _ := os.ReadDir(cache); len(left) != 0 {
				t.Errorf("%d files are left in the cache", len(left))
			}
		})
	}
}

func TestResolverSuite(t *testing.T) {
	ocitest.RunResolver(t, func(t testing.TB) ocitest.Resolver { return newClient(t, oci.Config{Credentials: admin}) })
}
