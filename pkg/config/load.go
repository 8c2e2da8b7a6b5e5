package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Flags adds the flags of engine serve to fs: --config, --configdir and one for
// each key that has one.
func Flags(fs *pflag.FlagSet) {
	fs.String("config", "", "configuration file (default: $ANCHORE_CONFIG, ./config.yaml, /config/config.yaml)")
	fs.String("configdir", "", "directory of config.yaml (default: $ANCHORE_CONFIG_DIR)")
	for _, k := range keys() {
		if k.flag != "" {
			usage, _, _ := strings.Cut(k.doc, ". ")
			fs.String(k.flag, "", usage+" (key "+k.name+")")
		}
	}
}

// Load reads the configuration for flags that Flags added and that are parsed (nil:
// none), and an environment in the form of os.Environ. A value is taken from the flag,
// else the environment, else the file, else the default. Errors: Invalid, whose message
// lists everything that is wrong.
func Load(flags *pflag.FlagSet, environ []string) (*Config, error) {
	env, wrong := environment(environ)
	file, data, err := find(flags, env)
	if err != nil {
		return nil, err
	}
	cfg, problems := build(file, data, env, flags)
	problems = append(problems, wrong...)
	if errs := problems.Errors(); len(errs) > 0 {
		return nil, anchore.E(anchore.Invalid, "config.Load", "the configuration is not valid:\n%s", errs)
	}
	cfg.Warnings = problems.Warnings()
	return cfg, nil
}

// Check reads a file as Load would, without flags, and returns all that is wrong
// with it, warnings included, in the order of the file; empty if it is well. The
// error is that the file cannot be read.
func Check(file string, environ []string) (Problems, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	env, wrong := environment(environ)
	_, problems := build(file, data, env, nil)
	return append(problems, wrong...), nil
}

// find reads the file that flags and environment name, else the first of the usual
// ones that exists, else none.
func find(flags *pflag.FlagSet, env map[string]string) (file string, data []byte, err error) {
	named, dir := "", ""
	if flags != nil {
		named, _ = flags.GetString("config")
		dir, _ = flags.GetString("configdir")
	}
	if named == "" && dir != "" {
		named = filepath.Join(dir, "config.yaml")
	}
	if named = cmp.Or(named, env["ANCHORE_CONFIG"]); named == "" && env["ANCHORE_CONFIG_DIR"] != "" {
		named = filepath.Join(env["ANCHORE_CONFIG_DIR"], "config.yaml")
	}
	if named != "" {
		data, err = readFile(named)
		return named, data, err
	}
	for _, usual := range []string{"config.yaml", "/config/config.yaml"} {
		data, err := os.ReadFile(usual)
		if err == nil {
			return usual, data, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, anchore.E(anchore.Invalid, "config.find", "cannot read the configuration: %s", err)
		}
	}
	return "", nil, nil
}

func readFile(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, anchore.E(anchore.Invalid, "config.readFile", "cannot read the configuration: %s", err)
	}
	return data, nil
}

// layers collects settings by source; viper decides which of them holds.
type layers struct {
	viper    *viper.Viper
	origins  map[string]setting // by canonical key: the one that holds
	problems Problems
}

// build makes a Config of a file's text, the environment and flags (which may be nil).
func build(file string, data []byte, env map[string]string, flags *pflag.FlagSet) (*Config, Problems) {
	rows := keys()
	r := &reader{source: file, env: env, rows: rows}
	r.read(data)
	// Keys are flat for viper: it would split docker.io at its dot.
	l := &layers{viper: viper.NewWithOptions(viper.KeyDelimiter("\x00")), origins: map[string]setting{}, problems: r.problems}
	for i := range rows {
		if rows[i].def != "" {
			l.viper.SetDefault(rows[i].name, rows[i].def)
		}
	}
	l.merge(inPrecedence(r.settings), true)
	l.merge(variables(rows, env), false)
	l.flags(rows, flags)
	l.problems = append(l.problems, strays(rows, env, r.used)...)

	d := &draft{endpoints: map[string]*Endpoint{}, registries: map[string]*Registry{}}
	d.Subscriptions = map[anchore.SubscriptionType]bool{}
	for i := range rows {
		l.apply(d, &rows[i])
	}
	d.File = file
	d.finish(env, l)
	l.problems.sort()
	return &d.Config, l.problems
}

