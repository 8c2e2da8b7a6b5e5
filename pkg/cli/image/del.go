package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

type delOptions struct {
	app                 *session.App
	force, all, dontAsk bool
}

func newDelCmd(a *session.App) *cobra.Command {
	opts := delOptions{app: a}
	cmd := session.NewLeaf(a, "del [INPUT_IMAGE]", "Delete an image", "",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args) })
	cmd.ValidArgsFunction = a.Complete(a.Tags)
	cmd.Flags().BoolVar(&opts.force, "force", false, "also if it is the newest of a watched tag, whose subscriptions are then deactivated")
	cmd.Flags().BoolVar(&opts.all, "all", false, "delete every image")
	cmd.Flags().BoolVar(&opts.dontAsk, "dontask", false, "with --all, do not ask for confirmation")
	return cmd
}

func (o delOptions) run(ctx context.Context, args []string) error {
	if len(args) == 0 && !o.all {
		return session.Failf("Missing argument INPUT_IMAGE").Hint("name an image that 'anchore-cli image list' shows, or give --all")
	}
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	if o.all {
		return o.runAll(ctx, c)
	}
	digest, err := resolve(ctx, c, args[0], "cannot use input image string: no discovered imageDigest")
	if err != nil {
		return err
	}
	got, err := o.delete(ctx, c, digest)
	if err != nil {
		return err
	}
	return o.app.Success(got)
}

// delete deletes one image. The engine refuses with status 200 and a word.
func (o delOptions) delete(ctx context.Context, c *session.Client, digest string) (any, error) {
	var params api.DeleteImageParams
	if o.force {
		params.Force = &o.force
	}
	response, err := c.DeleteImage(ctx, digest, &params)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return nil, err
	}
	if result, ok := got.Value.(render.Object); ok && result.Get("status") != "deleting" {
		detail := result.Get("detail")
		if render.IsEmpty(detail) {
			detail = "cannot delete image"
		}
		f := session.Failf("%s", render.Text(detail)).Exit(1)
		if result.Get("status") == "delete_failed" && !o.force { // every refusal yields to it
			f.Hint("--force deletes it all the same, and deactivates the subscriptions of its tags")
		}
		return nil, f
	}
	return got.Value, nil
}

// named is an image's digest with its tags.
func named(image any) string {
	name := render.Text(render.At(image, "imageDigest"))
	var tags []string
	for _, d := range render.Items(render.At(image, "image_detail")) {
		tags = append(tags, fullTag(d))
	}
	if len(tags) > 0 {
		name += " (" + strings.Join(tags, ", ") + ")"
	}
	return name
}

func (o delOptions) runAll(ctx context.Context, c *session.Client) error {
	if !o.dontAsk {
		if !o.app.Interactive() {
			return session.Failf("--all deletes every image of the account; add --dontask to confirm that")
		}
		fmt.Fprint(o.app.Err, "Really delete all images? (y/N)")
		if !o.app.AnsweredYes(ctx) {
			return nil
		}
	}
	response, err := c.ListImages(ctx, nil)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	for _, image := range render.Items(got.Value) {
		if _, err := o.delete(ctx, c, render.Text(render.At(image, "imageDigest"))); err != nil {
			if f := session.AsFailure(err); f != nil {
				return f.Exit(2).Hint("it stopped at the image %s", named(image))
			}
			return err
		}
		for _, d := range render.Items(render.At(image, "image_detail")) {
			if err := render.WriteAll(o.app.Out, render.Clean(fullTag(d), false), "\n"); err != nil {
				return err
			}
		}
	}
	return nil
}
