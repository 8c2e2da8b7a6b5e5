package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestRegistries(t *testing.T) {
	f := newFixture(t, nil)
	body := `{"registry":"registry.example.com:5000","registry_user":"puller","registry_pass":"correct-horse","registry_type":"docker_v2","registry_verify":false,"registry_name":"internal"}`
	want := map[string]any{
		"registry": "registry.example.com:5000", "registry_name": "internal", "registry_type": "docker_v2",
		"registry_user": "puller", "registry_verify": false, "userId": "alice",
	}
	same := func(asked string, a answer, want map[string]any) {
		t.Helper()
		list := a.list(200)
		for _, r := range list {
			dropTimes(t, r.(map[string]any))
		}
		if diff := cmp.Diff([]any{want}, list); diff != "" {
			t.Errorf("%s (-want +got):\n%s", asked, diff)
		}
		if strings.Contains(string(a.body), "horse") {
			t.Errorf("%s gives the password away: %s", asked, a.body)
		}
	}
	same("POST", f.call("alice", "POST", "/registries?validate=False", body), want)
	same("GET", f.call("alice", "GET", "/registries/registry.example.com%3A5000", ""), want)
	same("list", f.call("alice", "GET", "/v1/registries/", ""), want)
	f.call("alice", "POST", "/registries", body).says(409, "registry already exists in DB")
	want["registry_name"], want["registry_verify"] = "other", true
	same("PUT", f.call("alice", "PUT", "/registries/registry.example.com:5000", `{"registry_name":"other","registry_verify":true,"registry_pass":"horse-2"}`), want)
	f.call("alice", "DELETE", "/registries/registry.example.com:5000", "").is(200)
	f.call("alice", "DELETE", "/registries/registry.example.com:5000", "").is(200)
	f.call("alice", "GET", "/registries/registry.example.com:5000", "").says(404, "registry not found in DB")

	part := f.call("alice", "POST", "/registries", `{"registry":"docker.io/library/*","registry_user":"u","registry_pass":"p"}`).list(200)
	if diff := cmp.Diff([]any{"docker.io/library/*"}, column(part, "registry_name")); diff != "" {
		t.Errorf("the name without one (-want +got):\n%s", diff)
	}
	f.call("alice", "GET", "/registries/docker.io%2Flibrary%2F*", "").is(200)
	f.call("alice", "GET", "/registries/docker.io/library/*", "").is(200)
}

func TestRegistryRefusals(t *testing.T) {
	f := newFixture(t, nil)
	f.call("alice", "POST", "/registries", `{"registry":"quay.io","registry_user":"u","registry_pass":"p"}`).is(200)
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"POST", "/registries", `{"registry_user":"u","registry_pass":"p"}`, 400, "registry"},
		{"POST", "/registries", `{"registry":"ghcr.io","registry_pass":"p"}`, 400, "registry_user"},
		{"POST", "/registries", `{"registry":"ghcr.io","registry_user":"u"}`, 400, "registry_pass"},
		{"POST", "/registries", `{"registry":"ghcr.io","registry_user":"u","registry_pass":"p","registry_type":"x"}`, 400, "docker_v2"},
		{"POST", "/registries", `{"registry":"ghcr.io/","registry_user":"u","registry_pass":"p"}`, 409, "input registry name cannot end with trailing '/' characters"},
		{"POST", "/registries", `{"registry":"https://ghcr.io","registry_user":"u","registry_pass":"p"}`, 409, "without URI schema"},
		{"POST", "/registries", `{"registry":"*","registry_user":"u","registry_pass":"p"}`, 400, "host of a registry"},
		{"PUT", "/registries/quay.io", `{"registry":"ghcr.io","registry_user":"u","registry_pass":"p"}`, 409, "registry name in path does not equal registry name in body"},
		{"PUT", "/registries/ghcr.io", `{"registry":"ghcr.io","registry_user":"u","registry_pass":"p"}`, 404, "could not find existing registry to update"},
		{"PUT", "/registries/quay.io", `{"registry_user":7}`, 400, "registry_user"},
	} {
		f.call("alice", tt.method, tt.path, tt.body).says(tt.status, tt.message)
	}
	if got := column(f.call("alice", "GET", "/registries", "").list(200), "registry"); !cmp.Equal(got, []any{"quay.io"}) {
		t.Errorf("stored: %v", got)
	}
}

func TestRegistryCheck(t *testing.T) {
	tried := ""
	f := newFixture(t, func(c *Config) {
		c.VerifyRegistry = func(_ context.Context, r anchore.Registry) error {
			tried = r.Name + " " + r.User + ":" + r.Password.Reveal()
			if r.Password == "right" {
				return nil
			}
			return anchore.E(anchore.Unauthorized, "oci.Ping", "cannot login to registry user=u registry=quay.io - invalid username/password").
				WithCodes(anchore.CodePermissionDenied).Because(errors.New("GET https://10.0.0.1/v2/"))
		}
	})
	const problem = "cannot ping supplied registry with supplied credentials - exception: cannot login to registry user=u registry=quay.io"
	wrong, right := `{"registry":"quay.io","registry_user":"u","registry_pass":"wrong"}`, `{"registry":"quay.io","registry_user":"u","registry_pass":"right"}`
	f.call("alice", "POST", "/registries", wrong).says(406, problem)
	f.call("alice", "GET", "/registries/quay.io", "").is(404)
	f.call("alice", "POST", "/registries?validate=True", right).is(200)
	detail := f.call("alice", "PUT", "/registries/quay.io?validate=true", wrong).object(406)["detail"]
	if diff := cmp.Diff(map[string]any{"error_codes": []any{"REGISTRY_PERMISSION_DENIED"}}, detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
	tried = ""
	f.call("alice", "PUT", "/registries/quay.io", `{"registry_name":"hub"}`).is(200)
	if tried != "quay.io u:right" {
		t.Errorf("a change of the name tried %q", tried)
	}
	f.call("alice", "PUT", "/registries/quay.io?validate=false", wrong).is(200)
	f.call("alice", "POST", "/registries", `{"registry":"123456789012.dkr.ecr.us-east-1.amazonaws.com","registry_user":"k","registry_pass":"s","registry_type":"awsecr"}`).
		says(406, "cannot refresh credentials for supplied registry, with supplied credentials")
}
