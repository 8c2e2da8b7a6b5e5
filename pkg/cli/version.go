package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newVersionCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "version", "Show the version, the commit and the Go version of this program",
		"Asks no engine: 'anchore-cli system status' shows the engine's version.",
		func(*cobra.Command, []string) error { return runVersion(a) })
}

func runVersion(a *session.App) error {
	commit := cmp.Or(a.Commit, builtFrom(), "unknown")
	v := render.Object{{Key: "commit", Value: commit}, {Key: "go", Value: runtime.Version()}, {Key: "platform", Value: runtime.GOOS + "/" + runtime.GOARCH}, {Key: "version", Value: a.Version}}
	return a.Show(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "anchore-cli, version %s\ncommit %s\n%s %s/%s\n", a.Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
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
