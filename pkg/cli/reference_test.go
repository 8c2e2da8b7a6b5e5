package cli

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// TestReferencePages: docs/cli is what the commands say of themselves, a page for
// each group. "make generate" writes it.
func TestReferencePages(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "cli")
	want := referencePages()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name()] = string(text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/cli is stale, run make generate (-want +got):\n%s", diff)
	}
}

// Every command says what it does, in a line that reads well in a list, and so does
// every flag.
func TestCommandsAreDescribed(t *testing.T) {
	for _, cmd := range append(allCommands(newRootCmd(&session.App{})), newRootCmd(&session.App{})) {
		if s := cmd.Short; s == "" || strings.HasSuffix(s, ".") || strings.ContainsAny(s, "\n`") {
			t.Errorf("%s: %q is no short description", cmd.CommandPath(), s)
		}
		if strings.Contains(cmd.Long, "\t") {
			t.Errorf("%s: a tab in its description", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") || strings.Contains(f.Usage, "`") {
				t.Errorf("%s --%s: %q is no description", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	}
}

func allCommands(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range byName(cmd) {
		all = append(append(all, c), allCommands(c)...)
	}
	return all
}

func byName(cmd *cobra.Command) []*cobra.Command {
	list := slices.Clone(cmd.Commands())
	slices.SortFunc(list, func(a, b *cobra.Command) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.DeleteFunc(list, func(c *cobra.Command) bool { return c.Hidden })
}

const generatedNote = "<!-- Written by make generate from the commands themselves. -->\n"

func referencePages() map[string]string {
	root := newRootCmd(&session.App{Out: nil, Err: io.Discard})
	var index bytes.Buffer
	fmt.Fprintf(&index, "# %s\n\n%s\n%s.\n", root.Name(), generatedNote, escaped(root.Short))
	fmt.Fprintf(&index, "\n```text\n%s\n```\n", session.UsageLine(root))
	writeFlags(&index, root, "These may stand anywhere on the line. Where a variable is named, it can give the value too: see [configuration](#configuration).")
	fmt.Fprint(&index, "\n", configuration, exitCodes, "\n## Commands\n\n")
	pages := map[string]string{}
	for _, cmd := range byName(root) {
		if !cmd.HasSubCommands() {
			fmt.Fprintf(&index, "- [`%s`](#%s): %s\n", cmd.CommandPath(), anchor(cmd), escaped(cmd.Short))
			continue
		}
		page := cmd.Name() + ".md"
		for _, c := range allCommands(cmd) {
			if !c.HasSubCommands() {
				fmt.Fprintf(&index, "- [`%s`](%s#%s): %s\n", c.CommandPath(), page, anchor(c), escaped(c.Short))
			}
		}
		pages[page] = groupPage(cmd)
	}
	for _, cmd := range byName(root) {
		if !cmd.HasSubCommands() {
			writeCommand(&index, cmd)
		}
	}
	pages["README.md"] = index.String()
	return pages
}

// configuration is what the commands cannot say of themselves.
//
//go:embed testdata/configuration.md
var configuration string

const exitCodes = `
## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the engine refused: any failure but those below; an image is not known; its analysis failed |
| 2 | wrong arguments; no answer, or none that is an engine's; HTTP 401 or 500; time is up |

Errors are on standard output, where scripts look for them, unless ` + "`--output`" + ` is wide, json
or yaml. Progress, warnings and hints are on standard error.

These are the codes of anchore-cli 0.9.4 but for a few: see [what differs](../cli-differences.md).
`

func groupPage(group *cobra.Command) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n%s. The [options of every command](README.md#options) may be given too.\n", group.CommandPath(), generatedNote, escaped(group.Short))
	for _, cmd := range allCommands(group) {
		writeCommand(&b, cmd)
	}
	return b.String()
}

// anchor is how GitHub names the heading of a command.
func anchor(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func writeCommand(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\n## %s\n\n%s.\n\n```text\n%s\n```\n", cmd.CommandPath(), escaped(cmd.Short), session.UsageLine(cmd))
	if cmd.Long != "" {
		fmt.Fprintln(w)
		for line := range strings.Lines(cmd.Long) {
			if !strings.HasPrefix(line, "    ") { // else it is an example
				line = escaped(line)
			}
			fmt.Fprint(w, line)
		}
		fmt.Fprintln(w)
	}
	writeFlags(w, cmd, "")
}

func writeFlags(w io.Writer, cmd *cobra.Command, note string) {
	var lines []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			lines = append(lines, fmt.Sprintf("| `%s` | %s |\n", session.FlagSyntax(f), escaped(f.Usage)))
		}
	})
	if len(lines) == 0 {
		return
	}
	title := "###"
	if !cmd.HasParent() {
		title = "##"
	}
	fmt.Fprintf(w, "\n%s Options\n\n", title)
	if note != "" {
		fmt.Fprintf(w, "%s\n\n", note)
	}
	fmt.Fprintf(w, "| option | meaning |\n| --- | --- |\n%s", strings.Join(lines, ""))
}

// escaped is text that Markdown shows as it is.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "<", `\<`, "|", `\|`, "[", `\[`).Replace(text)
}
