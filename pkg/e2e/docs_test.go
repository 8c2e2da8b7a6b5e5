package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages returns the pages written by hand, by their path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

func TestLinksOfTheDocumentation(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

func TestConfigurationsInTheDocumentation(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)\n *```|<<'EOF'\n(watch:.*?)\nEOF")
	authorities, named := newTLSReceiver(t).caFile(t), regexp.MustCompile(`/etc/anchore/[a-z]+\.pem`)
	checked := 0
	for file, text := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			config := named.ReplaceAllString(dedent(m[1]+m[2]), authorities)
			name := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), programs.engine, "config", "check", name)
			cmd.Env = []string{"ANCHORE_DEPLOY_TOKEN=token"}
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "warning") {
				t.Errorf("%s: %v\n%s\nin\n%s", file, err, out, config)
			}
			checked++
		}
	}
	if checked < 4 {
		t.Errorf("found only %d configurations", checked)
	}
}

// dedent removes the first line's indentation from every line.
func dedent(text string) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimPrefix(line, indent))
	}
	return out.String()
}
