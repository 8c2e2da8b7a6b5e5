// Package registry keeps the accounts' credentials for registries, with their
// passwords encrypted, and which of a registry's mirrors answers for a tag.
package registry

import (
	"bytes"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored credential. Sealed is its password, encrypted under the key Seal
// for About; without Seal, it was lost with its key.
type Row struct {
	Account uint32 `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	Title   string `cbor:"3,keyasint,omitempty"`
	Type    string `cbor:"4,keyasint"`
	User    string `cbor:"5,keyasint,omitempty"`
	Seal    string `cbor:"6,keyasint"`
	Sealed  []byte `cbor:"7,keyasint"`
	Verify  bool   `cbor:"8,keyasint"`
	Refused int64  `cbor:"9,keyasint,omitempty"` // when a login was first refused
	Created int64  `cbor:"10,keyasint"`
	Updated int64  `cbor:"11,keyasint"`
}

// SourceRow says which source of a registry with mirrors answers an account for a
// tag.
type SourceRow struct {
	Account uint32 `cbor:"1,keyasint"`
	Tag     string `cbor:"2,keyasint"`
	Source  string `cbor:"3,keyasint"`
}

// Table holds the credentials by (account, name); Sources the sources by (account,
// tag).
var (
	Table = table.Table[Row]{
		Bucket: "registry",
		Key:    func(r *Row) []byte { return Key(r.Account, r.Name) },
	}
	Sources = table.Table[SourceRow]{
		Bucket: "registry_source",
		Key:    func(r *SourceRow) []byte { return Key(r.Account, r.Tag) },
	}
)

// Key is a key of Table, and of Sources.
func Key(account uint32, name string) []byte { return table.Key{}.Uint32(account).Text(name) }

// Prefix is the start of the keys of an account's rows.
func Prefix(account uint32) []byte { return table.Key{}.Uint32(account) }

// About is what a password is encrypted for: in another row it does not open.
func About(account uint32, name string) []byte {
	return append([]byte("registry\x00"), Key(account, name)...)
}

// HasPassword reports whether the credential has a password that must be decrypted:
// there is none without a user, whatever is sealed.
func (r *Row) HasPassword() bool { return r.User != "" }

// Lost reports whether the password was lost with its key.
func (r *Row) Lost() bool { return r.HasPassword() && r.Seal == "" }

// SameAs reports whether no user changed the credential between the two rows. What is
// sealed differs with each change, also if the password does not.
func (r *Row) SameAs(old *Row) bool {
	return r.Updated == old.Updated && bytes.Equal(r.Sealed, old.Sealed)
}

// Find returns the account's credential of that name, or nil.
func Find(tx store.Tx, account uint32, name string) (*Row, error) {
	return Table.Find(tx, Key(account, name))
}

// Domain returns the credential in the engine's words, without its password.
func (r *Row) Domain(account string) anchore.Registry {
	return anchore.Registry{
		Account: account, Name: r.Name, Title: r.Title, Type: anchore.RegistryType(r.Type), User: r.User, Verify: r.Verify,
		RefusedAt: table.Time(r.Refused), CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated),
	}
}
