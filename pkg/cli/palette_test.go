package cli

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func TestPalette(t *testing.T) {
	for _, tt := range []struct {
		terminal bool
		environ  []string
		want     palette
	}{
		{true, nil, true}, {false, nil, false}, {true, []string{"NO_COLOR=1"}, false}, {true, []string{"NO_COLOR="}, true},
		{true, []string{"TERM=dumb"}, false}, {true, []string{"TERM=xterm"}, true},
	} {
		if got := newPalette(tt.terminal, newEnvironment(tt.environ)); got != tt.want {
			t.Errorf("newPalette(%v, %v) = %v", tt.terminal, tt.environ, got)
		}
	}
}

// Colours are around our own words only: what came from elsewhere cannot bring its own.
func TestColoursAreOurs(t *testing.T) {
	for _, on := range []palette{true, false} {
		var out, talk bytes.Buffer
		a := &app{out: bufio.NewWriter(&out), err: &talk, colours: on, talk: on, set: settings{output: tableOutput}}
		a.writeFailure(failf("no \x1b[31mred").hint("no \x1b[32mgreen"))
		if err := a.writeStatus(a.out, []any{object{{"status", false}, {"status_message", "\x1b[5m"}}, object{{"status", true}}}); err != nil {
			t.Fatal(err)
		}
		a.out.Flush()
		want := map[palette]int{true: 8, false: 0}[on] // two around each of Error:, Hint:, down, up
		if got := strings.Count(out.String()+talk.String(), "\x1b["); got != want {
			t.Errorf("colours %v: %d escape sequences, want %d:\n%q\n%q", on, got, want, out.String(), talk.String())
		}
	}
}
