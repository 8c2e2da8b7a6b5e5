// Package login keeps the accounts and their users, and checks passwords.
package login

import (
	"context"
	"fmt"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Directory is the accounts and users. Its methods may be called from many
// goroutines.
type Directory struct {
	store                *change.Store
	logins               *logins
	subscriptionsChanged change.Hint
}

// New builds a Directory. changed is given when an account's tags begin or cease to be
// watched.
func New(s *change.Store, changed change.Hint) (*Directory, error) {
	logins, err := newLogins(s.Random)
	return &Directory{store: s, logins: logins, subscriptionsChanged: changed}, err
}

// Bootstrapped reports whether the admin account exists.
func (d *Directory) Bootstrapped(ctx context.Context) (bool, error) {
	_, err := d.Account(ctx, anchore.AdminAccount)
	if anchore.KindOf(err) == anchore.NotFound {
		return false, nil
	}
	return err == nil, err
}

// CreateAccount stores a new account with one user of the same name. Errors:
// Conflict if either name is taken.
func (d *Directory) CreateAccount(ctx context.Context, a anchore.Account, password anchore.Secret) error {
	hash, err := account.HashPassword(password.Reveal(), d.store.Random)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	a.CreatedAt, a.UpdatedAt = now, now
	if a.State == "" {
		a.State = anchore.AccountEnabled
	}
	return d.store.Update(ctx, func(tx store.Tx) error {
		row, err := account.Create(tx, a)
		if err != nil {
			return err
		}
		taken, err := account.User(tx, a.Name)
		if err != nil {
			return err
		}
		if taken != nil {
			return anchore.E(anchore.Conflict, "catalog.CreateAccount", "user %q already exists", a.Name)
		}
		return account.Users.Insert(tx, &account.UserRow{Name: a.Name, Account: row.No, Hash: hash, Created: row.Created, Updated: row.Updated})
	})
}

// Account returns an account. Errors: NotFound.
func (d *Directory) Account(ctx context.Context, name string) (anchore.Account, error) {
	var a anchore.Account
	err := d.store.ViewAccount(ctx, name, func(_ store.Tx, row *account.Row) error {
		a = row.Domain()
		return nil
	})
	return a, err
}

// User returns a user. Errors: NotFound.
func (d *Directory) User(ctx context.Context, name string) (anchore.User, error) {
	user, _, err := d.user(ctx, name)
	return user, err
}

func (d *Directory) user(ctx context.Context, name string) (user anchore.User, hash string, err error) {
	err = d.store.View(ctx, func(tx store.Tx) error {
		row, err := account.User(tx, name)
		if err != nil {
			return err
		}
		if row == nil {
			return anchore.E(anchore.NotFound, "catalog.User", "user %q not found", name)
		}
		acct, err := account.ByNumber(tx, row.Account)
		if err != nil {
			return err
		}
		if acct == nil {
			return fmt.Errorf("catalog.User: user %q belongs to no account", name)
		}
		user = row.Domain(acct.Name)
		hash = row.Hash
		return nil
	})
	return user, hash, err
}

// Authenticate returns the user if the password is right. A login that was right
// is remembered for a minute, so that a request does not pay the hash; a changed
// password ends that at once. Errors: Unauthorized.
func (d *Directory) Authenticate(ctx context.Context, name string, password anchore.Secret) (anchore.User, error) {
	user, hash, err := d.user(ctx, name)
	if err != nil && anchore.KindOf(err) != anchore.NotFound {
		return anchore.User{}, err
	}
	refused := anchore.E(anchore.Unauthorized, "catalog.Authenticate", "user name or password is wrong")
	if d.logins.known(name, hash, password) {
		return user, nil
	}
	right, verr := d.logins.verify(ctx, hash, password)
	if verr != nil {
		return anchore.User{}, verr
	}
	if err != nil || !right {
		return anchore.User{}, refused
	}
	d.logins.remember(name, hash, password)
	return user, nil
}