// inPrecedence puts the original's names of a key after our own, so that the
// second of two is the one that is reported.
func inPrecedence(settings []setting) []setting {
	slices.SortStableFunc(settings, func(a, b setting) int {
		return cmp.Compare(foreign(a), foreign(b))
	})
	return settings
}

func foreign(s setting) int {
	if s.origin.Key != s.key {
		return 1
	}
	return 0
}

// merge lays settings over what is there. Two in one layer contradict each other;
// the first holds.
func (l *layers) merge(settings []setting, report bool) {
	flat := map[string]any{}
	for _, s := range settings {
		name := strings.ToLower(s.key) // as viper has it: header names differ in nothing else
		if _, twice := flat[name]; twice {
			if report {
				p := s.origin
				p.Message = "sets " + s.key + " again, which " + l.origins[name].origin.Key + " has set; leave one of them out"
				l.problems = append(l.problems, p)
			}
			continue
		}
		flat[name] = s.text
		l.origins[name] = s
	}
	if err := l.viper.MergeConfigMap(flat); err != nil {
		l.problems = append(l.problems, Problem{Message: err.Error()})
	}
}

// variables are the settings of the environment, the rule's names before others.
func variables(rows []key, env map[string]string) []setting {
	var settings []setting
	for i := range rows {
		for _, name := range rows[i].variables() {
			if v, ok := env[name]; ok && !unset(v) {
				settings = append(settings, setting{
					key: rows[i].name, row: &rows[i], text: v,
					origin: Problem{Source: "environment variable " + name, Key: rows[i].name},
				})
			}
		}
	}
	return settings
}

func (l *layers) flags(rows []key, flags *pflag.FlagSet) {
	for i := range rows {
		if rows[i].flag == "" || flags == nil || !flags.Changed(rows[i].flag) {
			continue
		}
		if err := l.viper.BindPFlag(rows[i].name, flags.Lookup(rows[i].flag)); err != nil {
			l.problems = append(l.problems, Problem{Message: err.Error()})
		}
		l.origins[rows[i].name] = setting{key: rows[i].name, row: &rows[i],
			origin: Problem{Source: "flag --" + rows[i].flag, Key: rows[i].name}}
	}
}

// apply sets what k stands for in d, once for each name it was given.
func (l *layers) apply(d *draft, k *key) {
	if !k.free() {
		l.set(d, k, k.name, nil)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.origins)) {
		if s := l.origins[name]; s.row == k {
			l.set(d, k, s.key, s.names)
		}
	}
}

func (l *layers) set(d *draft, k *key, name string, names []string) {
	if !l.viper.IsSet(name) && k.inherit != "" {
		name = k.inherit
	}
	if !l.viper.IsSet(name) {
		return
	}
	text := l.viper.GetString(name)
	v, err := k.kind.read(text)
	if err == nil {
		k.set(d, names, v)
		return
	}
	if name == k.inherit {
		return // reported at the top of the section
	}
	p := l.origins[strings.ToLower(name)].origin
	p.Message = "must be " + k.kind.what
	if !k.kind.hidden {
		p.Value = text
	}
	l.problems = append(l.problems, p)
}

// report adds a problem at the place where name was set.
func (l *layers) report(name string, warning bool, message string) {
	p := l.origins[strings.ToLower(name)].origin
	p.Key, p.Message, p.Warning = cmp.Or(p.Key, name), message, warning
	l.problems = append(l.problems, p)
}

// reportValue is report for an error that shows the value, once for all that inherit it.
func (l *layers) reportValue(name, value, message string) {
	p := l.origins[strings.ToLower(name)].origin
	p.Key, p.Value, p.Message = cmp.Or(p.Key, name), value, message
	if !slices.Contains(l.problems, p) {
		l.problems = append(l.problems, p)
	}
}

