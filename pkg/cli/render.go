package cli

import (
	"cmp"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
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
			return fmt.Errorf("table: %w", err)
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

func (t table) render(w io.Writer, headers bool) error {
	tbl := tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone, Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithPadding(tw.Padding{Right: gutter, Overwrite: true}),
		tablewriter.WithHeaderAutoFormat(tw.Off), tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft), tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone), tablewriter.WithRowAutoWrap(tw.WrapNone),
		// Widths must not depend on the user's locale: ambiguous characters count 1.
		tablewriter.WithEastAsian(tw.Off),
	)
	if headers {
		tbl.Header(t.columns)
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v)
		}
		if err := tbl.Append(cells); err != nil {
			return err
		}
	}
	return tbl.Render()
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
