// Package image has the commands that add images and show what they contain.
package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// NewCmd returns the group image.
func NewCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "image", "Add images and see what they contain")
	cmd.AddCommand(newAddCmd(a), newGetCmd(a), newListCmd(a), newWaitCmd(a),
		newContentCmd(a), newMetadataCmd(a), newImportCmd(a), newDelCmd(a))
	return cmd
}

// Names of images, as the original told them apart: by their beginning.
var (
	digestName  = regexp.MustCompile(`^(sha256|local):[0-9a-fA-F]{64}`)
	imageIDName = regexp.MustCompile(`^[0-9a-fA-F]{64}`)
)

// lookUp finds the records of an image by digest, image id or tag. Tags are
// sent as typed: what they mean is the engine's to say.
func lookUp(ctx context.Context, c *session.Client, name string, history bool) (session.Answer, error) {
	var response *http.Response
	var err error
	_, digest, byDigest := strings.Cut(name, "@")
	switch {
	case digestName.MatchString(name):
		response, err = c.GetImage(ctx, name)
	case byDigest && digestName.MatchString(digest):
		response, err = c.GetImage(ctx, digest)
	case imageIDName.MatchString(name):
		response, err = c.GetImageByID(ctx, name)
	default:
		response, err = c.ListImages(ctx, &api.ListImagesParams{Fulltag: &name, History: &history})
	}
	return c.List(ctx, response, err)
}

// resolve returns the digest that name stands for. A name that the engine does
// not know is a failure with exit code 1 and the given text.
func resolve(ctx context.Context, c *session.Client, name, unknown string) (string, error) {
	if plain, err := url.PathUnescape(name); err == nil {
		i := strings.Index(plain, "sha256:")
		if i == 0 || i > 0 && plain[i-1] == '@' {
			return plain[i:], nil
		}
		if strings.HasPrefix(plain, "local:") {
			return plain, nil
		}
	}
	got, err := lookUp(ctx, c, name, false)
	if f := session.AsFailure(err); f != nil && f.Status == http.StatusNotFound {
		return "", unresolved(name, unknown)
	}
	if err != nil {
		return "", err
	}
	if list := render.Items(got.Value); len(list) > 0 {
		if d, ok := render.At(list[0], "imageDigest").(string); ok {
			return d, nil
		}
	}
	return "", unresolved(name, unknown)
}

func unresolved(name, text string) error {
	return session.Failf("%s", text).Exit(1).Hint("the engine does not know the image %s; see 'anchore-cli image list'", name)
}

// addition is what add and import have in common.
type addition struct {
	app             *session.App
	force           bool
	dockerfile      string
	annotations     []string
	noAutoSubscribe bool
}

func (o *addition) flags(cmd *cobra.Command, force string) {
	cmd.Flags().BoolVar(&o.force, "force", false, force)
	cmd.Flags().StringVar(&o.dockerfile, "dockerfile", "", "file that the image was built from")
	cmd.Flags().StringArrayVar(&o.annotations, "annotation", nil, "KEY=VALUE to keep with the image; may be repeated")
	cmd.Flags().BoolVar(&o.noAutoSubscribe, "noautosubscribe", false, "do not watch the tag")
}

// notes are the annotations of the command line, nil for none.
func (o *addition) notes() (*map[string]any, error) {
	annotations := map[string]any{}
	for _, s := range o.annotations {
		key, value, _ := strings.Cut(s, "=")
		if key == "" || value == "" {
			return nil, session.Failf("annotation format error - annotations must be of the form (--annotation key=value), found: %s", s).
				Hint("neither the key nor the value may be empty, for example --annotation owner=platform")
		}
		annotations[key] = value
	}
	if len(annotations) == 0 {
		return nil, nil
	}
	return &annotations, nil
}

// post adds the image and shows it.
func (o *addition) post(ctx context.Context, c *session.Client, body api.AddImageJSONRequestBody) error {
	subscribe := !o.noAutoSubscribe
	params := api.AddImageParams{Autosubscribe: &subscribe}
	if o.force {
		params.Force = &o.force
	}
	response, err := c.AddImage(ctx, &params, body)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return session.HintRegistry(err)
	}
	return Show(o.app, got.Value)
}

