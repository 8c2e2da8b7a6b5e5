package session

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/anchore/anchore-engine/pkg/spelling"
)

// Nearest returns at most n of the candidates that look like word, the most
// similar first: those that contain it, or differ from it in few characters.
func Nearest(word string, candidates []string, n int) []string {
	type found struct {
		text     string
		distance int
	}
	var near []found
	for _, c := range candidates {
		d := spelling.Distance(word, c)
		limit := max(utf8.RuneCountInString(word), utf8.RuneCountInString(c)) / 3
		if d <= limit || len(word) >= 3 && strings.Contains(c, word) {
			near = append(near, found{c, d})
		}
	}
	slices.SortStableFunc(near, func(a, b found) int { return a.distance - b.distance })
	out := make([]string, 0, n)
	for _, f := range near[:min(n, len(near))] {
		out = append(out, f.text)
	}
	return out
}
