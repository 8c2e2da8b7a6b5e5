package render

import (
	"strings"
	"testing"
)

func TestPyRepr(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"error_codes":["A"],"n":null,"ok":true,"s":"it's"}`, `{'error_codes': ['A'], 'n': None, 'ok': True, 's': "it's"}`},
		{`["'\"", "\"", "\\", "\n\t\r", "\u0000\u001b", "\u200b", "é😀", "\u00a0"]`,
			`['\'"', '"', '\\', '\n\t\r', '\x00\x1b', '\u200b', 'é😀', '\xa0']`},
		{`[false, 1.50, 1e5, {}, []]`, `[False, 1.5, 100000.0, {}, []]`},
	} {
		v, err := DecodeJSON([]byte(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := Repr(v); got != tt.want {
			t.Errorf("pyRepr(%s) = %s; want %s", tt.in, got, tt.want)
		}
	}
}

// No control byte leaves the representation.
func FuzzPyRepr(f *testing.F) {
	f.Add(`["\u001b[2J", {"k\n": "\u0085"}]`)
	f.Add(`"\u202e"`)
	f.Fuzz(func(t *testing.T, in string) {
		v, err := DecodeJSON([]byte(in))
		if err != nil {
			return
		}
		if got := Repr(v); strings.ContainsFunc(got, isHarmful) {
			t.Errorf("pyRepr(%q) = %q", in, got)
		}
	})
}
