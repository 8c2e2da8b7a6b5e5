package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		table table
		want  string
	}{
		{"empty", table{columns: []string{"A"}}, "\n"},
		{"empty with a blank line", table{columns: []string{"A"}, trailing: true}, "\n\n"},
		{"sorted by a column, ties by the row", table{columns: []string{"A", "N"}, sortBy: 1,
			rows: [][]any{{"b", number("10")}, {"a", number("10")}, {"z", number("9")}, {"Z", number("9")}}},
			"A        N         \nZ        9         \nz        9         \na        10        \nb        10        \n"},
		{"descending reverses ties", table{columns: []string{"A", "N"}, sortBy: 1, descend: true,
			rows: [][]any{{"a", number("1")}, {"b", number("1")}, {"c", nil}}},
			"A        N           \nb        1           \na        1           \nc        None        \n"},
		{"wide and combining characters", table{columns: []string{"日本", "x"}, rows: [][]any{{"e\u0301", "§"}}, sortBy: -1},
			"日本        x        \ne\u0301           §        \n"},
		{"a newline spreads the row", table{columns: []string{"A", "B"}, rows: [][]any{{"x\nyy", "z"}}, sortBy: -1},
			"A         B        \nx         z        \nyy                 \n"},
		{"no control byte", table{columns: []string{"A"}, rows: [][]any{{"\x1b[2J\t\u202e"}}},
			"A                      \n\\x1b[2J\\t\\u202e        \n"},
		{"Python's values", table{columns: []string{"A"}, rows: [][]any{{[]any{"a", nil}}, {true}, {""}}, sortBy: -1},
			"A                  \n['a', None]        \nTrue               \n                   \n"},
		{"spaces stay", table{columns: []string{"A"}, rows: [][]any{{" a "}}}, "A          \n a         \n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := tt.table.write(&b, true); err != nil {
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
		tbl := table{columns: []string{"Head", "x"}, rows: [][]any{{in, "end"}}}
		if err := tbl.write(&b, true); err != nil {
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
	ordered := []any{nil, false, true, number("-1"), number("2"), number("10"), number("1e3"), "A", "Z", "a", "é", []any{"x"}}
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
