package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Registries says how registries are reached.
type Registries struct {
	CAFile  string                    // PEM, trusted beside the system's certificates; "" for none
	Ambient bool                      // credentials may ask for what the engine's host has
	Hosts   map[string]RegistryAccess // by host as in references
}

// RegistryAccess holds what differs for one registry.
type RegistryAccess struct {
	Mirrors  []string // "host" or "host/prefix", asked before the registry, in this order
	CAFile   string   // PEM, trusted for this registry beside Registries.CAFile
	Insecure bool     // its certificate is not verified, and plain HTTP is approved
}

var mirrors = kind{what: "a list of hosts, each with an optional path below which the repositories are, e.g. mirror.example.com or harbor.example.com/proxy", list: true, read: readMirrors}

// readMirrors checks that each entry is a place that references can name.
func readMirrors(s string) (value, error) {
	v := value{text: s}
	for _, entry := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		ref, err := anchore.ParseRepository(entry + "/a/b")
		prefix, ok := strings.CutSuffix(ref.Repository, "a/b")
		if host, _, _ := strings.Cut(entry, "/"); err != nil || !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
			return value{}, errForm
		}
		v.list = append(v.list, strings.TrimSuffix(ref.Registry+"/"+prefix, "/"))
	}
	return v, nil
}

func registryKeys() []key {
	return []key{
		{name: "registries.ca_file", kind: text, example: "/etc/anchore/registries.pem",
			doc: "PEM file with certificates that are trusted for all registries, beside the system's.",
			set: func(d *draft, _ []string, v value) { d.Registries.CAFile = v.text }},
		{name: "registries.ambient_credentials", old: []string{"allow_awsecr_iam_auto"}, kind: boolean, def: "false",
			doc: "Let registries whose user or password is awsauto be read with what the engine's host has: a login or credential helper in the docker configuration file of its user, or for AWS a role of the machine or container. Every account may then do so.",
			set: func(d *draft, _ []string, v value) { d.Registries.Ambient = v.yes }},
		{name: "registries.mirrors.<registry>", kind: mirrors, example: "[mirror.example.com, harbor.example.com/proxy]",
			doc: "Where requests for this registry go first, in this order; names stay those of the registry. A tag stays with the first of them that had it.",
			set: func(d *draft, names []string, v value) { d.access(names[0]).Mirrors = v.list }},
		{name: "registries.ca_files.<registry>", kind: text, example: "/etc/anchore/registry.pem",
			doc: "PEM file with certificates that are trusted for this registry (host or host:port as in references), beside registries.ca_file.",
			set: func(d *draft, names []string, v value) { d.access(names[0]).CAFile = v.text }},
		{name: "registries.insecure.<registry>", kind: boolean, example: "true",
			doc: "Do not verify this registry's certificate, and let it speak plain HTTP: passwords can be read on the way.",
			set: func(d *draft, names []string, v value) { d.access(names[0]).Insecure = v.yes }},
	}
}

func (d *draft) access(host string) *RegistryAccess {
	if d.accesses == nil {
		d.accesses = map[string]*RegistryAccess{}
	}
	if d.accesses[host] == nil {
		d.accesses[host] = &RegistryAccess{}
	}
	return d.accesses[host]
}

// finishRegistries takes over what was set for single registries.
func (d *draft) finishRegistries(l *layers) {
	d.Watch.Registries, d.Registries.Hosts = map[string]Registry{}, map[string]RegistryAccess{}
	for host, r := range d.registries {
		d.Watch.Registries[host] = *r
	}
	l.authorities("registries.ca_file", d.Registries.CAFile)
	for _, host := range slices.Sorted(maps.Keys(d.accesses)) {
		d.Registries.Hosts[host] = *d.accesses[host]
		l.authorities("registries.ca_files."+host, d.accesses[host].CAFile)
	}
}

// asReferences is the names in k's free parts with hosts as references name them, so
// that all spellings of a registry set up the same one. What is no host stays: it was
// reported where it stands.
func (k key) asReferences(names []string) []string {
	names, next := slices.Clone(names), 0
	for part := range strings.SplitSeq(k.name, ".") {
		if !strings.HasPrefix(part, "<") {
			continue
		}
		if host, ok := referenceHost(names[next]); ok && part == "<registry>" {
			names[next] = host
		}
		next++
	}
	return names
}

const notAHost = "is not the host of a registry; expected host or host:port, e.g. docker.io or localhost:5000"

// referenceHost is a registry's host as references name it: index.docker.io is
// docker.io.
func referenceHost(host string) (string, bool) {
	ref, err := anchore.ParseRepository(host + "/a/b")
	return ref.Registry, err == nil && ref.Repository == "a/b"
}
