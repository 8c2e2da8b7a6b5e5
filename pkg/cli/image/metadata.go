package image

import (
	"context"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// metadataTypes are those that the engine keeps.
func metadataTypes() []string { return []string{"manifest", "docker_history", "dockerfile"} }

func newMetadataCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "metadata INPUT_IMAGE [METADATA_TYPE]", "Show the manifest, the history or the Dockerfile of an image",
		"Without METADATA_TYPE, the types that there are.",
		func(cmd *cobra.Command, args []string) error { return runMetadata(cmd.Context(), a, args) })
	cmd.ValidArgsFunction = a.Complete(a.Tags, func(*cobra.Command, []string) []string { return metadataTypes() })
	return cmd
}

func runMetadata(ctx context.Context, a *session.App, args []string) error {
	return documents{
		command: "anchore-cli image metadata", key: "metadata",
		list: func(c *session.Client, digest string) (*http.Response, error) {
			return c.ListImageMetadata(ctx, digest)
		},
		get: func(c *session.Client, digest, kind string) (*http.Response, error) {
			return c.GetImageMetadata(ctx, digest, kind)
		},
		write: func(w io.Writer, answer any, _, kind string) error { return writeMetadata(a, w, answer, kind) },
	}.run(ctx, a, args)
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
