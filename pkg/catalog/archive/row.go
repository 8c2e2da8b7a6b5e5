// Package archive keeps what is known of analyzed images beside the images that an
// account uses, so that an image can be deleted from these and be brought back
// without a look at its registry and without an analysis.
package archive

import (
	"maps"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored archived image: copies of the rows that were there of it. The
// documents are blobs, which its analysis names.
type Row struct {
	Image    image.Row `cbor:"1,keyasint"`
	Analysis work.Row  `cbor:"2,keyasint"`
	Tags     []Tag     `cbor:"3,keyasint"` // by name
	Bytes    int64     `cbor:"4,keyasint"` // of the documents
	Created  int64     `cbor:"5,keyasint"` // when it was archived
}

// Tag is what was recorded of a tag of an archived image.
type Tag struct {
	Name     string `cbor:"1,keyasint"` // as in image.NamedRow
	Created  int64  `cbor:"2,keyasint"`
	Updated  int64  `cbor:"3,keyasint"`
	Detected int64  `cbor:"4,keyasint"`           // its place in the tag's history
	Index    string `cbor:"5,keyasint,omitempty"` // digest of the index that it named; "" for none
}

const (
	// byTime holds the archived images by (account, archived last first, digest).
	byTime store.Bucket = "archive_time"
	// byParent holds those found in an index by (account, its digest, archived last
	// first, digest).
	byParent store.Bucket = "archive_parent"
	byBlob   store.Bucket = "archive_blob"
)

// Table holds the archived images by (account, digest). A row has five index
// entries at most.
var Table = table.Table[Row]{
	Bucket: "archive",
	Key:    func(r *Row) []byte { return Key(r.Image.Account, r.Image.Digest) },
	Indexes: []table.Index[Row]{
		{Bucket: byTime, Keys: func(r *Row) [][]byte {
			return [][]byte{table.Key{}.Uint32(r.Image.Account).Descending(r.Created).Text(r.Image.Digest)}
		}},
		{Bucket: byParent, Keys: func(r *Row) [][]byte {
			if r.Image.TagDigest == "" {
				return nil
			}
			return [][]byte{table.Key{}.Uint32(r.Image.Account).Text(r.Image.TagDigest).Descending(r.Created).Text(r.Image.Digest)}
		}},
		{Bucket: byBlob, Keys: func(r *Row) [][]byte {
			var keys [][]byte
			for _, blob := range r.documents() {
				keys = append(keys, table.Key{}.Text(string(blob)).Uint32(r.Image.Account).Text(r.Image.Digest))
			}
			return keys
		}},
	},
}

// Key is the key of an archived image.
func Key(account uint32, digest string) []byte { return table.Key{}.Uint32(account).Text(digest) }

// documents are the blobs that the row refers to.
func (r *Row) documents() (blobs []store.Digest) {
	for _, blob := range []store.Digest{r.Analysis.Report, r.Analysis.Manifest, r.Analysis.Config} {
		if blob != "" {
			blobs = append(blobs, blob)
		}
	}
	return blobs
}

// Referenced reports whether an archived image has the blob.
func Referenced(tx store.Tx, blob store.Digest) (bool, error) {
	entries, err := tx.Scan(byBlob, store.Range{Prefix: table.Key{}.Text(string(blob)), Limit: 1})
	return len(entries) > 0, err
}

// find returns the account's archived image. Errors: NotFound.
func find(tx store.Tx, account uint32, digest string) (*Row, error) {
	row, err := Table.Find(tx, Key(account, digest))
	if err == nil && row == nil {
		err = anchore.E(anchore.NotFound, "archive.find", "Not found in archive: %.80s", digest)
	}
	return row, err
}

// findAny is find for the image with the digest, or else the one archived last that
// was found in an index of that digest.
func findAny(tx store.Tx, account uint32, digest string) (*Row, error) {
	row, err := find(tx, account, digest)
	if anchore.KindOf(err) != anchore.NotFound {
		return row, err
	}
	rows, other := Table.By(tx, byParent, store.Range{Prefix: table.Key{}.Uint32(account).Text(digest), Limit: 1})
	if other != nil || len(rows) > 0 {
		return first(rows), other
	}
	return nil, err
}

func first(rows []*Row) *Row {
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

// Restorable returns the archived image if it can be brought back: the account does
// not use it, or a crash came in between when it was brought back. archived is when
// it was archived, as the caller has read, 0 if it has not. Errors: Conflict,
// NotFound.
func Restorable(tx store.Tx, account uint32, digest string, archived int64) (*Row, error) {
	const op = "archive.Restorable"
	used, err := image.Find(tx, account, digest)
	switch {
	case err != nil:
		return nil, err
	case used != nil && used.Deleting:
		return nil, anchore.E(anchore.Conflict, op, "image %s is being deleted; try again when that is done", digest)
	case used != nil && !used.Restoring:
		return nil, anchore.E(anchore.Conflict, op, "Image already exists in system. No restore possible: delete image %s first", digest)
	}
	row, err := find(tx, account, digest)
	if err == nil && archived != 0 && row.Created != archived {
		err = anchore.E(anchore.Conflict, op, "image %s was archived anew meanwhile; try again", digest)
	}
	return row, err
}

// Named is the row of the nth tag of the image that is brought back.
func (r *Row) Named(n int) *image.NamedRow {
	tag := r.Tags[n]
	return &image.NamedRow{
		Account: r.Image.Account, Digest: r.Image.Digest, Tag: tag.Name,
		Created: tag.Created, Updated: tag.Updated, Detected: tag.Detected, TagDigest: tag.Index,
	}
}

// References are the tags of the image, in the order of Tags.
func (r *Row) References() ([]anchore.Reference, error) {
	refs := make([]anchore.Reference, 0, len(r.Tags))
	for _, tag := range r.Tags {
		ref, err := anchore.ParseReference(tag.Name)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// Annotations are those of the image with others added, of which the value "null"
// asks to delete one.
func (r *Row) Annotations(others map[string]string) map[string]string {
	notes := maps.Clone(r.Image.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	maps.Copy(notes, others)
	return notes
}

// domain is the archived image in the engine's words.
func (r *Row) domain(acct *account.Row) (anchore.ArchivedImage, error) {
	img := anchore.ArchivedImage{
		Account: acct.Name, Digest: r.Image.Digest, TagDigest: r.Image.Manifest().TagDigest, Annotations: r.Image.Annotations,
		AnalyzedAt: table.Time(r.Analysis.Finished), ArchivedAt: table.Time(r.Created), Bytes: r.Bytes,
	}
	for n := range r.Tags {
		tag, err := r.Named(n).Domain("")
		if err != nil {
			return img, err
		}
		img.Tags = append(img.Tags, tag)
	}
	return img, nil
}
