package e2e

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestLaggingMirror has a registry that is ahead of its mirror. A tag stays with the
// source that had it first: it never names now this, now that image. (That a mirror
// which fails for a quarter of an hour is left is shown in pkg/oci, where time can be
// made to pass.)
func TestLaggingMirror(t *testing.T) {
	t.Parallel()
	hub, mirror, recv := newRegistry(t), newRegistry(t), newReceiver(t)
	e := startEngine(t, watching+"registries:\n  mirrors:\n    '"+hub.Host()+"': ['"+mirror.Host()+"/proxy']\n"+general(recv))
	old, fresh := ocitest.Image(ocitest.Spec{Version: "old"}), ocitest.Image(ocitest.Spec{Version: "new"})

	both, alone := hub.ref("mirrored/both", "v1"), hub.ref("mirrored/alone", "v1")
	atMirror := func(ref string) string { return mirror.Host() + "/proxy" + ref[len(hub.Host()):] }
	hub.put(t, both, fresh)
	mirror.put(t, atMirror(both), old)
	hub.put(t, alone, fresh)
	e.mustCLI("image", "add", both)
	e.mustCLI("image", "add", alone)
	mirror.put(t, atMirror(alone), old) // the mirror gets what it lacked, and lags

	looks := func(n int) {
		mirror.waitLooks(t, atMirror(both), n)
		hub.waitLooks(t, alone, n)
	}
	looks(3)
	repair := mirror.Inject(ocitest.Fault{Path: "/proxy/mirrored/both/", Status: http.StatusServiceUnavailable})
	mirror.waitLooks(t, atMirror(both), 1)
	e.stop()
	e.start()
	mirror.waitLooks(t, atMirror(both), 1)
	repair()
	looks(1)

	mirror.put(t, atMirror(both), fresh) // it has caught up
	recv.wait(t, 1, "the move", of("tag_update", both))
	for ref, want := range map[string][]move{both: {{old.Digest, fresh.Digest}}, alone: nil} {
		if diff := cmp.Diff(want, moves(recv, ref)); diff != "" {
			t.Errorf("moves of %s (-want +got):\n%s", ref, diff)
		}
	}
	if n := hub.Requests(http.MethodHead, hub.path(both)); n != 0 {
		t.Errorf("%d looks at the registry for a tag that the mirror has", n)
	}
	if n := mirror.Requests(http.MethodHead, mirror.path(atMirror(alone))); n != 0 {
		t.Errorf("%d looks at the mirror for a tag that the registry had", n)
	}
}
