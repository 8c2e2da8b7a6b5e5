package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

const opArchive = "archive.ArchiveImage"

// MaxTags is how many tags of an image are archived: each is a transaction when the
// image is brought back.
const MaxTags = 100

// maxRow is how many bytes a row may have: what store.MaxBytes allows, less than its
// index entries, its event and the notifications of that take.
const maxRow = store.MaxBytes - 64<<10

// ArchiveImage keeps what is known of the account's image: the analysis, the
// documents, annotations, Dockerfile and tags. The image stays in use. Of more than
// MaxTags tags those are left out that came to name the image the longest ago. An
// image that is archived stays as it was archived; already says so. The documents
// are read, so that damage is found while the image can still be analyzed again.
//
// Errors: NotFound; Conflict if the image is not analyzed or changes meanwhile;
// Invalid if its annotations and its Dockerfile are too long; the blobs'.
func (a *Archive) ArchiveImage(ctx context.Context, name, digest string) (already bool, err error) {
	row, err := a.collect(ctx, name, digest)
	if err != nil || row == nil {
		return err == nil, err
	}
	st, err := a.store.Stamp()
	if err != nil {
		return false, err
	}
	row.Created = table.Nanos(st.Now)
	if err := fits(row); err != nil {
		return false, err
	}
	err = a.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		is, err := current(tx, acct.No, digest)
		if already = err == nil && is == nil; err != nil || already {
			return err
		}
		if is.Analysis.ID != row.Analysis.ID || len(row.Tags) == 0 {
			return anchore.E(anchore.Conflict, opArchive, "image %s was added or analyzed again meanwhile; try again", digest)
		}
		if err := Table.Insert(tx, row); err != nil {
			return err
		}
		e := Event(anchore.EventImageArchived, digest, "Analyzed image added to archive", fmt.Sprintf("%d tags, %d bytes", len(row.Tags), row.Bytes))
		return a.recorder.Record(tx, acct, st, 0, e)
	})
	a.told.Wake()
	return already, err
}

// collect reads all that is to be archived, nil if it is archived already.
func (a *Archive) collect(ctx context.Context, name, digest string) (*Row, error) {
	var row *Row
	err := a.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
		row, err = current(tx, acct.No, digest)
		return err
	})
	if err != nil || row == nil {
		return nil, err
	}
	if row.Tags, err = a.tags(ctx, &row.Image); err != nil {
		return nil, err
	}
	for _, blob := range row.documents() {
		n, err := a.size(ctx, blob)
		if err != nil {
			return nil, fmt.Errorf("%s: image %s: %w", opArchive, digest, err)
		}
		row.Bytes += n
	}
	return row, nil
}

// current returns the image and its analysis as they are now, nil if the image is
// archived. Errors: NotFound; Conflict if it is not analyzed.
func current(tx store.Tx, no uint32, digest string) (*Row, error) {
	archived, err := Table.Find(tx, Key(no, digest))
	if err != nil || archived != nil {
		return nil, err
	}
	img, err := image.Find(tx, no, digest)
	switch {
	case err != nil:
		return nil, err
	case img == nil:
		return nil, anchore.E(anchore.NotFound, opArchive, "image %.80s not found in DB", digest)
	case img.Deleting:
		return nil, anchore.E(anchore.Conflict, opArchive, "image %s is being deleted", digest)
	case img.Refused != "":
		return nil, notAnalyzed(digest, anchore.AnalysisFailed)
	}
	analysis, err := work.Table.Get(tx, work.Key(img.Analysis))
	if err != nil {
		return nil, err
	}
	if analysis.State != work.Done {
		return nil, notAnalyzed(digest, analysis.Status())
	}
	row := &Row{Image: *img, Analysis: *analysis}
	row.Image.Restoring = false
	return row, nil
}

func notAnalyzed(digest string, status anchore.AnalysisStatus) error {
	return anchore.E(anchore.Conflict, opArchive, "image %s is not analyzed - analysis_status: %s; only an analyzed image can be archived", digest, status)
}

// tags reads the tags of an image, page by page, and returns by name the MaxTags
// that came to name it last.
func (a *Archive) tags(ctx context.Context, img *image.Row) (tags []Tag, err error) {
	latest := func(a, b Tag) int {
		return cmp.Or(cmp.Compare(b.Detected, a.Detected), strings.Compare(a.Name, b.Name))
	}
	err = table.Pages(ctx, a.store, image.Named.Bucket, image.NamedKey(img.Account, img.Digest), func(e store.Entry) error {
		var n image.NamedRow
		if err := table.Decode(e.Value, &n); err != nil {
			return err
		}
		tags = append(tags, Tag{Name: n.Tag, Created: n.Created, Updated: n.Updated, Detected: n.Detected, Index: n.TagDigest})
		if len(tags) > 2*MaxTags {
			slices.SortFunc(tags, latest)
			tags = tags[:MaxTags]
		}
		return nil
	})
	slices.SortFunc(tags, latest)
	tags = tags[:min(len(tags), MaxTags)]
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return tags, err
}

// size reads a document through.
func (a *Archive) size(ctx context.Context, blob store.Digest) (n int64, err error) {
	r, err := a.blobs.Open(ctx, blob)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.Copy(io.Discard, r)
}

// fits refuses a row that the store would not take. Errors: Invalid.
func fits(row *Row) error {
	stored, err := table.Encode(row)
	if err == nil && len(stored) > maxRow {
		err = anchore.E(anchore.Invalid, opArchive, "image %s cannot be archived: its annotations and its Dockerfile have %d bytes together, of which an archived image takes %d; remove annotations", row.Image.Digest, len(stored), maxRow)
	}
	return err
}
