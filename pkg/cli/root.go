package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/archive"
	"github.com/anchore/anchore-engine/pkg/cli/image"
	"github.com/anchore/anchore-engine/pkg/cli/operator"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// Config is one run of the program.
type Config = session.Config

// Main runs one command line and returns the exit code. It touches nothing of
// the process but what c names, so that several may run at once.
func Main(ctx context.Context, c Config) int {
	a := session.New(c)
	return a.Run(ctx, newRootCmd(a), c.Args)
}

func newRootCmd(a *session.App) *cobra.Command {
	root := session.NewRoot(a, "anchore-cli", "Watch container images by tag and see what they contain")
	root.AddCommand(newSubscriptionCmd(a), image.NewCmd(a), newRepoCmd(a), operator.NewRegistryCmd(a), newEventCmd(a), operator.NewSystemCmd(a), operator.NewAccountCmd(a), archive.NewCmd(a),
		newVersionCmd(a), newCompletionCmd(a))
	session.CompleteRest(root)
	return root
}
