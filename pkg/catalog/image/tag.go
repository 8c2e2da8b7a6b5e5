package image

import (
	"errors"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// TagRow is what is recorded of a tag of an account.
type TagRow struct {
	Account   uint32      `cbor:"1,keyasint"`
	Tag       string      `cbor:"2,keyasint"`
	Digest    string      `cbor:"3,keyasint,omitempty"` // the image it names; "" if it was never looked at
	TagDigest string      `cbor:"4,keyasint,omitempty"` // the document it names: an index, or the image's manifest
	Changed   int64       `cbor:"5,keyasint,omitempty"` // when it was last seen to move
	Gone      int64       `cbor:"6,keyasint,omitempty"` // since when the registry does not have it
	LastCause int64       `cbor:"7,keyasint,omitempty"` // instant of the newest cause, so that causes of a tag are in order
	Refusal   *RefusalRow `cbor:"8,keyasint,omitempty"`
	Platform  string      `cbor:"9,keyasint,omitempty"`  // that somebody asked for; "" is the registry's
	Failed    string      `cbor:"10,keyasint,omitempty"` // why it could not be looked at, as an event told; "" if it can
	Version   uint64      `cbor:"11,keyasint,omitempty"` // how often what it names was recorded anew
	Refused   []string    `cbor:"12,keyasint,omitempty"` // the refusals that events told of, the latest last
}

// FollowedPlatform is the platform that somebody asked for, zero if nobody did.
func (r *TagRow) FollowedPlatform() anchore.Platform {
	p, err := anchore.ParsePlatform(r.Platform)
	if err != nil {
		return anchore.Platform{} // nobody did
	}
	return p
}

// maxRefused is how many refusals of a tag are remembered as told: a tag may go back
// and forth between a few images that are refused.
const maxRefused = 20

// Refuse records a refusal, and reports whether no event told of it: once for each
// document, reason and limit.
func (r *TagRow) Refuse(refusal *RefusalRow) (first bool) {
	told := r.Refused
	if len(told) == 0 && r.Refusal != nil { // of an older version
		told = []string{r.Refusal.key()}
	}
	r.Refusal = refusal
	if slices.Contains(told, refusal.key()) {
		return false
	}
	told = append(told[:len(told):len(told)], refusal.key())
	r.Refused = told[max(0, len(told)-maxRefused):]
	return true
}

func (r *RefusalRow) key() string { return r.Reason + " " + r.Limit + " " + r.TagDigest }

// RefusalRow is the reason why what the tag names now was not taken.
type RefusalRow struct {
	TagDigest string `cbor:"1,keyasint"`
	Digest    string `cbor:"2,keyasint,omitempty"`
	Reason    string `cbor:"3,keyasint"`
	Limit     string `cbor:"4,keyasint"`
	Message   string `cbor:"5,keyasint"`
}

// Tags holds the tags by (account, tag).
var Tags = table.Table[TagRow]{
	Bucket: "tag",
	Key:    func(r *TagRow) []byte { return tagKey(r.Account, r.Tag) },
}

// tagKey is the key of a tag.
func tagKey(account uint32, tag string) []byte { return table.Key{}.Uint32(account).Text(tag) }

// FindTag returns what is recorded of a tag, or nil.
func FindTag(tx store.Tx, account uint32, tag string) (*TagRow, error) {
	return Tags.Find(tx, tagKey(account, tag))
}

// EditTag returns what is recorded of a tag, nil if nothing is, and a copy of it to
// change.
func EditTag(tx store.Tx, account uint32, tag string) (old *TagRow, next TagRow, err error) {
	if old, err = FindTag(tx, account, tag); err != nil {
		return nil, TagRow{}, err
	}
	if old == nil {
		return nil, TagRow{Account: account, Tag: tag}, nil
	}
	return old, *old, nil
}

// NamedRow says that a tag names, or named, an image.
type NamedRow struct {
	Account  uint32 `cbor:"1,keyasint"`
	Digest   string `cbor:"2,keyasint"`
	Tag      string `cbor:"3,keyasint"`
	Created  int64  `cbor:"4,keyasint"`
	Updated  int64  `cbor:"5,keyasint"`
	Detected int64  `cbor:"6,keyasint"`
	Told     string `cbor:"7,keyasint,omitempty"` // id of the analysis that this tag's subscribers were told of
	// TagDigest is the document that the tag named when it named the image last, if it
	// was an index around it; "" of rows of older versions.
	TagDigest string `cbor:"8,keyasint,omitempty"`
}

// byTagDigest holds the tags of images that were found in an index by (account, its
// digest, the image's digest, tag).
const byTagDigest store.Bucket = "image_tag_parent"

// Named holds the tags of images by (account, digest, tag).
var Named = table.Table[NamedRow]{
	Bucket: "image_tag",
	Key:    func(r *NamedRow) []byte { return NamedKey(r.Account, r.Digest).Text(r.Tag) },
	Indexes: []table.Index[NamedRow]{
		{Bucket: byTagDigest, Keys: func(r *NamedRow) [][]byte {
			if r.TagDigest == "" {
				return nil
			}
			return [][]byte{table.Key{}.Uint32(r.Account).Text(r.TagDigest).Text(r.Digest).Text(r.Tag)}
		}},
	},
}

// NamedKey is the start of the keys of an image's tags.
func NamedKey(account uint32, digest string) table.Key {
	return table.Key{}.Uint32(account).Text(digest)
}

// FindNamed returns the row of a tag of an image, or nil.
func FindNamed(tx store.Tx, account uint32, digest, tag string) (*NamedRow, error) {
	return Named.Find(tx, NamedKey(account, digest).Text(tag))
}

// Names reports whether the account has an image of that digest under the tag.
func Names(tx store.Tx, account uint32, tag, digest string) (bool, error) {
	_, err := tx.Get(Named.Bucket, NamedKey(account, digest).Text(tag))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// HistoryRow is one entry of a tag's history.
type HistoryRow struct {
	Account   uint32 `cbor:"1,keyasint"`
	Tag       string `cbor:"2,keyasint"`
	At        int64  `cbor:"3,keyasint"`
	Digest    string `cbor:"4,keyasint"`
	TagDigest string `cbor:"5,keyasint,omitempty"`
	Added     bool   `cbor:"6,keyasint,omitempty"` // a digest added under the tag, which did not move it
}

// History holds the history of tags by (account, tag, newest first, digest).
var History = table.Table[HistoryRow]{
	Bucket: "tag_history",
	Key: func(r *HistoryRow) []byte {
		return historyKey(r.Account, r.Tag).Descending(r.At).Text(r.Digest)
	},
}

// historyKey is the start of the keys of a tag's history.
func historyKey(account uint32, tag string) table.Key {
	return table.Key{}.Uint32(account).Text(tag)
}

// Remember adds an entry to the history of its tag, unless there is one of the same
// image at that time.
func Remember(tx store.Tx, h *HistoryRow) error {
	old, err := History.Find(tx, History.Key(h))
	if err != nil || old != nil {
		return err
	}
	return History.Insert(tx, h)
}

// Newest returns the digest that stands for the tag: what it names, or, if it was
// never looked at, the newest one added under it; "" if there is none.
func Newest(tx store.Tx, account uint32, tag string) (string, error) {
	row, err := FindTag(tx, account, tag)
	if err != nil {
		return "", err
	}
	if row != nil && row.Digest != "" {
		return row.Digest, nil
	}
	rows, err := History.Scan(tx, store.Range{Prefix: historyKey(account, tag), Limit: 1})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0].Digest, nil
}

// Digests returns the digest that a tag names, followed by each other that it named,
// the latest first.
func Digests(tx store.Tx, account uint32, tag string) ([]string, error) {
	newest, err := Newest(tx, account, tag)
	if err != nil || newest == "" {
		return nil, err
	}
	rows, err := History.All(tx, historyKey(account, tag))
	digests := []string{newest}
	seen := map[string]bool{newest: true}
	for _, row := range rows {
		if !seen[row.Digest] {
			seen[row.Digest] = true
			digests = append(digests, row.Digest)
		}
	}
	return digests, err
}

// Domain returns the tag in the engine's words; current is what Newest says.
func (r *NamedRow) Domain(current string) (anchore.ImageTag, error) {
	ref, err := anchore.ParseReference(r.Tag)
	if err != nil {
		return anchore.ImageTag{}, err
	}
	return anchore.ImageTag{
		Ref: ref, Current: current == r.Digest, TagDigest: r.TagDigest,
		CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated), DetectedAt: table.Time(r.Detected),
	}, nil
}
