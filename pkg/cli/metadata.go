package cli

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// metadataTypes are those that the engine keeps.
func metadataTypes() []string { return []string{"manifest", "docker_history", "dockerfile"} }

func newImageMetadataCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "metadata INPUT_IMAGE [METADATA_TYPE]", "Show the manifest, the history or the Dockerfile of an image",
		"Without METADATA_TYPE, the types that there are.",
		func(cmd *cobra.Command, args []string) error { return a.runImageMetadata(cmd.Context(), args) })
	cmd.ValidArgsFunction = a.complete(a.tags, func(*cobra.Command, []string) []string { return metadataTypes() })
	return cmd
}

func (a *app) runImageMetadata(ctx context.Context, args []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	digest, err := c.resolve(ctx, args[0], "cannot use input image string (no discovered imageDigest)")
	if err != nil {
		return err
	}
	if len(args) == 1 {
		response, err := c.ListImageMetadata(ctx, digest)
		got, err := c.do(ctx, response, err)
		if err != nil {
			return err
		}
		return a.show(got.value, func(w io.Writer) error { return availableTypes(got.value).Write(w) })
	}
	response, err := c.GetImageMetadata(ctx, digest, args[1])
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.show(got.value, func(w io.Writer) error { return a.writeMetadata(w, got.value, args[1]) })
}

// writeMetadata prints the text that the answer holds in base64. What is not text,
// or of a type of its own, is printed as it was received.
func (a *app) writeMetadata(w io.Writer, answer any, typ string) error {
	text, ok := decodeContent(render.At(answer, "metadata"))
	if !ok || !slices.Contains(metadataTypes(), typ) {
		return render.WriteAll(w, render.JSON(answer), "\n")
	}
	if isTerminal(a.rawOut) {
		text = render.Clean(text, true)
	}
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
