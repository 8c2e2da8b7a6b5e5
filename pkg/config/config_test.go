package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

var update = flag.Bool("update", false, "rewrite the generated files")

func TestGenerated(t *testing.T) {
	for file, want := range map[string]string{"../../docs/configuration.md": Reference(), "../../config.yaml": Sample()} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is stale, run make generate (-want +got):\n%s", file, diff)
		}
	}
}

// The sample as it is must change nothing, and be valid with every key uncommented.
func TestSample(t *testing.T) {
	if got := mustBuild(t, Sample()); len(got.Webhooks.Endpoints) > 0 {
		t.Errorf("the sample has endpoints %v, want none", got.Webhooks.Endpoints)
	}
	var lines []string
	for line := range strings.Lines(Sample()) {
		if key, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(line, "##") {
			lines = append(lines, key)
		}
	}
	all := strings.Join(lines, "")
	env := map[string]string{"ANCHORE_ADMIN_PASSWORD": "foobar"}
	_, problems := build("config.yaml", []byte(withFiles(t, all)), env, nil)
	var got []string
	for _, p := range problems {
		got = append(got, p.Key+": "+p.Message)
	}
	// The sample shows both ways to authenticate; using both is what is refused.
	want := []string{"webhooks.general.bearer_token: excludes webhook_user; leave one of them out"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems of the uncommented sample (-want +got):\n%s\n%s", diff, all)
	}
	if err := yaml.Unmarshal([]byte(all), new(map[string]any)); err != nil {
		t.Errorf("the uncommented sample: %v", err)
	}
}

// withFiles has files that exist in place of those that the sample names.
func withFiles(t *testing.T, text string) string {
	t.Helper()
	cert, key := writePair(t)
	return regexp.MustCompile(`/etc/anchore/[a-z.]+`).ReplaceAllStringFunc(text, func(file string) string {
		if strings.HasSuffix(file, ".key") {
			return key
		}
		return cert
	})
}

// writePair writes a certificate and its key.
func writePair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	cert, key := pair(t)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

// No two keys, nor their variables, may be confused.
func TestTable(t *testing.T) {
	seen := map[string]string{}
	for _, k := range keys() {
		for _, name := range slices.Concat([]string{k.name}, k.old, k.variables()) {
			if before, twice := seen[name]; twice {
				t.Errorf("%s belongs to %s and %s", name, before, k.name)
			}
			seen[name] = k.name
		}
		if k.doc == "" || k.sampleValue() == "" {
			t.Errorf("%s has no doc or no example", k.name)
		}
		if k.name != strings.ToLower(k.name) {
			t.Errorf("%s is not in lower case, as viper needs", k.name)
		}
	}
}

