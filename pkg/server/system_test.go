package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestOpenRoutes(t *testing.T) {
	f := newFixture(t, nil)
	for path, want := range map[string]string{
		"": "\"v1\"\n", "/": "\"v1\"\n", "/v1": "\"v1\"\n", "/v1/": "\"v1\"\n", "/health": "\"ok\"\n", "/v1/health/": "\"ok\"\n",
		"/version": `{
  "api": {},
  "db": {
    "schema_version": "0.0.16"
  },
  "service": {
    "version": "1.1.0"
  }
}
`,
	} {
		if got := string(f.call("", "GET", path, "").is(200).body); got != want {
			t.Errorf("GET %s = %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"/swagger.json", "/v1/swagger.json"} {
		doc := f.call("", "GET", path, "").object(200)
		if got := doc["info"].(map[string]any)["version"]; got != "0.1.20" || doc["swagger"] != "2.0" {
			t.Errorf("GET %s: version %v of swagger %v, want 0.1.20 of 2.0", path, got, doc["swagger"])
		}
	}
	if got := f.call("", "GET", "/v1/openapi.json", "").object(200)["openapi"]; got != "3.0.3" {
		t.Errorf("openapi = %v, want 3.0.3", got)
	}
	if got := f.call("", "HEAD", "/v1/health", "").is(200).body; len(got) != 0 {
		t.Errorf("HEAD /health has a body: %q", got)
	}
}

func TestServices(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		cfg.Health = func(context.Context) []PartHealth {
			return []PartHealth{
				{Part: "watch", Service: "catalog", Message: "registry quay.io does not answer", Detail: map[string]any{"registries": []string{"quay.io"}}},
				{Part: "notify", Service: "catalog", Busy: true, Detail: map[string]any{"due": 3}},
				{Part: "analyze", Service: "analyzer", Down: true, Message: "no worker runs"},
			}
		}
	})
	for _, path := range []string{"/system", "/status"} {
		if got := string(f.call("bob", "GET", path, "").is(200).body); strings.Contains(got, "quay.io") || strings.Contains(got, "no worker") {
			t.Errorf("GET %s tells a user what is for administrators: %s", path, got)
		}
	}
	list := f.call("admin", "GET", "/system", "").object(200)["service_states"].([]any)
	if diff := cmp.Diff([]any{"analyzer", "apiext", "catalog", "policy_engine", "simplequeue"}, column(list, "servicename")); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{false, true, true, true, true}, column(list, "status")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	want := map[string]any{
		"base_url": "http://engine:8228", "hostid": "anchore-quickstart", "servicename": "catalog", "status": true,
		"status_message": "available", "version": "v1",
		"service_detail": map[string]any{
			"available": true, "busy": true, "up": true, "message": "watch: registry quay.io does not answer",
			"db_version": "0.0.16", "version": "1.1.0",
			"detail": map[string]any{"watch": map[string]any{"registries": []any{"quay.io"}}, "notify": map[string]any{"due": 3.0}},
		},
	}
	if diff := cmp.Diff(want, list[2]); diff != "" {
		t.Errorf("catalog (-want +got):\n%s", diff)
	}
	if got := f.call("bob", "GET", "/status", "").object(200)["message"]; got != "all good" {
		t.Errorf("status message = %v, want all good", got)
	}
	for path, want := range map[string]int{
		"/system/services": 5, "/system/services/catalog": 1, "/system/services/nonsense": 0, "/system/services/catalog/anchore-quickstart": 1,
	} {
		if got := f.call("admin", "GET", path, "").list(200); len(got) != want {
			t.Errorf("GET %s has %d services, want %d", path, len(got), want)
		}
		f.call("bob", "GET", path, "").says(403, "Not authorized")
	}
	for _, method := range []string{"GET", "DELETE"} {
		f.call("admin", method, "/system/services/catalog/elsewhere", "").says(404, "servicename/host_id (catalog/elsewhere) not found in anchore-engine")
		f.call("admin", method, "/system/services/nonsense/anchore-quickstart", "").says(404, "servicename/host_id (nonsense/anchore-quickstart) not found in anchore-engine")
		f.call("bob", method, "/system/services/catalog/elsewhere", "").says(403, "Not authorized")
	}
	f.call("admin", "DELETE", "/system/services/catalog/anchore-quickstart", "").says(409, "cannot delete an active service")
}

func TestHints(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		cfg.Hint = func(account string, ref anchore.Reference) bool { return account == "alice" && ref.Tag != "" }
	})
	want := map[string]any{"key": alpine, "accepted": true}
	if diff := cmp.Diff(want, f.call("alice", "POST", "/system/hints", `{"tag":"alpine"}`).object(http.StatusAccepted)); diff != "" {
		t.Errorf("hint (-want +got):\n%s", diff)
	}
	want = map[string]any{"key": "docker.io/library/alpine", "accepted": false}
	if diff := cmp.Diff(want, f.call("alice", "POST", "/v1/system/hints", `{"repository":"alpine"}`).object(200)); diff != "" {
		t.Errorf("hint (-want +got):\n%s", diff)
	}
	f.call("bob", "POST", "/system/hints", `{"tag":"alpine"}`).is(200)
	for body, message := range map[string]string{
		`{}`: "give either", `{"tag":"a","repository":"a"}`: "give either", `{"repository":"a:1"}`: "names a tag", `{"tag":"A B"}`: "not a repository",
		`{"tag":"alpine@sha256:2042a492bcdd847a01cd7f119cd48caa180da696ed2aedd085001a78664407d6"}`: "names a digest",
	} {
		f.call("alice", "POST", "/system/hints", body).says(400, message)
	}
}

func TestMetrics(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("anchore_up 1\n")) })
	closed := newFixture(t, func(cfg *Config) { cfg.Metrics = metrics })
	closed.call("", "GET", "/metrics", "").is(401)
	closed.call("bob", "GET", "/metrics", "").says(403, "action=getMetrics")
	for _, account := range []string{"admin", "bob"} { // acting for another, an administrator stays one
		if got := string(closed.call("admin", "GET", "/metrics", "", "X-Anchore-Account", account).is(200).body); got != "anchore_up 1\n" {
			t.Errorf("metrics = %q", got)
		}
	}
	closed.call("bob", "GET", "/v1/metrics", "").is(404)
	open := newFixture(t, func(cfg *Config) { cfg.Metrics, cfg.OpenMetrics = metrics, true })
	for _, user := range []string{"", "bob", "nobody"} {
		open.call(user, "GET", "/metrics", "").is(200)
	}
}
