package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		table Table
		want  string
	}{
		{"empty", Table{Columns: []string{"A"}}, "\n"},
		{"empty with a blank line", Table{Columns: []string{"A"}, Trailing: true}, "\n\n"},
		{"sorted by a column, ties by the row", Table{Columns: []string{"A", "N"}, SortBy: 1,
			Rows: [][]any{{"b", Number("10")}, {"a", Number("10")}, {"z", Number("9")}, {"Z", Number("9")}}},
			"A        N         \nZ        9         \nz        9         \na        10        \nb        10        \n"},
		{"descending reverses ties", Table{Columns: []string{"A", "N"}, SortBy: 1, Descend: true,
			Rows: [][]any{{"a", Number("1")}, {"b", Number("1")}, {"c", nil}}},
			"A        N           \nb        1           \na        1           \nc        None        \n"},
		{"wide and combining characters", Table{Columns: []string{"日本", "x"}, Rows: [][]any{{"e\u0301", "§"}}, SortBy: -1},
			"日本        x        \ne\u0301           §        \n"},
		{"a newline spreads the row", Table{Columns: []string{"A", "B"}, Rows: [][]any{{"x\nyy", "z"}}, SortBy: -1},
			"A         B        \nx         z        \nyy                 \n"},
		{"no control byte", Table{Columns: []string{"A"}, Rows: [][]any{{"\x1b[2J\t\u202e"}}},
			"A                      \n\\x1b[2J\\t\\u202e        \n"},
		{"Python's values", Table{Columns: []string{"A"}, Rows: [][]any{{[]any{"a", nil}}, {true}, {""}}, SortBy: -1},
			"A                  \n['a', None]        \nTrue               \n                   \n"},
		{"spaces stay", Table{Columns: []string{"A"}, Rows: [][]any{{" a "}}}, "A          \n a         \n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := tt.table.Write(&b, true); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// No control byte leaves a cell, and no cell breaks the table: each line ends in
// the gutter.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31m", "a\nb", "\u0085", "日本", "\xff", "a\r\nb", "{{.}}", "%s", "│"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if got := cell(in); strings.ContainsFunc(strings.ReplaceAll(got, "\n", ""), isHarmful) {
			t.Errorf("cell(%q) = %q", in, got)
		}
		var b strings.Builder
		tbl := Table{Columns: []string{"Head", "x"}, Rows: [][]any{{in, "end"}}}
		if err := tbl.Write(&b, true); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		for _, l := range lines {
			if !strings.HasSuffix(l, gutter) || strings.ContainsFunc(l, isHarmful) {
				t.Errorf("cell %q: line %q", in, l)
			}
		}
		if text := cell(in); !strings.Contains(text, "\n") && (len(lines) != 2 || !strings.HasPrefix(lines[1], text+" ")) {
			t.Errorf("cell %q is not in the table as it is:\n%s", in, b.String())
		}
	})
}

func TestCompareValues(t *testing.T) {
	ordered := []any{nil, false, true, Number("-1"), Number("2"), Number("10"), Number("1e3"), "A", "Z", "a", "é", []any{"x"}}
	for i := range ordered {
		for j := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := compareValues(ordered[i], ordered[j]); got != want {
				t.Errorf("compareValues(%v, %v) = %d; want %d", ordered[i], ordered[j], got, want)
			}
		}
	}
}
