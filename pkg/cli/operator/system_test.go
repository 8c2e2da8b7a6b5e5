package operator

import (
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// Colours are around our own words only: what came from elsewhere cannot bring its own.
func TestStatusColours(t *testing.T) {
	for _, on := range []render.Palette{true, false} {
		var out strings.Builder
		a := &session.App{Colours: on}
		if err := writeStatus(a, &out, []any{render.Object{{Key: "status", Value: false}, {Key: "status_message", Value: "\x1b[5m"}}, render.Object{{Key: "status", Value: true}}}); err != nil {
			t.Fatal(err)
		}
		want := map[render.Palette]int{true: 4, false: 0}[on] // two around each of down, up
		if got := strings.Count(out.String(), "\x1b["); got != want {
			t.Errorf("colours %v: %d escape sequences, want %d:\n%q", on, got, want, out.String())
		}
	}
}
