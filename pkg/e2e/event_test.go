package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// told is the payload of an error_event or event_log.
type told struct {
	ID    string `json:"generated_uuid"`
	Event struct {
		Type, Level string
		Details     map[string]any
		Resource    struct{ Type, ID string }
	} `json:"event"`
}

func toldOf(t *testing.T, d delivery) told {
	t.Helper()
	var p told
	if err := json.Unmarshal(d.Envelope.Data.Payload, &p); err != nil {
		t.Fatalf("payload %s: %v", d.Envelope.Data.Payload, err)
	}
	return p
}

func ofKind(kind string) func(delivery) bool {
	return func(d delivery) bool { return d.kind() == kind }
}

// TestErrorEvent makes something fatally wrong: the data directory has less space
// than the configuration asks for.
func TestErrorEvent(t *testing.T) {
	t.Parallel()
	general, fatal := newReceiver(t), newReceiver(t)
	e := startEngine(t, fmt.Sprintf("alarms: {min_free_mb: 1073741824}\nevents: {notify: true, notify_levels: [error]}\nwebhooks:\n  general:\n    url: '%s'\n  error_event:\n    url: '%s/error_event/'\n", general.URL, fatal.URL))
	sent := fatal.wait(t, 1, "the error_event", ofKind("error_event"))[0]
	got := toldOf(t, sent)
	if got.Event.Type != "system.storage.disk_full" || got.Event.Level != "fatal" || sent.Path != "/error_event/" {
		t.Errorf("error_event at %s: %+v", sent.Path, got)
	}
	recorded := e.events("system.storage.disk_full", "")
	if len(recorded) != 1 || recorded[0].ID != got.ID || recorded[0].Event.Level != "fatal" {
		t.Errorf("recorded: %+v, told %s", recorded, got.ID)
	}
	if out := e.mustCLI("event", "list", "--level", "fatal"); !strings.Contains(out, got.ID) {
		t.Errorf("event list --level fatal:\n%s", out)
	}
	if others := general.deliveries(func(delivery) bool { return true }); len(others) != 0 {
		t.Errorf("general received %d notifications, e.g. %s", len(others), others[0].Raw)
	}
}

// TestEventLog: the original's keys send events of the levels that they name.
func TestEventLog(t *testing.T) {
	t.Parallel()
	reg, general, events := newRegistry(t), newReceiver(t), newReceiver(t)
	e := startEngine(t, watching+fmt.Sprintf("services: {catalog: {event_log: {notification: {enabled: true, level: [error]}}}}\nwebhooks:\n  general:\n    url: '%s'\n  event_log:\n    url: '%s'\n", general.URL, events.URL))
	ref := reg.ref("events/broken", "v1")
	reg.pushBroken(t, ref)
	e.mustCLI("image", "add", ref)
	failed := func(d delivery) bool {
		return d.kind() == "event_log" && strings.Contains(string(d.Raw), "user.image.analysis.failed")
	}
	got := toldOf(t, events.wait(t, 1, "the failed analysis", failed)[0])
	if got.Event.Level != "error" || got.Event.Resource.ID != ref {
		t.Errorf("event_log: %+v", got)
	}
	general.wait(t, 1, "the failed analysis at general", failed)
	if recorded := e.events("user.image.analysis.failed", ref); len(recorded) != 1 || recorded[0].ID != got.ID {
		t.Errorf("recorded: %+v, told %s", recorded, got.ID)
	}
}

// TestWebhookIsTriedOut sends samples to a receiver that takes them and to one that
// does not.
func TestWebhookIsTriedOut(t *testing.T) {
	t.Parallel()
	works, fails := newTLSReceiver(t), newReceiver(t)
	fails.answers(func(delivery) reply { return reply{Status: http.StatusForbidden} })
	e := startEngine(t, fmt.Sprintf("webhooks:\n  ssl_verify: false\n  general:\n    url: '%s/<notification_type>/<userId>'\n  vuln_update:\n    url: '%s/secret-token'\n", works.URL, fails.URL))
	var test struct {
		Status int                     `json:"status"`
		Keys   []string                `json:"configuration_keys"`
		TLS    struct{ Trusted *bool } `json:"tls"`
	}
	if status, raw := e.call(http.MethodPost, "/system/webhooks/general/test", nil, &test); status != http.StatusOK {
		t.Fatalf("test of general: %d %s", status, raw)
	}
	if test.Status != http.StatusOK || test.TLS.Trusted == nil || *test.TLS.Trusted || len(test.Keys) != 2 || !strings.Contains(test.Keys[0], "webhooks.general.url") {
		t.Errorf("test of general: %+v", test)
	}
	if got := works.deliveries(ofKind("tag_update")); len(got) != 1 || got[0].Path != "/test/admin" {
		t.Errorf("received: %+v", got)
	}
	status, raw := e.call(http.MethodPost, "/system/webhooks/vuln_update/test", nil, nil)
	if status != http.StatusBadGateway || !strings.Contains(string(raw), "answered 403 Forbidden") || strings.Contains(string(raw), "secret-token") {
		t.Errorf("test of vuln_update: %d %s", status, raw)
	}
	if got := fails.deliveries(ofKind("vuln_update")); len(got) != 1 {
		t.Errorf("vuln_update received %d samples", len(got))
	}
	var list []struct{ Name, State string }
	if e.call(http.MethodGet, "/system/webhooks", nil, &list); len(list) != 2 || list[0].State != "working" {
		t.Errorf("endpoints: %+v", list)
	}
}

// TestDocumentsOfAnImage: the engine's own child converts what it found.
func TestDocumentsOfAnImage(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	e := startEngine(t, watching)
	ref := reg.ref("documents/image", "v1")
	digest := reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	e.mustCLI("image", "wait", ref)
	for path, want := range map[string]string{"spdx": `"spdxVersion"`, "cyclonedx": `"bomFormat"`} {
		if status, raw := e.call(http.MethodGet, "/images/"+digest+"/sboms/"+path, nil, &map[string]any{}); status != http.StatusOK || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %d %.200s", path, status, raw)
		}
	}
	for _, kind := range []string{"manifest", "docker_history", "dockerfile"} {
		if out := e.mustCLI("image", "metadata", ref, kind); !strings.Contains(out, "Metadata Type: "+kind) {
			t.Errorf("image metadata %s:\n%s", kind, out)
		}
	}
}
