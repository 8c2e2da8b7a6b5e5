package e2e

import (
	"strings"
	"testing"

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
