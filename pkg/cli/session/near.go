package session

import (
	"slices"
	"strings"
	"unicode/utf8"
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
		d := distance(word, c)
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

// distance is the number of characters to insert, remove or replace to get from
// a to b (Levenshtein).
func distance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	row := make([]int, len(rb)+1)
	for j := range row {
		row[j] = j
	}
	for i := range ra {
		before := row[0] // row[j] of the line above
		row[0] = i + 1
		for j := range rb {
			cost := before
			if ra[i] != rb[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(rb)]
}
