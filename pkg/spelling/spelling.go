// Package spelling compares names as people mistype them. What is near enough to be
// worth a suggestion is for those who suggest.
package spelling

// Distance is the number of characters to insert, remove or replace to get from a to
// b (Levenshtein). It takes time in proportion to the product of their lengths.
func Distance(a, b string) int {
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
