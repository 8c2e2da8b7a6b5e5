package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// hooks has the endpoints general, which works, and gone, which does not.
type hooks struct {
	tested  []string
	resumed []string
}

func (h *hooks) Endpoints(context.Context) ([]Endpoint, error) {
	at := time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC)
	return []Endpoint{
		{Name: "general", URL: "https://hooks.example.com", Keys: []string{"webhooks.general.url (config.yaml line 2)"}, Pending: 2, LastSuccess: at, Reason: "old"},
		{Name: "gone", URL: "http://gone", Failures: 1, Paused: true, HeldUntil: time.Date(2121, 6, 1, 12, 0, 0, 0, time.UTC), LastFailure: at, OldestDue: at, Reason: "answered 410 Gone"},
		{Name: "slow", URL: "http://slow", Failures: 3, HeldUntil: time.Date(2121, 6, 1, 12, 0, 0, 0, time.UTC), LastFailure: at, Reason: "no answer in time"},
		{Name: "was", Removed: true, Parked: 3, Failures: 3, Paused: true, HeldUntil: time.Date(2121, 6, 1, 12, 0, 0, 0, time.UTC), LastFailure: at, Reason: "answered 500"},
	}, nil
}

func (h *hooks) Test(_ context.Context, endpoint string, t anchore.SubscriptionType, a anchore.Account) (EndpointTest, error) {
	h.tested = append(h.tested, endpoint+" "+string(t)+" "+a.Name)
	switch endpoint {
	case "general", "error_event", "vuln_update":
		return EndpointTest{Endpoint: endpoint, URL: "https://hooks.example.com", Keys: []string{"webhooks.general.url (config.yaml line 2)"}, Delivered: true, Status: 204, Took: 12500 * time.Microsecond,
			TLS: &EndpointTLS{Version: "TLS 1.3", Trusted: true, Chain: []EndpointCertificate{{Subject: "CN=hooks", Issuer: "CN=ca", Names: []string{"hooks.example.com"}, NotAfter: time.Date(2031, 6, 1, 12, 0, 0, 0, time.UTC)}}}}, nil
	case "gone":
		return EndpointTest{Endpoint: endpoint, URL: "http://gone", Status: 410, Reason: "answered 410 Gone", Took: time.Millisecond}, nil
	}
	return EndpointTest{}, anchore.E(anchore.Invalid, "test", "No Webhook Configuration found for type=%s", endpoint)
}

func (h *hooks) Resume(_ context.Context, endpoint string) error {
	if endpoint != "gone" {
		return anchore.E(anchore.NotFound, "test", "no webhook endpoint %q is configured", endpoint)
	}
	h.resumed = append(h.resumed, endpoint)
	return nil
}

// TestAFailedTestIsNoFailureOfTheEngine: the log says what came of it, but has no
// error.
func TestAFailedTestIsNoFailureOfTheEngine(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, func(cfg *Config) {
		cfg.Webhooks, cfg.Log = &hooks{}, slog.New(slog.NewTextHandler(&log, nil))
	})
	f.call("admin", "POST", "/system/webhooks/gone/test", "").says(502, "did not take the sample")
	if text := log.String(); strings.Contains(text, "level=ERROR") || !strings.Contains(text, "level=INFO") || !strings.Contains(text, "answered 410 Gone") {
		t.Errorf("the log has %q, want the outcome, and no error", text)
	}
}

