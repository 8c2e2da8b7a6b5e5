// Package archive has the commands that keep analyses beside the images in use.
package archive

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/image"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// NewCmd returns the group analysis-archive.
func NewCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "analysis-archive", "Keep analyses beside the images in use")
	images := session.NewGroup(a, "images", "Archive images, and bring them back")
	images.AddCommand(newListCmd(a), newGetCmd(a), newAddCmd(a), newRestoreCmd(a), newDelCmd(a))
	cmd.AddCommand(images)
	return cmd
}

// digests asks the engine for the digests of the archived images.
func digests(a *session.App) session.Completer {
	return func(cmd *cobra.Command, _ []string) []string {
		return a.Column(cmd, "imageDigest", func(ctx context.Context, c *session.Client) (*http.Response, error) {
			return c.ListArchivedImages(ctx, &api.ListArchivedImagesParams{})
		})
	}
}

const digestForm = `^sha256:[abcdef0-9]+$`

var digestPattern = regexp.MustCompile(digestForm)

// check refuses what is no digest, in the original's words. list is the command that
// shows those that there are.
func check(list string, digests ...string) error {
	for _, digest := range digests {
		if !digestPattern.MatchString(digest) {
			return session.Failf("Invalid image digest %s. Must conform to regex: %s", digest, digestForm).Hint("'%s' shows the digests that there are", list)
		}
	}
	return nil
}

func newListCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "list", "List archived images", "",
		func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a) })
}

func runList(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ListArchivedImages(ctx, &api.ListArchivedImagesParams{})
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return show(a, got.Value)
}

func newGetCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "get DIGEST", "Show an archived image",
		"DIGEST is that of the image, or of the index (manifest list) that it was found in.",
		func(cmd *cobra.Command, args []string) error { return runGet(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(digests(a))
	return cmd
}

func runGet(ctx context.Context, a *session.App, digest string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetArchivedImage(ctx, digest)
	got, err := c.Object(ctx, response, err, "imageDigest")
	if err != nil {
		return err
	}
	return show(a, []any{got.Value})
}

// show prints a list of archived images.
func show(a *session.App, list any) error {
	t := render.Table{
		Columns: []string{"Digest", "Tags", "Analyzed At", "Archived At", "Status", "Archive Size Bytes"},
		SortBy:  3, Descend: true, Trailing: true,
	}
	for _, img := range render.Items(list) {
		var tags []string
		for _, tag := range render.Items(render.At(img, "image_detail")) {
			tags = append(tags, render.Text(render.At(tag, "pullstring")))
		}
		t.Rows = append(t.Rows, []any{
			render.At(img, "imageDigest"), strings.Join(tags, ","), render.At(img, "analyzed_at"), render.At(img, "created_at"),
			render.At(img, "status"), render.At(img, "archive_size_bytes"),
		})
	}
	return a.Show(list, a.Table(t))
}

func newAddCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "add [IMAGE_DIGESTS]...", "Archive analyzed images",
		"The images stay in use until they are deleted. 'anchore-cli image list' shows their digests.\n\nFor example: anchore-cli analysis-archive images add sha256:2042a492bcdd847a01cd7f119cd48caa180da696ed2aedd085001a78664407d6",
		func(cmd *cobra.Command, args []string) error { return runAdd(cmd.Context(), a, args) })
	return cmd
}

func runAdd(ctx context.Context, a *session.App, digests []string) error {
	if err := check("anchore-cli image list", digests...); err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ArchiveImages(ctx, append([]string{}, digests...)) // never null
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	t := render.Columns(render.Items(got.Value), []string{"Image Digest", "Archive Status", "Details"}, []string{"digest", "status", "detail"})
	t.SortBy, t.Trailing = 1, true
	return a.Show(got.Value, a.Table(t))
}

func newRestoreCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "restore DIGEST", "Bring an archived image back",
		"It comes back with its analysis, under the tags that it had when it was archived. The archive keeps it too.",
		func(cmd *cobra.Command, args []string) error { return runRestore(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(digests(a))
	return cmd
}

func runRestore(ctx context.Context, a *session.App, digest string) error {
	if err := check("anchore-cli analysis-archive images list", digest); err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.AddImage(ctx, &api.AddImageParams{}, api.AddImageJSONRequestBody{Source: &api.ImageSource{Archive: &api.ArchiveSource{Digest: digest}}})
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return image.Show(a, got.Value)
}

func newDelCmd(a *session.App) *cobra.Command {
	var force bool
	cmd := session.NewLeaf(a, "del DIGEST", "Delete an archived image", "The image stays in use if it is.",
		func(cmd *cobra.Command, args []string) error { return runDel(cmd.Context(), a, args[0], force) })
	cmd.ValidArgsFunction = a.Complete(digests(a))
	cmd.Flags().BoolVar(&force, "force", false, "accepted for old scripts, not needed")
	return cmd
}

func runDel(ctx context.Context, a *session.App, digest string, force bool) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var params api.DeleteArchivedImageParams
	if force {
		params.Force = &force
	}
	response, err := c.DeleteArchivedImage(ctx, digest, &params)
	got, err := c.Do(ctx, response, err)
	if f := session.AsFailure(err); f != nil {
		return f.Exit(2) // the original never looked at the status
	}
	if err != nil {
		return err
	}
	return a.Success(got.Value)
}
