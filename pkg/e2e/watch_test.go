package e2e

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// move is what one tag_update tells.
type move struct{ From, To string }

// moves returns the moves of a tag that the receiver was told, in the order of
// their first delivery, each notification once.
func moves(r *receiver, ref string) []move {
	seen := map[string]bool{}
	var list []move
	for _, d := range r.deliveries(of("tag_update", ref)) {
		p := d.payload()
		if seen[p.NotificationID] {
			continue
		}
		seen[p.NotificationID] = true
		list = append(list, move{p.DigestBefore, p.DigestAfter})
	}
	return list
}

func TestWatching(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	shared := startEngine(t, watching+general(recv))

	t.Run("a move there and back notifies twice", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("watch/back", "v1")
		a := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		b := reg.push(t, ref, "b")
		recv.wait(t, 1, "the move to B", of("tag_update", ref))
		reg.push(t, ref, "a")
		recv.wait(t, 2, "the move back to A", of("tag_update", ref))
		if diff := cmp.Diff([]move{{a, b}, {b, a}}, moves(recv, ref)); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})

	t.Run("an index rebuilt around the same image notifies nobody", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("watch/index", "v1")
		image, other := ocitest.Image(ocitest.Spec{Version: "a"}), ocitest.Image(ocitest.Spec{Version: "b"})
		reg.put(t, ref, ocitest.Attested("build 1", image))
		e.mustCLI("image", "add", ref)
		rebuilt := reg.put(t, ref, ocitest.Attested("build 2", image))
		waitFor(t, "the rebuilt index in image get", func() bool {
			var list []struct {
				Digest string `json:"imageDigest"`
				Parent string `json:"parentDigest"`
			}
			e.call(http.MethodGet, "/images?fulltag="+ref, nil, &list)
			return len(list) > 0 && list[0].Parent == rebuilt && list[0].Digest == image.Digest
		})
		reg.put(t, ref, ocitest.Attested("build 3", other))
		recv.wait(t, 1, "the tag_update of the other image", of("tag_update", ref))
		if diff := cmp.Diff([]move{{image.Digest, other.Digest}}, moves(recv, ref)); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})

	t.Run("a deleted tag raises an event and keeps the image", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("watch/deleted", "v1")
		digest := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		if err := reg.Delete("watch/deleted:v1"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the event of the deletion", func() bool { return len(e.events("user.image.tag.deleted", ref)) == 1 })
		if status, raw := e.call(http.MethodGet, "/images/"+digest, nil, nil); status != http.StatusOK {
			t.Errorf("GET /images/%s: %d %s", digest, status, raw)
		}
	})
}

func TestRaisedLimit(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	e := startEngine(t, watching+"max_compressed_image_size_mb: 1\n"+general(recv))
	ref := reg.ref("watch/raised", "v1")
	small := reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	large := reg.pushLarge(t, ref, 2<<20)
	waitFor(t, "the event of the refusal", func() bool { return len(e.events("system.image_analysis.size_limit", ref)) == 1 })
	e.stop()
	e.configure(watching + "max_compressed_image_size_mb: 3\n" + general(recv))
	e.start()
	recv.wait(t, 1, "the tag_update under the raised limit", of("tag_update", ref))
	if diff := cmp.Diff([]move{{small, large}}, moves(recv, ref)); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

func TestLookNow(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	shared := startEngine(t, "watch:\n  interval: 86400\n"+general(recv))

	t.Run("image add --force looks now", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("now/force", "v1")
		a := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		b := reg.push(t, ref, "b")
		e.mustCLI("image", "add", ref, "--force")
		recv.wait(t, 1, "the tag_update", of("tag_update", ref))
		if diff := cmp.Diff([]move{{a, b}}, moves(recv, ref)); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})

	t.Run("a hint looks now", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("now/hint", "v1")
		a := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		b := reg.push(t, ref, "b")
		waitFor(t, "the hint to be accepted", func() bool { // the watcher hears of a new tag after image add returns
			status, _ := e.call(http.MethodPost, "/system/hints", map[string]string{"tag": ref}, nil)
			return status == http.StatusAccepted
		})
		recv.wait(t, 1, "the tag_update", of("tag_update", ref))
		if diff := cmp.Diff([]move{{a, b}}, moves(recv, ref)); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})
}
