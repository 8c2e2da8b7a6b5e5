package session

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestSettings(t *testing.T) {
	env := func(kv ...string) environment { return newEnvironment(kv) }
	base := settings{url: defaultURL, verify: true, output: tableOutput}
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

// The credentials file has the keys that docs/cli/README.md names, and the others of the
// environment are not taken from it.
func TestSettingsOfFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.yaml")
	doc := "default:\n  ANCHORE_CLI_USER: u\n  ANCHORE_CLI_PASS: p\n  ANCHORE_CLI_URL: http://engine\n  ANCHORE_CLI_SSL_VERIFY: no\n" +
		"  ANCHORE_CLI_HUB_URL: x\n  ANCHORE_CLI_API_VERSION: x\n  ANCHORE_CLI_ACCOUNT: x\n  ANCHORE_CLI_JSON: y\n  ANCHORE_CLI_DEBUG: y\n"
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		flags globalFlags
		env   []string
		want  settings
	}{
		{"alone", globalFlags{config: file}, nil, settings{user: "u", pass: "p", url: "http://engine", output: tableOutput}},
		{"named by the environment", globalFlags{}, []string{"ANCHORE_CLI_CONFIG=" + file}, settings{user: "u", pass: "p", url: "http://engine", output: tableOutput}},
		{"behind the environment, and that behind a flag", globalFlags{config: file, user: "flag"}, []string{"ANCHORE_CLI_USER=env", "ANCHORE_CLI_PASS=env", "ANCHORE_CLI_URL=", "ANCHORE_CLI_SSL_VERIFY=y"},
			settings{user: "flag", pass: "env", url: "http://engine", verify: true, output: tableOutput}},
	} {
		got, err := loadSettings(tt.flags, newEnvironment(tt.env))
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

// The note of an engine is found where the engine, which asks os.UserCacheDir, leaves
// it, and only for an address on this host.
func TestNotedFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "data", "admin-password")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "secret")
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "xdg"))
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	write(anchore.PasswordNote(cache, "8228"), file+"\n")
	write(anchore.PasswordNote(cache, "443"), file+"\n")
	write(anchore.PasswordNote(cache, "1"), filepath.Join(dir, "gone")+"\n")
	write(anchore.PasswordNote(cache, "2"), "admin-password\n")
	for address, want := range map[string]string{
		"http://localhost:8228/v1": file, "http://127.0.0.1:8228/v1": file, "http://[::1]:8228": file, "https://localhost": file,
		"http://localhost": "", "http://engine.example:8228/v1": "", "http://127.0.0.1:8229/v1": "", "http://localhost:1": "", "http://localhost:2": "",
		"": "", "http://%": "", "http://localhost:..%2F8228": "", "ftp://localhost": "",
	} {
		if got := adminFile(address, newEnvironment(os.Environ())); got != want {
			t.Errorf("adminFile(%q) = %q; want %q", address, got, want)
		}
	}
	t.Setenv("XDG_CACHE_HOME", "")
	if want, err := os.UserCacheDir(); err != nil || userCacheDir(newEnvironment(os.Environ()), runtime.GOOS) != want {
		t.Errorf("userCacheDir is not os.UserCacheDir, %q, %v", want, err)
	}
	t.Setenv("XDG_CACHE_HOME", "relative")
	if got := userCacheDir(newEnvironment(os.Environ()), runtime.GOOS); runtime.GOOS == "linux" && got != "" {
		t.Errorf("userCacheDir of a relative directory = %q", got)
	}
}
