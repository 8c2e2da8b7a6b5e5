package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEncodeIsTheOriginalsForm(t *testing.T) {
	in := struct {
		Zulu  string         `json:"zulu"`
		Alpha map[string]any `json:"alpha"`
		Mike  []any          `json:"mike"`
		Nil   *string        `json:"nil"`
	}{
		Zulu:  "é <b>&</b> \"q\" \u2028 😀 \x7f\t",
		Alpha: map[string]any{"b": 1, "a": 12345678901234567, "empty": map[string]any{}},
		Mike:  []any{true, nil, []string{}},
	}
	const want = `{
  "alpha": {
    "a": 12345678901234567,
    "b": 1,
    "empty": {}
  },
  "mike": [
    true,
    null,
    []
  ],
  "nil": null,
  "zulu": "\u00e9 <b>&</b> \"q\" \u2028 \ud83d\ude00 ` + "\x7f" + `\t"
}
`
	tree, err := Sorted(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Encode(tree)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Encode() (-want +got):\n%s", diff)
	}
}

func TestEncodeSimpleValues(t *testing.T) {
	for in, want := range map[any]string{"v1": "\"v1\"\n", true: "true\n", nil: "null\n"} {
		got, err := Encode(in)
		if err != nil || string(got) != want {
			t.Errorf("Encode(%v) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzEncodeKeepsTexts(f *testing.F) {
	for _, s := range []string{"", "é", "😀\u2028<&>", "\xff", "\\u00e9", "\x00\x1f\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := Encode(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.IndexFunc(doc, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
			t.Errorf("Encode(%q) = %q: not ASCII at %d", s, doc, i)
		}
		var back map[string]string
		if err := json.Unmarshal(doc, &back); err != nil {
			t.Fatal(err)
		}
		clean := strings.ToValidUTF8(s, "\ufffd")
		if utf8.ValidString(s) && back[clean] != clean {
			t.Errorf("Encode(%q) reads back as %q", s, back)
		}
	})
}

// FuzzEncodeAgreesWithIndent compares with json.Indent, on documents as they are
// and as the one element of a list.
func FuzzEncodeAgreesWithIndent(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":1.5e9,"c":"\\\" {[,:"}],"d":{},"e":[[],null]}`, `[]`, `"é"`, `[[1],[true,"<\u2028>"]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var v any
		if json.Unmarshal(doc, &v) != nil {
			return
		}
		for _, in := range []any{v, []any{v, v}, &v} {
			got, err := Encode(in)
			if err != nil {
				t.Fatal(err)
			}
			var back any
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatalf("Encode(%s) is not JSON: %v", doc, err)
			}
			var compact, want bytes.Buffer
			if err := json.Compact(&compact, got); err != nil {
				t.Fatal(err)
			}
			if err := json.Indent(&want, compact.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String()+"\n", string(got)); diff != "" {
				t.Errorf("Encode(%s) (-json.Indent +got):\n%s", doc, diff)
			}
			if diff := cmp.Diff(plain(t, in), back); diff != "" {
				t.Errorf("Encode(%s) reads back as another value (-want +got):\n%s", doc, diff)
			}
		}
	})
}

// plain is v as Go's own encoder and decoder leave it.
func plain(t *testing.T, v any) (tree any) {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestDepth(t *testing.T) {
	for doc, want := range map[string]int{
		``: 0, `1`: 0, `{}`: 1, `[[]]`: 2, `{"a":[{"b":1}],"c":[]}`: 3,
		`"[[[["`: 0, `{"[\"[":"\\"}`: 1, `[[[`: 3, `]]]`: 0,
	} {
		if got := depth([]byte(doc)); got != want {
			t.Errorf("depth(%q) = %d, want %d", doc, got, want)
		}
	}
}

func FuzzDepthAgreesWithTheDecoder(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":1}]}`, `["\\\"[",[[]]]`, `{"\u005b":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got := depth(doc)
		if !json.Valid(doc) {
			return
		}
		if want := decoderDepth(t, doc); got != want {
			t.Errorf("depth(%q) = %d, want %d", doc, got, want)
		}
	})
}

func decoderDepth(t *testing.T, doc []byte) int {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	deepest, now := 0, 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return deepest
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}
