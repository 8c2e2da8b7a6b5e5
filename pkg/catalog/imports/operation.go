package imports

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Lifetime is how long a client may take to complete an import, and how long it is
// shown afterwards: the original's.
const Lifetime = 24 * time.Hour

// MaxDocuments is how many documents an import takes. A client that corrects one
// hands it in again.
const MaxDocuments = 20 // with four imports, a transaction stays below store.MaxKeys

// MaxPending is how many imports an account may have that are neither complete nor
// given up nor expired: each holds its documents.
const MaxPending = 100

// Operations are the imports of all accounts. Its methods may be called from many
// goroutines.
type Operations struct {
	store *change.Store
	blobs store.Blobs
	begin sync.Mutex // from the count of the pending imports to the next one
}

// New builds the Operations.
func New(s *change.Store, blobs store.Blobs) *Operations { return &Operations{store: s, blobs: blobs} }

// NewImport begins an import. Errors: NotFound for the account; Limited if it has
// MaxPending of them.
func (o *Operations) NewImport(ctx context.Context, name string) (imp anchore.Import, err error) {
	o.begin.Lock() // they are counted outside the transaction, which cannot read as many keys
	defer o.begin.Unlock()
	if err := o.hasRoom(ctx, name); err != nil {
		return imp, err
	}
	st, err := o.store.Stamp()
	if err != nil {
		return imp, err
	}
	err = o.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row := &Row{
			Account: acct.No, ID: st.Hex, Status: string(anchore.ImportPending),
			Created: table.Nanos(st.Now), Updated: table.Nanos(st.Now), Expires: table.Nanos(st.Now.Add(Lifetime)),
		}
		imp = row.domain(name, st.Now)
		return Table.Insert(tx, row)
	})
	return imp, err
}

// hasRoom says whether the account may begin another import.
func (o *Operations) hasRoom(ctx context.Context, name string) error {
	now, pending := time.Now(), 0
	err := o.each(ctx, name, func(row *Row) error {
		if row.status(now) == anchore.ImportPending {
			pending++
		}
		return nil
	})
	if err == nil && pending >= MaxPending {
		err = anchore.E(anchore.Limited, "imports.NewImport", "account %s has %d imports that are not complete, the most that it may have; complete some, or give them up with DELETE /imports/images/{id}", name, pending)
	}
	return err
}

// Import returns an import of the account. Errors: NotFound.
func (o *Operations) Import(ctx context.Context, name, id string) (imp anchore.Import, err error) {
	now := time.Now()
	err = o.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := get(tx, acct.No, id)
		if err == nil {
			imp = row.domain(name, now)
		}
		return err
	})
	return imp, err
}

// Imports returns the imports of the account, by id. Errors: NotFound for the
// account.
func (o *Operations) Imports(ctx context.Context, name string) (list []anchore.Import, err error) {
	now := time.Now()
	err = o.each(ctx, name, func(row *Row) error {
		list = append(list, row.domain(name, now))
		return nil
	})
	return list, err
}

// each calls fn with the imports of the account, by id.
func (o *Operations) each(ctx context.Context, name string, fn func(*Row) error) error {
	no, err := o.store.Number(ctx, name)
	if err != nil {
		return err
	}
	return Table.Each(ctx, o.store, table.Key{}.Uint32(no), fn)
}

// AddImportContent stores a document of an import; the same one twice is one.
// Errors: NotFound; Conflict if the import takes no more documents; those of r.
func (o *Operations) AddImportContent(ctx context.Context, name, id string, part anchore.ImportPart, r io.Reader) (anchore.ImportContent, error) {
	if err := o.pending(ctx, name, id); err != nil {
		return anchore.ImportContent{}, err // before anything is stored for it
	}
	blob, err := o.blobs.Put(ctx, r)
	if err != nil {
		return anchore.ImportContent{}, err
	}
	now := time.Now()
	document := Document{Part: string(part), Blob: blob, Created: table.Nanos(now)}
	err = o.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := Pending(tx, acct.No, id, now)
		if err != nil || row.has(part, blob) {
			return err
		}
		if len(row.Contents) >= MaxDocuments {
			return anchore.E(anchore.Conflict, "imports.AddImportContent", "import %s has %d documents, the most that one takes; begin another one", id, MaxDocuments)
		}
		next := *row
		next.Contents = append(row.Contents[:len(row.Contents):len(row.Contents)], document)
		next.Updated = table.Nanos(now)
		return Table.Replace(tx, row, &next)
	})
	return document.domain(), err
}

func (o *Operations) pending(ctx context.Context, name, id string) error {
	now := time.Now()
	return o.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		_, err := Pending(tx, acct.No, id, now)
		return err
	})
}

// OpenImportContent opens a document of an import that is pending, by its digest,
// and says as which blob it is stored. Errors: NotFound for the import; Conflict if
// it is not pending; Invalid if it has no such document.
func (o *Operations) OpenImportContent(ctx context.Context, name, id string, part anchore.ImportPart, digest string) (io.ReadCloser, store.Digest, error) {
	now := time.Now()
	blob, ok := blobOf(digest)
	err := o.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := Pending(tx, acct.No, id, now)
		if err == nil && !(ok && row.has(part, blob)) {
			err = anchore.E(anchore.Invalid, "imports.OpenImportContent", "One or more referenced content digests not found for the operation id: %s %.80q was not handed in", part, digest)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	r, err := o.blobs.Open(ctx, blob)
	return r, blob, err
}

// CancelImport gives an import up: its documents are thrown away. Errors: NotFound;
// Conflict if it is complete.
func (o *Operations) CancelImport(ctx context.Context, name, id string) (imp anchore.Import, err error) {
	now := time.Now()
	err = o.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := get(tx, acct.No, id)
		if err != nil {
			return err
		}
		next := *row
		switch anchore.ImportStatus(row.Status) {
		case anchore.ImportComplete:
			return anchore.E(anchore.Conflict, "imports.CancelImport", "import %s is complete; delete its image instead", id)
		case anchore.ImportPending:
			next.Status, next.Updated = string(anchore.ImportInvalidated), table.Nanos(now)
		}
		imp = next.domain(name, now)
		return Table.Replace(tx, row, &next)
	})
	return imp, err
}

// removePage is how many imports one transaction removes: each is up to four keys
// and one for each document.
const removePage = 4

// Sweep throws away the imports whose time is over. It writes nothing if there are
// none.
func Sweep(ctx context.Context, s store.Store) error {
	now := table.Nanos(time.Now())
	return remove(ctx, s, func(tx store.Tx) ([]*Row, error) {
		rows, err := Table.By(tx, byExpiry, store.Range{Limit: removePage})
		return slices.DeleteFunc(rows, func(r *Row) bool { return r.Expires > now }), err
	})
}

// Purge removes all imports of an account.
func Purge(ctx context.Context, s store.Store, account uint32) error {
	return remove(ctx, s, func(tx store.Tx) ([]*Row, error) {
		return Table.Scan(tx, store.Range{Prefix: table.Key{}.Uint32(account), Limit: removePage})
	})
}

// remove removes the imports that find gives, until it gives none.
func remove(ctx context.Context, s store.Store, find func(store.Tx) ([]*Row, error)) error {
	for {
		n := 0
		err := s.Update(ctx, func(tx store.Tx) error {
			rows, err := find(tx)
			for _, row := range rows {
				if err := Table.Delete(tx, row); err != nil {
					return err
				}
			}
			n = len(rows)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
