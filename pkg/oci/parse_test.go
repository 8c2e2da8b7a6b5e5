package oci

import (
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

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
		kind, err := kindOf(request{Question: answer.Question{Op: "fuzz", Ref: ref}}, header, raw)
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
