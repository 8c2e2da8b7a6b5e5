package cli

import (
	"runtime"

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
	v := render.Object{
		{Key: "commit", Value: a.BuiltFrom()}, {Key: "go", Value: runtime.Version()},
		{Key: "platform", Value: runtime.GOOS + "/" + runtime.GOARCH}, {Key: "version", Value: a.Version},
	}
	return a.Show(v, a.WriteVersion)
}
