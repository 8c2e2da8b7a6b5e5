package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSettings(t *testing.T) {
	env := func(kv ...string) environment { return newEnvironment(kv) }
	base := settings{url: defaultURL, hubURL: defaultHubURL, verify: true, output: tableOutput}
	with := func(change func(*settings)) settings {
		s := base
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name  string
		flags globalFlags
		env   environment
		want  settings
	}{
		{"defaults", globalFlags{}, env(), base},
		{"empty variables are not set", globalFlags{}, env("ANCHORE_CLI_URL="), base},
		{"flag before environment", globalFlags{user: "a"}, env("ANCHORE_CLI_USER=b", "ANCHORE_CLI_PASS=c"), with(func(s *settings) { s.user, s.pass = "a", "c" })},
		{"TLS verification", globalFlags{}, env("ANCHORE_CLI_SSL_VERIFY=N"), with(func(s *settings) { s.verify = false })},
		{"insecure", globalFlags{insecure: true}, env("ANCHORE_CLI_SSL_VERIFY=y"), with(func(s *settings) { s.verify = false })},
		{"switches", globalFlags{}, env("ANCHORE_CLI_JSON=Y", "ANCHORE_CLI_DEBUG=y", "ANCHORE_CLI_ACCOUNT=x"), with(func(s *settings) { s.json, s.debug, s.account = true, true, "x" })},
	} {
		got, err := loadSettings(tt.flags, tt.env)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(settings{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func FuzzParseCredentials(f *testing.F) {
	for _, s := range []string{"default:\n  ANCHORE_CLI_USER: 'admin'\n", "", "default:", "default: 1", "[]", "default: {ANCHORE_CLI_PASS: 0123, ANCHORE_CLI_SSL_VERIFY: no}", "default: &a {x: *a}", "a: [", "default: !!binary x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		values, err := parseCredentials([]byte(in))
		if err != nil && len(values) > 0 {
			t.Errorf("parseCredentials(%q) = %v and %v", in, values, err)
		}
		for name, v := range values {
			if !utf8.ValidString(name) || !utf8.ValidString(v) {
				t.Errorf("parseCredentials(%q): %q = %q", in, name, v)
			}
		}
	})
}

func TestParseCredentialsKeepsWhatIsWritten(t *testing.T) {
	got, err := parseCredentials([]byte("default: {ANCHORE_CLI_PASS: 0123, ANCHORE_CLI_USER: 1e3, ANCHORE_CLI_SSL_VERIFY: no, ANCHORE_CLI_URL: null}"))
	want := map[string]string{"ANCHORE_CLI_PASS": "0123", "ANCHORE_CLI_USER": "1e3", "ANCHORE_CLI_SSL_VERIFY": "no"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("parseCredentials: %v (-want +got):\n%s", err, diff)
	}
}

func TestPointInTime(t *testing.T) {
	now := time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{"24h": "2024-03-04T12:00:00Z", "90m": "2024-03-05T10:30:00Z", "7d": "2024-02-27T12:00:00Z", "2024-01-01": "2024-01-01", "": "", "-5m": "-5m", "xd": "xd"} {
		if got := pointInTime(in, now); got != want {
			t.Errorf("pointInTime(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestMatchKeyAndNearest(t *testing.T) {
	for _, tt := range []struct {
		pattern, key string
		want         bool
	}{
		{"docker.io/*", "docker.io/library/alpine:latest", true}, {"*alpine*", "docker.io/library/alpine:latest", true},
		{"docker.io/library/alpine:3.?", "docker.io/library/alpine:3.1", true}, {"alpine*", "docker.io/library/alpine:1", true}, {"alpine*", "quay.io/alpine:1", false}, {"", "x", true},
	} {
		if got, err := matchKey(tt.pattern, tt.key); got != tt.want || err != nil {
			t.Errorf("matchKey(%q, %q) = %v, %v", tt.pattern, tt.key, got, err)
		}
	}
	if _, err := matchKey("[", "x"); err == nil {
		t.Error("matchKey accepts [")
	}
	keys := []string{"docker.io/library/node:20", "docker.io/library/alpine:latest", "docker.io/library/alpine:3.19"}
	if diff := cmp.Diff([]string{keys[1]}, nearest("docker.io/library/alpine:latst", keys, 1)); diff != "" {
		t.Errorf("nearest (-want +got):\n%s", diff)
	}
	if got := nearest("zzz", keys, 3); len(got) != 0 {
		t.Errorf("nearest(zzz) = %v", got)
	}
}

// brokenWriter is a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, context.DeadlineExceeded }

func TestLostOutputIsAFailure(t *testing.T) {
	var talk bytes.Buffer
	code := Main(t.Context(), Config{Args: []string{"version"}, In: strings.NewReader(""), Out: brokenWriter{}, Err: &talk})
	if code != 1 || !strings.Contains(talk.String(), "cannot write the output") {
		t.Errorf("exit code %d, %q", code, talk.String())
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, talk bytes.Buffer
	code := Main(ctx, Config{Args: []string{"--url", "http://127.0.0.1:1/v1", "image", "list"}, In: strings.NewReader(""), Out: &out, Err: &talk})
	if code != 1 || talk.String() != "\nAborted!\n" {
		t.Errorf("exit code %d, %q, %q", code, out.String(), talk.String())
	}
}

// Every command has help that names it and needs no server, and every leaf
// refuses a flag that does not exist.
func TestEveryCommand(t *testing.T) {
	a := &app{}
	var walk func(path []string)
	walk = func(path []string) {
		cmd, _, err := newRootCmd(a).Find(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{append(path[:len(path):len(path)], "-h"), append(path[:len(path):len(path)], "--no-such-flag")} {
			var out, talk bytes.Buffer
			code := Main(t.Context(), Config{Args: args, In: strings.NewReader(""), Out: &out, Err: &talk})
			line := "Usage: " + strings.Join(append([]string{"anchore-cli"}, path...), " ")
			help := args[len(args)-1] == "-h"
			if help && (code != 0 || !strings.HasPrefix(out.String(), line)) {
				t.Errorf("%v: code %d\n%s%s", args, code, out.String(), talk.String())
			}
			if !help && (code != 2 || !strings.HasPrefix(talk.String(), line) || out.Len() > 0) {
				t.Errorf("%v: code %d\n%s%s", args, code, out.String(), talk.String())
			}
		}
		for _, c := range cmd.Commands() {
			if c.Name() != "help" {
				walk(append(path[:len(path):len(path)], c.Name()))
			}
		}
	}
	walk(nil)
}
