package session

import (
	"testing"
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
