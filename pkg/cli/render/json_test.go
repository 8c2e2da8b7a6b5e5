package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Wanted values are what Python's json, repr and yaml modules print.
func TestJSONText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`null`, `null`},
		{`""`, `""`},
		{`[]`, `[]`},
		{`{"b":[],"a":{}}`, "{\n    \"a\": {},\n    \"b\": []\n}"},
		{`[1, 1.0, 1e20, 0.0000001, 1e16, 123456789012345678901234567890, -0, -0.0, 1E400]`,
			"[\n    1,\n    1.0,\n    1e+20,\n    1e-07,\n    1e+16,\n    123456789012345678901234567890,\n    0,\n    -0.0,\n    Infinity\n]"},
		{`"é\u0001\u007f<&>😀\n\"\\/"`, `"\u00e9\u0001\u007f<&>\ud83d\ude00\n\"\\/"`},
		{`{"a":1,"b":2,"a":3}`, "{\n    \"a\": 3,\n    \"b\": 2\n}"},
		{`{"z":true,"é":false,"Z":null}`, "{\n    \"Z\": null,\n    \"z\": true,\n    \"\\u00e9\": false\n}"},
	} {
		v, err := DecodeJSON([]byte(tt.in))
		if err != nil {
			t.Errorf("decodeJSON(%s): %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, JSON(v)); diff != "" {
			t.Errorf("jsonText(%s) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	for _, in := range []string{"", "{", "[1] 2", "{1:2}", `{"a"}`, "nul", strings.Repeat("[", 1000) + strings.Repeat("]", 1000)} {
		if v, err := DecodeJSON([]byte(in)); err == nil {
			t.Errorf("decodeJSON(%.20q) = %v; want an error", in, v)
		}
	}
}

// What is printed must read as the same document, whatever came in.
func FuzzJSONText(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,null,true,"x"]}`, `"\ud800"`, `1e400`, `[{}]`, `0.1e1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := DecodeJSON([]byte(in))
		if err != nil {
			return
		}
		text := JSON(v)
		if strings.Contains(text, "Infinity") {
			return // Python's own extension of JSON
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("jsonText(%q) is no JSON: %s", in, text)
		}
		again, err := DecodeJSON([]byte(text))
		if err != nil || JSON(again) != text {
			t.Errorf("jsonText(%q) = %s; read again: %s, %v", in, text, JSON(again), err)
		}
		for _, r := range text {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Errorf("jsonText(%q) has %q", in, r)
			}
		}
	})
}
