package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

func TestEndpointsAreIndependent(t *testing.T) {
	t.Parallel()
	reg, all, tags := newRegistry(t), newReceiver(t), newReceiver(t)
	var refused atomic.Int32
	tags.answers(func(delivery) reply {
		if refused.Add(1) <= 2 {
			return reply{Status: http.StatusServiceUnavailable}
		}
		return fine
	})
	e := startEngine(t, watching+fmt.Sprintf("webhooks:\n  general:\n    url: '%s'\n  tag_update:\n    url: '%s'\n", all.URL, tags.URL))
	ref := reg.ref("delivery/two", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	reg.push(t, ref, "b")
	sent := tags.wait(t, 3, "the third attempt at the failing endpoint", of("tag_update", ref))
	if got := all.deliveries(of("tag_update", ref)); len(got) != 1 {
		t.Errorf("the endpoint that did not fail got %d deliveries, want 1", len(got))
	}
	for _, d := range sent {
		if d.Envelope.DataID != sent[0].Envelope.DataID {
			t.Errorf("a repeated delivery has the id %s, the first had %s", d.Envelope.DataID, sent[0].Envelope.DataID)
		}
	}
	if got := all.deliveries(of("tag_update", ref)); got[0].Envelope.DataID != sent[0].Envelope.DataID {
		t.Errorf("the endpoints were told of one move under the ids %s and %s", got[0].Envelope.DataID, sent[0].Envelope.DataID)
	}
}

func TestReceiverThatMisbehaves(t *testing.T) {
	t.Parallel()
	reg, recv, slow := newRegistry(t), newReceiver(t), newReceiver(t)
	slow.answers(func(delivery) reply { return reply{Hang: true} })
	var dropped atomic.Int32
	recv.answers(func(delivery) reply { return reply{Status: http.StatusNoContent, Drop: dropped.Add(1) == 1} })
	e := startEngine(t, watching+fmt.Sprintf("webhooks:\n  general:\n    url: '%s'\n  analysis_update:\n    url: '%s'\n", recv.URL, slow.URL))
	ref := reg.ref("delivery/hangs", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	slow.wait(t, 1, "the attempt at the endpoint that never answers", of("analysis_update", ref))
	recv.wait(t, 2, "the delivery after the dropped one", of("analysis_update", ref))
	reg.push(t, ref, "b")
	recv.wait(t, 1, "the tag_update while the other endpoint hangs", of("tag_update", ref))
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	entered, release := make(chan struct{}, 16), make(chan struct{})
	recv.answers(func(d delivery) reply {
		if d.kind() == "tag_update" {
			entered <- struct{}{}
			<-release
		}
		return fine
	})
	e := startEngine(t, watching+general(recv))
	ref := reg.ref("delivery/drains", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	reg.push(t, ref, "b")
	<-entered
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the API to close", func() bool {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + e.addr + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	})
	close(release) // the delivery in flight is answered while the engine stops
	<-e.exited
	if e.waitErr != nil {
		t.Fatalf("the engine ended with %v; its log:\n%s", e.waitErr, e.log)
	}
	e.start()
	newest := reg.push(t, ref, "c")
	waitFor(t, "the tag_update after the restart", func() bool {
		got := moves(recv, ref)
		return len(got) > 0 && got[len(got)-1].To == newest
	})
	if got := recv.deliveries(of("tag_update", ref)); len(got) != 2 {
		t.Errorf("%d deliveries of two moves: what was answered during the stop was sent again", len(got))
	}
}

// TestStopWithHangingParts: what a request, an analysis and a delivery that all hang are
// given does not add up to more than ten seconds.
func TestStopWithHangingParts(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	recv.answers(func(delivery) reply { return reply{Hang: true} })
	e := startEngine(t, offline+general(recv)+"    timeout: 60\n")
	delivered, fetched, asked := reg.ref("stop/delivered", "v1"), reg.ref("stop/fetched", "v1"), reg.ref("stop/asked", "v1")
	reg.push(t, delivered, "a")
	e.mustCLI("image", "add", delivered)
	recv.wait(t, 1, "the delivery that hangs", of("analysis_update", delivered))
	image := ocitest.Image(ocitest.Spec{Version: "b"})
	reg.put(t, fetched, image)
	layer := reg.path(fetched) + "blobs/" + layers(t, image)[0]
	t.Cleanup(reg.Inject(ocitest.Fault{Method: "GET", Path: layer, Delay: time.Minute}))
	e.mustCLI("image", "add", fetched)
	waitFor(t, "the fetch that hangs", func() bool { return reg.Requests("GET", layer) > 0 })
	t.Cleanup(reg.Inject(ocitest.Fault{Path: reg.path(asked), Delay: time.Minute}))
	request := make(chan struct{})
	go func() {
		defer close(request)
		e.cli("image", "add", asked)
	}()
	waitFor(t, "the request that hangs", func() bool { return reg.requests(asked) > 0 })
	began := time.Now()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-e.exited
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the engine took %s to stop", took)
	}
	if e.waitErr != nil {
		t.Errorf("the engine ended with %v; its log:\n%s", e.waitErr, e.log)
	}
	<-request
}

func TestLinksBeginWithThePublicURL(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	e := startEngine(t, offline+"public_url: https://anchore.example.com/\n"+general(recv))
	ref := reg.ref("delivery/links", "v1")
	digest := reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	got := recv.wait(t, 1, "the analysis_update", of("analysis_update", ref))[0].payload().ImageURL
	if want := "https://anchore.example.com/v1/images/" + digest; got != want {
		t.Errorf("the link to the image is %s, want %s", got, want)
	}
}

func TestRemovedEndpointParks(t *testing.T) {
	t.Parallel()
	reg, recv := newRegistry(t), newReceiver(t)
	recv.answers(func(delivery) reply { return reply{Status: http.StatusServiceUnavailable} })
	e := startEngine(t, offline+general(recv))
	ref := reg.ref("delivery/removed", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	recv.wait(t, 1, "the first attempt", of("analysis_update", ref))
	e.stop()
	e.configure(offline)
	e.start()
	waitFor(t, "the log to say that the delivery was parked", func() bool {
		return strings.Contains(e.log.String(), "parked deliveries to an endpoint that is no longer configured")
	})
	e.stop()
	sent := len(recv.deliveries(of("analysis_update", ref)))
	recv.answers(func(delivery) reply { return fine })
	e.configure(offline + general(recv))
	e.start()
	second := reg.ref("delivery/removed", "v2")
	reg.push(t, second, "b")
	e.mustCLI("image", "add", second)
	recv.wait(t, 1, "a later notification", of("analysis_update", second))
	if got := len(recv.deliveries(of("analysis_update", ref))); got != sent {
		t.Errorf("what was parked was sent again when the endpoint came back: %d attempts, were %d", got, sent)
	}
}
