// Package account keeps accounts and their users. Every key of an account's rows
// elsewhere begins with the account's number, which is never used again.
package account

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored account.
type Row struct {
	No      uint32 `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	Type    string `cbor:"3,keyasint"`
	State   string `cbor:"4,keyasint"`
	Email   string `cbor:"5,keyasint,omitempty"`
	Created int64  `cbor:"6,keyasint"`
	Updated int64  `cbor:"7,keyasint"`
}

// UserRow is a stored user. Hash is the password's, in PHC string format.
type UserRow struct {
	Name    string `cbor:"1,keyasint"`
	Account uint32 `cbor:"2,keyasint"`
	Hash    string `cbor:"3,keyasint"` // "" for none: nobody can log in
	Created int64  `cbor:"4,keyasint"`
	Updated int64  `cbor:"5,keyasint"`
	Hashed  int64  `cbor:"6,keyasint,omitempty"` // when the password was last set; 0 is at creation
}

const byName store.Bucket = "account_name"

// Table holds the accounts; Users the users of all accounts.
var (
	Table = table.Table[Row]{
		Bucket:  "account",
		Key:     func(r *Row) []byte { return table.Key{}.Uint32(r.No) },
		Indexes: []table.Index[Row]{{Bucket: byName, Keys: func(r *Row) [][]byte { return [][]byte{table.Key{}.Text(r.Name)} }}},
	}
	Users = table.Table[UserRow]{
		Bucket: "user",
		Key:    func(r *UserRow) []byte { return table.Key{}.Text(r.Name) },
	}
)

const counters store.Bucket = "counter"

// ErrNone is in the chain of each error that says that there is no account of a name.
var ErrNone = errors.New("there is no such account")

// Create stores a new account under the next number. Errors: Conflict if the name
// is taken.
func Create(tx store.Tx, a anchore.Account) (*Row, error) {
	_, err := tx.Get(byName, table.Key{}.Text(a.Name))
	if err == nil {
		return nil, anchore.E(anchore.Conflict, "account.Create", "account %q already exists", a.Name)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	no, err := nextNumber(tx)
	if err != nil {
		return nil, err
	}
	row := &Row{
		No: no, Name: a.Name, Type: string(a.Type), State: string(a.State), Email: a.Email,
		Created: table.Nanos(a.CreatedAt), Updated: table.Nanos(a.UpdatedAt),
	}
	return row, Table.Insert(tx, row)
}

func nextNumber(tx store.Tx) (uint32, error) {
	key := []byte("account")
	last, err := tx.Get(counters, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	no := uint32(1)
	if len(last) == 4 {
		no = binary.BigEndian.Uint32(last) + 1
	}
	return no, tx.Put(counters, key, binary.BigEndian.AppendUint32(nil, no))
}

// ByName returns an account. Errors: NotFound.
func ByName(tx store.Tx, name string) (*Row, error) {
	key, err := keyOf(tx, name)
	if err != nil {
		return nil, err
	}
	return Table.Get(tx, key)
}

// NumberOf returns the number of an account, for less than ByName reads. Errors:
// NotFound.
func NumberOf(tx store.Tx, name string) (uint32, error) {
	key, err := keyOf(tx, name)
	if err != nil {
		return 0, err
	}
	r := table.ReadKey(key)
	return r.Uint32(), r.Err()
}

func keyOf(tx store.Tx, name string) ([]byte, error) {
	key, err := tx.Get(byName, table.Key{}.Text(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, anchore.E(anchore.NotFound, "account.ByName", "account %q not found", name).Because(ErrNone)
	}
	return key, err
}

// ByNumber returns an account, or nil if it was deleted.
func ByNumber(tx store.Tx, no uint32) (*Row, error) {
	return Table.Find(tx, table.Key{}.Uint32(no))
}

// User returns a user, or nil if there is none of that name.
func User(tx store.Tx, name string) (*UserRow, error) {
	return Users.Find(tx, table.Key{}.Text(name))
}

// Domain returns the account in the engine's words.
func (r *Row) Domain() anchore.Account {
	return anchore.Account{
		Name: r.Name, Type: anchore.AccountType(r.Type), State: anchore.AccountState(r.State), Email: r.Email,
		CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated),
	}
}

// Domain returns the user in the engine's words.
func (r *UserRow) Domain(account string) anchore.User {
	u := anchore.User{Name: r.Name, Account: account, CreatedAt: table.Time(r.Created), UpdatedAt: table.Time(r.Updated)}
	if r.Hash != "" {
		u.Password = table.Time(cmp.Or(r.Hashed, r.Created))
	}
	return u
}

// UsersOf returns the users of the account with that number, by name. There are few
// users in all, so that it looks at each.
func UsersOf(tx store.Tx, account uint32) ([]*UserRow, error) {
	all, err := Users.All(tx, nil)
	return slices.DeleteFunc(all, func(u *UserRow) bool { return u.Account != account }), err
}
