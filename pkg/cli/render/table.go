package render

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

// Table is what a listing prints: raw values, sorted and padded as the
// original's library (prettytable, plain columns) did.
type Table struct {
	Columns  []string
	Rows     [][]any
	SortBy   int  // column; -1 keeps the order received
	Descend  bool // also reverses ties
	Trailing bool // a blank line ends the output
}

// gutter is right of every cell, the last one too.
const gutter = "        "

// Write prints the table. An empty one is an empty line, without a header.
func (t Table) Write(w io.Writer, headers bool) error {
	if len(t.Rows) > 0 {
		t.sort()
		if err := t.render(w, headers); err != nil {
			return fmt.Errorf("table: %w", err)
		}
	} else if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if t.Trailing {
		_, err := io.WriteString(w, "\n")
		return err
	}
	return nil
}

func (t Table) sort() {
	if t.SortBy < 0 {
		return
	}
	slices.SortStableFunc(t.Rows, func(a, b []any) int {
		c := cmp.Or(compareValues(a[t.SortBy], b[t.SortBy]), slices.CompareFunc(a, b, compareValues))
		if t.Descend {
			return -c
		}
		return c
	})
}

func (t Table) render(w io.Writer, headers bool) error {
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
		tbl.Header(t.Columns)
	}
	for _, row := range t.Rows {
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
func cell(v any) string { return Clean(Text(v), true) }

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
		return cmp.Compare(Text(x), Text(b)) // False, True
	case Number, int:
		return Rational(a).Cmp(Rational(b))
	case string:
		return strings.Compare(x, b.(string))
	case nil:
		return 0
	}
	return strings.Compare(Text(a), Text(b))
}

func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case Number, int:
		return 2
	case string:
		return 3
	}
	return 4
}

// Rational is the value of a number, 0 for what is none.
func Rational(v any) *big.Rat {
	// An exponent of a billion would need a billion digits: compare those as 0.
	if s := Text(v); len(s) < 400 {
		if r, ok := new(big.Rat).SetString(s); ok {
			return r
		}
	}
	return new(big.Rat)
}

// KeyLines prints "Key: value" lines; a blank line ends the record.
type KeyLines struct {
	Lines []string
}

// Add adds the line of a key.
func (k *KeyLines) Add(key string, value any) {
	k.Lines = append(k.Lines, key+": "+Clean(Text(value), false))
}

// Blank ends a record.
func (k *KeyLines) Blank() { k.Lines = append(k.Lines, "") }

// Write prints the lines. As each record ended with a blank line, and the
// original printed the text with one more newline, such output ends in two.
func (k *KeyLines) Write(w io.Writer) error {
	_, err := io.WriteString(w, strings.Join(k.Lines, "\n")+"\n\n")
	return err
}

// WriteAll prints parts one after the other.
func WriteAll(w io.Writer, parts ...string) error {
	for _, p := range parts {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return nil
}

// Columns has a row for each entry, with the values of keys under columns.
func Columns(content []any, columns, keys []string) Table {
	t := Table{Columns: columns}
	for _, p := range content {
		row := make([]any, len(keys))
		for i, k := range keys {
			row[i] = At(p, k)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
