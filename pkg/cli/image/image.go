// Package image has the commands that add images and show what they contain.
package image

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

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
	return c.Do(ctx, response, err)
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
		return "", session.Failf("%s", unknown).Exit(1).Hint("the engine does not know the image %s; see 'anchore-cli image list'", name)
	}
	if err != nil {
		return "", err
	}
	if list := render.Items(got.Value); len(list) > 0 {
		if d, ok := render.At(list[0], "imageDigest").(string); ok {
			return d, nil
		}
	}
	return "", session.Failf("%s", unknown).Exit(1)
}

type addOptions struct {
	addition
	platform string
	maxSize  float64 // MB of 1048576 bytes; below 0: as the engine is configured
}

// addition is what add and import have in common.
type addition struct {
	app             *session.App
	force           bool
	dockerfile      string
	annotations     []string
	noAutoSubscribe bool
}

func newAddCmd(a *session.App) *cobra.Command {
	opts := addOptions{addition: addition{app: a}}
	cmd := session.NewLeaf(a, "add INPUT_IMAGE", "Add an image, and subscribe to its tag",
		"For example: anchore-cli image add docker.io/library/alpine:latest",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	opts.flags(cmd, "look at the registry and analyze again, even if the image is known")
	cmd.Flags().StringVar(&opts.platform, "platform", "", "os/architecture[/variant] to take of a multi-platform tag, for example linux/arm64")
	cmd.Flags().Float64Var(&opts.maxSize, "max-size", -1, "MB that the image may have, compressed, instead of the engine's limit; 0 for any")
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
		return body, session.Failf("can only add a tag")
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
			return nil, session.Failf("annotation format error - annotations must be of the form (--annotation key=value), found: %s", s)
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
	got, err := c.Do(ctx, response, err)
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

type listOptions struct {
	app           *session.App
	full, showAll bool
}

func newListCmd(a *session.App) *cobra.Command {
	opts := listOptions{app: a}
	cmd := session.NewLeaf(a, "list", "List the newest image of each tag", "",
		func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) })
	cmd.Flags().BoolVar(&opts.full, "full", false, "show image ids as well")
	cmd.Flags().BoolVar(&opts.showAll, "show-all", false, "show every image that a tag has named")
	return cmd
}

func (o listOptions) run(ctx context.Context) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	response, err := c.ListImages(ctx, nil)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return o.app.Show(got.Value, o.app.Table(o.table(render.Items(got.Value))))
}

// tagged is one tag of one image record.
type tagged struct{ image, detail any }

func (o listOptions) table(images []any) render.Table {
	t := render.Table{Columns: []string{"Full Tag", "Image Digest", "Analysis Status"}}
	if o.full || o.app.Wide() {
		t.Columns = append(t.Columns, "Image ID")
	}
	if o.app.Wide() {
		t.Columns = append(t.Columns, "Platform", "Analysis")
	}
	seen := map[string]bool{}
	for _, e := range o.chosen(images) {
		row := []any{fullTag(e.detail), render.At(e.image, "imageDigest"), render.At(e.image, "analysis_status")}
		if o.full || o.app.Wide() {
			row = append(row, render.At(e.detail, "imageId"))
		}
		if o.app.Wide() {
			row = append(row, render.OrDefault(render.At(e.image, "platform"), "-"), orEmpty(analysisState(e.image), "-"))
		}
		if key := render.Repr(row); !seen[key] {
			seen[key] = true
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func orEmpty(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// chosen returns every tag of every record, or for each tag the record that it
// names now.
func (o listOptions) chosen(images []any) []tagged {
	var all []tagged
	newest := map[string]tagged{}
	for _, image := range images {
		for _, d := range render.Items(render.At(image, "image_detail")) {
			e := tagged{image, d}
			all = append(all, e)
			tag := fullTag(d)
			if old, ok := newest[tag]; !ok || !e.olderThan(old) {
				newest[tag] = e
			}
		}
	}
	if o.showAll {
		return all
	}
	all = all[:0]
	for _, e := range newest {
		all = append(all, e)
	}
	return all
}

// olderThan tells whether the tag named e before it named old: by the engine's
// word where it has one, since a tag may come back to an old image, else by the
// time of the record.
func (e tagged) olderThan(old tagged) bool {
	mine, theirs := render.At(e.detail, "current") == true, render.At(old.detail, "current") == true
	if mine != theirs {
		return theirs
	}
	a, b := render.Text(render.At(e.detail, "created_at")), render.Text(render.At(old.detail, "created_at"))
	ta, errA := time.Parse(time.RFC3339, a)
	tb, errB := time.Parse(time.RFC3339, b)
	if errA != nil || errB != nil {
		return a < b
	}
	return ta.Before(tb)
}

func fullTag(detail any) string {
	part := func(key string) string { return render.Text(render.OrDefault(render.At(detail, key), "None")) }
	return part("registry") + "/" + part("repo") + ":" + part("tag")
}

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
		return session.Failf("Missing argument INPUT_IMAGE")
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
	got, err := c.Do(ctx, response, err)
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
