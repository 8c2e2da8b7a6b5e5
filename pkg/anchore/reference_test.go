package anchore

import (
	"strings"
	"testing"
)

// keyForms is the table of what users write for a tag and the one key it becomes;
// "" says that it is refused.
var keyForms = []struct{ in, key string }{
	{"ubuntu", "docker.io/library/ubuntu:latest"},
	{"ubuntu:latest", "docker.io/library/ubuntu:latest"},
	{"library/ubuntu", "docker.io/library/ubuntu:latest"},
	{"docker.io/ubuntu", "docker.io/library/ubuntu:latest"},
	{"docker.io/ubuntu:latest", "docker.io/library/ubuntu:latest"},
	{"docker.io/library/ubuntu:latest", "docker.io/library/ubuntu:latest"},
	{"index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"},
	{"registry-1.docker.io/ubuntu", "docker.io/library/ubuntu:latest"},
	{"Docker.IO/ubuntu", "docker.io/library/ubuntu:latest"},
	{"  ubuntu  ", "docker.io/library/ubuntu:latest"},
	{"ubuntu:22.04", "docker.io/library/ubuntu:22.04"},
	{"ubuntu:V1_2-rc.3", "docker.io/library/ubuntu:V1_2-rc.3"},
	{"ubuntu:_x", "docker.io/library/ubuntu:_x"},
	{"myorg/app", "docker.io/myorg/app:latest"},
	{"myhost/x:1", "docker.io/myhost/x:1"},
	{"myhost:5000", "docker.io/library/myhost:5000"},
	{"myhost:5000/x", "myhost:5000/x:latest"},
	{"my_host:5000/x", "my_host:5000/x:latest"},
	{"localhost/x", "localhost/x:latest"},
	{"LOCALHOST/x", "localhost/x:latest"},
	{"localhost:5000/a/b:v1", "localhost:5000/a/b:v1"},
	{"localhost.localdomain/x", "localhost.localdomain/x:latest"},
	{"localbuild/x", "localbuild/x:latest"},
	{"127.0.0.1:5000/team/app:2", "127.0.0.1:5000/team/app:2"},
	{"[::1]:5000/team/app", "[::1]:5000/team/app:latest"},
	{"[2001:DB8::1]/app:1", "[2001:db8::1]/app:1"},
	{"quay.io/a/b/c:1.0", "quay.io/a/b/c:1.0"},
	{"GCR.io/proj/app", "gcr.io/proj/app:latest"},
	{"123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"},
	{"reg.io/a__b/c--d.e_f:1", "reg.io/a__b/c--d.e_f:1"},
	{"reg.io:443/app", "reg.io:443/app:latest"},
	{"ubuntu:" + strings.Repeat("t", 128), "docker.io/library/ubuntu:" + strings.Repeat("t", 128)},
	{"r.io/" + strings.Repeat("a", 250), "r.io/" + strings.Repeat("a", 250) + ":latest"},
	{"ubuntu:" + strings.Repeat("t", 129), ""},
	{"r.io/" + strings.Repeat("a", 251), ""},
	{"", ""},
	{"   ", ""},
	{"ubuntu:", ""},
	{":latest", ""},
	{"ubuntu:-x", ""},
	{"ubuntu:.x", ""},
	{"Ubuntu", ""},
	{"reg.io/App", ""},
	{"a//b", ""},
	{"/a", ""},
	{"a/", ""},
	{"a___b", ""},
	{"a..b/c", ""},
	{"reg.io/a..b", ""},
	{"alpine:latest:foo", ""},
	{"alpine tag", ""},
	{"alpine:\x00", ""},
	{"älpine", ""},
	{"http://reg.io/app", ""},
	{"reg.io:65535/app", "reg.io:65535/app:latest"},
	{"reg.io:1/app", "reg.io:1/app:latest"},
	{"reg.io:port/app", ""},
	{"reg.io:65536/app", ""},
	{"reg.io:99999/app:1", ""},
	{"reg.io:0/app", ""},
	{"[::1]:70000/app", ""},
	{"[::1/app", ""},
	{"nginx@sha256:" + sha, ""},
	{"nginx:1.2@sha256:" + sha, ""},
	{"sha256:" + sha, ""},
	{sha, ""},
}

const sha = "9865f6e1b0c5b6f5d9a7e1e3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7"

func TestParseSubscriptionKey(t *testing.T) {
	for _, tt := range keyForms {
		key, err := ParseSubscriptionKey(TagUpdate, tt.in)
		if key != tt.key || (err == nil) != (tt.key != "") {
			t.Errorf("ParseSubscriptionKey(tag_update, %q) = %q, %v; want %q", tt.in, key, err, tt.key)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("ParseSubscriptionKey(tag_update, %q): kind %v, want invalid", tt.in, KindOf(err))
		}
	}
}

