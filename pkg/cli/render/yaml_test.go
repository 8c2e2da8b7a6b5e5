package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// Wanted texts are PyYAML's.
func TestYAMLText(t *testing.T) {
	long := "every word of this message is short and there are so many of them that the line must be folded somewhere near here and once more before it ends"
	for _, tt := range []struct{ in, want string }{
		{`{"b":null,"a":"2024-03-05T12:00:00Z","c":true,"d":1e20,"e":1.0}`, "a: '2024-03-05T12:00:00Z'\nb: null\nc: true\nd: 1.0e+20\ne: 1.0\n"},
		{`{"l":["x",{"b":1,"a":[]},["y","z"]],"m":{},"n":{"o":["p"]}}`, "l:\n- x\n- a: []\n  b: 1\n- - y\n  - z\nm: {}\nn:\n  o:\n  - p\n"},
		{`["", "yes", "12", "0x1f", "1.5", "~", "null", "a: b", "a:b", "- a", "-a", "#a", "a #b", "a#b", "a:", "it's", " a", "'"]`,
			"- ''\n- 'yes'\n- '12'\n- '0x1f'\n- '1.5'\n- '~'\n- 'null'\n- 'a: b'\n- a:b\n- '- a'\n- -a\n- '#a'\n- 'a #b'\n- a#b\n- 'a:'\n- it's\n- ' a'\n- ''''\n"},
		{`["a\nb", "a \nb", "é\u001b", "\t", "12:30:45", "1_000", "=", "<<"]`,
			"- 'a\n\n  b'\n- \"a \\nb\"\n- \"\\xE9\\e\"\n- \"\\t\"\n- '12:30:45'\n- '1_000'\n- '='\n- '<<'\n"},
		{`{"message":"` + long + `"}`, "message: every word of this message is short and there are so many of them that the\n  line must be folded somewhere near here and once more before it ends\n"},
		{`{"message":"é ` + long + `"}`, "message: \"\\xE9 every word of this message is short and there are so many of them that\\\n  \\ the line must be folded somewhere near here and once more before it ends\"\n"},
	} {
		v, err := DecodeJSON([]byte(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, YAML(v)); diff != "" {
			t.Errorf("yamlText(%s) (-want +got):\n%s", tt.in, diff)
		}
	}
}

// What is printed must read as the same document.
func FuzzYAMLText(f *testing.F) {
	for _, s := range []string{`{"a":["b c","d\ne"]}`, `" \n x"`, `{"- ":"? "}`, `"\u0085"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := DecodeJSON([]byte(`{"k":["` + in + `"]}`))
		if err != nil {
			return
		}
		want, ok := Items(At(v, "k"))[0].(string)
		if !ok || len(Items(At(v, "k"))) != 1 {
			return
		}
		var got struct{ K []string }
		if err := yaml.Unmarshal([]byte(YAML(v)), &got); err != nil || len(got.K) != 1 || got.K[0] != want {
			t.Errorf("yamlText of %q reads %q, %v:\n%s", want, got.K, err, YAML(v))
		}
	})
}