func TestWebhooks(t *testing.T) {
	h := &hooks{}
	f := newFixture(t, func(cfg *Config) { cfg.Webhooks = h })
	list := f.call("admin", "GET", "/system/webhooks", "").list(200)
	want := []any{
		map[string]any{
			"name": "general", "url": "https://hooks.example.com", "configuration_keys": []any{"webhooks.general.url (config.yaml line 2)"}, "state": "working",
			"pending": 2.0, "parked": 0.0, "in_flight": 0.0, "failures": 0.0, "held_until": nil,
			"last_success": "2021-06-01T12:00:00Z", "last_failure": nil, "last_error": nil, "oldest_due": nil,
		},
		map[string]any{
			"name": "gone", "url": "http://gone", "configuration_keys": []any{}, "state": "paused", "pending": 0.0, "parked": 0.0, "in_flight": 0.0, "failures": 1.0, "held_until": nil,
			"last_success": nil, "last_failure": "2021-06-01T12:00:00Z", "last_error": "answered 410 Gone", "oldest_due": "2021-06-01T12:00:00Z",
		},
		map[string]any{
			"name": "slow", "url": "http://slow", "configuration_keys": []any{}, "state": "failing", "pending": 0.0, "parked": 0.0, "in_flight": 0.0, "failures": 3.0, "held_until": "2121-06-01T12:00:00Z",
			"last_success": nil, "last_failure": "2021-06-01T12:00:00Z", "last_error": "no answer in time", "oldest_due": nil,
		},
		map[string]any{
			"name": "was", "url": "", "configuration_keys": []any{}, "state": "removed", "pending": 0.0, "parked": 3.0, "in_flight": 0.0, "failures": 3.0, "held_until": nil,
			"last_success": nil, "last_failure": "2021-06-01T12:00:00Z", "last_error": "answered 500", "oldest_due": nil,
		},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("GET /system/webhooks (-want +got):\n%s", diff)
	}
	got := f.call("admin", "POST", "/system/webhooks/general/test", "").object(200)
	if diff := cmp.Diff(map[string]any{
		"endpoint": "general", "url": "https://hooks.example.com", "notification_type": "tag_update", "configuration_keys": []any{"webhooks.general.url (config.yaml line 2)"},
		"status": 204.0, "latency_ms": 12.5, "reason": nil,
		"tls": map[string]any{"version": "TLS 1.3", "trusted": true, "chain": []any{
			map[string]any{"subject": "CN=hooks", "issuer": "CN=ca", "names": []any{"hooks.example.com"}, "not_after": "2031-06-01T12:00:00Z"},
		}},
	}, got); diff != "" {
		t.Errorf("test (-want +got):\n%s", diff)
	}
	f.call("admin", "POST", "/system/webhooks/gone/resume", "").is(200)
	f.call("admin", "POST", "/system/webhooks/general/resume", "").says(404, "general")
	if diff := cmp.Diff([]string{"gone"}, h.resumed); diff != "" {
		t.Errorf("resumed (-want +got):\n%s", diff)
	}
}

func TestWebhookTest(t *testing.T) {
	h := &hooks{}
	f := newFixture(t, func(cfg *Config) { cfg.Webhooks = h })
	failed := f.call("admin", "POST", "/system/webhooks/gone/test?notification_type=vuln_update", "")
	failed.says(502, "the endpoint gone (http://gone) did not take the sample: answered 410 Gone")
	detail := decoded[map[string]any](failed)["detail"].(map[string]any)
	if detail["status"] != 410.0 || detail["reason"] != "answered 410 Gone" || detail["tls"] != nil {
		t.Errorf("detail = %v", detail)
	}
	f.call("admin", "POST", "/system/webhooks/error_event/test", "").is(200)
	f.call("admin", "POST", "/system/webhooks/vuln_update/test", "", "X-Anchore-Account", "alice").is(200)
	f.call("admin", "POST", "/system/webhooks/nowhere/test", "").says(400, "No Webhook Configuration found for type=nowhere")
	f.call("admin", "POST", "/system/webhooks/general/test?notification_type=repo_update", "").says(400, "notification_type")
	want := []string{"gone vuln_update admin", "error_event error_event admin", "vuln_update vuln_update alice", "nowhere tag_update admin"}
	if diff := cmp.Diff(want, h.tested); diff != "" {
		t.Errorf("tested (-want +got):\n%s", diff)
	}
	none := newFixture(t, nil)
	none.call("admin", "POST", "/system/webhooks/general/test", "").says(400, "Webhooks Configuration not found")
	none.call("admin", "POST", "/system/webhooks/general/resume", "").is(404)
	if got := none.call("admin", "GET", "/system/webhooks", "").list(200); len(got) != 0 {
		t.Errorf("endpoints without configuration: %v", got)
	}
}