func TestParseRepository(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"alpine", "docker.io/library/alpine"},
		{"docker.io/alpine", "docker.io/library/alpine"},
		{"localhost:5000/a/b", "localhost:5000/a/b"},
		{"alpine:3", ""},
		{"alpine@sha256:" + sha, ""},
		{"", ""},
	} {
		got, err := ParseSubscriptionKey(RepoUpdate, tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("ParseSubscriptionKey(repo_update, %q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestParseReferenceParts(t *testing.T) {
	got, err := ParseReference("localhost:5000/a/b:v1@sha256:" + sha)
	want := Reference{Registry: "localhost:5000", Repository: "a/b", Tag: "v1", Digest: "sha256:" + sha}
	if err != nil || got != want {
		t.Errorf("ParseReference = %+v, %v; want %+v", got, err, want)
	}
	if got, err = ParseReference("nginx@sha256:" + sha); err != nil || got.Tag != "" {
		t.Errorf("a digest reference has the tag %q, %v; want none", got.Tag, err)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, tt := range keyForms {
		f.Add(tt.in)
	}
	f.Add("a:b@sha256:" + sha)
	f.Fuzz(func(t *testing.T, in string) {
		ref, err := ParseReference(in)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Errorf("ParseReference(%q): kind %v", in, KindOf(err))
			}
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("ParseReference(%q) = %+v, but its text %q reads %+v, %v", in, ref, ref.String(), again, err)
		}
	})
}

func TestSubscriptionID(t *testing.T) {
	// The first id is one that the original's users have stored.
	if got := SubscriptionID("admin", "docker.io/alpine:latest", TagUpdate); got != "f0aaf0ff0a75644cb6a5915907d4a5c3" {
		t.Errorf("SubscriptionID = %s", got)
	}
	if alias, ok := SubscriptionAliasID("admin", "docker.io/library/alpine:latest", TagUpdate); !ok || alias != "f0aaf0ff0a75644cb6a5915907d4a5c3" {
		t.Errorf("SubscriptionAliasID of the library form = %s, %v; want the id of the short form", alias, ok)
	}
	for _, key := range []string{"quay.io/library/alpine:latest", "docker.io/myorg/app:1", "docker.io/library/a/b:1"} {
		if alias, ok := SubscriptionAliasID("admin", key, TagUpdate); ok {
			t.Errorf("SubscriptionAliasID(%q) = %s; want none", key, alias)
		}
	}
	if alias, ok := SubscriptionAliasID("admin", "docker.io/library/alpine", RepoUpdate); !ok || alias != SubscriptionID("admin", "docker.io/alpine", RepoUpdate) {
		t.Errorf("alias of a repository = %s, %v", alias, ok)
	}
}

func TestParseSubscriptionValue(t *testing.T) {
	for _, tt := range []struct {
		typ  SubscriptionType
		in   string
		fine bool
	}{
		{TagUpdate, "", true},
		{TagUpdate, `{"x":1}`, true},
		{PolicyEval, `{"digests":["sha256:` + sha + `"]}`, true},
		{PolicyEval, `{"digests":["latest"]}`, false},
		{VulnUpdate, `{"digests":"x"}`, false},
		{TagUpdate, `[]`, false},
		{TagUpdate, `no json`, false},
		{RepoUpdate, `{"autosubscribe": true, "digests": 3}`, true},
		{TagUpdate, `{"x":"` + strings.Repeat("x", MaxSubscriptionValue-8) + `"}`, true},
		{TagUpdate, `{"x":"` + strings.Repeat("x", MaxSubscriptionValue-7) + `"}`, false},
	} {
		got, err := ParseSubscriptionValue(tt.typ, tt.in)
		if (err == nil) != tt.fine || tt.fine && got != tt.in {
			t.Errorf("ParseSubscriptionValue(%s, %.80q) = %.80q, %v; want ok %v", tt.typ, tt.in, got, err, tt.fine)
		}
	}
}

func TestParseSubscriptionTypeNamesTheAllowed(t *testing.T) {
	_, err := ParseSubscriptionType("tag_updates")
	for _, want := range SubscriptionTypes() {
		if err == nil || !strings.Contains(err.Error(), string(want)) {
			t.Errorf("error %v does not name %s", err, want)
		}
		if got, err := ParseSubscriptionType(string(want)); got != want || err != nil {
			t.Errorf("ParseSubscriptionType(%q) = %q, %v", want, got, err)
		}
	}
}

func TestParsePlatform(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Platform
		fine bool
	}{
		{"linux/amd64", Platform{OS: "linux", Architecture: "amd64"}, true},
		{"linux/arm/v7", Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, true},
		{"linux", Platform{}, false}, {"linux/", Platform{}, false}, {"a/b/c/d", Platform{}, false}, {"a/b/", Platform{}, false}, {"", Platform{}, false},
	} {
		got, err := ParsePlatform(tt.in)
		if got != tt.want || (err == nil) != tt.fine || tt.fine && got.String() != tt.in {
			t.Errorf("ParsePlatform(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestIsDigestAndImageID(t *testing.T) {
	hex := func(n int) string { return strings.Repeat("0123456789abcdef", n/16) }
	for in, want := range map[string]struct{ digest, id bool }{
		"sha256:" + hex(64):                      {digest: true},
		"sha512:" + hex(128):                     {digest: true},
		hex(64):                                  {id: true},
		"":                                       {},
		"sha256:":                                {},
		"sha256:" + hex(48):                      {},
		"sha256:" + hex(128):                     {},
		"sha512:" + hex(64):                      {},
		"md5:" + hex(32):                         {},
		"sha256:" + hex(48) + "g000000000000000": {},
		"sha256:" + strings.ToUpper(hex(64)):     {},
		"sha256:" + hex(64) + "\n":               {},
		hex(64) + "\n":                           {},
		"SHA256:" + hex(64):                      {},
		"sha256:sha256:" + hex(64):               {},
		"sha256:" + hex(48) + "/../../../../../": {},
	} {
		if got := IsDigest(in); got != want.digest {
			t.Errorf("IsDigest(%q) = %v", in, got)
		}
		if got := IsImageID(in); got != want.id {
			t.Errorf("IsImageID(%q) = %v", in, got)
		}
	}
}
