package catalog

import (
	"bytes"
	"context"
	"maps"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// arrival is a manifest on its way into the catalog.
type arrival struct {
	change.Stamp
	manifest       anchore.Manifest
	manifestBlob   store.Digest
	configBlob     store.Digest
	add            *Addition
	created        time.Time
	why            string
	version        uint64 // of the tag, before the registry was asked
	newAnalysisRef string // id of the analysis that is created if one is needed
	known          *known // nil if the engine is to analyze it
}

// known is an analysis that comes with its image.
type known struct {
	AnalysisResult
	made     time.Time
	archived *image.NamedRow // of an image that is brought back: what its tag was; nil for any other
	more     bool            // with archived: other tags follow
}

// newArrival begins an arrival with the identities that its transaction needs.
func newArrival(st change.Stamp, m anchore.Manifest, add *Addition) arrival {
	return arrival{Stamp: st, manifest: m, add: add, created: st.Now, newAnalysisRef: m.Digest + "." + st.Hex[:16]}
}

// restored reports whether the image is brought back from the archive.
func (in arrival) restored() bool { return in.known != nil && in.known.archived != nil }

// nextCause is the id of the tag's next cause, above all that it had.
func (in arrival) nextCause(tag *image.TagRow) cause.ID {
	tag.LastCause = max(in.Nanos, tag.LastCause+1)
	return cause.NewID(tag.LastCause, in.Random)
}

// arrive stores the manifest's documents, which the rows refer to.
func (c *Catalog) arrive(ctx context.Context, m anchore.Manifest, add *Addition) (arrival, error) {
	st, err := c.store.Stamp()
	if err != nil {
		return arrival{}, err
	}
	in := newArrival(st, m, add)
	if in.manifestBlob, err = c.blobs.Put(ctx, bytes.NewReader(m.Raw)); err != nil {
		return arrival{}, err
	}
	in.configBlob, err = c.blobs.Put(ctx, bytes.NewReader(m.Config))
	return in, err
}

// takeIn records the image of an arrival, attaches it to an analysis and to its
// tag, and tells the tag's analysis_update if that analysis is done already.
func (c *Catalog) takeIn(tx store.Tx, acct *account.Row, in arrival, tag *image.TagRow) error {
	img, analysis, err := c.putImage(tx, acct, in)
	if err != nil {
		return err
	}
	named, err := image.FindNamed(tx, acct.No, img.Digest, tag.Tag)
	if err != nil {
		return err
	}
	next := image.NamedRow{Account: acct.No, Digest: img.Digest, Tag: tag.Tag, Created: table.Nanos(in.created)}
	if named != nil {
		next = *named
	}
	if named == nil || tag.Changed == table.Nanos(in.Now) {
		next.Detected, next.Updated = table.Nanos(in.created), table.Nanos(in.Now)
	}
	if next.TagDigest = in.manifest.TagDigest; next.TagDigest == img.Digest {
		next.TagDigest = ""
	}
	if named == nil && in.restored() {
		if next = *in.known.archived; analysis.State == work.Done {
			next.Told = analysis.ID // it is no news
		}
	}
	if err := image.Named.Replace(tx, named, &next); err != nil {
		return err
	}
	if analysis.State != work.Done || next.Told == analysis.ID {
		return nil
	}
	kind := cause.Attached
	if in.known != nil && analysis.ID == in.newAnalysisRef {
		kind = cause.Imported
	}
	id := in.nextCause(tag)
	return cause.Table.Insert(tx, &cause.Row{
		ID: id[:], Kind: kind, At: table.Nanos(in.Now), Account: acct.No, Tag: tag.Tag,
		After: img.Digest, Analysis: analysis.ID, Why: in.why,
	})
}

// putImage creates or completes the account's record of the image.
func (c *Catalog) putImage(tx store.Tx, acct *account.Row, in arrival) (*image.Row, *work.Row, error) {
	old, err := image.Find(tx, acct.No, in.manifest.Digest)
	if err != nil {
		return nil, nil, err
	}
	next := image.Row{Account: acct.No, Created: table.Nanos(in.created), Updated: table.Nanos(in.Now)}
	if old != nil {
		next = *old
		next.Deleting, next.Forced = false, false
	}
	if in.restored() {
		next.Restoring = in.known.more
	}
	next.Describe(in.manifest)
	if err := in.complete(&next, old); err != nil {
		return nil, nil, err
	}
	analysis, err := c.attach(tx, &next, in)
	if err != nil {
		return nil, nil, err
	}
	if old != nil && old.Analysis != next.Analysis {
		next.Updated = table.Nanos(in.Now)
	}
	return &next, analysis, image.Table.Replace(tx, old, &next)
}

// complete merges what an explicit add brings besides the manifest.
func (in arrival) complete(row, old *image.Row) error {
	if in.add == nil {
		return nil
	}
	if in.add.Dockerfile != "" && (in.known == nil || old == nil || in.add.Force) {
		if old != nil && !old.Deleting && !in.add.Force {
			e := anchore.E(anchore.Invalid, "catalog.AddImage", "Cannot specify dockerfile for an image that already exists unless using force=True for re-analysis")
			e.Detail = map[string]any{"digest": in.manifest.Digest, "tag": in.manifest.Ref.FullTag()}
			return e
		}
		row.Dockerfile = in.add.Dockerfile
	}
	if len(in.add.Annotations) == 0 {
		return nil
	}
	merged := annotate(row.Annotations, in.add.Annotations)
	if maps.Equal(merged, row.Annotations) {
		return nil
	}
	before := anchore.AnnotationBytes(row.Annotations)
	row.Annotations, row.Updated = merged, table.Nanos(in.Now)
	if in.restored() {
		return nil // RestoreImage has compared them with those in the archive
	}
	return anchore.CheckAnnotations(merged, before)
}

// annotate returns annotations with others added, of which the value "null" deletes
// one.
func annotate(notes, others map[string]string) map[string]string {
	merged := maps.Clone(notes)
	if merged == nil {
		merged = map[string]string{}
	}
	for k, v := range others {
		if v == "null" {
			delete(merged, k)
			continue
		}
		merged[k] = v
	}
	return merged
}

// attach makes sure that the image has an analysis: the one it has, the one that
// other accounts share, or a new one. A forced analysis is the account's own, and
// so is a new attempt after this account was refused, or one that it hands in or
// has archived: what it says of an image is believed for itself alone, and proves no
// right to see what others found. The image has the arrival's own analysis already if
// its request was sent before.
func (c *Catalog) attach(tx store.Tx, row *image.Row, in arrival) (*work.Row, error) {
	force := in.add != nil && in.add.Force && row.Analysis != in.newAnalysisRef
	if row.Analysis != "" && !force && row.Refused == "" {
		has, err := work.Table.Find(tx, work.Key(row.Analysis))
		if err != nil {
			return nil, err
		}
		if has != nil && (has.State != work.Failed || in.add == nil) {
			return has, nil
		}
	}
	use, err := in.analysis(tx, row.Digest, force || row.Refused != "")
	if err != nil {
		return nil, err
	}
	if err := work.Attach(tx, use.ID, row.Account, in.manifest.Ref.FullTag()); err != nil {
		return nil, err
	}
	if row.Analysis != "" && row.Analysis != use.ID {
		if err := work.Detach(tx, row.Analysis, row.Account); err != nil {
			return nil, err
		}
	}
	row.Analysis, row.Refused = use.ID, ""
	return use, nil
}

// analysis returns the analysis that newcomers to the digest share, or a new one, which
// it always does for an account that is to have its own.
func (in arrival) analysis(tx store.Tx, digest string, own bool) (*work.Row, error) {
	fresh := &work.Row{
		ID: in.newAnalysisRef, Digest: digest, State: work.Queued, Due: table.Nanos(in.Now), Created: table.Nanos(in.Now),
		Manifest: in.manifestBlob, Config: in.configBlob,
	}
	if in.known != nil {
		fresh.End(work.Done, in.known.made)
		fresh.Report = in.known.Report
		fresh.Summarize(in.known.Summary)
		return fresh, work.Table.Insert(tx, fresh)
	}
	shared, err := work.Current(tx, digest)
	usable := shared != nil && shared.State != work.Failed
	if err != nil || usable && !own {
		return shared, err
	}
	if err := work.Table.Insert(tx, fresh); err != nil || usable {
		return fresh, err
	}
	return fresh, work.SetCurrent(tx, fresh)
}
