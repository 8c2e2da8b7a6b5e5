package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// watching is the start of a config.yaml whose engine looks at each tag once a
// second.
const watching = "watch:\n  interval: 1\n"

// general is a webhooks section that sends everything to one receiver.
func general(r *receiver) string {
	return "webhooks:\n  general:\n    url: '" + r.URL + "/general/<notification_type>/<userId>'\n"
}

func TestSeedOverview(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	shared := startEngine(t, watching+general(recv))

	t.Run("four types of subscription", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("overview/types", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		got := subscriptionTypes(e, ref)
		want := []string{"analysis_update", "policy_eval", "tag_update", "vuln_update"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("types of an added tag (-want +got):\n%s", diff)
		}
	})

	t.Run("notifications go to the endpoint in the configuration file", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("overview/endpoint", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		reg.push(t, ref, "b")
		got := recv.wait(t, 1, "the tag_update", of("tag_update", ref))
		if got[0].Path != "/general/tag_update/admin" {
			t.Errorf("it was sent to %s", got[0].Path)
		}
	})

	t.Run("repo_update does not notify", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("overview/repo", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		repository := strings.TrimSuffix(ref, ":v1")
		status, raw := e.call(http.MethodPost, "/subscriptions", map[string]any{
			"subscription_key": repository, "subscription_type": "repo_update", "active": true,
		}, nil)
		if status != http.StatusOK {
			t.Fatalf("POST /subscriptions: %d %s", status, raw)
		}
		reg.push(t, ref, "b")
		recv.wait(t, 1, "the tag_update", of("tag_update", ref))
		about := func(d delivery) bool { return d.kind() == "repo_update" || d.key() == repository }
		if got := recv.deliveries(about); len(got) > 0 {
			t.Errorf("repo_update notified: %s", got[0].Raw)
		}
	})
}

func TestSeedTagUpdates(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	shared := startEngine(t, watching+"max_compressed_image_size_mb: 1\n"+general(recv))

	t.Run("a new image under the subscribed tag notifies", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("library/node", "latest")
		before := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		after := reg.push(t, ref, "b")
		got := recv.wait(t, 1, "the tag_update", of("tag_update", ref))[0]
		p := got.payload()
		want := payload{
			NotificationID: got.Envelope.DataID, UserID: "admin", Key: ref, Type: "tag_update",
			LastEval: []byte(`["` + before + `"]`), CurrEval: []byte(`["` + after + `"]`),
			Annotations: map[string]string{}, DigestBefore: before, DigestAfter: after,
			Summary: p.Summary, ImageURL: p.ImageURL,
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		if !strings.Contains(p.Summary, ref) {
			t.Errorf("the summary %q does not name the tag", p.Summary)
		}
		link, ok := strings.CutPrefix(p.ImageURL, e.url())
		if status, raw := e.call(http.MethodGet, link, nil, nil); !ok || status != http.StatusOK {
			t.Errorf("the link %s, of an engine at %s: %d %s", p.ImageURL, e.url(), status, raw)
		}
		if got.Envelope.QueueID != "tag_update" || got.Envelope.UserID != "admin" || got.Envelope.Data.User != "admin" {
			t.Errorf("envelope %s", got.Raw)
		}
		waitFor(t, "the new image in image list", func() bool {
			return strings.Contains(e.mustCLI("image", "list"), after)
		})
	})

	t.Run("adding a tag activates it", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/activated", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		if !subscriptions(e, ref)["tag_update"].Active {
			t.Error("tag_update is not active after image add")
		}
	})

	t.Run("the maximum image size applies", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/size", "v1")
		small := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		reg.pushLarge(t, ref, 2<<20)
		waitFor(t, "the event of the refusal", func() bool { return len(e.events("system.image_analysis.size_limit", ref)) > 0 })
		newer := reg.push(t, ref, "b")
		got := recv.wait(t, 1, "the tag_update of the small image", of("tag_update", ref))
		if p := got[0].payload(); p.DigestBefore != small || p.DigestAfter != newer {
			t.Errorf("the large image changed the tag's state: told of %s → %s, want %s → %s", p.DigestBefore, p.DigestAfter, small, newer)
		}
	})

	t.Run("a too large image fails to update and the catalog logs an error", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/large", "v1")
		small := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		large := reg.pushLarge(t, ref, 2<<20)
		waitFor(t, "the event of the refusal", func() bool { return len(e.events("system.image_analysis.size_limit", ref)) > 0 })
		reg.waitLooks(t, ref, 2) // it is looked at again, and not told again
		events := e.events("system.image_analysis.size_limit", ref)
		if len(events) != 1 {
			t.Errorf("%d events of one refusal, want 1", len(events))
		}
		if got := events[0].Event; !strings.EqualFold(got.Level, "error") || got.Source.Service != "catalog" {
			t.Errorf("the event has level %s and service %s, want error from catalog", got.Level, got.Source.Service)
		}
		logged := 0
		for line := range strings.Lines(e.log.String()) {
			if strings.Contains(line, "level=ERROR") && strings.Contains(line, ref) {
				logged++
			}
		}
		if logged != 1 {
			t.Errorf("%d lines with level ERROR about %s in the log, want 1:\n%s", logged, ref, e.log)
		}
		if list := e.mustCLI("image", "list"); !strings.Contains(list, small) || strings.Contains(list, large) {
			t.Errorf("image list has not just the small image:\n%s", list)
		}
		if got := recv.deliveries(of("tag_update", ref)); len(got) > 0 {
			t.Errorf("the too large image notified: %s", got[0].Raw)
		}
	})

	t.Run("a disabled subscription is not monitored", func(t *testing.T) {
		e := shared.in(t)
		off, on := reg.ref("seed/off", "v1"), reg.ref("seed/on", "v1")
		for _, ref := range []string{off, on} {
			reg.push(t, ref, "a")
			e.mustCLI("image", "add", ref)
			e.mustCLI("image", "wait", ref, "--interval", "0.1", "--timeout", "90")
		}
		e.mustCLI("subscription", "deactivate", "tag_update", off)
		reg.waitLooks(t, on, 2) // a look that had begun has ended
		reg.push(t, off, "b")
		before := reg.requests(off)
		reg.waitLooks(t, on, 3)
		if got := reg.requests(off) - before; got != 0 {
			t.Errorf("the registry got %d requests about a tag whose tag_update is off", got)
		}
		if got := recv.deliveries(of("tag_update", off)); len(got) > 0 {
			t.Errorf("a disabled subscription notified: %s", got[0].Raw)
		}
		// Switched on again, it tells once what moved meanwhile.
		e.mustCLI("subscription", "activate", "tag_update", off)
		recv.wait(t, 1, "the tag_update after activation", of("tag_update", off))
	})
}

