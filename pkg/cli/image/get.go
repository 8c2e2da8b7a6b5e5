package image

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

type getOptions struct {
	app     *session.App
	history bool
}

func newGetCmd(a *session.App) *cobra.Command {
	opts := getOptions{app: a}
	cmd := session.NewLeaf(a, "get INPUT_IMAGE", "Show an image",
		"INPUT_IMAGE is a tag, a digest (sha256:...) or an image id.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.Complete(a.Tags)
	cmd.Flags().BoolVar(&opts.history, "show-history", false, "show every image that the tag has named")
	return cmd
}

func (o getOptions) run(ctx context.Context, name string) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	got, err := lookUp(ctx, c, name, o.history)
	if err != nil {
		return err
	}
	return Show(o.app, got.Value)
}