// finish checks what concerns several keys and fills in what follows from others.
func (d *draft) finish(env map[string]string, l *layers) {
	if d.DataDir == "" {
		d.DataDir = filepath.Join(cmp.Or(env["HOME"], "."), ".anchore_engine")
	}
	if d.HostID == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		d.HostID = name
	}
	if _, set := l.origins["listen"]; !set && (d.apiListen != "" || d.apiPort != "") {
		d.Listen = net.JoinHostPort(cmp.Or(strings.Trim(d.apiListen, "[]"), "127.0.0.1"), cmp.Or(d.apiPort, "8228"))
		if _, err := readAddress(d.Listen); err != nil {
			l.reportValue("services.apiext.listen", d.apiListen, "must be a host or an IP address")
		}
	}
	if d.MaxCompressedImageSizeMB == 0 && l.viper.GetString("max_compressed_image_size_mb") == "0" {
		l.report("max_compressed_image_size_mb", true, "0 is no limit, as in the original's code though not its documentation; write -1")
	}
	if d.MaxCompressedImageSizeMB <= 0 {
		d.MaxCompressedImageSizeMB = -1
	}
	d.finishTLS(l)
	d.finishRegistries(l)
	for _, name := range endpointNames {
		d.finishEndpoint(d.endpoint(name), l)
	}
	if !d.Events.Notify && d.endpoint("event_log").URL != "" {
		l.report("webhooks.event_log.url", true, "is sent nothing: events.notify is false")
	}
}

func (d *draft) finishTLS(l *layers) {
	if d.sslEnable != nil && !*d.sslEnable {
		d.TLS = TLS{}
		return
	}
	wanted := d.sslEnable != nil || d.TLS != TLS{}
	if wanted && (d.TLS.Cert == "" || d.TLS.Key == "") {
		where := "services.apiext.ssl_enable"
		if d.sslEnable == nil {
			where = "tls.cert"
			if d.TLS.Cert == "" {
				where = "tls.key"
			}
		}
		l.report(where, false, "HTTPS needs both tls.cert and tls.key (or services.apiext.ssl_cert and ssl_key)")
	} else if wanted {
		l.pair("tls.cert", d.TLS.Cert, "tls.key", d.TLS.Key)
	}
}

func (d *draft) finishEndpoint(e *Endpoint, l *layers) {
	section := "webhooks." + e.Name
	if e.URL == "" {
		for _, name := range slices.Sorted(maps.Keys(l.origins)) {
			if strings.HasPrefix(name, section+".") && name != section+".url" {
				l.report(name, true, "has no effect: "+section+" has no url, so it is no endpoint")
				return
			}
		}
		return
	}
	alone := e.finishLogin(l, section)
	if bad := unknownPlaceholder(e.URL); bad != "" {
		l.report(section+".url", false, "has "+bad+", which nothing replaces; allowed are <notification_type> and <userId>, written so")
	} else if _, err := anchore.ParseEndpointURL(e.URL); err != nil {
		l.report(section+".url", false, anchore.MessageOf(err))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if err := anchore.CheckEndpointHeader(name, e.Headers[name]); err != nil {
			l.report(section+".headers."+name, false, anchore.MessageOf(err))
		}
	}
	e.finishFiles(l, section)
	e.Keys = l.setBy(section, alone)
	d.Webhooks.Endpoints = append(d.Webhooks.Endpoints, *e)
	slices.SortFunc(d.Webhooks.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Name, b.Name) })
}

var placeholderPattern = regexp.MustCompile(`<[A-Za-z0-9_. -]{1,40}>`)

// unknownPlaceholder is the first of an endpoint's URL that would be sent as it
// stands, "" if there is none. The rest of the URL may be secret.
func unknownPlaceholder(url anchore.Secret) string {
	for _, p := range placeholderPattern.FindAllString(url.Reveal(), -1) {
		if p != "<notification_type>" && p != "<userId>" {
			return p
		}
	}
	return ""
}

// setBy lists the keys that made an endpoint: its own, and of those at the top of
// the section the ones that it does not set itself; alone: nor logs in by.
func (l *layers) setBy(section string, alone bool) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(l.origins)) {
		s := l.origins[name]
		if !strings.HasPrefix(name, section+".") {
			shared, top := strings.CutPrefix(name, "webhooks.")
			_, overridden := l.origins[section+"."+shared]
			if !top || strings.Contains(shared, ".") || overridden || alone && (shared == basicUser || shared == basicPassword) {
				continue
			}
		}
		list = append(list, s.key+" ("+s.where()+")")
	}
	return list
}

// where is the place that a setting comes from, for operators.
func (s setting) where() string {
	if s.origin.Line == 0 {
		return s.origin.Source
	}
	return fmt.Sprintf("%s line %d", s.origin.Source, s.origin.Line)
}
