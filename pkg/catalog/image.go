package catalog

import (
	"context"
	"io"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Image returns the account's image with the digest, or else the newest one found
// in an index of that digest. Errors: NotFound.
func (c *Catalog) Image(ctx context.Context, name, digest string) (anchore.Image, error) {
	return c.oneImage(ctx, name, func(tx store.Tx, no uint32) (*image.Row, error) { return image.FindAny(tx, no, digest) },
		"image %s not found in DB", digest)
}

// ImageByID returns the account's newest image with the image id; an id may also
// be a digest. Errors: NotFound.
func (c *Catalog) ImageByID(ctx context.Context, name, id string) (anchore.Image, error) {
	return c.oneImage(ctx, name, func(tx store.Tx, no uint32) (*image.Row, error) {
		row, err := image.FindID(tx, no, id)
		if row != nil || err != nil {
			return row, err
		}
		return image.FindAny(tx, no, id)
	}, "image with id %s not found in DB", id)
}

func (c *Catalog) oneImage(ctx context.Context, name string, find func(store.Tx, uint32) (*image.Row, error), missing, arg string) (anchore.Image, error) {
	var img anchore.Image
	err := c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := find(tx, acct.No)
		if err != nil {
			return err
		}
		if row == nil {
			return anchore.E(anchore.NotFound, "catalog.Image", missing, arg)
		}
		if img, err = fullImage(tx, acct, row); err == nil && row.Digest != arg {
			img.FoundIn(func(tag anchore.ImageTag) bool { return tag.TagDigest == arg })
		}
		return err
	})
	return img, err
}

// fullImage joins an image with its analysis and its tags.
func fullImage(tx store.Tx, acct *account.Row, row *image.Row) (anchore.Image, error) {
	img := anchore.Image{
		Account: acct.Name, Digest: row.Digest, TagDigest: row.TagDigest, ID: row.ImageID, Platform: row.Platform(),
		Size: row.Size, Layers: row.Layers, Annotations: row.Annotations, Dockerfile: row.Dockerfile,
		Revision: row.Revision, Source: row.Source,
		State: anchore.ImageActive, CreatedAt: table.Time(row.Created), UpdatedAt: table.Time(row.Updated),
	}
	if img.TagDigest == "" {
		img.TagDigest = img.Digest
	}
	if row.Deleting {
		img.State = anchore.ImageDeleting
	}
	if err := addAnalysis(tx, row, &img); err != nil {
		return img, err
	}
	return img, addTags(tx, row, &img)
}

func addAnalysis(tx store.Tx, row *image.Row, img *anchore.Image) error {
	if row.Refused != "" {
		img.Status, img.Reason = anchore.AnalysisFailed, row.Refused
		return nil
	}
	analysis, err := work.Table.Get(tx, work.Key(row.Analysis))
	if err != nil {
		return err
	}
	img.Status, img.Reason, img.Content = analysis.Status(), analysis.Reason, analysis.Summary()
	switch analysis.State {
	case work.Done:
		img.AnalyzedAt = table.Time(analysis.Finished)
		img.UpdatedAt = later(img.UpdatedAt, img.AnalyzedAt)
	case work.Failed:
		img.UpdatedAt = later(img.UpdatedAt, table.Time(analysis.Finished))
	case work.Queued:
		if analysis.Reason != "" {
			img.RetryAt = table.Time(analysis.Due)
		}
	}
	return nil
}

func addTags(tx store.Tx, row *image.Row, img *anchore.Image) error {
	named, err := image.Named.Scan(tx, store.Range{Prefix: image.NamedKey(row.Account, row.Digest)})
	if err != nil {
		return err
	}
	for _, n := range named {
		current, err := image.Newest(tx, row.Account, n.Tag)
		if err != nil {
			return err
		}
		tag, err := n.Domain(current)
		if err != nil {
			return err
		}
		img.Tags = append(img.Tags, tag)
	}
	return nil
}

// ImageFilter selects images; empty fields select all but those being deleted.
type ImageFilter struct {
	Tag     string // a reference with a tag: its newest image; or an image id
	History bool   // with Tag: all images that the tag named
	State   string // "active" (also ""), "deleting" or "all"
	Status  anchore.AnalysisStatus
}

