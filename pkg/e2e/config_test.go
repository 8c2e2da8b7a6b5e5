package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// TestCheckAndStartAgree: what the engine does not start with, `engine config check`
// finds, in the same words, and both end with 2. No value of a secret is shown.
func TestCheckAndStartAgree(t *testing.T) {
	const url = "url: 'http://127.0.0.1:9/hunter2'"
	_, cert, _ := clientCertificate(t)
	_, _, otherKey := clientCertificate(t)
	for _, tt := range []struct{ name, config, want string }{
		{"name of a header", "webhooks: {general: {" + url + ", headers: {bad header: hunter2}}}", "config.yaml:1:79: webhooks.general.headers.bad header: "},
		{"value of a header", "webhooks: {general: {" + url + ", headers: {X-A: \"hunter2\\n\"}}}", "config.yaml:1:72: webhooks.general.headers.X-A: "},
		{"authority of an endpoint", "webhooks: {general: {" + url + ", ca_file: nope}}", `config.yaml:1:66: webhooks.general.ca_file: "nope": `},
		{"client certificate", "webhooks: {general: {" + url + ", client_cert: " + cert + ", client_key: " + otherKey + "}}", `webhooks.general.client_key: "` + otherKey + `": is not the key of ` + cert},
		{"authority of registries", "registries: {ca_file: nope}", `config.yaml:1:23: registries.ca_file: "nope": `},
		{"authority of a registry", "registries: {ca_files: {a.io: nope}}", `config.yaml:1:31: registries.ca_files.a.io: "nope": `},
		{"certificate of the API", "tls: {cert: nope, key: nope}", `config.yaml:1:13: tls.cert: "nope": `},
		{"placeholder in a host", "webhooks: {general: {url: 'http://<userId>.test/hunter2'}}", "config.yaml:1:27: webhooks.general.url: "},
		{"port", "webhooks: {general: {url: 'http://h:99999/hunter2'}}", "config.yaml:1:27: webhooks.general.url: "},
		{"host of a registry", "watch: {registries: {Bad Host: {interval: 1}}}", "config.yaml:1:22: watch.registries.Bad Host: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t, tt.config)
			e.relative = true
			check := exec.CommandContext(t.Context(), programs.engine, "config", "check", "config.yaml")
			check.Dir = e.dir
			for name, cmd := range map[string]*exec.Cmd{"check": check, "start": e.command(t.Context(), e.addr)} {
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
					t.Errorf("%s: %v, %s\nwant exit code 2 and %s", name, err, out, tt.want)
				}
				if strings.Contains(string(out), "hunter2") {
					t.Errorf("%s shows a secret: %s", name, out)
				}
			}
		})
	}
}
