// Package imports keeps the operations in which clients hand in what is known of
// an image, and the documents that they have handed in so far.
package imports

import (
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored import. The documents are blobs.
type Row struct {
	Account  uint32     `cbor:"1,keyasint"`
	ID       string     `cbor:"2,keyasint"`
	Status   string     `cbor:"3,keyasint"` // of anchore.ImportStatus; that it has expired is not stored
	Created  int64      `cbor:"4,keyasint"`
	Updated  int64      `cbor:"5,keyasint"`
	Expires  int64      `cbor:"6,keyasint"`
	Contents []Document `cbor:"7,keyasint,omitempty"`
}

// Document is one that was handed in.
type Document struct {
	Part    string       `cbor:"1,keyasint"`
	Blob    store.Digest `cbor:"2,keyasint"`
	Created int64        `cbor:"3,keyasint"`
}

const (
	// byExpiry holds the imports by the time at which they are thrown away.
	byExpiry store.Bucket = "import_expiry"
	byBlob   store.Bucket = "import_blob"
)

// Table holds the imports by (account, id).
var Table = table.Table[Row]{
	Bucket: "import",
	Key:    func(r *Row) []byte { return Key(r.Account, r.ID) },
	Indexes: []table.Index[Row]{
		{Bucket: byExpiry, Keys: func(r *Row) [][]byte {
			return [][]byte{table.Key{}.Uint64(uint64(r.Expires)).Uint32(r.Account).Text(r.ID)}
		}},
		{Bucket: byBlob, Keys: func(r *Row) [][]byte {
			if r.Status != string(anchore.ImportPending) {
				return nil // what a complete one became refers to the documents itself
			}
			var keys [][]byte
			for _, d := range r.Contents {
				keys = append(keys, table.Key{}.Text(string(d.Blob)).Text(d.Part).Uint32(r.Account).Text(r.ID))
			}
			return keys
		}},
	},
}

// Key is the key of an import.
func Key(account uint32, id string) []byte { return table.Key{}.Uint32(account).Text(id) }

// Referenced reports whether an import that takes documents has the blob.
func Referenced(tx store.Tx, blob store.Digest) (bool, error) {
	entries, err := tx.Scan(byBlob, store.Range{Prefix: table.Key{}.Text(string(blob)), Limit: 1})
	return len(entries) > 0, err
}

// get returns the account's import. Errors: NotFound.
func get(tx store.Tx, account uint32, id string) (*Row, error) {
	row, err := Table.Find(tx, Key(account, id))
	if err == nil && row == nil {
		err = anchore.E(anchore.NotFound, "imports.get", "Resource %.40s not found", id)
	}
	return row, err
}

// Pending returns the account's import if it takes documents at the given time.
// Errors: NotFound; Conflict if it does not (any more).
func Pending(tx store.Tx, account uint32, id string, now time.Time) (*Row, error) {
	row, err := get(tx, account, id)
	if err != nil {
		return nil, err
	}
	if status := row.status(now); status != anchore.ImportPending {
		return nil, anchore.E(anchore.Conflict, "imports.Pending", "Invalid operation status. Must be in pending state to finalize: import %s is %s", id, status)
	}
	return row, nil
}

// Complete records that the import's image was added.
func Complete(tx store.Tx, row *Row, now time.Time) error {
	next := *row
	next.Status, next.Updated = string(anchore.ImportComplete), table.Nanos(now)
	return Table.Replace(tx, row, &next)
}

func (r *Row) status(now time.Time) anchore.ImportStatus {
	if r.Status == string(anchore.ImportPending) && !table.Time(r.Expires).After(now) {
		return anchore.ImportExpired
	}
	return anchore.ImportStatus(r.Status)
}

// has reports whether the import holds a document as the given part.
func (r *Row) has(part anchore.ImportPart, blob store.Digest) bool {
	return slices.ContainsFunc(r.Contents, func(d Document) bool { return d.Part == string(part) && d.Blob == blob })
}

// domain is the import in the engine's words.
func (r *Row) domain(account string, now time.Time) anchore.Import {
	imp := anchore.Import{
		Account: account, ID: r.ID, Status: r.status(now),
		CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated), ExpiresAt: table.Time(r.Expires),
	}
	for _, d := range r.Contents {
		imp.Contents = append(imp.Contents, d.domain())
	}
	return imp
}

func (d Document) domain() anchore.ImportContent {
	return anchore.ImportContent{Part: anchore.ImportPart(d.Part), Digest: hexOf(d.Blob), CreatedAt: table.Time(d.Created)}
}

const algorithm = "sha256:"

// hexOf and blobOf turn a blob's name into the digest that clients use, which has
// no algorithm, and back.
func hexOf(blob store.Digest) string { return string(blob[len(algorithm):]) }

func blobOf(digest string) (store.Digest, bool) {
	if !anchore.IsDigest(algorithm + digest) {
		return "", false
	}
	return store.Digest(algorithm + digest), true
}
