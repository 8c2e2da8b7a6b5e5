package image

import (
	"context"
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

type addOptions struct {
	addition
	platform string
	maxSize  float64 // MB of 1048576 bytes; below 0: as the engine is configured
}

// maxMaxSize is the largest --max-size, in MB: an exabyte.
const maxMaxSize = 1e12

func newAddCmd(a *session.App) *cobra.Command {
	opts := addOptions{addition: addition{app: a}, maxSize: -1}
	cmd := session.NewLeaf(a, "add INPUT_IMAGE", "Add an image, and subscribe to its tag",
		"For example: anchore-cli image add docker.io/library/alpine:latest",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	opts.flags(cmd, "look at the registry and analyze again, even if the image is known")
	cmd.Flags().StringVar(&opts.platform, "platform", "", "os/architecture[/variant] to take of a multi-platform tag, for example linux/arm64")
	session.Number(cmd.Flags(), &opts.maxSize, "max-size", 0, maxMaxSize, "; 0 is any size", "MB that the image may have, compressed, instead of the engine's limit; 0 for any")
	return cmd
}

func (o addOptions) run(ctx context.Context, name string) error {
	body, err := o.body(name)
	if err != nil {
		return err
	}
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	return o.post(ctx, c, body)
}

func (o addOptions) body(name string) (body api.AddImageJSONRequestBody, err error) {
	if digestName.MatchString(name) || imageIDName.MatchString(name) {
		return body, session.Failf("can only add a tag").
			Hint("name it with repository and tag, for example docker.io/library/alpine:latest; 'anchore-cli image get %s' shows it if the engine has it", name)
	}
	if body.Annotations, err = o.notes(); err != nil {
		return body, err
	}
	body.Tag, body.Platform = &name, session.Optional(o.platform)
	if o.maxSize >= 0 {
		body.MaxCompressedImageSizeMb = &o.maxSize
	}
	text, err := readFile("--dockerfile", o.dockerfile)
	if err == nil && text != nil {
		encoded := base64.StdEncoding.EncodeToString(text)
		body.Dockerfile = &encoded
	}
	return body, err
}
