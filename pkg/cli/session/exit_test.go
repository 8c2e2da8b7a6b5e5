package session

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
		a := &App{Out: bufio.NewWriter(&out), Err: &talk, Colours: on, talk: on, set: settings{output: tableOutput}}
		a.writeFailure(Failf("no \x1b[31mred").Hint("no \x1b[32mgreen"))
		a.Out.Flush()
		want := map[render.Palette]int{true: 4, false: 0}[on] // two around each of Error:, Hint:
		if got := strings.Count(out.String()+talk.String(), "\x1b["); got != want {
			t.Errorf("colours %v: %d escape sequences, want %d:\n%q\n%q", on, got, want, out.String(), talk.String())
		}
	}
}
