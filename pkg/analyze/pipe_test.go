package analyze

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

func TestNotes(t *testing.T) {
	long := strings.Repeat("x", maxNote+10)
	tests := []struct {
		name  string
		in    string
		last  sbom.Note
		steps []anchore.Step
		tail  string
	}{
		{"a good run", "{\"step\":\"cataloging\"}\n", sbom.Note{}, []anchore.Step{anchore.Cataloging}, ""},
		{"a failure", "{\"step\":\"cataloging\"}\n{\"failed\":\"no tar\",\"again\":true}\n", sbom.Note{Failed: "no tar", Again: true}, []anchore.Step{anchore.Cataloging}, ""},
		{"a step that is not the child's", `{"step":"storing"}` + "\n", sbom.Note{}, nil, ""},
		{"a crash", "panic: x\n\ngoroutine 1 [running]:", sbom.Note{}, nil, "panic: x\ngoroutine 1 [running]:"},
		{"an unfinished note", `{"failed":"cut`, sbom.Note{}, nil, `{"failed":"cut`},
		{"a long line", long + "\nlater\n", sbom.Note{}, nil, long[:maxTail]},
	}
	for _, test := range tests {
		for _, reader := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
			var steps []anchore.Step
			r := &noteReader{progress: func(s anchore.Step) { steps = append(steps, s) }}
			if _, err := io.Copy(r, reader); err != nil {
				t.Fatal(err)
			}
			r.flush()
			if diff := cmp.Diff([]any{test.last, test.steps, test.tail}, []any{r.last, steps, r.tail()}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	}
}

// However a child's text is cut into pieces, it is read the same, and memory is bounded.
func FuzzNotes(f *testing.F) {
	f.Add("{\"step\":\"cataloging\"}\n{\"failed\":\"x\"}\npanic\n", 3)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = min(max(cut, 0), len(text))
		whole, pieces := &noteReader{}, &noteReader{}
		_, _ = whole.Write([]byte(text))
		whole.flush()
		_, _ = pieces.Write([]byte(text[:cut]))
		_, _ = pieces.Write([]byte(text[cut:]))
		pieces.flush()
		if whole.last != pieces.last || whole.tail() != pieces.tail() {
			t.Errorf("read %+v %q at once, %+v %q in pieces", whole.last, whole.tail(), pieces.last, pieces.tail())
		}
		if len(whole.crash) > maxTail {
			t.Errorf("%d bytes are kept", len(whole.crash))
		}
	})
}
