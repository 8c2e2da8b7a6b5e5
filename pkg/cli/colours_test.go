package cli

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// Colours are around our own words only: what came from elsewhere cannot bring its own.
func TestColoursAreOurs(t *testing.T) {
	for _, on := range []render.Palette{true, false} {
		var out, talk bytes.Buffer
		a := &app{out: bufio.NewWriter(&out), err: &talk, colours: on, talk: on, set: settings{output: tableOutput}}
		a.writeFailure(failf("no \x1b[31mred").hint("no \x1b[32mgreen"))
		if err := a.writeStatus(a.out, []any{render.Object{{Key: "status", Value: false}, {Key: "status_message", Value: "\x1b[5m"}}, render.Object{{Key: "status", Value: true}}}); err != nil {
			t.Fatal(err)
		}
		a.out.Flush()
		want := map[render.Palette]int{true: 8, false: 0}[on] // two around each of Error:, Hint:, down, up
		if got := strings.Count(out.String()+talk.String(), "\x1b["); got != want {
			t.Errorf("colours %v: %d escape sequences, want %d:\n%q\n%q", on, got, want, out.String(), talk.String())
		}
	}
}
