package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

type importOptions struct {
	addition
	infile string
	tags   []string
}

func newImportCmd(a *session.App) *cobra.Command {
	opts := importOptions{addition: addition{app: a}}
	cmd := session.NewLeaf(a, "import", "Add an image that was analyzed elsewhere",
		`FILE is what syft found in an image, in its JSON format, or a list that begins with that; it may be compressed with gzip. "-" is standard input. The engine then needs no access to the image, and does not analyze it again.

For example: syft -o json docker.io/library/alpine:latest > alpine.json
             anchore-cli image import --infile alpine.json --tag docker.io/library/alpine:latest`,
		func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context(), cmd.InOrStdin()) })
	cmd.Flags().StringVar(&opts.infile, "infile", "", "file with the result of the analysis")
	cmd.Flags().StringArrayVar(&opts.tags, "tag", nil, "tag that the image is to be known under, instead of those that FILE names; may be repeated")
	opts.flags(cmd, "replace the analysis that the engine has of the image")
	return cmd
}

func (o importOptions) run(ctx context.Context, stdin io.Reader) error {
	if o.infile == "" {
		return session.Usagef("Missing option '--infile'.")
	}
	found, err := session.Await(ctx, func() (analyzed, error) { return o.read(stdin) })
	if err != nil {
		return err
	}
	notes, err := o.notes()
	if err != nil {
		return err
	}
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	operation, err := begin(ctx, c)
	if err != nil {
		return err
	}
	source, err := handIn(ctx, c, operation, found)
	if err == nil {
		err = o.post(ctx, c, api.AddImageJSONRequestBody{Source: &api.ImageSource{Import: source}, Annotations: notes})
	}
	if err != nil {
		giveUp(ctx, c, operation)
	}
	return err
}

// analyzed is an image as a file tells of it.
type analyzed struct {
	packages         []byte // the syft document itself
	manifest, config []byte
	dockerfile       []byte
	digest, id       string
	tags             []string
}

// read reads the files that the command line names.
func (o importOptions) read(stdin io.Reader) (analyzed, error) {
	var file []byte
	var err error
	if o.infile == "-" {
		file, err = io.ReadAll(stdin)
	} else {
		file, err = readFile("--infile", o.infile)
	}
	if err != nil {
		return analyzed{}, err
	}
	found, err := parseAnalyzed(file)
	if err != nil {
		return found, err
	}
	if len(o.tags) > 0 {
		found.tags = o.tags
	}
	if len(found.tags) == 0 {
		return found, session.Failf("the file names no tag of the image").Hint("name it with --tag, for example --tag docker.io/library/alpine:latest")
	}
	found.dockerfile, err = readFile("--dockerfile", o.dockerfile)
	return found, err
}

// gzipMagic begins a gzip file: RFC 1952 §2.3.1.
const gzipMagic = "\x1f\x8b"

// maxUnpacked bounds what is read of a compressed file: more than the engine takes.
const maxUnpacked = 101 << 20

// syftImage is the part of syft's JSON format that tells which image it is of. Before
// schema 7 it stood at target.
type syftImage struct {
	Digest   string   `json:"manifestDigest"`
	ID       string   `json:"imageID"`
	Manifest []byte   `json:"manifest"`
	Config   []byte   `json:"config"`
	Tags     []string `json:"tags"`
}

// parseAnalyzed reads a syft document, or the first of a list, as a file has it.
func parseAnalyzed(file []byte) (analyzed, error) {
	if bytes.HasPrefix(file, []byte(gzipMagic)) {
		unzip, err := gzip.NewReader(bytes.NewReader(file))
		if err == nil {
			file, err = io.ReadAll(io.LimitReader(unzip, maxUnpacked))
		}
		if err != nil {
			return analyzed{}, session.Failf("the file is not a whole gzip file: %v", err).Hint("it may have been cut off; make one with: syft -o json IMAGE | gzip")
		}
	}
	var list []json.RawMessage
	if json.Unmarshal(file, &list) == nil {
		if len(list) == 0 {
			return analyzed{}, session.Failf("the file is an empty list").Hint("make one with: syft -o json IMAGE")
		}
		file = list[0]
	}
	var document struct {
		Source struct {
			Type     string    `json:"type"`
			Metadata syftImage `json:"metadata"`
			Target   syftImage `json:"target"`
		} `json:"source"`
	}
	if err := json.Unmarshal(file, &document); err != nil {
		return analyzed{}, session.Failf("the file is not a result of syft of an image, in its JSON format: %s", jsonFault(err)).Hint("make one with: syft -o json IMAGE")
	}
	if typ := document.Source.Type; typ != "" && typ != "image" {
		return analyzed{}, session.Failf("the file is about a source of type %q, not about an image", typ).Hint("make one with: syft -o json IMAGE")
	}
	of := document.Source.Metadata
	if of.Digest == "" {
		of = document.Source.Target
	}
	if of.Digest == "" || len(of.Manifest) == 0 || len(of.Config) == 0 {
		return analyzed{}, session.Failf("the file does not tell which image it is of").Hint("make one with: syft -o json IMAGE")
	}
	return analyzed{packages: file, manifest: of.Manifest, config: of.Config, digest: of.Digest, id: of.ID, tags: of.Tags}, nil
}

// giveUpTime is how long an engine may take, once an import has failed or was
// interrupted, to answer what ends it there.
const giveUpTime = 3 * time.Second

// begin begins an import at the engine and returns its id. An interrupt waits for the
// answer for giveUpTime: without the id the import could not be given up.
func begin(ctx context.Context, c *session.Client) (string, error) {
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(giveUpTime, cancel) })()
	response, err := c.CreateImport(asking)
	got, err := c.Object(asking, response, err, "uuid")
	return render.Text(render.At(got.Value, "uuid")), err
}

// giveUp ends an import that failed: the engine has room for few that are open. It is
// tried once, and an interrupt does not keep it from it. An engine that is not told
// throws the import away by itself, within a day; one that completed it after all
// refuses.
func giveUp(ctx context.Context, c *session.Client, operation string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTime)
	defer cancel()
	response, err := c.CancelImport(ctx, operation)
	c.Read(response, err) // what failed before is what is told
}

// handIn hands in the documents and returns the source that names them.
func handIn(ctx context.Context, c *session.Client, operation string, image analyzed) (*api.ImportSource, error) {
	source := &api.ImportSource{OperationUUID: operation, Digest: image.digest, LocalImageID: session.Optional(image.id), Tags: image.tags}
	var dockerfile string
	for _, part := range []struct {
		name    string
		content []byte
		digest  *string
	}{
		{"packages", image.packages, &source.Contents.Packages},
		{"manifest", image.manifest, &source.Contents.Manifest},
		{"image_config", image.config, &source.Contents.ImageConfig},
		{"dockerfile", image.dockerfile, &dockerfile},
	} {
		if part.content == nil {
			continue
		}
		response, err := c.AddImportContentWithBody(ctx, operation, part.name, "application/octet-stream", bytes.NewReader(part.content))
		got, err := c.Object(ctx, response, err, "digest")
		if err != nil {
			return nil, err
		}
		*part.digest = render.Text(render.At(got.Value, "digest"))
	}
	source.Contents.Dockerfile = session.Optional(dockerfile)
	return source, nil
}
