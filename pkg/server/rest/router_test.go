package rest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRouter(t *testing.T) {
	rt := &router{}
	nothing := func(http.ResponseWriter, *http.Request) {}
	for _, p := range []string{
		"GET /{$}", "GET /images", "POST /images", "GET /images/{imageDigest}", "GET /images/by_id/{imageId}",
		"GET /images/{imageDigest}/content", "GET /images/{imageDigest}/content/{ctype}", "GET /images/by_id/{imageId}/content",
		"GET /registries/{registry}",
	} {
		rt.HandleFunc(p, nothing)
	}
	for _, tt := range []struct {
		method, path string
		pattern      string
		values       map[string]string
		methods      []string
	}{
		{method: "GET", path: "", pattern: "/", values: map[string]string{}},
		{method: "GET", path: "/", pattern: "/", values: map[string]string{}},
		{method: "HEAD", path: "/images/", pattern: "/images", values: map[string]string{}},
		{method: "GET", path: "/images/sha256%3Aab", pattern: "/images/{imageDigest}", values: map[string]string{"imageDigest": "sha256:ab"}},
		{method: "GET", path: "/images/sha256:ab/", pattern: "/images/{imageDigest}", values: map[string]string{"imageDigest": "sha256:ab"}},
		{method: "GET", path: "/images/by_id", pattern: "/images/{imageDigest}", values: map[string]string{"imageDigest": "by_id"}},
		{method: "GET", path: "/images/by_id/12", pattern: "/images/by_id/{imageId}", values: map[string]string{"imageId": "12"}},
		{method: "GET", path: "/images/by_id/content", pattern: "/images/by_id/{imageId}", values: map[string]string{"imageId": "content"}},
		{method: "GET", path: "/images/by_id/12/content", pattern: "/images/by_id/{imageId}/content", values: map[string]string{"imageId": "12"}},
		{method: "GET", path: "/images/x%2Fy/content/os", pattern: "/images/{imageDigest}/content/{ctype}", values: map[string]string{"imageDigest": "x/y", "ctype": "os"}},
		{method: "GET", path: "/registries/quay.io", pattern: "/registries/{registry}", values: map[string]string{"registry": "quay.io"}},
		{method: "GET", path: "/registries/quay.io/team/*", pattern: "/registries/{registry}", values: map[string]string{"registry": "quay.io/team/*"}},
		{method: "GET", path: "/registries/quay.io%2Fteam%2f*/", pattern: "/registries/{registry}", values: map[string]string{"registry": "quay.io/team/*"}},
		{method: "PUT", path: "/images", methods: []string{"GET", "POST"}},
		{method: "GET", path: "/nothing"},
		{method: "GET", path: "/images//content"},
		{method: "GET", path: "//images"},
		{method: "GET", path: "/images/%zz"},
	} {
		found, values, methods := rt.find(tt.method, tt.path)
		pattern := ""
		if found != nil {
			pattern, methods = found.pattern, nil
		}
		if pattern != tt.pattern || !cmp.Equal(values, tt.values) || !cmp.Equal(methods, tt.methods) {
			t.Errorf("find(%s %s) = %q %v %v, want %q %v %v", tt.method, tt.path, pattern, values, methods, tt.pattern, tt.values, tt.methods)
		}
	}
}

func FuzzRouterGivesBackTheSegment(f *testing.F) {
	rt := &router{}
	rt.HandleFunc("GET /images/{imageDigest}/content", func(http.ResponseWriter, *http.Request) {})
	for _, s := range []string{"sha256:ab", "a/b", "%2F", "é", "..", "{x}", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, values, _ := rt.find("GET", "/images/"+url.PathEscape(s)+"/content")
		if s == "" {
			if found != nil {
				t.Errorf("an empty segment was found: %v", values)
			}
			return
		}
		if found == nil || values["imageDigest"] != s {
			t.Errorf("find() of segment %q = %v", s, values)
		}
		rt.find("GET", s) // any path at all: must not panic
	})
}
