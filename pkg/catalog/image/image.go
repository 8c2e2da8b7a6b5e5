// Package image keeps the records of images and of the tags that name them. An
// image's row belongs to an account; its analysis, which accounts share, is in
// package work.
package image

import (
	"cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored image of an account.
type Row struct {
	Account     uint32            `cbor:"1,keyasint"`
	Digest      string            `cbor:"2,keyasint"`
	TagDigest   string            `cbor:"3,keyasint,omitempty"` // if it is not Digest
	ImageID     string            `cbor:"4,keyasint"`
	OS          string            `cbor:"5,keyasint,omitempty"`
	Arch        string            `cbor:"6,keyasint,omitempty"`
	Variant     string            `cbor:"7,keyasint,omitempty"`
	Size        int64             `cbor:"8,keyasint,omitempty"`
	Layers      int               `cbor:"9,keyasint,omitempty"`
	Annotations map[string]string `cbor:"10,keyasint,omitempty"`
	Dockerfile  string            `cbor:"11,keyasint,omitempty"`
	Revision    string            `cbor:"12,keyasint,omitempty"` // revisionLabel
	Source      string            `cbor:"13,keyasint,omitempty"` // sourceLabel
	Deleting    bool              `cbor:"14,keyasint,omitempty"`
	Analysis    string            `cbor:"15,keyasint,omitempty"` // id of its analysis
	Refused     string            `cbor:"16,keyasint,omitempty"` // why this account may not have the analysis
	Created     int64             `cbor:"17,keyasint"`
	Updated     int64             `cbor:"18,keyasint"`
	Forced      bool              `cbor:"19,keyasint,omitempty"` // a deletion that also deactivates subscriptions
	Restoring   bool              `cbor:"20,keyasint,omitempty"` // some of the tags that it had in the archive are not back yet
}

const (
	// ByTime holds the images by (account, newest first, digest).
	ByTime store.Bucket = "image_time"
	// ByID holds them by (account, image id, newest first, digest).
	ByID store.Bucket = "image_id"
	// byParent holds those found in an index by (account, its digest, newest first, digest).
	byParent store.Bucket = "image_parent"
	// ByDeleting holds those whose removal is not finished.
	ByDeleting store.Bucket = "image_deleting"
)

// Table holds the images.
var Table = table.Table[Row]{
	Bucket: "image",
	Key:    func(r *Row) []byte { return Key(r.Account, r.Digest) },
	Indexes: []table.Index[Row]{
		{Bucket: ByTime, Keys: func(r *Row) [][]byte {
			return [][]byte{table.Key{}.Uint32(r.Account).Descending(r.Created).Text(r.Digest)}
		}},
		{Bucket: ByID, Keys: func(r *Row) [][]byte {
			return [][]byte{table.Key{}.Uint32(r.Account).Text(r.ImageID).Descending(r.Created).Text(r.Digest)}
		}},
		{Bucket: byParent, Keys: func(r *Row) [][]byte {
			if r.TagDigest == "" {
				return nil
			}
			return [][]byte{table.Key{}.Uint32(r.Account).Text(r.TagDigest).Descending(r.Created).Text(r.Digest)}
		}},
		{Bucket: ByDeleting, Keys: func(r *Row) [][]byte {
			if !r.Deleting {
				return nil
			}
			return [][]byte{Key(r.Account, r.Digest)}
		}},
	},
}

// Key is the key of an image.
func Key(account uint32, digest string) []byte { return table.Key{}.Uint32(account).Text(digest) }

// Find returns the image with the digest, or nil.
func Find(tx store.Tx, account uint32, digest string) (*Row, error) {
	return Table.Find(tx, Key(account, digest))
}

// FindAny returns the image with the digest, or else the newest one that was
// found in an index of that digest, or nil.
func FindAny(tx store.Tx, account uint32, digest string) (*Row, error) {
	row, err := Find(tx, account, digest)
	if row != nil || err != nil {
		return row, err
	}
	if row, err = first(tx, byParent, table.Key{}.Uint32(account).Text(digest)); row != nil || err != nil {
		return row, err
	}
	named, err := Named.By(tx, byTagDigest, store.Range{Prefix: table.Key{}.Uint32(account).Text(digest), Limit: 1})
	if err != nil || len(named) == 0 {
		return nil, err
	}
	return Find(tx, account, named[0].Digest)
}

// FindID returns the newest image with the image id, or nil.
func FindID(tx store.Tx, account uint32, id string) (*Row, error) {
	return first(tx, ByID, table.Key{}.Uint32(account).Text(id))
}

func first(tx store.Tx, index store.Bucket, prefix []byte) (*Row, error) {
	rows, err := Table.By(tx, index, store.Range{Prefix: prefix, Limit: 1})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// The labels that rows keep: OCI image specification, annotations.
const (
	revisionLabel = "org.opencontainers.image.revision"
	sourceLabel   = "org.opencontainers.image.source"
)

// maxLabel is how many bytes a label may have: each notification holds it.
const maxLabel = 4 << 10

// Label is the value of a label, "" for one that is too long to be told.
func Label(value string) string {
	if len(value) > maxLabel {
		return ""
	}
	return value
}

// Describe copies what the manifest says into the row.
func (r *Row) Describe(m anchore.Manifest) {
	r.Digest, r.TagDigest, r.ImageID = m.Digest, "", m.ImageID
	if m.TagDigest != m.Digest {
		r.TagDigest = m.TagDigest
	}
	r.OS, r.Arch, r.Variant = m.Platform.OS, m.Platform.Architecture, m.Platform.Variant
	r.Size, r.Layers = m.Size, m.Layers
	r.Revision, r.Source = Label(m.Labels[revisionLabel]), Label(m.Labels[sourceLabel])
}

// Manifest is what Describe was given, as far as the row has it.
func (r *Row) Manifest() anchore.Manifest {
	return anchore.Manifest{
		TagDigest: cmp.Or(r.TagDigest, r.Digest), Digest: r.Digest, ImageID: r.ImageID, Platform: r.Platform(),
		Size: r.Size, Layers: r.Layers, Labels: map[string]string{revisionLabel: r.Revision, sourceLabel: r.Source},
	}
}

// Platform is the image's platform.
func (r *Row) Platform() anchore.Platform {
	return anchore.Platform{OS: r.OS, Architecture: r.Arch, Variant: r.Variant}
}
