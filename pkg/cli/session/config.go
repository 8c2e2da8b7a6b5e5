package session

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

const defaultURL = "http://localhost:8228/v1"

// globalFlags are the flags that stand anywhere on the line. The zero value of
// each means that it was not given.
type globalFlags struct {
	config, user, pass, url, account          string
	insecure, json, debug, version, noHeaders bool
	output                                    string
}

// settings is what the flags, the environment and the credentials file agree on.
type settings struct {
	user, pass string // "" if none is configured
	url        string // as it was written
	account    string // "" for the user's own
	verify     bool   // TLS certificates
	caFile     string // certificates to trust instead of the system's, "" for those
	adminFile  string // where an engine on this host wrote its first password; "" if none is known
	json       bool   // the original's JSON mode
	debug      bool
	output     outputForm
	noHeaders  bool
	warnings   []string // for standard error
}

// outputForm is how answers are printed. Everything but tableOutput is new, so
// there standard output has answers alone, and errors go to standard error.
type outputForm string

const (
	tableOutput outputForm = "table"
	wideOutput  outputForm = "wide"
	jsonOutput  outputForm = "json"
	yamlOutput  outputForm = "yaml"
)

// outputForms returns the forms, the default first.
func outputForms() []string {
	return []string{string(tableOutput), string(wideOutput), string(jsonOutput), string(yamlOutput)}
}

// environment finds a variable's value: "" if it is not set. An empty variable
// counts as not set.
type environment func(name string) string

func newEnvironment(environ []string) environment {
	vars := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return func(name string) string { return vars[name] }
}

// loadSettings decides by flag, environment, file, default, in this order.
func loadSettings(f globalFlags, env environment) (settings, error) {
	file, warnings, err := loadCredentials(f, env)
	if err != nil {
		return settings{}, err
	}
	pick := func(flag, name, def string) string {
		return cmp.Or(flag, env(name), file[name], def)
	}
	s := settings{
		user:      pick(f.user, "ANCHORE_CLI_USER", ""),
		pass:      pick(f.pass, "ANCHORE_CLI_PASS", ""),
		url:       pick(f.url, "ANCHORE_CLI_URL", defaultURL),
		account:   cmp.Or(f.account, env("ANCHORE_CLI_ACCOUNT")),
		verify:    !f.insecure && !isOneOf(pick("", "ANCHORE_CLI_SSL_VERIFY", "y"), "n", "no", "false"),
		json:      f.json || isOneOf(env("ANCHORE_CLI_JSON"), "y", "yes", "true", "1"),
		debug:     f.debug || isOneOf(env("ANCHORE_CLI_DEBUG"), "y", "yes", "true", "1"),
		caFile:    cmp.Or(env("REQUESTS_CA_BUNDLE"), env("CURL_CA_BUNDLE")),
		output:    outputForm(cmp.Or(f.output, string(tableOutput))),
		noHeaders: f.noHeaders,
		warnings:  warnings,
	}
	s.adminFile = adminFile(s.url, env)
	if !slices.Contains(outputForms(), string(s.output)) {
		return s, Usagef("Invalid value for '--output': '%s' is not one of '%s'.", s.output, strings.Join(outputForms(), "', '"))
	}
	return s, nil
}

// adminFile is the file with the first admin password of the engine at address: the
// one that an engine on this host left a note of, or that of an engine on its
// defaults.
func adminFile(address string, env environment) string {
	if noted := notedFile(address, env); noted != "" {
		return noted
	}
	home := env("HOME")
	if home == "" {
		return ""
	}
	return ifRegular(filepath.Join(home, ".anchore_engine", "admin-password"))
}

// notedFile is the file that the note of the engine at address names, "" if address
// is not on this host or there is no such file.
func notedFile(address string, env environment) string {
	u, err := url.Parse(address)
	cache := userCacheDir(env, runtime.GOOS)
	if err != nil || !isLoopback(u) || cache == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port == "" {
		return ""
	}
	text, err := os.ReadFile(anchore.PasswordNote(cache, port))
	file := strings.TrimSuffix(string(text), "\n")
	if err != nil || !filepath.IsAbs(file) {
		return ""
	}
	return ifRegular(file)
}

// userCacheDir is os.UserCacheDir in the given environment, "" if there is none.
func userCacheDir(env environment, system string) string {
	under := func(variable string, names ...string) string {
		if dir := env(variable); filepath.IsAbs(dir) {
			return filepath.Join(append([]string{dir}, names...)...)
		}
		return ""
	}
	switch system {
	case "windows":
		return under("LocalAppData")
	case "darwin", "ios":
		return under("HOME", "Library", "Caches")
	}
	if env("XDG_CACHE_HOME") != "" {
		return under("XDG_CACHE_HOME")
	}
	return under("HOME", ".cache")
}

// ifRegular is path if there is a file, else "".
func ifRegular(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

func isOneOf(s string, words ...string) bool {
	return slices.Contains(words, strings.ToLower(s))
}

// loadCredentials reads the credentials file: the one that is named, which then
// must be there, or ~/.anchore/credentials.yaml, which need not.
func loadCredentials(f globalFlags, env environment) (values map[string]string, warnings []string, err error) {
	path := cmp.Or(f.config, env("ANCHORE_CLI_CONFIG"))
	named := path != ""
	if !named {
		home := cmp.Or(env("HOME"), env("USERPROFILE"))
		if home == "" {
			return nil, nil, nil
		}
		path = filepath.Join(home, ".anchore", "credentials.yaml")
	}
	doc, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		if named { // the original said nothing, and scripts set the variable
			warnings = []string{fmt.Sprintf("the credentials file %s, named by ANCHORE_CLI_CONFIG, does not exist", path)}
		}
		return nil, warnings, nil
	}
	if err != nil {
		return nil, nil, Failf("cannot read the credentials file: %v", err)
	}
	values, err = parseCredentials(doc)
	if err != nil {
		return nil, nil, Failf("credentials file %s: %v", path, err).Hint("it is YAML, for example:\ndefault:\n  ANCHORE_CLI_USER: 'admin'\n  ANCHORE_CLI_PASS: '...'")
	}
	return values, nil, nil
}

// parseCredentials reads the original's format: a mapping whose key "default" is
// a mapping of variables. Scalars of any type count as they are written.
func parseCredentials(doc []byte) (map[string]string, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	var file struct {
		Default yaml.Node `yaml:"default"`
	}
	if err := root.Decode(&file); err != nil {
		return nil, fmt.Errorf("expected a mapping with the key \"default\": %w", err)
	}
	values := map[string]string{}
	switch section := &file.Default; {
	case section.IsZero() || section.Tag == "!!null":
	case section.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("line %d: \"default\" must be a mapping, e.g. ANCHORE_CLI_USER: 'admin'", section.Line)
	default:
		for i := 0; i+1 < len(section.Content); i += 2 {
			name, value := section.Content[i], section.Content[i+1]
			if value.Kind != yaml.ScalarNode && strings.HasPrefix(name.Value, "ANCHORE_CLI_") {
				return nil, fmt.Errorf("line %d: %s must be a text", value.Line, name.Value)
			}
			if value.Tag != "!!null" {
				values[name.Value] = value.Value
			}
		}
	}
	return values, nil
}
