package rest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShortened(t *testing.T) {
	long, cut := strings.Repeat("x", 70_000), strings.Repeat("x", 200)+"…"
	words := strings.Repeat("word ", 300) // of a list that the engine has to tell
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{`"a" is no digest`, `"a" is no digest`},
		{words, words},
		{`subscription_value: "` + long + `" is no digest; give sha256:…`, `subscription_value: "` + cut + `" is no digest; give sha256:…`},
		{`"a": "` + long + `" and "` + long + `"`, `"a": "` + cut + `" and "` + cut + `"`},
		{`"` + strings.Repeat(`{\"a\": [1]} `, 1000) + `" is too long`, `"` + (strings.Repeat(`{\"a\": [1]} `, 1000))[:200] + `…" is too long`},
		{long + " is not supported; use one of a, b", cut + " is not supported; use one of a, b"},
		{`an open quote: "` + long, `an open quote: "` + cut},
		{strings.Repeat("é", 300), strings.Repeat("é", 200) + "…"},
		{strings.Repeat("a ", 70_000), strings.Repeat("a ", 1000) + "…"},
	} {
		if diff := cmp.Diff(tt.want, shortened(tt.in)); diff != "" {
			t.Errorf("shortened(%.60q) (-want +got):\n%s", tt.in, diff)
		}
	}
}
