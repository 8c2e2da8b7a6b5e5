package anchore

import (
	"errors"
	"strings"
	"testing"
)

var registryNames = []struct{ in, want string }{
	{"docker.io", "docker.io"},
	{"index.docker.io", "docker.io"},
	{"Registry.Example.COM:5000", "registry.example.com:5000"},
	{"localhost", "localhost"},
	{"[::1]:5000", "[::1]:5000"},
	{"docker.io/alpine", "docker.io/library/alpine"},
	{"docker.io/library/*", "docker.io/library/*"},
	{"quay.io/te*", "quay.io/te*"},
	{"quay.io/*", "quay.io/*"},
	{"quay.io/team/app", "quay.io/team/app"},
	{"", ""}, {"quay.io/", ""}, {"https://quay.io", ""}, {"HTTP://quay.io", ""}, {"*", ""}, {"quay*", ""}, {"quay.io*", ""},
	{"myhost", ""}, {"quay.io/a*b", ""}, {"quay.io/a*/*", ""}, {"quay.io/A*", ""}, {"quay.io/App", ""}, {"quay.io/app:1", ""},
	{"quay.io:0", ""}, {"quay.io:65536", ""}, {"quay.io:65536/*", ""},
	{"quay.io/" + strings.Repeat("a", 300), ""},
}

func TestParseRegistryName(t *testing.T) {
	for _, tt := range registryNames {
		got, err := ParseRegistryName(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && KindOf(err) != Invalid {
			t.Errorf("ParseRegistryName(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
		url := strings.HasSuffix(tt.in, "/") || strings.Contains(tt.in, "://")
		if errors.Is(err, ErrRegistryForm) != url {
			t.Errorf("ParseRegistryName(%q): %v; ErrRegistryForm is its cause: want %v", tt.in, err, url)
		}
	}
}

func FuzzParseRegistryName(f *testing.F) {
	for _, tt := range registryNames {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		name, err := ParseRegistryName(in)
		if err != nil {
			return
		}
		if again, err := ParseRegistryName(name); again != name || err != nil {
			t.Errorf("ParseRegistryName(%q) = %q, which reads %q, %v", in, name, again, err)
		}
		// Whatever is behind a "*", a credential never leaves its host.
		for _, other := range []string{"evil.example/a/b", "x" + RegistryHost(name) + "/a/b"} {
			ref, err := ParseReference(other)
			if err == nil && ref.Registry != RegistryHost(name) && (Registry{Name: name}).forRepository(ref) {
				t.Errorf("the credential of %q is sent to %s", name, ref.Registry)
			}
		}
	})
}

func TestForReference(t *testing.T) {
	list := []Registry{
		{Name: "docker.io"}, {Name: "docker.io/library/*"}, {Name: "docker.io/library/node"}, {Name: "docker.io/li*"},
		{Name: "quay.io/team"}, {Name: "quay.io/t/*"}, {Name: "quay.io/t/a"}, {Name: "localhost:5000"},
	}
	SortRegistries(list)
	for _, tt := range []struct{ ref, want string }{
		{"alpine", "docker.io/library/*"},
		{"docker.io/alpine", "docker.io/library/*"},
		{"node:18", "docker.io/library/node"},
		{"node-gyp:18", "docker.io/library/*"},
		{"lima/vm", "docker.io/li*"},
		{"myorg/app", "docker.io"},
		{"quay.io/team", "quay.io/team"},
		{"quay.io/team/app", ""},
		{"quay.io/t/a", "quay.io/t/a"},
		{"quay.io/t/b", "quay.io/t/*"},
		{"localhost:5000/x", "localhost:5000"},
		{"localhost:50001/x", ""},
		{"localhost/x", ""},
	} {
		ref, err := ParseReference(tt.ref)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := ForReference(list, ref)
		if got.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("the credential for %s is that of %q, want %q", tt.ref, got.Name, tt.want)
		}
	}
}