func (f ImageFilter) wants(img anchore.Image) bool {
	state := f.State == "all" || f.State == string(img.State) || f.State == "" && img.State == anchore.ImageActive
	return state && (f.Status == "" || f.Status == img.Status)
}

// Images returns the account's images, newest first, from the one after the given
// token on. limit 0 is all. next is the token of the following page, "" at the
// end. Errors: Invalid for a tag that is no reference; NotFound if there is a tag
// and no image of it.
func (c *Catalog) Images(ctx context.Context, name string, f ImageFilter, after string, limit int) (images []anchore.Image, next string, err error) {
	if f.Tag != "" {
		images, err = c.imagesOfTag(ctx, name, f)
		return images, "", err
	}
	r := store.Range{Start: []byte(after), Limit: store.MaxPage}
	for {
		var full bool
		err := c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
			r.Prefix = table.Key{}.Uint32(acct.No)
			entries, err := tx.Scan(image.ByTime, r)
			if err != nil {
				return err
			}
			full = len(entries) == store.MaxPage
			for _, e := range entries {
				if limit > 0 && len(images) == limit {
					next = string(e.Key)
					return nil
				}
				r.Start = table.After(e.Key)
				row, err := image.Table.Get(tx, e.Value)
				if err != nil {
					return err
				}
				img, err := fullImage(tx, acct, row)
				if err != nil {
					return err
				}
				if f.wants(img) {
					images = append(images, img)
				}
			}
			return nil
		})
		if err != nil || next != "" || !full {
			return images, next, err
		}
	}
}

// imagesOfTag returns the newest image of a tag, or all of its history.
func (c *Catalog) imagesOfTag(ctx context.Context, name string, f ImageFilter) ([]anchore.Image, error) {
	if anchore.IsImageID(f.Tag) || anchore.IsDigest(f.Tag) {
		img, err := c.ImageByID(ctx, name, f.Tag)
		return []anchore.Image{img}, err
	}
	ref, err := anchore.ParseReference(f.Tag)
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" {
		img, err := c.Image(ctx, name, ref.Digest)
		return []anchore.Image{img}, err
	}
	var images []anchore.Image
	err = c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		rows, err := imagesNamed(tx, acct.No, ref.FullTag(), f.History)
		if err != nil {
			return err
		}
		for _, row := range rows {
			img, err := fullImage(tx, acct, row)
			if err != nil {
				return err
			}
			img.FoundIn(func(tag anchore.ImageTag) bool { return tag.Ref == ref })
			if f.wants(img) {
				images = append(images, img)
			}
		}
		return nil
	})
	if err == nil && len(images) == 0 {
		err = anchore.E(anchore.NotFound, "catalog.Images", "image data not found in DB")
	}
	return images, err
}

