package challenge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPick(t *testing.T) {
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
		got, ok := Pick(tc.in)
		if diff := cmp.Diff(tc.params, got.Params); diff != "" || got.Scheme != tc.scheme || ok != (tc.scheme != "") {
			t.Errorf("Pick(%q) = %q, %v (-want +got):\n%s", tc.in, got.Scheme, ok, diff)
		}
	}
}

func FuzzPick(f *testing.F) {
	f.Add(`Basic realm="r", Bearer realm="https://a/token",service="s"`)
	f.Fuzz(func(t *testing.T, s string) {
		ch, ok := Pick([]string{s})
		if ok != (ch.Scheme == Basic || ch.Scheme == Bearer) {
			t.Errorf("Pick(%q) = %+v, %v", s, ch, ok)
		}
		for name, value := range ch.Params {
			if strings.ToLower(name) != name || len(value) > len(s) {
				t.Errorf("Pick(%q): parameter %q is %q", s, name, value)
			}
		}
	})
}
