package login

import (
	"context"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Accounts returns the accounts in the given state ("" is any), in the order in
// which they were made.
func (d *Directory) Accounts(ctx context.Context, state anchore.AccountState) (list []anchore.Account, err error) {
	err = account.Table.Each(ctx, d.store, nil, func(row *account.Row) error {
		if state == "" || row.State == string(state) {
			list = append(list, row.Domain())
		}
		return nil
	})
	return list, err
}

// AddAccount stores a new enabled account of type user, without users. Errors:
// Invalid for a name or address that cannot be one, Conflict if it is taken.
func (d *Directory) AddAccount(ctx context.Context, name, email string) (anchore.Account, error) {
	if err := anchore.CheckName("account", name); err != nil {
		return anchore.Account{}, err
	}
	if err := anchore.CheckEmail(email); err != nil {
		return anchore.Account{}, err
	}
	now := time.Now().UTC()
	a := anchore.Account{Name: name, Type: anchore.UserAccount, State: anchore.AccountEnabled, Email: email, CreatedAt: now, UpdatedAt: now}
	err := d.store.Update(ctx, func(tx store.Tx) error {
		_, err := account.Create(tx, a)
		return err
	})
	return a, err
}

// SetAccountState enables or disables an account. The users of a disabled one
// cannot log in and its tags are not watched; nothing is lost. Errors: NotFound;
// Invalid for the admin account, another state, or an account that is being deleted.
func (d *Directory) SetAccountState(ctx context.Context, name string, state anchore.AccountState) error {
	const op = "catalog.SetAccountState"
	if state != anchore.AccountEnabled && state != anchore.AccountDisabled {
		return anchore.E(anchore.Invalid, op, `the state of an account can be set to "enabled" or "disabled", not to %q`, state)
	}
	now := table.Nanos(time.Now())
	err := d.store.UpdateAccount(ctx, name, func(tx store.Tx, old *account.Row) error {
		switch {
		case old.Name == anchore.AdminAccount:
			return anchore.E(anchore.Invalid, op, "Cannot disable the admin account")
		case old.State == string(anchore.AccountDeleting):
			return anchore.E(anchore.Invalid, op, "Invalid account state change requested. Cannot go from state deleting to state %s", state)
		case old.State == string(state):
			return nil
		}
		next := *old
		next.State, next.Updated = string(state), now
		return account.Table.Replace(tx, old, &next)
	})
	if err == nil {
		d.subscriptionsChanged.Wake()
	}
	return err
}

// Users returns the users of an account, by name. Errors: NotFound.
func (d *Directory) Users(ctx context.Context, name string) (list []anchore.User, err error) {
	err = d.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		rows, err := account.UsersOf(tx, acct.No)
		list = make([]anchore.User, 0, len(rows))
		for _, row := range rows {
			list = append(list, row.Domain(name))
		}
		return err
	})
	return list, err
}

// AccountUser returns a user of the account. Errors: NotFound, also for a user of
// another one.
func (d *Directory) AccountUser(ctx context.Context, name, user string) (u anchore.User, err error) {
	err = d.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := userOf(tx, acct, user)
		if err == nil {
			u = row.Domain(name)
		}
		return err
	})
	return u, err
}

func userOf(tx store.Tx, acct *account.Row, user string) (*account.UserRow, error) {
	row, err := account.User(tx, user)
	if err == nil && (row == nil || row.Account != acct.No) {
		return nil, anchore.E(anchore.NotFound, "catalog.userOf", "User not found")
	}
	return row, err
}

// AddUser stores a new user of the account. Errors: NotFound for the account;
// Invalid for a name or password that cannot be one; Conflict if any account has a
// user of the name.
func (d *Directory) AddUser(ctx context.Context, name, user string, password anchore.Secret) (u anchore.User, err error) {
	if err := anchore.CheckName("user", user); err != nil {
		return u, err
	}
	hash, err := d.hash(password)
	if err != nil {
		return u, err
	}
	now := table.Nanos(time.Now())
	err = d.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		if acct.State == string(anchore.AccountDeleting) {
			return anchore.E(anchore.Conflict, "catalog.AddUser", "account %s is being deleted", name)
		}
		taken, err := account.User(tx, user)
		if err != nil {
			return err
		}
		if taken != nil {
			return anchore.E(anchore.Conflict, "catalog.AddUser", "User already exists")
		}
		row := &account.UserRow{Name: user, Account: acct.No, Hash: hash, Created: now, Updated: now, Hashed: now}
		u = row.Domain(name)
		return account.Users.Insert(tx, row)
	})
	return u, err
}

// hash checks a new password and returns what is stored of it.
func (d *Directory) hash(password anchore.Secret) (string, error) {
	if err := anchore.CheckPassword(password); err != nil {
		return "", err
	}
	return account.HashPassword(password.Reveal(), d.store.Random)
}

// SetPassword gives a user of the account a new password. Logins that were
// remembered end at once: they are remembered for the hash that they matched.
// Errors: NotFound; Invalid for a password that cannot be one.
func (d *Directory) SetPassword(ctx context.Context, name, user string, password anchore.Secret) (anchore.User, error) {
	hash, err := d.hash(password)
	if err != nil {
		return anchore.User{}, err
	}
	return d.changeUser(ctx, name, user, hash)
}

// RemovePassword leaves a user without a password, so that nobody can log in as the
// user. Errors: NotFound.
func (d *Directory) RemovePassword(ctx context.Context, name, user string) error {
	_, err := d.changeUser(ctx, name, user, "")
	return err
}

func (d *Directory) changeUser(ctx context.Context, name, user, hash string) (u anchore.User, err error) {
	now := table.Nanos(time.Now())
	err = d.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := userOf(tx, acct, user)
		if err != nil {
			return err
		}
		next := *old
		next.Hash, next.Hashed, next.Updated = hash, now, now
		u = next.Domain(name)
		return account.Users.Replace(tx, old, &next)
	})
	return u, err
}

// DeleteUser removes a user of the account. Errors: NotFound; Invalid for the user
// admin, without whom nobody could administer the engine.
func (d *Directory) DeleteUser(ctx context.Context, name, user string) error {
	return d.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := userOf(tx, acct, user)
		if err != nil {
			return err
		}
		if row.Name == anchore.AdminAccount {
			return anchore.E(anchore.Invalid, "catalog.DeleteUser", "User not allowed to be deleted due to system constraints")
		}
		return account.Users.Delete(tx, row)
	})
}
