package oci

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestPickChallenge(t *testing.T) {
	for _, tc := range []struct {
		in     []string
		scheme string
		params map[string]string
	}{
		{in: nil},
		{in: []string{"Negotiate"}},
		{in: []string{`Basic realm="a, b"`}, scheme: "basic", params: map[string]string{"realm": "a, b"}},
		{in: []string{`Negotiate, Basic realm=x`}, scheme: "basic", params: map[string]string{"realm": "x"}},
		{in: []string{`Basic realm="r", Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"`}, scheme: "bearer",
			params: map[string]string{"realm": "https://a/token", "service": "s", "scope": "repository:x:pull,push"}},
		{in: []string{"Basic realm=r", `bearer Realm = "q\"uote"`}, scheme: "bearer", params: map[string]string{"realm": `q"uote`}},
	} {
		got, ok := pickChallenge(tc.in)
		if diff := cmp.Diff(tc.params, got.params); diff != "" || got.scheme != tc.scheme || ok != (tc.scheme != "") {
			t.Errorf("pickChallenge(%q) = %q, %v (-want +got):\n%s", tc.in, got.scheme, ok, diff)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "30", 30 * time.Second},
		{"Retry-After", "Wed, 01 May 2024 12:01:30 GMT", 90 * time.Second},
		{"Retry-After", "Wed, 01 May 2024 11:00:00 GMT", 0},
		{"Retry-After", "99999999", 24 * time.Hour},
		{"Retry-After", "-5", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "soon", 0},
		{"X-Retry-After", "1714564860", time.Minute},
		{"RateLimit-Reset", "12", 12 * time.Second},
		{"RateLimit-Limit", "100;w=21600", 216 * time.Second},
		{"RateLimit-Limit", "0;w=21600", 0},
	} {
		h := http.Header{}
		h.Set(tc.name, tc.value)
		if got := retryAfter(h, now); got != tc.want {
			t.Errorf("retryAfter(%s: %s) = %v, want %v", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestNextLink(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`</v2/x/tags/list?last=b&n=2>; rel="next"`, "/v2/x/tags/list?last=b&n=2"},
		{`</a>; rel=prev, </b>; rel=next`, "/b"},
		{`</a>; title="x"; REL="last next"`, "/a"},
		{`</a>; rel="prev"`, ""},
		{`/a; rel="next"`, ""},
		{`<>; rel="next"`, ""},
		{``, ""},
	} {
		if got, ok := nextLink([]string{tc.in}); got != tc.want || ok != (tc.want != "") {
			t.Errorf("nextLink(%q) = %q, %v; want %q", tc.in, got, ok, tc.want)
		}
	}
}

func FuzzPickChallenge(f *testing.F) {
	f.Add(`Basic realm="r", Bearer realm="https://a/token",service="s"`)
	f.Fuzz(func(t *testing.T, s string) {
		ch, ok := pickChallenge([]string{s})
		if ok != (ch.scheme == schemeBasic || ch.scheme == schemeBearer) {
			t.Errorf("pickChallenge(%q) = %+v, %v", s, ch, ok)
		}
		for name, value := range ch.params {
			if strings.ToLower(name) != name || len(value) > len(s) {
				t.Errorf("pickChallenge(%q): parameter %q is %q", s, name, value)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("30", "100;w=21600")
	f.Add("Wed, 01 May 2024 12:01:30 GMT", "")
	f.Fuzz(func(t *testing.T, after, limit string) {
		h := http.Header{"Retry-After": {after}, "Ratelimit-Limit": {limit}}
		if got := retryAfter(h, time.Unix(1714564800, 0)); got < 0 || got > maxAfter {
			t.Errorf("retryAfter(%q, %q) = %v, want within 0 and %v", after, limit, got, maxAfter)
		}
	})
}

func FuzzNextLink(f *testing.F) {
	f.Add(`</v2/x/tags/list?last=b>; rel="next"`)
	f.Fuzz(func(t *testing.T, s string) {
		target, ok := nextLink([]string{s})
		if ok != (target != "") || strings.Contains(target, ">") || !strings.Contains(s, "<"+target) && ok {
			t.Errorf("nextLink(%q) = %q, %v", s, target, ok)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add("", []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[]}`))
	f.Add("application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[{"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Fuzz(func(t *testing.T, header string, raw []byte) {
		ref := anchore.Reference{Registry: "r", Repository: "x", Tag: "y"}
		kind, err := kindOf(request{op: "fuzz", ref: ref}, header, raw)
		if err != nil {
			return
		}
		if !kind.IsIndex() && !kind.IsImage() {
			t.Errorf("kindOf(%q, %q) = %q, neither an image nor an index", header, raw, kind)
		}
		doc := document{kind: kind, raw: raw}
		if d, err := pick("fuzz", ref, doc, anchore.DefaultPlatform); err == nil && d.Platform != nil && d.Platform.OS != "linux" {
			t.Errorf("pick chose %+v", d)
		}
		if m, err := parseImage("fuzz", ref, doc); err == nil && !anchore.IsDigest(m.Config.Digest.String()) {
			t.Errorf("parseImage took the digest %q", m.Config.Digest)
		}
	})
}
