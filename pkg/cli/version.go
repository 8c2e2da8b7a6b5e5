package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// writeVersion prints what --version of the original printed.
func (a *app) writeVersion() error {
	return render.WriteAll(a.out, "anchore-cli, version ", a.version, "\n")
}

func newVersionCmd(a *app) *cobra.Command {
	return newLeaf(a, "version", "Show the version, the commit and the Go version of this program",
		"Asks no engine: 'anchore-cli system status' shows the engine's version.",
		func(*cobra.Command, []string) error { return a.runVersion() })
}

func (a *app) runVersion() error {
	commit := cmp.Or(a.commit, builtFrom(), "unknown")
	v := render.Object{{Key: "commit", Value: commit}, {Key: "go", Value: runtime.Version()}, {Key: "platform", Value: runtime.GOOS + "/" + runtime.GOARCH}, {Key: "version", Value: a.version}}
	return a.show(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "anchore-cli, version %s\ncommit %s\n%s %s/%s\n", a.version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	})
}

// builtFrom is the commit that the go command recorded, "" if it did not.
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
