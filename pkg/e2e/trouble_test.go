package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// logged waits until the engine's log, over all its starts, has n lines with text.
func (e *engine) logged(n int, text string) {
	e.t.Helper()
	waitFor(e.t, fmt.Sprintf("%q %d times in the log", text, n), func() bool { return strings.Count(e.log.String(), text) >= n })
}

// TestDeadEndpointIsToldOnceOverRestarts: an endpoint that takes nothing is one FATAL
// event and one error_event, however often the engine starts meanwhile, also after a
// power cut, and also if it is paused and a start resumes it. When it takes something
// again the log says so, and no event.
func TestDeadEndpointIsToldOnceOverRestarts(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusGone} {
		t.Run(fmt.Sprint(status), func(t *testing.T) { deadEndpoint(t, status) })
	}
}

// deadEndpoint is the test for an endpoint that answers with the status.
func deadEndpoint(t *testing.T, status int) {
	t.Parallel()
	reg, general, fatal := newRegistry(t), newReceiver(t), newReceiver(t)
	general.answers(func(delivery) reply { return reply{Status: status} })
	e := startEngine(t, watching+fmt.Sprintf("alarms: {endpoint_dead_after: 1s}\nwebhooks:\n  general:\n    url: '%s'\n  error_event:\n    url: '%s'\n", general.URL, fatal.URL))
	ref := reg.ref("dead/endpoint", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	reg.push(t, ref, "b")
	first := general.wait(t, 1, "a first attempt", func(d delivery) bool { return d.key() == ref })[0] // of the move or the analysis
	waitFor(t, "the endpoint to be dead", func() bool { return time.Since(first.At) > 2*time.Second })

	told := func() (n int) {
		for _, d := range fatal.deliveries(ofKind("error_event")) {
			if toldOf(t, d).Event.Type == "system.webhook.endpoint_dead" {
				n++
			}
		}
		return n
	}
	check := func(when string) {
		t.Helper()
		if recorded, sent := len(e.events("system.webhook.endpoint_dead", "general")), told(); recorded != 1 || sent != 1 {
			t.Errorf("%s: %d events and %d error_events, want one of each", when, recorded, sent)
		}
	}
	e.stop() // a start looks at once
	e.start()
	waitFor(t, "the error_event", func() bool { return told() > 0 })
	check("at first")
	for i, end := range []func(){e.stop, e.kill} {
		end()
		e.start()
		e.logged(i+1, "fatal, as told before the start: Webhook endpoint has not taken anything for a long time")
		check(fmt.Sprintf("after restart %d", i+1))
	}

	general.answers(func(delivery) reply { return fine })
	e.mustCLI("system", "webhook", "resume", "general")
	waitFor(t, "the endpoint to have taken everything", func() bool {
		var list []struct {
			Name    string
			Pending int
		}
		e.call(http.MethodGet, "/system/webhooks", nil, &list)
		for _, endpoint := range list {
			if endpoint.Name == "general" {
				return endpoint.Pending == 0
			}
		}
		return false
	})
	e.stop()
	e.start()
	e.logged(1, "a fatal trouble is over")
	check("after it came back")
}

// TestRegistryThatIsDownIsToldOnceOverRestarts: a registry that fails while the engine
// starts again and again is one event; that it answered while the engine was down is
// another.
func TestRegistryThatIsDownIsToldOnceOverRestarts(t *testing.T) {
	t.Parallel()
	reg, general := newRegistry(t), newReceiver(t)
	e := startEngine(t, watching+fmt.Sprintf("events: {notify: true, notify_levels: [error, info]}\nwebhooks:\n  event_log:\n    url: '%s'\n", general.URL))
	ref := reg.ref("down/registry", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	repair := reg.Inject(ocitest.Fault{Status: http.StatusBadGateway})
	check := func(when string, down, up int) {
		t.Helper()
		for kind, want := range map[string]int{"system.registry.unavailable": down, "system.registry.available": up} {
			waitFor(t, when+": "+kind, func() bool {
				return len(e.events(kind, reg.Host())) >= want && len(general.deliveries(ofEvent(kind))) >= want
			})
			if recorded, sent := len(e.events(kind, reg.Host())), len(general.deliveries(ofEvent(kind))); recorded != want || sent != want {
				t.Errorf("%s: %s: %d events, told %d times; want %d of each", when, kind, recorded, sent, want)
			}
		}
	}
	check("at first", 1, 0)
	for i, end := range []func(){e.stop, e.kill} {
		end()
		e.start()
		e.logged(i+2, "a registry does not answer")
		check(fmt.Sprintf("after restart %d", i+1), 1, 0)
	}
	e.stop()
	repair()
	e.start()
	check("it answered meanwhile", 1, 1)
	e.stop()
	e.start()
	reg.waitLooks(t, ref, 2)
	check("one more restart", 1, 1)
}

// ofEvent selects the event_log notifications of a type of event.
func ofEvent(kind string) func(delivery) bool {
	return func(d delivery) bool { return d.kind() == "event_log" && strings.Contains(string(d.Raw), `"`+kind+`"`) }
}
