package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/anchore/anchore-engine/"

// TestCLIHoldsNoEngine: whoever installs anchore-cli gets neither the engine nor
// what it analyzes with. The program's packages are asked of the go command, so
// that what comes with a dependency counts too.
func TestCLIHoldsNoEngine(t *testing.T) {
	may := map[string]bool{"cmd/anchore-cli": true, "pkg/cli": true, "pkg/api": true, "pkg/anchore": true, "pkg/spelling": true} // and what is below pkg/cli
	not := []string{
		"github.com/anchore/", "go.etcd.io/bbolt", "github.com/google/go-containerregistry",
		"github.com/spf13/viper", "github.com/prometheus/",
	}
	list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}{{end}}", module+"cmd/anchore-cli").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			continue
		}
		if own, ok := strings.CutPrefix(path, module); ok {
			if !may[own] && !strings.HasPrefix(own, "pkg/cli/") {
				t.Errorf("anchore-cli holds %s", own)
			}
			readSources(t, dir)
			continue
		}
		for _, prefix := range not {
			if strings.HasPrefix(path, prefix) {
				t.Errorf("anchore-cli holds %s", path)
			}
		}
	}
}

// readSources reads a package's files, so that go test does not answer from its
// cache when they have changed: it does not see what the go command reads.
func readSources(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("..", "..", "go.mod")) {
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
}
