package image

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

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
	got, err := c.List(ctx, response, err)
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