func TestSeedAnalysisUpdate(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	shared := startEngine(t, watching+general(recv))

	t.Run("an analyzed image notifies", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/analysis", "v1")
		digest := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		got := recv.wait(t, 1, "the analysis_update", of("analysis_update", ref))[0].payload()
		if diff := cmp.Diff(`{"imageDigest":"`+digest+`","analysis_status":"analyzed","annotations":{}}`, string(got.CurrEval)); diff != "" {
			t.Errorf("curr_eval (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(`{"imageDigest":"`+digest+`","analysis_status":"analyzing","annotations":{}}`, string(got.LastEval)); diff != "" {
			t.Errorf("last_eval (-want +got):\n%s", diff)
		}
	})

	t.Run("a new tag notifies", func(t *testing.T) {
		e := shared.in(t)
		first, second := reg.ref("seed/newtag", "v1"), reg.ref("seed/newtag", "v2")
		reg.push(t, first, "a")
		e.mustCLI("image", "add", first)
		recv.wait(t, 1, "the analysis_update of the image", of("analysis_update", first))
		reg.push(t, second, "a") // the same image under another tag
		e.mustCLI("image", "add", second)
		recv.wait(t, 1, "the analysis_update of the new tag", of("analysis_update", second))
	})

	t.Run("an external system learns that a new tag was analyzed", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/external", "v1")
		digest := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		got := recv.wait(t, 1, "the analysis_update", of("analysis_update", ref))[0].payload()
		// What the receiver does next: it reads the packages of the image it was told of.
		if packages := e.mustCLI("image", "content", got.DigestAfter, "os"); got.DigestAfter != digest || !strings.Contains(packages, "Package") {
			t.Errorf("the content of %s (want %s) is\n%s", got.DigestAfter, digest, packages)
		}
	})

	t.Run("a moved tag is analyzed and notifies", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/moved", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		recv.wait(t, 1, "the first analysis_update", of("analysis_update", ref))
		digest := reg.push(t, ref, "b")
		got := recv.wait(t, 2, "the second analysis_update", of("analysis_update", ref))
		if got[1].payload().DigestAfter != digest {
			t.Errorf("the second analysis_update is about %s, want %s", got[1].payload().DigestAfter, digest)
		}
	})

	t.Run("a failed analysis does not notify", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/failed", "v1")
		reg.pushBroken(t, ref)
		e.mustCLI("image", "add", ref)
		waitFor(t, "the event of the failure", func() bool { return len(e.events("user.image.analysis.failed", "")) > 0 })
		if out := e.mustCLI("image", "get", ref); !strings.Contains(out, "Analysis Status: analysis_failed") {
			t.Errorf("image get:\n%s", out)
		}
		good := reg.push(t, ref, "a") // whatever was queued before comes before this one
		got := recv.wait(t, 1, "the analysis_update of the good image", of("analysis_update", ref))
		if got[0].payload().DigestAfter != good {
			t.Errorf("the failed analysis notified: %s", got[0].Raw)
		}
	})
}
