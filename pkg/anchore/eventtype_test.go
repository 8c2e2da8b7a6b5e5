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

// TestEveryEventTypeIsDescribed reads the constants from the source, so that a new
// one cannot be forgotten.
func TestEveryEventTypeIsDescribed(t *testing.T) {
	described := map[string]bool{string(eventWebhookTest): true} // never stored
	var order []string
	for _, k := range EventKinds() {
		described[string(k.Type)] = true
		order = append(order, string(k.Type))
		words := strings.Split(string(k.Type), ".")
		if len(words) < 3 || EventCategory(words[0]) == "" || EventCategory(words[0]+"."+words[1]) == "" {
			t.Errorf("%s: has no category", k.Type)
		}
		if k.Level == "" || k.Resource == "" || k.Message == "" {
			t.Errorf("%s: level %q, resource %q, message %q", k.Type, k.Level, k.Resource, k.Message)
		}
	}
	if !slices.IsSorted(order) {
		t.Errorf("EventKinds() is not sorted by type: %q", order)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "EventType" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !described[value] {
			t.Errorf("%s (%s) is not in EventKinds: %v", spec.Names[0], value, err)
		}
		found++
		return true
	})
	if found != len(described) {
		t.Errorf("found %d constants, %d are described", found, len(described))
	}
}
