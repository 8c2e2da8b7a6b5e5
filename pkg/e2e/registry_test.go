package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// registry is a registry on loopback. References are as users write them:
// host:port/repository:tag.
type registry struct{ *ocitest.Registry }

func newRegistry(t testing.TB) registry {
	t.Helper()
	return registry{ocitest.Start(t)}
}

func (r registry) ref(repository, tag string) string {
	return r.Host() + "/" + repository + ":" + tag
}

// put pushes an artifact under a reference and returns its digest.
func (r registry) put(t testing.TB, ref string, a ocitest.Artifact) string {
	t.Helper()
	r.Push(t, strings.TrimPrefix(ref, r.Host()+"/"), a)
	return a.Digest
}

// push pushes a small image; each version has its own digest.
func (r registry) push(t testing.TB, ref, version string) string {
	t.Helper()
	return r.put(t, ref, ocitest.Image(ocitest.Spec{Version: version}))
}

// pushLarge pushes an image that has at least the given number of bytes.
func (r registry) pushLarge(t testing.TB, ref string, size int) string {
	t.Helper()
	return r.put(t, ref, ocitest.Image(ocitest.Spec{Version: "large", Padding: size}))
}

// pushBroken pushes an image with a layer that no registry serves.
func (r registry) pushBroken(t testing.TB, ref string) string {
	t.Helper()
	return r.put(t, ref, ocitest.Image(ocitest.Spec{Version: "broken", Foreign: true}))
}

// path is what the paths of all requests about ref's repository contain.
func (r registry) path(ref string) string {
	repository, _, _ := strings.Cut(strings.TrimPrefix(ref, r.Host()+"/"), ":")
	return "/v2/" + repository + "/"
}

// requests counts all requests about ref's repository.
func (r registry) requests(ref string) int { return r.Requests("", r.path(ref)) }

// waitLooks waits until the registry was asked n more times what the tag names.
func (r registry) waitLooks(t testing.TB, ref string, n int) {
	t.Helper()
	_, tag, _ := strings.Cut(strings.TrimPrefix(ref, r.Host()+"/"), ":")
	path := r.path(ref) + "manifests/" + tag
	want := r.Requests("HEAD", path) + n
	waitFor(t, "another look at "+ref, func() bool { return r.Requests("HEAD", path) >= want })
}

// layers are the digests of an image's layers.
func layers(t testing.TB, a ocitest.Artifact) []string {
	t.Helper()
	var manifest struct {
		Layers []struct {
			Digest string `json:"digest"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(a.Raw, &manifest); err != nil {
		t.Fatal(err)
	}
	list := make([]string, 0, len(manifest.Layers))
	for _, l := range manifest.Layers {
		list = append(list, l.Digest)
	}
	return list
}

// front stands before a registry, or before what plays one, and notes when it was
// asked what. References to it are as those to a registry.
type front struct {
	*httptest.Server
	mu   sync.Mutex
	seen []request
}

// request is one request that a front passed on.
type request struct {
	At     time.Time
	Method string
	Host   string // as the client named it
	Path   string
}

// newFront starts a front that ends with the test.
func newFront(t testing.TB, behind http.Handler) *front {
	t.Helper()
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, request{time.Now(), r.Method, r.Host, r.URL.Path})
		f.mu.Unlock()
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) host() string { return f.Listener.Addr().String() }

func (f *front) ref(repository, tag string) string { return f.host() + "/" + repository + ":" + tag }

// requests returns what was asked, in order, as far as keep selects it.
func (f *front) requests(keep func(request) bool) []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(r request) bool { return !keep(r) })
}
