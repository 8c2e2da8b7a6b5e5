package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestSeedCoverage checks docs/seed-coverage.md: each row names tests that exist,
// or says that its sentence is planned, and every test of a seed section is named.
func TestSeedCoverage(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "seed-coverage.md"))
	if err != nil {
		t.Fatal(err)
	}
	exist := testNames(t)
	named := map[string]bool{}
	rows := 0
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 2 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[1]) == "Test" {
			continue
		}
		rows++
		names := regexp.MustCompile("`(Test[^`]+)`").FindAllStringSubmatch(cells[1], -1)
		if len(names) == 0 && strings.TrimSpace(cells[1]) != "planned" {
			t.Errorf("this row has neither a test nor “planned”: %s", line)
		}
		for _, m := range names {
			named[m[1]] = true
			if !exist[m[1]] {
				t.Errorf("docs/seed-coverage.md names %s, which does not exist", m[1])
			}
		}
	}
	if rows < 40 {
		t.Errorf("the document has %d rows; was it read properly?", rows)
	}
	for name := range exist {
		if strings.HasPrefix(name, "TestSeed") && strings.Contains(name, "/") && !named[name] {
			t.Errorf("docs/seed-coverage.md does not name %s", name)
		}
	}
}

// testNames returns the tests of this package and their subtests with a literal
// name, as go test prints them.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			names[fn.Name.Name] = true
			for _, sub := range subtests(fn) {
				names[fn.Name.Name+"/"+strings.ReplaceAll(sub, " ", "_")] = true
			}
		}
	}
	return names
}

// subtests returns the literal names given to t.Run in fn.
func subtests(fn *ast.FuncDecl) []string {
	var names []string
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Run" {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if name, err := strconv.Unquote(lit.Value); err == nil {
				names = append(names, name)
			}
		}
		return true
	})
	return names
}
