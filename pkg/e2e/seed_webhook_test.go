package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeedWebhookConfiguration(t *testing.T) {
	t.Parallel()

	t.Run("the sample has webhooks commented out", func(t *testing.T) {
		sample, err := os.ReadFile(filepath.Join("..", "..", "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		there := false
		for line := range strings.Lines(string(sample)) {
			if strings.HasPrefix(line, "webhooks:") {
				t.Errorf("the sample's webhooks section is not commented out")
			}
			there = there || strings.HasPrefix(strings.TrimLeft(line, "# "), "webhooks:")
		}
		if !there {
			t.Error("the sample has no webhooks section")
		}
	})

	t.Run("the blocks of the documentation are a valid file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(seedWebhooks), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(programs.engine, "config", "check", file).CombinedOutput(); err != nil {
			t.Errorf("engine config check: %v\n%s", err, out)
		}
	})

	t.Run("a block at the top level is reported", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte("policy_eval:\n  url: 'http://localhost:9090/x'\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(programs.engine, "config", "check", file).CombinedOutput()
		if !strings.Contains(string(out), "belongs under webhooks:") {
			t.Errorf("engine config check: %v\n%s", err, out)
		}
	})

	t.Run("TLS is verified by default and ssl_verify suppresses it", func(t *testing.T) {
		t.Parallel()
		reg, strict, lax, trusted := newRegistry(t), newTLSReceiver(t), newTLSReceiver(t), newTLSReceiver(t)
		e := startEngine(t, watching+fmt.Sprintf(`
webhooks:
  general:
    url: '%s/strict'
  tag_update:
    url: '%s/lax'
    ssl_verify: False
  analysis_update:
    url: '%s/trusted'
    ca_file: '%s'
`, strict.URL, lax.URL, trusted.URL, trusted.caFile(t)))
		ref := reg.ref("seed/tls", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		trusted.wait(t, 1, "the analysis_update to the endpoint whose certificate ca_file trusts", of("analysis_update", ref))
		reg.push(t, ref, "b")
		lax.wait(t, 1, "the tag_update to the endpoint that is not verified", of("tag_update", ref))
		waitFor(t, "a line about the certificate in the log", func() bool { return strings.Contains(e.log.String(), "certificate") })
		if got := strict.deliveries(func(delivery) bool { return true }); len(got) > 0 {
			t.Errorf("a receiver with an unknown certificate was sent %s", got[0].Raw)
		}
	})

	t.Run("basic credentials are passed and may be left out", func(t *testing.T) {
		t.Parallel()
		reg, with, without := newRegistry(t), newReceiver(t), newReceiver(t)
		for user, r := range map[string]*receiver{"user:pass": with, "": without} {
			config := watching + "webhooks:\n"
			if user != "" {
				config += "  webhook_user: 'user'\n  webhook_pass: 'pass'\n  ssl_verify: False\n"
			}
			e := startEngine(t, config+"  general:\n    url: '"+r.URL+"'\n")
			ref := reg.ref("seed/credentials", "v1")
			reg.push(t, ref, "a")
			e.mustCLI("image", "add", ref)
			got := r.wait(t, 1, "the analysis_update", of("analysis_update", ref))[0]
			if credentials := basic(got); credentials != user {
				t.Errorf("the receiver was shown %q, want %q", credentials, user)
			}
		}
	})

	t.Run("the general webhook receives all types and the placeholders are replaced", func(t *testing.T) {
		t.Parallel()
		reg, recv := newRegistry(t), newReceiver(t)
		e := startEngine(t, watching+general(recv))
		ref := reg.ref("seed/general", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		reg.push(t, ref, "b")
		for _, kind := range []string{"analysis_update", "tag_update"} {
			got := recv.wait(t, 1, "the "+kind, of(kind, ref))[0]
			if want := "/general/" + kind + "/admin"; got.Path != want {
				t.Errorf("%s was sent to %s, want %s", kind, got.Path, want)
			}
		}
	})

	t.Run("an endpoint for a type has its own credentials", func(t *testing.T) {
		t.Parallel()
		reg, recv := newRegistry(t), newReceiver(t)
		e := startEngine(t, watching+fmt.Sprintf(`
webhooks:
  webhook_user: 'user'
  webhook_pass: 'pass'
  general:
    url: '%[1]s/general/<notification_type>/<userId>'
  policy_eval: {}
  analysis_update:
    url: '%[1]s/somepath/<userId>'
    webhook_user: 'mehuser'
    webhook_pass: 'mehpass'
  tag_update:
    url: '%[1]s/inherits'
`, recv.URL))
		ref := reg.ref("seed/specific", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		reg.push(t, ref, "b")
		recv.wait(t, 2, "both analysis_updates", of("analysis_update", ref))
		recv.wait(t, 2, "both tag_updates", of("tag_update", ref))
		want := map[string]string{
			"/general/analysis_update/admin": "user:pass",
			"/general/tag_update/admin":      "user:pass",
			"/somepath/admin":                "mehuser:mehpass",
			"/inherits":                      "user:pass",
		}
		for _, d := range recv.deliveries(func(delivery) bool { return true }) {
			if basic(d) != want[d.Path] {
				t.Errorf("%s was shown %q, want %q", d.Path, basic(d), want[d.Path])
			}
		}
	})
}

// basic is the user and password of a request, or "" if it has none.
func basic(d delivery) string {
	user, pass, ok := (&http.Request{Header: d.Header}).BasicAuth()
	if !ok {
		return ""
	}
	return user + ":" + pass
}

// seedWebhooks is what the subscription documentation shows, put together.
const seedWebhooks = `
webhooks:
  webhook_user: 'user'
  webhook_pass: 'pass'
  ssl_verify: False

  general:
    url: 'http://localhost:9090/general/<notification_type>/<userId>'

  policy_eval:
    url: 'http://localhost:9090/somepath/<userId>'
    webhook_user: 'mehuser'
    webhook_pass: 'mehpass'

  error_event:
    url: 'http://localhost:9090/error_event/'
`