// imagesNamed returns the newest image of a tag that there is, or, with history, all
// of its images, the latest first. The tag's history outlives deleted images.
func imagesNamed(tx store.Tx, no uint32, tag string, history bool) (rows []*image.Row, err error) {
	newest, err := image.Newest(tx, no, tag)
	if err != nil || newest == "" {
		return nil, err
	}
	row, err := image.Find(tx, no, newest)
	if err != nil || row != nil && !history {
		return []*image.Row{row}, err
	}
	digests, err := image.Digests(tx, no, tag)
	if err != nil {
		return nil, err
	}
	for _, digest := range digests {
		row, err := image.Find(tx, no, digest)
		switch {
		case err != nil:
			return nil, err
		case row == nil:
			continue
		case !history:
			return []*image.Row{row}, nil
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Report opens the SBOM of an analyzed image: a syft JSON document. Errors:
// NotFound if there is no such image, or none analyzed.
func (c *Catalog) Report(ctx context.Context, name, digest string) (io.ReadCloser, error) {
	return c.document(ctx, name, digest, true, func(w *work.Row) store.Digest { return w.Report })
}

// Manifest opens the image's manifest as the registry sent it. Errors: NotFound.
func (c *Catalog) Manifest(ctx context.Context, name, digest string) (io.ReadCloser, error) {
	return c.document(ctx, name, digest, false, func(w *work.Row) store.Digest { return w.Manifest })
}

// ImageConfig opens the image's configuration as the registry sent it. Errors:
// NotFound.
func (c *Catalog) ImageConfig(ctx context.Context, name, digest string) (io.ReadCloser, error) {
	return c.document(ctx, name, digest, false, func(w *work.Row) store.Digest { return w.Config })
}

func (c *Catalog) document(ctx context.Context, name, digest string, analyzed bool, which func(*work.Row) store.Digest) (io.ReadCloser, error) {
	var blob store.Digest
	err := c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := image.FindAny(tx, acct.No, digest)
		if err != nil {
			return err
		}
		if row == nil {
			return anchore.E(anchore.NotFound, "catalog.Report", "image %s not found in DB", digest)
		}
		analysis, err := work.Table.Find(tx, work.Key(row.Analysis))
		if err != nil {
			return err
		}
		status := anchore.AnalysisFailed
		if row.Refused == "" && analysis != nil {
			status = analysis.Status()
		}
		switch {
		case analyzed && status != anchore.Analyzed:
			return anchore.E(anchore.NotFound, "catalog.Report", "image is not analyzed - analysis_status: %s", status)
		case analysis == nil: // it was the others', who are gone
			return anchore.E(anchore.NotFound, "catalog.Report", "what the registry said of image %s is not kept any more; add the image again", digest)
		}
		blob = which(analysis)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.blobs.Open(ctx, blob)
}

// DeleteImage removes the account's image: its row is marked at once, and what
// belongs to it goes page by page, continued after a crash by Sweep. Without
// force, Errors: Conflict if the image is being analyzed, or is the newest of a
// tag with an active subscription. With force such subscriptions are deactivated.
// The digest must be the image's own. Errors: NotFound.
func (c *Catalog) DeleteImage(ctx context.Context, name, digest string, force bool) error {
	if !force {
		if err := c.deletable(ctx, name, digest); err != nil {
			return err
		}
	}
	var no uint32
	err := c.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		no = acct.No
		row, err := toDelete(tx, no, digest)
		if err == nil && !force {
			err = checkDeletion(tx, row, deletableTags)
		}
		if err != nil {
			return err
		}
		next := *row
		next.Deleting, next.Forced = true, row.Forced || force
		return image.Table.Replace(tx, row, &next)
	})
	if err != nil {
		return err
	}
	return c.purge(ctx, no, digest)
}

func toDelete(tx store.Tx, no uint32, digest string) (*image.Row, error) {
	row, err := image.Find(tx, no, digest)
	if err == nil && row == nil {
		err = anchore.E(anchore.NotFound, "catalog.DeleteImage", "No image found with the digest")
	}
	return row, err
}

// deletableTags is how many of an image's tags are checked in the transaction that
// marks it: each is up to 7 keys, so that store.MaxKeys is not reached.
const deletableTags = 13

// deletable checks all tags of an image, which may be too many for the transaction
// that marks it: those that are left over there were free right before it.
func (c *Catalog) deletable(ctx context.Context, name, digest string) error {
	return c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := toDelete(tx, acct.No, digest)
		if err != nil {
			return err
		}
		return checkDeletion(tx, row, store.MaxPage)
	})
}

// checkDeletion checks what stands against a deletion without force: the analysis, and
// the first of the image's tags.
func checkDeletion(tx store.Tx, row *image.Row, tags int) error {
	const op = "catalog.DeleteImage"
	if row.Refused == "" { // else the analysis is the others', and may be gone
		analysis, err := work.Table.Get(tx, work.Key(row.Analysis))
		if err != nil {
			return err
		}
		if analysis.State == work.Running {
			return anchore.E(anchore.Conflict, op, "cannot delete image that is being analyzed")
		}
	}
	named, err := image.Named.Scan(tx, store.Range{Prefix: image.NamedKey(row.Account, row.Digest), Limit: tags})
	if err != nil {
		return err
	}
	for _, n := range named {
		newest, err := image.Newest(tx, n.Account, n.Tag)
		if err != nil {
			return err
		}
		if newest != n.Digest {
			continue
		}
		active, err := subscription.ActiveOf(tx, n.Account, n.Tag)
		if err != nil {
			return err
		}
		if len(active) > 0 {
			return anchore.E(anchore.Conflict, op, "cannot delete image that is the latest of its tags, and has active subscription")
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