func TestDefaults(t *testing.T) {
	got := mustBuild(t, "")
	want := &Config{
		File: "config.yaml", DataDir: "/home/me/.anchore_engine", Listen: "127.0.0.1:8228", LogFormat: "text", HostID: got.HostID,
		AdminEmail: "admin@myanchore", MaxCompressedImageSizeMB: -1, Platform: anchore.DefaultPlatform,
		Watch:      Watch{Interval: 5 * time.Minute, RepositoryInterval: time.Minute, Concurrency: 32, RegistryConcurrency: 8, Registries: map[string]Registry{}},
		Registries: Registries{Hosts: map[string]RegistryAccess{}},
		Subscriptions: map[anchore.SubscriptionType]bool{
			anchore.AnalysisUpdate: true, anchore.TagUpdate: true, anchore.PolicyEval: false, anchore.VulnUpdate: false,
		},
		Analysis: Analysis{Concurrency: 1, Timeout: 30 * time.Minute, LayerCacheBytes: 1 << 30},
		Events:   Events{Keep: 90 * 24 * time.Hour},
		Alarms:   Alarms{MinFree: 256 << 20, EndpointDead: time.Hour},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// seedWebhooks are the blocks of the documentation, put together under webhooks.
const seedWebhooks = `webhooks:
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
  tag_update: {}
  vuln_update:
`

func TestSeedWebhooks(t *testing.T) {
	got := mustBuild(t, seedWebhooks).Webhooks
	base := Endpoint{User: "user", Password: "pass", Timeout: 10 * time.Second, RetryFor: 72 * time.Hour}
	general, policy, errorEvent := base, base, base
	general.Name, general.URL = "general", "http://localhost:9090/general/<notification_type>/<userId>"
	policy.Name, policy.URL = "policy_eval", "http://localhost:9090/somepath/<userId>"
	policy.User, policy.Password = "mehuser", "mehpass"
	errorEvent.Name, errorEvent.URL = "error_event", "http://localhost:9090/error_event/"
	inherited := []string{"webhooks.ssl_verify (config.yaml line 4)", "webhooks.webhook_pass (config.yaml line 3)", "webhooks.webhook_user (config.yaml line 2)"}
	general.Keys = append([]string{"webhooks.general.url (config.yaml line 6)"}, inherited...)
	errorEvent.Keys = append([]string{"webhooks.error_event.url (config.yaml line 12)"}, inherited...)
	policy.Keys = []string{
		"webhooks.policy_eval.url (config.yaml line 8)", "webhooks.policy_eval.webhook_pass (config.yaml line 10)",
		"webhooks.policy_eval.webhook_user (config.yaml line 9)", "webhooks.ssl_verify (config.yaml line 4)",
	}
	if diff := cmp.Diff(Webhooks{Endpoints: []Endpoint{errorEvent, general, policy}}, got, revealed()); diff != "" {
		t.Errorf("webhooks of the seed (-want +got):\n%s", diff)
	}
}

// TestLogins: an endpoint's own way to log in comes before what it would inherit, and
// what does not hold for it is not among the keys that made it.
func TestLogins(t *testing.T) {
	const own, section = "webhooks.general.", "webhooks."
	for _, tt := range []struct {
		name, endpoint string
		user           string
		password       anchore.Secret
		keys           []string // those of a login
	}{
		{"inherited", "", "u", "topp", []string{section + "webhook_pass", section + "webhook_user"}},
		{"own", "webhook_user: mine, webhook_pass: p", "mine", "p", []string{own + "webhook_pass", own + "webhook_user"}},
		{"own user", "webhook_user: mine", "mine", "topp", []string{own + "webhook_user", section + "webhook_pass"}},
		{"no user", "webhook_user: ''", "", "", []string{own + "webhook_user"}},
		{"own password without a user", "webhook_user: '', webhook_pass: p", "", "p", []string{own + "webhook_pass", own + "webhook_user"}},
		{"header", "headers: {authorization: Basic eDp5}", "", "", []string{own + "headers.authorization"}},
		{"header and no user", "headers: {Authorization: Basic eDp5}, webhook_user: ''", "", "", []string{own + "headers.Authorization", own + "webhook_user"}},
		{"another header", "headers: {X-Authorization: t}", "u", "topp", []string{own + "headers.X-Authorization", section + "webhook_pass", section + "webhook_user"}},
		{"token", "bearer_token: t", "", "", []string{own + "bearer_token"}},
		{"in the url", "url: 'http://x:y@h'", "", "", nil},
		{"only a password in the url", "url: 'http://:y@h'", "", "", nil},
		{"an empty user in the url", "url: 'http://@h'", "u", "topp", []string{section + "webhook_pass", section + "webhook_user"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			endpoint := tt.endpoint
			if !strings.Contains(endpoint, "url:") {
				endpoint = "url: 'http://h', " + endpoint
			}
			e := mustBuild(t, "webhooks: {webhook_user: u, webhook_pass: topp, general: {"+endpoint+"}}").Webhooks.Endpoints[0]
			if e.User != tt.user || e.Password != tt.password {
				t.Errorf("%s: logs in as %q with %q, want %q and %q", endpoint, e.User, e.Password.Reveal(), tt.user, tt.password.Reveal())
			}
			var keys []string
			for _, key := range e.Keys {
				if key, _, _ = strings.Cut(key, " "); key != own+"url" {
					keys = append(keys, key)
				}
			}
			if diff := cmp.Diff(tt.keys, keys); diff != "" {
				t.Errorf("%s: keys (-want +got):\n%s", endpoint, diff)
			}
		})
	}
}

func TestValues(t *testing.T) {
	hour, never := time.Hour, time.Duration(0)
	cert, key := writePair(t)
	tests := []struct {
		name, file string
		env        []string
		args       []string
		get        func(*Config) any
		want       any
	}{
		{"default beats nothing", "", nil, nil, func(c *Config) any { return c.Watch.Interval }, 5 * time.Minute},
		{"file beats default", "watch: {interval: 1}", nil, nil, func(c *Config) any { return c.Watch.Interval }, time.Second},
		{"environment beats file", "watch: {interval: 1}", []string{"ANCHORE_WATCH__INTERVAL=2"}, nil, func(c *Config) any { return c.Watch.Interval }, 2 * time.Second},
		{"flag beats environment", "listen: ':1'", []string{"ANCHORE_LISTEN=:2"}, []string{"--listen=:3"}, func(c *Config) any { return c.Listen }, ":3"},
		{"original timer of repositories", "services: {catalog: {cycle_timers: {repo_watcher: 120}}}", nil, nil, func(c *Config) any { return c.Watch.RepositoryInterval }, 2 * time.Minute},
		{"original timer", "services: {catalog: {cycle_timers: {image_watcher: 3600}}}", nil, nil, func(c *Config) any { return c.Watch.Interval }, time.Hour},
		{"negative timer", "watch: {interval: -7}", nil, nil, func(c *Config) any { return c.Watch.Interval }, 7 * time.Second},
		{"timer off", "watch: {interval: 0}", nil, nil, func(c *Config) any { return c.Watch.Interval }, never},
		{"registry with dots and port", "watch: {registries: {'my.reg.example:5000': {interval: 1h, concurrency: 2, platform: linux/arm64/v8}}}", nil, nil,
			func(c *Config) any { return c.Watch.Registries },
			map[string]Registry{"my.reg.example:5000": {Interval: &hour, Concurrency: 2, Platform: anchore.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}}},
		{"password keeps its text", "default_admin_password: 012345", nil, nil, func(c *Config) any { return c.AdminPassword.Reveal() }, "012345"},
		{"variable in file", "default_admin_password: ${ANCHORE_P}", []string{"ANCHORE_P=yes"}, nil, func(c *Config) any { return c.AdminPassword.Reveal() }, "yes"},
		{"other variables stay", "default_admin_password: $ANCHORE_P a${HOME}", nil, nil, func(c *Config) any { return c.AdminPassword.Reveal() }, "$ANCHORE_P a${HOME}"},
		{"null variable in file", "webhooks: {general: {url: '${ANCHORE_P}'}}", []string{"ANCHORE_P=null"}, nil, func(c *Config) any { return len(c.Webhooks.Endpoints) }, 0},
		{"original variable", "", []string{"ANCHORE_ADMIN_PASSWORD=foobar"}, nil, func(c *Config) any { return c.AdminPassword.Reveal() }, "foobar"},
		{"webhook by variable", "webhooks: {general: {}}", []string{"ANCHORE_WEBHOOK_DESTINATION_URL=http://h/"}, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].URL.Reveal() }, "http://h/"},
		{"retry in seconds", "webhooks: {notification_retry_timeout: 30, general: {url: 'http://h'}}", nil, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].RetryFor }, 30 * time.Second},
		{"own ssl_verify", "webhooks: {ssl_verify: false, general: {url: 'http://h', ssl_verify: true}}", nil, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].SSLVerify }, true},
		{"empty user is none", "webhooks: {webhook_user: u, general: {url: 'http://h', webhook_user: ''}}", nil, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].User }, ""},
		{"headers", "webhooks: {general: {url: 'http://h', headers: {X-Team: 007}}}", nil, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].Headers["X-Team"].Reveal() }, "007"},
		{"bearer over inherited user", "webhooks: {webhook_user: u, general: {url: 'http://h', bearer_token: t}}", nil, nil, func(c *Config) any { return c.Webhooks.Endpoints[0].User }, ""},
		{"original listen", "services: {apiext: {listen: 0.0.0.0, port: 9000}}", nil, nil, func(c *Config) any { return c.Listen }, "0.0.0.0:9000"},
		{"own listen wins", "listen: 'h:1'\nservices: {apiext: {listen: 0.0.0.0, port: 9000}}", nil, nil, func(c *Config) any { return c.Listen }, "h:1"},
		{"TLS of the original", "services: {apiext: {ssl_enable: true, ssl_cert: " + cert + ", ssl_key: " + key + "}}", nil, nil, func(c *Config) any { return c.TLS }, TLS{cert, key}},
		{"TLS switched off", "services: {apiext: {ssl_enable: false, ssl_cert: c, ssl_key: k}}", nil, nil, func(c *Config) any { return c.TLS }, TLS{}},
		{"subscriptions", "subscriptions: {default: {policy_eval: true}}", nil, nil, func(c *Config) any { return c.Subscriptions[anchore.PolicyEval] }, true},
		{"public URL with a slash", "public_url: https://h.test/anchore/", nil, nil, func(c *Config) any { return c.PublicURL }, "https://h.test/anchore"},
		{"size by variable", "", []string{"ANCHORE_MAX_COMPRESSED_IMAGE_SIZE_MB=700"}, nil, func(c *Config) any { return c.MaxCompressedImageSizeMB }, 700},
		{"size below zero", "max_compressed_image_size_mb: -5", nil, nil, func(c *Config) any { return c.MaxCompressedImageSizeMB }, -1},
		{"no layer cache", "analysis: {layer_cache_enable: false, layer_cache_max_gigabytes: 4}", nil, nil, func(c *Config) any { return c.Analysis.LayerCacheBytes }, int64(0)},
		{"events of the original", "services: {catalog: {event_log: {notification: {enabled: true, level: [ERROR]}}}}", nil, nil, func(c *Config) any {
			return []bool{c.Events.Notified(anchore.Info), c.Events.Notified(anchore.Failure), c.Events.Notified(anchore.Fatal)}
		}, []bool{false, true, false}},
		{"all events", "events: {notify: true, notify_levels: []}", nil, nil, func(c *Config) any { return c.Events.Notified(anchore.Info) }, true},
		{"no events", "events: {notify_levels: [info]}", nil, nil, func(c *Config) any { return c.Events.Notified(anchore.Info) }, false},
		{"levels by variable", "", []string{"ANCHORE_EVENTS_NOTIFICATIONS_ENABLED=true", "ANCHORE_EVENTS__NOTIFY_LEVELS=fatal,error"}, nil, func(c *Config) any {
			return []bool{c.Events.Notified(anchore.Info), c.Events.Notified(anchore.Fatal)}
		}, []bool{false, true}},
		{"YAML anchors", "webhooks: {general: &e {url: 'http://h'}, tag_update: *e}", nil, nil, func(c *Config) any { return len(c.Webhooks.Endpoints) }, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := mustWrite(t, tt.file)
			cfg, err := Load(parsed(t, append(tt.args, "--config", file)...), append(tt.env, "HOME=/home/me"))
			if err != nil {
				t.Fatalf("Load(%q) = %v", tt.file, err)
			}
			if diff := cmp.Diff(tt.want, tt.get(cfg)); diff != "" {
				t.Errorf("Load(%q) (-want +got):\n%s", tt.file, diff)
			}
			if len(cfg.Warnings) > 0 {
				t.Errorf("Load(%q) warns: %s", tt.file, cfg.Warnings)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"value", "watch:\n  interval: often", `f:2:13: watch.interval: "often": must be a whole number of seconds or a duration such as 90s or 5m, at most 168h; 0 switches it off`},
		{"original name", "services: {catalog: {cycle_timers: {image_watcher: 1.5}}}", `f:1:52: services.catalog.cycle_timers.image_watcher: "1.5": must be a whole number of seconds or a duration such as 90s or 5m, at most 168h; 0 switches it off`},
		{"size", "max_compressed_image_size_mb: big", `f:1:31: max_compressed_image_size_mb: "big": must be a whole number of at most 2147483647; negative: no limit`},
		{"large size", "max_compressed_image_size_mb: 99999999999999", `f:1:31: max_compressed_image_size_mb: "99999999999999": must be a whole number of at most 2147483647; negative: no limit`},
		{"size 0", "max_compressed_image_size_mb: 0", `f:1:31: warning: max_compressed_image_size_mb: 0 is no limit, as in the original's code though not its documentation; write -1`},
		{"all at once", "log_level: LOUD\nlisten: 8228", "f:1:12: log_level: \"LOUD\": must be one of DEBUG, INFO, WARN, ERROR (or the original's FATAL, SPEW)\nf:2:9: listen: \"8228\": must be host:port with a port from 0 to 65535"},
		{"near miss", "watch: {intervall: 3}", `f:1:20: warning: watch.intervall: unknown key, ignored; did you mean watch.interval?`},
		{"unknown", "zzz: 1", `f:1:6: warning: zzz: unknown key, ignored`},
		{"retired", "credentials: {database: {db_connect: 'postgres://${ANCHORE_DB_HOST}'}}", `f:1:14: warning: credentials: a key of the original without a meaning here, ignored: the engine keeps its data in data_dir`},
		{"misplaced", "general: {url: 'http://h'}", `f:1:10: general: belongs under webhooks:`},
		{"secret value hidden", "webhooks: {general: {url: 'ftp://u:hunter2@h'}}", `f:1:27: webhooks.general.url: must be an http or https URL, with a port from 1 to 65535 if it has one`},
		{"unset variable", "host_id: ${ANCHORE_NOPE}", `f:1:10: host_id: the environment variable ANCHORE_NOPE is not set`},
		{"registry", "watch: {registries: {team: {interval: 1}}}", `f:1:22: watch.registries.team: is not the host of a registry; expected host or host:port, e.g. docker.io or localhost:5000`},
		{"registry with a space", "watch:\n  registries:\n    Bad Host:\n      interval: 1\n      concurrency: 2", `f:3:5: watch.registries.Bad Host: is not the host of a registry; expected host or host:port, e.g. docker.io or localhost:5000`},
		{"registry of a mirror", "registries: {insecure: {'http://x': true}}", `f:1:25: registries.insecure.http://x: is not the host of a registry; expected host or host:port, e.g. docker.io or localhost:5000`},
		{"port of a url", "webhooks: {general: {url: 'http://h:99999/t0ken'}}", `f:1:27: webhooks.general.url: must be an http or https URL, with a port from 1 to 65535 if it has one`},
		{"port of the public url", "public_url: http://h:0", `f:1:13: public_url: "http://h:0": must be an http or https URL, with a port from 1 to 65535 if it has one`},
		{"placeholder in the host", "webhooks: {general: {url: 'http://<userId>.example.com/t0ken'}}", `f:1:27: webhooks.general.url: has a placeholder in its host; <notification_type> and <userId> are replaced in the path and the query`},
		{"unknown placeholder in the host", "webhooks: {general: {url: 'http://<bogus>/t0ken'}}", `f:1:27: webhooks.general.url: has <bogus>, which nothing replaces; allowed are <notification_type> and <userId>, written so`},
		{"space in a url", "webhooks: {general: {url: 'http://h/ t0ken'}}", `f:1:27: webhooks.general.url: has a space; write it as %20 if it is meant`},
		{"fragment of a url", "webhooks: {general: {url: 'http://h/#t0ken'}}", `f:1:27: webhooks.general.url: has a fragment (#), which is never sent; leave it out`},
		{"empty token", "webhooks: {webhook_user: u, general: {url: 'http://h', bearer_token: ''}}", `f:1:70: webhooks.general.bearer_token: is empty; give a value, or leave the key out`},
		{"empty secret of all", "webhooks: {secret: '', general: {url: 'http://h'}}", `f:1:20: webhooks.secret: is empty; give a value, or leave the key out`},
		{"empty secret", "webhooks: {general: {url: 'http://h', secret: ''}}", `f:1:47: webhooks.general.secret: is empty; give a value, or leave the key out`},
		{"name of a header", "webhooks: {general: {url: 'http://h', headers: {bad header: hunter2}}}", `f:1:61: webhooks.general.headers.bad header: is not the name of a header; expected letters, digits and hyphens, e.g. X-Team`},
		{"header that the engine sets", "webhooks: {tag_update: {url: 'http://h', headers: {content-type: text/plain}}}", `f:1:66: webhooks.tag_update.headers.content-type: is a header that the engine sets; leave it out`},
		{"value of a header", "webhooks: {general: {url: 'http://h', headers: {X-A: \"hun\\nter2\"}}}", `f:1:54: webhooks.general.headers.X-A: must be text on one line`},
		{"header of no endpoint", "webhooks: {general: {headers: {bad header: x}}}", `f:1:44: warning: webhooks.general.headers.bad header: has no effect: webhooks.general has no url, so it is no endpoint`},
		{"two logins", "webhooks: {general: {url: 'http://h', webhook_user: u, headers: {authorization: hunter2}}}", `f:1:81: webhooks.general.headers.authorization: excludes webhook_user; leave one of them out`},
		{"password beside a header", "webhooks: {webhook_user: u, general: {url: 'http://h', webhook_pass: p, headers: {Authorization: t}}}", `f:1:98: webhooks.general.headers.Authorization: excludes webhook_pass; leave one of them out`},
		{"token beside a header", "webhooks: {general: {url: 'http://h', bearer_token: t, headers: {Authorization: t}}}", `f:1:81: webhooks.general.headers.Authorization: excludes bearer_token; leave one of them out`},
		{"user in the url and beside it", "webhooks: {general: {url: 'http://u:hunter2@h', webhook_user: u}}", `f:1:27: webhooks.general.url: has a user or a password, which excludes webhook_user; leave one of them out`},
		{"host of the original", "services: {apiext: {listen: 'a b'}}", `f:1:29: services.apiext.listen: "a b": must be a host or an IP address`},
		{"list", "listen: [1]", `f:1:9: listen: must be a single value: host:port with a port from 0 to 65535`},
		{"section with a value", "watch: 3", `f:1:8: watch: must be a section with keys of its own, or empty`},
		{"twice", "host_id: a\nhost_id: b", `f:2:1: host_id: stands twice; the first is in line 1`},
		{"two names of one key", "watch: {interval: 1}\nservices: {catalog: {cycle_timers: {image_watcher: 2}}}", `f:2:52: services.catalog.cycle_timers.image_watcher: sets watch.interval again, which watch.interval has set; leave one of them out`},
		{"two spellings of a registry", "registries:\n  insecure:\n    index.docker.io: true\n    docker.io: false", `f:3:22: registries.insecure.index.docker.io: sets registries.insecure.docker.io again, which registries.insecure.docker.io has set; leave one of them out`},
		{"two letter cases of a registry", "watch:\n  registries:\n    A.io: {interval: 1}\n    a.io: {interval: 2, concurrency: 3}", `f:3:22: watch.registries.A.io.interval: sets watch.registries.a.io.interval again, which watch.registries.a.io.interval has set; leave one of them out`},
		{"file of another spelling", "registries: {ca_files: {Index.docker.io: /nonexistent}}", `f:1:42: registries.ca_files.Index.docker.io: "/nonexistent": cannot be read: no such file or directory`},
		{"half TLS", "tls: {cert: c}", `f:1:13: tls.cert: HTTPS needs both tls.cert and tls.key (or services.apiext.ssl_cert and ssl_key)`},
		{"half client certificate", "webhooks: {general: {url: 'http://h', client_key: k}}", `f:1:51: webhooks.general.client_key: a client certificate needs both client_cert and client_key`},
		{"no url", "webhooks: {general: {webhook_user: u}}", `f:1:36: warning: webhooks.general.webhook_user: has no effect: webhooks.general has no url, so it is no endpoint`},
		{"signing key", "webhooks: {secret: whsec_abc}", `f:1:20: webhooks.secret: must be text on one line; after whsec_ the base64 of 24 to 64 bytes`},
		{"levels", "events: {notify_levels: [error, warning]}", `f:1:25: events.notify_levels: "error,warning": must be a list of info, error and fatal`},
		{"event_log without events", "webhooks: {event_log: {url: 'http://h'}}", `f:1:29: warning: webhooks.event_log.url: is sent nothing: events.notify is false`},
		{"not YAML", "a: [", `f: is not YAML: line 1: did not find expected node content`},
		{"not a mapping", "- a", `f:1:1: must be a mapping of keys to values`},
		{"foreign variable", "host_id: a-${HOST}", `f:1:10: warning: host_id: ${HOST} is taken as it stands: only variables whose names begin with ANCHORE are replaced`},
		{"foreign variable for a secret", "default_admin_password: ${DB_PASSWORD}", `f:1:25: warning: default_admin_password: ${DB_PASSWORD} is taken as it stands: only variables whose names begin with ANCHORE are replaced`},
		{"part of a secret", "default_admin_password: a${b}c", ``},
		{"unknown placeholder", "webhooks: {general: {url: 'http://h/<bogus>/<userId>'}}", `f:1:27: webhooks.general.url: has <bogus>, which nothing replaces; allowed are <notification_type> and <userId>, written so`},
		{"mistyped placeholder", "webhooks: {tag_update: {url: 'http://h/?u=<userid>&t=<notification_type>'}}", `f:1:30: webhooks.tag_update.url: has <userid>, which nothing replaces; allowed are <notification_type> and <userId>, written so`},
		{"two documents", "---\nhost_id: a\n---\nhost_id: b", `f: holds more than one YAML document; one is allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := build("f", []byte(tt.file), nil, nil)
			if diff := cmp.Diff(tt.want, problems.String()); diff != "" {
				t.Errorf("problems of %q (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

// What the engine reads of a file at its start is looked at with the configuration.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	cert, key := pair(t)
	_, other := pair(t)
	files := map[string][]byte{"cert": cert, "key": key, "other": other, "text": []byte("hello"), "both": append(slices.Clone(key), cert...)}
	for name, data := range files {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("d", 0o700); err != nil {
		t.Fatal(err)
	}
	const url = "url: 'http://h'"
	tests := []struct{ name, file, want string }{
		{"all is well", "tls: {cert: cert, key: key}\nregistries: {ca_file: cert, ca_files: {a.io: " + dir + "/both}}\nwebhooks: {ca_file: cert, general: {" + url + ", client_cert: both, client_key: both}}", ``},
		{"authority of an endpoint", "webhooks: {general: {" + url + ", ca_file: nope}}", `f:1:48: webhooks.general.ca_file: "nope": cannot be read: no such file or directory`},
		{"a directory", "webhooks: {general: {" + url + ", ca_file: d}}", `f:1:48: webhooks.general.ca_file: "d": cannot be read: it is not a regular file`},
		{"no certificate in it", "webhooks: {general: {" + url + ", ca_file: key}}", `f:1:48: webhooks.general.ca_file: "key": holds no certificate in PEM`},
		{"inherited by two", "webhooks: {ca_file: nope, general: {" + url + "}, tag_update: {" + url + "}}", `f:1:21: webhooks.ca_file: "nope": cannot be read: no such file or directory`},
		{"inherited by none", "webhooks: {ca_file: nope, general: {" + url + ", ca_file: ''}}", ``},
		{"client certificate", "webhooks: {general: {" + url + ", client_cert: nope, client_key: text}}", `f:1:52: webhooks.general.client_cert: "nope": cannot be read: no such file or directory`},
		{"client key", "webhooks: {general: {" + url + ", client_cert: cert, client_key: nope}}", `f:1:70: webhooks.general.client_key: "nope": cannot be read: no such file or directory`},
		{"client certificate and key", "webhooks: {general: {" + url + ", client_cert: text, client_key: nope}}", "f:1:52: webhooks.general.client_cert: \"text\": holds no certificate in PEM\nf:1:70: webhooks.general.client_key: \"nope\": cannot be read: no such file or directory"},
		{"another's key", "webhooks: {general: {" + url + ", client_cert: cert, client_key: other}}", `f:1:70: webhooks.general.client_key: "other": is not the key of cert: private key does not match public key`},
		{"key that is none", "tls: {cert: cert, key: text}", `f:1:24: tls.key: "text": is not the key of cert: failed to find any PEM data in key input`},
		{"certificate of the API", "tls: {cert: nope, key: key}", `f:1:13: tls.cert: "nope": cannot be read: no such file or directory`},
		{"by the original's name", "services: {apiext: {ssl_cert: nope, ssl_key: key}}", `f:1:31: services.apiext.ssl_cert: "nope": cannot be read: no such file or directory`},
		{"of an API without TLS", "services: {apiext: {ssl_enable: false, ssl_cert: nope, ssl_key: nope}}", ``},
		{"authority of all registries", "registries: {ca_file: nope}", `f:1:23: registries.ca_file: "nope": cannot be read: no such file or directory`},
		{"authority of a registry", "registries: {ca_files: {index.docker.io: text}}", `f:1:42: registries.ca_files.index.docker.io: "text": holds no certificate in PEM`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := build("f", []byte(tt.file), nil, nil)
			if diff := cmp.Diff(tt.want, problems.String()); diff != "" {
				t.Errorf("problems of %q (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

// pair is a certificate and its key, in PEM.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func TestEnvironmentProblems(t *testing.T) {
	env := map[string]string{"ANCHORE_WATCH__INTERVALL": "1", "ANCHORE_LOG_LEVEL": "LOUD", "ANCHORE_DB_HOST": "db", "ANCHORE_HOST_ID": "null"}
	_, problems := build("", nil, env, nil)
	want := "environment variable ANCHORE_LOG_LEVEL: log_level: \"LOUD\": must be one of DEBUG, INFO, WARN, ERROR (or the original's FATAL, SPEW)"
	if got := problems.Errors().String(); got != want {
		t.Errorf("errors = %s, want %s", got, want)
	}
	want = "environment variable ANCHORE_WATCH__INTERVALL: warning: names no key, ignored; did you mean ANCHORE_WATCH__INTERVAL?"
	if got := problems.Warnings().String(); got != want {
		t.Errorf("warnings = %s, want %s", got, want)
	}
}

// An empty variable counts as not set, but for what protects an endpoint: it would send
// unsigned, or with the login of the section.
func TestEmptyVariable(t *testing.T) {
	for _, empty := range []string{"", "null"} {
		for key, wants := range map[string]bool{"bearer_token": true, "secret": true, "webhook_pass": false} {
			file := fmt.Sprintf("webhooks: {webhook_user: u, general: {url: 'http://h', %s: '${ANCHORE_X}'}}", key)
			_, problems := build("f", []byte(file), map[string]string{"ANCHORE_X": empty}, nil)
			want := ""
			if wants {
				want = fmt.Sprintf("f:1:%d: webhooks.general.%s: is empty; give a value, or leave the key out", 58+len(key), key)
			}
			if got := problems.String(); got != want {
				t.Errorf("%s of %q: %s, want %s", key, empty, got, want)
			}
		}
	}
}

// The file that ANCHORE_ENV_FILE names stands for variables that are not set.
func TestEnvironmentFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const vars = "# of the engine\r\n\nANCHORE_HOST_ID = 'it is \"a\"' \r\nANCHORE_LOG_FORMAT=\"json\"\nANCHORE_P=first\nANCHORE_P=a=b'#c\nANCHORE_ADMIN_EMAIL=x\nANCHORE_SERVICE_DIR=/data\nHOME=/other\n"
	if err := errors.Join(os.WriteFile("vars", []byte(vars), 0o600), os.WriteFile("c.yaml", []byte("default_admin_password: ${ANCHORE_P}"), 0o600),
		os.WriteFile("wrong", []byte("ANCHORE_HOST_ID=h\nhunter2\nhunter 2=x\nANCHORE_LOG_LEVEL=LOUD"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(parsed(t, "--config=c.yaml"), []string{"ANCHORE_ENV_FILE=vars", "ANCHORE_ADMIN_EMAIL=y", "ANCHORE_SERVICE_DIR=null", "HOME=/home/me"})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.HostID, cfg.LogFormat, cfg.AdminPassword.Reveal(), cfg.AdminEmail, cfg.DataDir, cfg.Warnings.String()}
	if diff := cmp.Diff([]string{`it is "a"`, "json", "a=b'#c", "y", "/data", ""}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for file, want := range map[string]string{
		"nope": `environment variable ANCHORE_ENV_FILE: "nope": cannot be read: no such file or directory`,
		"wrong": "environment variable ANCHORE_LOG_LEVEL: log_level: \"LOUD\": must be one of DEBUG, INFO, WARN, ERROR (or the original's FATAL, SPEW)\n" +
			"wrong:2:1: must be NAME=value, empty, or a comment that begins with #\nwrong:3:1: must be NAME=value, empty, or a comment that begins with #",
	} {
		problems, err := Check("c.yaml", []string{"ANCHORE_ENV_FILE=" + file, "ANCHORE_P=p"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, problems.String()); diff != "" {
			t.Errorf("problems with %s (-want +got):\n%s", file, diff)
		}
		if _, err := Load(parsed(t, "--config=c.yaml"), []string{"ANCHORE_ENV_FILE=" + file, "ANCHORE_P=p"}); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Load with %s = %v, want Invalid", file, err)
		}
	}
}

// A variable that nearly names a key is reported; others are not our business.
func TestMistypedVariables(t *testing.T) {
	env := map[string]string{}
	for _, name := range []string{
		"ANCHORE_WATCH_INTERVAL", "ANCHORE_WEBHOOKS_GENERAL_URL", "ANCHORE_LOGLEVEL", "ANCHORE_DATA_DIRS", "ANCHORE_CONFIGDIR", // ours
		"ANCHORE_CLI_URL", "ANCHORE_CLI_LOG_LEVEL", "ANCHORE_DB_HOST", "ANCHORE_HINTS_ENABLED", "ANCHORE_FEEDS_ENABLED", "ANCHORE_INTERNAL_SSL_VERIFY",
		"ANCHORE_ENTERPRISE_UI_URL", "ANCHORE_WATCHMAN", "ANCHORE_HOSTID", "ANCHORE_CONFIG", "ANCHORE_CONFIG_DIR", "ANCHOREX", "PATH", // not ours
	} {
		env[name] = "1"
	}
	env["ANCHORE_WATCH_CONCURRENCY"] = "null" // as images define variables that they do not set
	_, problems := build("f", []byte("host_id: ${ANCHORE_HOSTID}"), env, nil)
	want := `environment variable ANCHORE_CONFIGDIR: warning: names no key, ignored; did you mean ANCHORE_CONFIG_DIR?
environment variable ANCHORE_DATA_DIRS: warning: names no key, ignored; did you mean ANCHORE_DATA_DIR?
environment variable ANCHORE_LOGLEVEL: warning: names no key, ignored; did you mean ANCHORE_LOG_LEVEL?
environment variable ANCHORE_WATCH_INTERVAL: warning: names no key, ignored; did you mean ANCHORE_WATCH__INTERVAL?
environment variable ANCHORE_WEBHOOKS_GENERAL_URL: warning: names no key, ignored; did you mean ANCHORE_WEBHOOKS__GENERAL__URL?`
	if diff := cmp.Diff(want, problems.String()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestFindFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, host := range map[string]string{"config.yaml": "here", "flag.yaml": "flag", "env.yaml": "env"} {
		if err := os.WriteFile(name, []byte("host_id: "+host), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Dir(mustWrite(t, "host_id: dir"))
	tests := []struct {
		args, env []string
		want      string
	}{
		{nil, nil, "here"},
		{nil, []string{"ANCHORE_CONFIG_DIR=" + other}, "dir"},
		{nil, []string{"ANCHORE_CONFIG=env.yaml", "ANCHORE_CONFIG_DIR=" + other}, "env"},
		{[]string{"--configdir", other}, []string{"ANCHORE_CONFIG=env.yaml"}, "dir"},
		{[]string{"--config=flag.yaml"}, []string{"ANCHORE_CONFIG=env.yaml"}, "flag"},
	}
	for _, tt := range tests {
		cfg, err := Load(parsed(t, tt.args...), tt.env)
		if err != nil || cfg.HostID != tt.want {
			t.Errorf("Load(%q, %q) = %+v, %v, want host_id %s", tt.args, tt.env, cfg, err, tt.want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, args := range [][]string{{"--config", filepath.Join(t.TempDir(), "missing")}, {"--listen=x"}} {
		if _, err := Load(parsed(t, args...), nil); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Load(%q) = %v, want Invalid", args, err)
		}
	}
}

// parsed returns the flags of engine serve, as args set them.
func parsed(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("engine", pflag.ContinueOnError)
	Flags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestCheck(t *testing.T) {
	file := mustWrite(t, "log_level: LOUD\nzzz: 1\n")
	got, err := Check(file, nil)
	if err != nil || len(got.Errors()) != 1 || len(got.Warnings()) != 1 {
		t.Errorf("Check() = %v, %v, want one error and one warning", got, err)
	}
	if _, err := Check(file+".missing", nil); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("Check(missing) = %v, want Invalid", err)
	}
}

func TestRegistryOverrides(t *testing.T) {
	c := mustBuild(t, "watch: {registries: {a.io: {interval: 0, concurrency: 3, platform: linux/arm64}, index.docker.io: {concurrency: 1}}}")
	got := fmt.Sprint(c.Watch.RegistryInterval("a.io"), c.Watch.RegistryLimit("a.io"), c.Watch.Registries["a.io"].Platform,
		c.Watch.RegistryInterval("b.io"), c.Watch.RegistryLimit("b.io"), c.Watch.RegistryLimit("docker.io"))
	if want := "0s 3 linux/arm64 5m0s 8 1"; got != want {
		t.Errorf("overrides = %s, want %s", got, want)
	}
}

func TestRegistryAccess(t *testing.T) {
	all, _ := writePair(t)
	one, _ := writePair(t)
	c := mustBuild(t, `registries:
  ca_file: `+all+`
  mirrors: {index.docker.io: [mirror.example.com, 'Harbor.example.com:444/proxy/hub'], quay.io: localhost:5000}
  ca_files: {registry.example.com: `+one+`}
  insecure: {'10.0.0.1:5000': true}
allow_awsecr_iam_auto: True
`)
	want := Registries{CAFile: all, Ambient: true, Hosts: map[string]RegistryAccess{
		"docker.io":            {Mirrors: []string{"mirror.example.com", "harbor.example.com:444/proxy/hub"}},
		"quay.io":              {Mirrors: []string{"localhost:5000"}},
		"registry.example.com": {CAFile: one},
		"10.0.0.1:5000":        {Insecure: true},
	}}
	if diff := cmp.Diff(want, c.Registries); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}
	for _, wrong := range []string{"mirrors: {docker.io: ['https://mirror.example.com']}", "mirrors: {docker.io: [mirror]}", "mirrors: {docker.io: ['mirror.io/A']}", "insecure: {http://x: true}"} {
		if _, problems := build("f", []byte("registries: {"+wrong+"}"), nil, nil); len(problems.Errors()) != 1 {
			t.Errorf("%s: problems %v, want one error", wrong, problems)
		}
	}
}

// TestSpellingsOfARegistry: what is set under one name of a registry adds to what is
// set under another.
func TestSpellingsOfARegistry(t *testing.T) {
	c := mustBuild(t, `registries:
  mirrors: {docker.io: mirror.example.com, A.example.com: b.example.com}
  insecure: {index.docker.io: true, a.EXAMPLE.com: true}
watch:
  registries:
    docker.io: {concurrency: 3}
    Docker.IO: {interval: 7}
    index.docker.io: {platform: linux/arm64}
`)
	wantHosts := map[string]RegistryAccess{
		"docker.io":     {Mirrors: []string{"mirror.example.com"}, Insecure: true},
		"a.example.com": {Mirrors: []string{"b.example.com"}, Insecure: true},
	}
	if diff := cmp.Diff(wantHosts, c.Registries.Hosts); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
	wantWatch := map[string]Registry{"docker.io": {Interval: new(7 * time.Second), Concurrency: 3, Platform: anchore.Platform{OS: "linux", Architecture: "arm64"}}}
	if diff := cmp.Diff(wantWatch, c.Watch.Registries); diff != "" {
		t.Errorf("watch (-want +got):\n%s", diff)
	}
}

// A secret never leaves through %+v of the whole configuration, and every problem
// is one line.
func FuzzBuild(f *testing.F) {
	f.Add(seedWebhooks)
	f.Add(Sample())
	f.Add("a: &a [*a]")
	f.Add("default_admin_password: ${ANCHORE_P}\nwebhooks: {general: {url: 'ftp://x'}}")
	f.Fuzz(func(t *testing.T, file string) {
		cfg, problems := build("f", []byte(file), map[string]string{"ANCHORE_P": "hunter2hunter2"}, nil)
		for _, p := range problems {
			if line := p.String(); strings.ContainsAny(line, "\n\r\x1b") {
				t.Errorf("problem of %q is not one plain line: %q", file, line)
			}
		}
		if cfg.Watch.Interval < 0 || cfg.Analysis.Concurrency < 1 && len(problems.Errors()) == 0 {
			t.Errorf("build(%q) = %+v", file, cfg)
		}
		again, more := build("f", []byte(file), map[string]string{"ANCHORE_P": "hunter2hunter2"}, nil)
		if diff := cmp.Diff(cfg, again); diff != "" || problems.String() != more.String() {
			t.Errorf("build(%q) differs from itself:\n%s", file, diff)
		}
	})
}

// revealed compares secrets by their text.
func revealed() cmp.Option {
	return cmp.Transformer("Reveal", func(s anchore.Secret) string { return s.Reveal() })
}

// mustBuild reads a file's text that has nothing wrong with it.
func mustBuild(t *testing.T, file string) *Config {
	t.Helper()
	cfg, problems := build("config.yaml", []byte(file), map[string]string{"HOME": "/home/me"}, nil)
	if len(problems) > 0 {
		t.Fatalf("build(%q): %s", file, problems)
	}
	return cfg
}

func mustWrite(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		build("f", []byte(seedWebhooks), nil, nil)
	}
}
