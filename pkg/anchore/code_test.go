package anchore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryCodeIsDescribed reads the constants from the source, so that a new one
// cannot be forgotten.
func TestEveryCodeIsDescribed(t *testing.T) {
	var names []string
	for _, c := range Codes() {
		names = append(names, c.Name)
		if c.Description == "" {
			t.Errorf("%s has no description", c.Name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("Codes() is not sorted: %q", names)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !slices.Contains(names, value) {
			t.Errorf("%s (%s) is not in Codes: %v", spec.Names[0], value, err)
		}
		return true
	})
}
