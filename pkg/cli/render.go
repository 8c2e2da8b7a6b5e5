package cli

import (
	"cmp"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// table is what a listing prints: raw values, sorted and padded as the
// original's library (prettytable, plain columns) did.
type table struct {
	columns  []string
	rows     [][]any
	sortBy   int  // column; -1 keeps the order received
	descend  bool // also reverses ties
	trailing bool // a blank line ends the output
}

// gutter is right of every cell, the last one too.
const gutter = "        "

// write prints the table. An empty one is an empty line, without a header.
func (t table) write(w io.Writer, headers bool) error {
	if len(t.rows) > 0 {
		t.sort()
		if err := t.render(w, headers); err != nil {
			return err
		}
	} else if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if t.trailing {
		_, err := io.WriteString(w, "\n")
		return err
	}
	return nil
}

func (t table) sort() {
	if t.sortBy < 0 {
		return
	}
	slices.SortStableFunc(t.rows, func(a, b []any) int {
		c := cmp.Or(compareValues(a[t.sortBy], b[t.sortBy]), slices.CompareFunc(a, b, compareValues))
		if t.descend {
			return -c
		}
		return c
	})
}

// render pads each cell to the widest of its column, counted in the columns of a
// terminal. A cell of several lines makes a row of as many.
func (t table) render(w io.Writer, headers bool) error {
	rows := make([][][]string, 0, len(t.rows)+1) // row, column, line
	if headers {
		header := make([][]string, len(t.columns))
		for i, name := range t.columns {
			header[i] = []string{name}
		}
		rows = append(rows, header)
	}
	for _, values := range t.rows {
		row := make([][]string, len(values))
		for i, v := range values {
			row[i] = strings.Split(cell(v), "\n")
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(t.columns))
	for _, row := range rows {
		for i, lines := range row {
			for _, l := range lines {
				widths[i] = max(widths[i], displaywidth.String(l))
			}
		}
	}
	var b []byte
	for _, row := range rows {
		b = appendRow(b[:0], row, widths)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func appendRow(b []byte, row [][]string, widths []int) []byte {
	height := 1
	for _, lines := range row {
		height = max(height, len(lines))
	}
	for n := range height {
		for i, lines := range row {
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			b = append(b, text...)
			for range widths[i] - displaywidth.String(text) {
				b = append(b, ' ')
			}
			b = append(b, gutter...)
		}
		b = append(b, '\n')
	}
	return b
}

// cell is the text of a value in a table: Python's, and nothing in it that a
// terminal would obey. A newline stays, and spreads the row over several lines.
func cell(v any) string { return clean(pyText(v), true) }

// compareValues orders as Python does where it can (text by code point, numbers
// as numbers), and, where it would fail, null before booleans before numbers
// before text before the rest.
func compareValues(a, b any) int {
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return cmp.Compare(ra, rb)
	}
	switch x := a.(type) {
	case bool:
		return cmp.Compare(pyText(x), pyText(b)) // False, True
	case number, int:
		return rational(a).Cmp(rational(b))
	case string:
		return strings.Compare(x, b.(string))
	case nil:
		return 0
	}
	return strings.Compare(pyText(a), pyText(b))
}

func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case number, int:
		return 2
	case string:
		return 3
	}
	return 4
}

func rational(v any) *big.Rat {
	// An exponent of a billion would need a billion digits: compare those as 0.
	if s := pyText(v); len(s) < 400 {
		if r, ok := new(big.Rat).SetString(s); ok {
			return r
		}
	}
	return new(big.Rat)
}

// keyLines prints "Key: value" lines; a blank line ends the record.
type keyLines struct {
	lines []string
}

func (k *keyLines) add(key string, value any) {
	k.lines = append(k.lines, key+": "+clean(pyText(value), false))
}

func (k *keyLines) blank() { k.lines = append(k.lines, "") }

// write prints the lines. As each record ended with a blank line, and the
// original printed the text with one more newline, such output ends in two.
func (k *keyLines) write(w io.Writer) error {
	_, err := io.WriteString(w, strings.Join(k.lines, "\n")+"\n\n")
	return err
}

// writeAll prints parts one after the other.
func writeAll(w io.Writer, parts ...string) error {
	for _, p := range parts {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return nil
}
