package catalog

import (
	"context"
	"fmt"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// RestoreImage brings an archived image back, with its analysis, which is then the
// account's own, and under the tags that it was archived with, at their places in the
// tags' history. It moves no tag, and tells nobody of the analysis: it is no news. The
// archive keeps the image. Of add, AutoSubscribe and Annotations count.
//
// A tag is one transaction, and until the last one the image says that it is not back
// as a whole, so that after a crash in between it can be called again. Errors:
// NotFound; Invalid for annotations that are too large; Conflict if the account uses the image.
func (c *Catalog) RestoreImage(ctx context.Context, name, digest string, add Addition) (anchore.Image, error) {
	row, err := c.Restorable(ctx, name, digest)
	if err != nil {
		return anchore.Image{}, err
	}
	tags, err := row.References()
	if err != nil {
		return anchore.Image{}, err
	}
	notes := annotate(row.Image.Annotations, add.Annotations)
	if err := anchore.CheckAnnotations(notes, anchore.AnnotationBytes(row.Image.Annotations)); err != nil {
		return anchore.Image{}, err
	}
	st, err := c.store.Stamp()
	if err != nil {
		return anchore.Image{}, err
	}
	add = Addition{AutoSubscribe: add.AutoSubscribe, Annotations: row.Annotations(add.Annotations), Dockerfile: row.Image.Dockerfile}
	in := newArrival(st, row.Image.Manifest(), &add)
	in.manifestBlob, in.configBlob = row.Analysis.Manifest, row.Analysis.Config
	in.created, in.why = table.Time(row.Image.Created), "image restore"
	img, err := c.addUnderEach(ctx, name, in, tags, func(tx store.Tx, acct *account.Row, in arrival, n int) error {
		if _, err := archive.Restorable(tx, acct.No, digest, row.Created); err != nil {
			return err
		}
		in.known = &known{
			AnalysisResult: AnalysisResult{Report: row.Analysis.Report, Summary: row.Analysis.Summary()},
			made:           table.Time(row.Analysis.Finished), archived: row.Named(n), more: n < len(tags)-1,
		}
		if err := c.addUnder(tx, acct, in); err != nil || in.known.more {
			return err
		}
		return c.recorder.Record(tx, acct, in.Stamp, 0, archive.Event(anchore.EventImageRestored, digest, "Archived image restored to active images", fmt.Sprintf("%d tags", len(tags))))
	})
	c.deliveryReady.Wake()
	return img, err
}