// readFile reads the file that a flag names, nil if it names none.
func readFile(flag, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, session.Usagef("Invalid value for '%s': Path '%s' does not exist.", flag, path)
	}
	if err != nil {
		return nil, session.Failf("cannot read the file of %s: %v", flag, err)
	}
	return text, nil
}

// Show prints image records. What the original did not know, the state of
// the analysis, is on standard error unless --output wide asks for it.
func Show(a *session.App, list any) error {
	err := a.Show(list, func(w io.Writer) error {
		var k render.KeyLines
		for _, image := range render.Items(list) {
			recordLines(&k, image, a.Wide())
		}
		return k.Write(w)
	})
	if err != nil || a.Wide() {
		return err
	}
	for _, image := range render.Items(list) {
		if s := analysisState(image); s != "" {
			a.Note("%s", s)
		}
	}
	return nil
}

func recordLines(k *render.KeyLines, image any, wide bool) {
	details := render.Items(render.At(image, "image_detail"))
	k.Add("Image Digest", render.At(image, "imageDigest"))
	if parent := render.At(image, "parentDigest"); !render.IsEmpty(parent) {
		k.Add("Parent Digest", parent)
	}
	k.Add("Analysis Status", render.At(image, "analysis_status"))
	if wide {
		if s := analysisState(image); s != "" {
			k.Lines = append(k.Lines, render.Clean(s, false))
		}
		k.Add("Platform", render.OrDefault(render.At(image, "platform"), "-"))
	}
	k.Add("Image Type", render.At(image, "image_type"))
	k.Add("Analyzed At", render.At(image, "analyzed_at"))
	if len(details) > 0 {
		k.Add("Image ID", render.At(details[0], "imageId"))
	}
	if m := render.At(image, "image_content", "metadata"); !render.IsEmpty(m) {
		for _, line := range [][2]string{{"Dockerfile Mode", "dockerfile_mode"}, {"Distro", "distro"}, {"Distro Version", "distro_version"},
			{"Size", "image_size"}, {"Architecture", "arch"}, {"Layer Count", "layer_count"}} {
			k.Add(line[0], render.At(m, line[1]))
		}
	}
	if notes, ok := render.At(image, "annotations").(render.Object); ok && len(notes) > 0 {
		var pairs []string
		for _, m := range notes {
			pairs = append(pairs, m.Key+"="+render.Text(m.Value))
		}
		k.Add("Annotations", strings.Join(pairs, ", "))
	}
	k.Blank()
	for _, d := range details {
		k.Add("Full Tag", render.At(d, "fulltag"))
		k.Add("Tag Detected At", render.At(d, "tag_detected_at"))
		k.Blank()
	}
}

// analysisState is one line on a running, waiting or failed analysis, "" if
// there is nothing to add to the status.
func analysisState(image any) string {
	status, _ := render.At(image, "analysis_status").(string)
	reason, _ := render.At(image, "analysis_status_reason").(string)
	switch {
	case status == "analysis_failed" && reason != "":
		return "Analysis Failed: " + reason
	case status == "analyzing" && render.At(image, "analysis_progress") != nil:
		return "Analysis Step: " + stepText(render.At(image, "analysis_progress"))
	case reason != "":
		if retry, ok := render.At(image, "retry_at").(string); ok {
			reason += ", tried again at " + retry
		}
		return "Analysis Waits: " + reason
	}
	return ""
}

// stepText is "fetching layers, 3.2 of 29.5 MB (11 %)", with kB where there is less
// than one MB in all, or the step's name alone.
func stepText(progress any) string {
	step := render.Text(render.At(progress, "step"))
	done, total := number(render.At(progress, "done")), number(render.At(progress, "total"))
	if total == 0 {
		return step
	}
	unit, size := "MB", 1e6
	if total < size {
		unit, size = "kB", 1e3
	}
	return fmt.Sprintf("%s, %.1f of %.1f %s (%.0f %%)", step, done/size, total/size, unit, 100*done/total)
}

// number is a number of an answer, 0 for anything else.
func number(v any) float64 {
	if _, ok := v.(render.Number); !ok {
		return 0
	}
	f, _ := render.Rational(v).Float64()
	return f
}

func fullTag(detail any) string {
	part := func(key string) string { return render.Text(render.OrDefault(render.At(detail, key), "None")) }
	return part("registry") + "/" + part("repo") + ":" + part("tag")
}
