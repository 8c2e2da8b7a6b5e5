package cli

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// metadataTypes are those that the engine keeps.
func metadataTypes() []string { return []string{"manifest", "docker_history", "dockerfile"} }

func newImageMetadataCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "metadata INPUT_IMAGE [METADATA_TYPE]", "Show the manifest, the history or the Dockerfile of an image",
		"Without METADATA_TYPE, the types that there are.",
		func(cmd *cobra.Command, args []string) error { return runImageMetadata(cmd.Context(), a, args) })
	cmd.ValidArgsFunction = a.Complete(tags(a), func(*cobra.Command, []string) []string { return metadataTypes() })
	return cmd
}

func runImageMetadata(ctx context.Context, a *session.App, args []string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	digest, err := resolve(ctx, c, args[0], "cannot use input image string (no discovered imageDigest)")
	if err != nil {
		return err
	}
	if len(args) == 1 {
		response, err := c.ListImageMetadata(ctx, digest)
		got, err := c.Do(ctx, response, err)
		if err != nil {
			return err
		}
		return a.Show(got.Value, func(w io.Writer) error { return availableTypes(got.Value).Write(w) })
	}
	response, err := c.GetImageMetadata(ctx, digest, args[1])
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.Show(got.Value, func(w io.Writer) error { return writeMetadata(a, w, got.Value, args[1]) })
}

// writeMetadata prints the text that the answer holds in base64. What is not text,
// or of a type of its own, is printed as it was received.
func writeMetadata(a *session.App, w io.Writer, answer any, typ string) error {
	text, ok := decodeContent(render.At(answer, "metadata"))
	if !ok || !slices.Contains(metadataTypes(), typ) {
		return render.WriteAll(w, render.JSON(answer), "\n")
	}
	text = a.ForScreen(text)
	var lines string
	if d := render.At(answer, "imageDigest"); d != nil {
		lines = "Image Digest: " + render.Clean(render.Text(d), false) + "\n"
	}
	lines += "Metadata: " + text + "\n"
	if t := render.At(answer, "metadata_type"); t != nil {
		lines += "Metadata Type: " + render.Clean(render.Text(t), false) + "\n"
	}
	return render.WriteAll(w, lines, "\n")
}
