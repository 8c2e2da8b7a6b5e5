// Package credential keeps the logins of registries, encrypted, and which source of
// a registry with mirrors answers for a tag.
package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Sealer encrypts what must be read again; seal.Ring is one. Its methods may be
// called inside a transaction.
type Sealer interface {
	// Seal encrypts text for what about says and returns the id of the key.
	Seal(text, about []byte) (id string, sealed []byte, err error)
	// Open is the reverse.
	Open(id string, sealed, about []byte) ([]byte, error)
	// Current is the id of the key that Seal uses.
	Current() string
}

// Keyring is the credentials of all accounts. Its methods may be called from many
// goroutines.
type Keyring struct {
	store                *change.Store
	recorder             *eventlog.Recorder
	seal                 Sealer
	copy                 *Copy
	subscriptionsChanged change.Hint
	told                 change.Hint // of the notifications of the events
}

// New builds a Keyring. With a nil sealer no password can be stored. changed is
// given with each change of a credential, told when an event was raised.
func New(s *change.Store, r *eventlog.Recorder, sealer Sealer, memory *Copy, changed, told change.Hint) *Keyring {
	return &Keyring{store: s, recorder: r, seal: sealer, copy: memory, subscriptionsChanged: changed, told: told}
}

// Verify tries a credential out. Nil takes it as it is.
type Verify func(context.Context, anchore.Registry) error

// AddRegistry stores a credential. Its name is normalised; it is verified before
// it is stored. Errors: Invalid for what is missing or malformed; Conflict if the
// account has a credential of that name; those of verify.
func (k *Keyring) AddRegistry(ctx context.Context, r anchore.Registry, verify Verify) (stored anchore.Registry, err error) {
	const op = "catalog.AddRegistry"
	if err := normalise(&r); err != nil {
		return stored, err
	}
	exists := anchore.E(anchore.Conflict, op, "registry already exists in DB: %s; change it with anchore-cli registry update", r.Name)
	switch _, err := k.Registry(ctx, r.Account, r.Name); {
	case err == nil:
		return stored, exists
	case anchore.KindOf(err) != anchore.NotFound:
		return stored, err
	}
	if verify != nil {
		if err := verify(ctx, r); err != nil {
			return stored, err
		}
	}
	now := time.Now().UTC()
	err = k.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Find(tx, acct.No, r.Name)
		if err != nil {
			return err
		}
		if old != nil {
			return exists
		}
		row, err := k.sealedRegistry(acct.No, r)
		if err != nil {
			return err
		}
		row.Created, row.Updated = table.Nanos(now), table.Nanos(now)
		stored = row.Domain(acct.Name)
		return registry.Table.Insert(tx, row)
	})
	return stored, err
}

// Update is a change of a credential; nil fields stay. Name, where given,
// must name the credential itself.
type Update struct {
	Name     string
	Title    *string
	Type     *string
	User     *string
	Password *anchore.Secret
	Verify   *bool
}

// UpdateRegistry changes the account's credential of that name, at once for
// everything that asks the registry. Errors: as of AddRegistry, but NotFound if
// there is none, Conflict for another name in u, or if it was changed while verify
// tried it out, and Forbidden if the password is to stay and cannot be decrypted.
func (k *Keyring) UpdateRegistry(ctx context.Context, name, what string, u Update, verify Verify) (stored anchore.Registry, err error) {
	const op = "catalog.UpdateRegistry"
	seen, r, err := k.toUpdate(ctx, name, what, u)
	if anchore.KindOf(err) == anchore.NotFound {
		return stored, anchore.E(anchore.NotFound, op, "could not find existing registry to update: %s", what)
	}
	if err != nil {
		return stored, err
	}
	if u.Name != "" {
		if same, err := anchore.ParseRegistryName(u.Name); err != nil || same != r.Name {
			return stored, anchore.E(anchore.Conflict, op, "registry name in path does not equal registry name in body")
		}
	}
	if u.Type != nil {
		r.Type = anchore.RegistryType(*u.Type)
	}
	set(&r.Title, u.Title)
	set(&r.User, u.User)
	set(&r.Password, u.Password)
	set(&r.Verify, u.Verify)
	if err := normalise(&r); err != nil {
		return stored, err
	}
	if verify != nil {
		if err := verify(ctx, r); err != nil {
			return stored, err
		}
	}
	now := time.Now().UTC()
	err = k.changeRegistry(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Find(tx, acct.No, r.Name)
		if err != nil {
			return err
		}
		if old == nil {
			return anchore.E(anchore.NotFound, op, "could not find existing registry to update: %s", what)
		}
		if !old.SameAs(seen) {
			return anchore.E(anchore.Conflict, op, "the credential for registry %s was changed by somebody else while this change was tried out; look at it with anchore-cli registry get %s, then update it again", r.Name, r.Name)
		}
		row, err := k.sealedRegistry(acct.No, r)
		if err != nil {
			return err
		}
		row.Created, row.Updated = old.Created, table.Nanos(now) // Refused is forgotten: it was another login
		stored = row.Domain(acct.Name)
		return registry.Table.Replace(tx, old, row)
	})
	return stored, err
}

// toUpdate is the credential that u changes, as it is stored, and in the engine's
// words, with the password if that stays: one that is replaced need not open.
func (k *Keyring) toUpdate(ctx context.Context, name, what string, u Update) (row *registry.Row, r anchore.Registry, err error) {
	row, err = k.row(ctx, name, what)
	switch {
	case err != nil:
		return nil, r, err
	case u.Password != nil:
		return row, row.Domain(name), nil
	}
	r, err = k.openRegistry(name, row)
	return row, r, err
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

// DeleteRegistry removes the account's credential of that name, if there is one.
func (k *Keyring) DeleteRegistry(ctx context.Context, name, what string) error {
	what, err := anchore.ParseRegistryName(what)
	if err != nil {
		return nil // such a name cannot be stored
	}
	return k.changeRegistry(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, what)
		if err != nil || row == nil {
			return err
		}
		return registry.Table.Delete(tx, row)
	})
}

// Registries returns the account's credentials without their passwords, sorted by
// name.
func (k *Keyring) Registries(ctx context.Context, name string) ([]anchore.Registry, error) {
	no, err := k.store.Number(ctx, name)
	if err != nil {
		return nil, err
	}
	var list []anchore.Registry
	err = registry.Table.Each(ctx, k.store, registry.Prefix(no), func(row *registry.Row) error {
		list = append(list, row.Domain(name))
		return nil
	})
	return list, err
}

// Registry returns the account's credential of that name without its password.
// Errors: NotFound.
func (k *Keyring) Registry(ctx context.Context, name, what string) (anchore.Registry, error) {
	row, err := k.row(ctx, name, what)
	if err != nil {
		return anchore.Registry{}, err
	}
	return row.Domain(name), nil
}

// row is the account's credential of that name. Errors: NotFound.
func (k *Keyring) row(ctx context.Context, name, what string) (row *registry.Row, err error) {
	missing := anchore.E(anchore.NotFound, "catalog.Registry", "registry not found in DB: %s", what)
	what, err = anchore.ParseRegistryName(what)
	if err != nil {
		return nil, missing
	}
	err = k.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
		row, err = registry.Find(tx, acct.No, what)
		if err == nil && row == nil {
			return missing
		}
		return err
	})
	return row, err
}

// RegistryFor returns the credential, with its password, that the account reads
// ref's repository with: of those that are for it the one with the longest name.
// All but the account's number is answered from memory. Errors: NotFound for the account; Forbidden if that
// password cannot be decrypted.
func (k *Keyring) RegistryFor(ctx context.Context, name string, ref anchore.Reference) (r anchore.Registry, found bool, err error) {
	no, err := k.store.Number(ctx, name)
	if err != nil {
		return r, false, err
	}
	all, err := k.copy.of(no, func() (all credentials, err error) {
		all.open = map[string]func() (anchore.Registry, error){}
		err = registry.Table.Each(ctx, k.store, registry.Prefix(no), func(row *registry.Row) error {
			all.list = append(all.list, row.Domain(name))
			all.open[row.Name] = sync.OnceValues(func() (anchore.Registry, error) { return k.openRegistry(name, row) })
			return nil
		})
		return all, err
	})
	if err != nil {
		return r, false, err
	}
	if r, found = anchore.ForReference(all.list, ref); !found {
		return r, false, nil
	}
	r, err = all.open[r.Name]()
	return r, err == nil, err
}

// RegistryRefused records that the registry refuses the login of r, as RegistryFor
// gave it, and raises an event the first time. It writes nothing if that is known,
// or if the credential was changed meanwhile.
func (k *Keyring) RegistryRefused(ctx context.Context, r anchore.Registry, reason string) (first bool, err error) {
	if !r.RefusedAt.IsZero() {
		return false, nil
	}
	st, err := k.store.Stamp()
	if err != nil {
		return false, err
	}
	err = k.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, r.Name)
		first = err == nil && row != nil && row.Refused == 0 && row.Updated == table.Nanos(r.UpdatedAt)
		if err != nil || !first {
			return err
		}
		next := *row
		next.Refused = table.Nanos(st.Now)
		if err := k.recorder.Record(tx, acct, st, 0, anchore.Event{
			Type: anchore.EventRegistryLoginFailed, Level: anchore.Failure, Service: "catalog", Message: "Registry does not accept the credential",
			Resource: anchore.Resource{Type: "registry", ID: r.Name},
			Details:  map[string]any{"msg": reason, "registry_user": r.User},
		}); err != nil {
			return err
		}
		return registry.Table.Replace(tx, row, &next)
	})
	if err == nil && first {
		k.told.Wake()
	}
	return first, err
}

// RegistryAccepted records that the registry accepts the login of r again. It
// writes nothing if it was not refused before.
func (k *Keyring) RegistryAccepted(ctx context.Context, r anchore.Registry) error {
	if r.RefusedAt.IsZero() {
		return nil
	}
	return k.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, r.Name)
		if err != nil || row == nil || row.Updated != table.Nanos(r.UpdatedAt) {
			return err
		}
		next := *row
		next.Refused = 0
		return registry.Table.Replace(tx, row, &next)
	})
}

// TagSource returns which source of a registry with mirrors answers the account
// for the tag, or the repository if ref has no tag; "" if that was never seen.
func (k *Keyring) TagSource(ctx context.Context, name string, ref anchore.Reference) (source string, err error) {
	err = k.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Sources.Find(tx, registry.Key(acct.No, ref.String()))
		if row != nil {
			source = row.Source
		}
		return err
	})
	return source, err
}

// SetTagSource records what TagSource returns.
func (k *Keyring) SetTagSource(ctx context.Context, name string, ref anchore.Reference, source string) error {
	return k.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Sources.Find(tx, registry.Key(acct.No, ref.String()))
		if err != nil {
			return err
		}
		return registry.Sources.Replace(tx, old, &registry.SourceRow{Account: acct.No, Tag: ref.String(), Source: source})
	})
}

// settlePage is how many sources one transaction changes: each is read and written once.
const settlePage = 25

// SettleSources makes the registry itself the source of the tags that a mirror answered
// for, where hasMirrors does not report that it has any now: it has answered since they
// were gone, and a mirror that comes back is no news of the tag. It writes nothing if
// there are none.
func (k *Keyring) SettleSources(ctx context.Context, hasMirrors func(registry string) bool) error {
	var stale []*registry.SourceRow
	err := registry.Sources.Each(ctx, k.store, nil, func(row *registry.SourceRow) error {
		host, _, _ := strings.Cut(row.Tag, "/")
		if row.Source != host && !hasMirrors(host) {
			stale = append(stale, row)
		}
		return nil
	})
	for rows := range slices.Chunk(stale, settlePage) {
		if err == nil {
			err = k.store.Update(ctx, func(tx store.Tx) error { return settle(tx, rows) })
		}
	}
	return err
}

func settle(tx store.Tx, rows []*registry.SourceRow) error {
	for _, row := range rows {
		old, err := registry.Sources.Find(tx, registry.Key(row.Account, row.Tag))
		if err != nil {
			return err
		}
		if old == nil || old.Source != row.Source {
			continue // the account is gone
		}
		next := *old
		next.Source, _, _ = strings.Cut(row.Tag, "/")
		if err := registry.Sources.Replace(tx, old, &next); err != nil {
			return err
		}
	}
	return nil
}

// changeRegistry is update for a function that changes the account's credentials.
// Whoever asks a registry for several accounts at once is told to look who shares
// a credential now.
func (k *Keyring) changeRegistry(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	var no uint32
	err := k.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		no = acct.No
		return fn(tx, acct)
	})
	k.copy.Forget(no) // also after an error: what ran last may have been committed
	k.subscriptionsChanged.Wake()
	return err
}

func (k *Keyring) sealedRegistry(no uint32, r anchore.Registry) (*registry.Row, error) {
	if k.seal == nil {
		return nil, errors.New("catalog: Config.Seal is needed to store passwords")
	}
	row := &registry.Row{Account: no, Name: r.Name, Title: r.Title, Type: string(r.Type), User: r.User, Verify: r.Verify}
	var err error
	row.Seal, row.Sealed, err = k.seal.Seal([]byte(r.Password.Reveal()), registry.About(no, r.Name))
	return row, err
}

// openRegistry is the credential with its password. Errors: Forbidden if that cannot
// be decrypted, or was lost, and ErrNotAsked. Not Unavailable: the registry works, and
// other accounts read it.
func (k *Keyring) openRegistry(name string, row *registry.Row) (anchore.Registry, error) {
	const op = "catalog.openRegistry"
	r := row.Domain(name)
	switch {
	case !row.HasPassword():
		return r, nil
	case row.Lost():
		return r, anchore.E(anchore.Forbidden, op, "the password for registry %s was lost with the key; set it with anchore-cli registry update %s %s -", row.Name, row.Name, row.User).Because(anchore.ErrNotAsked)
	case k.seal == nil:
		return r, errors.New("catalog: Config.Seal is needed to read passwords")
	}
	password, err := k.seal.Open(row.Seal, row.Sealed, registry.About(row.Account, row.Name))
	if err != nil {
		return r, anchore.E(anchore.Forbidden, op, "the password for registry %s cannot be decrypted; set it again with anchore-cli registry update %s %s -", row.Name, row.Name, row.User).Because(fmt.Errorf("%w: %w", anchore.ErrNotAsked, err))
	}
	r.Password = anchore.Secret(password)
	return r, nil
}

// Limits of a credential. Google's keys, the longest passwords in use, have 2400
// bytes.
const (
	maxRegistryText     = 1 << 10
	maxRegistryPassword = 32 << 10
)

// normalise checks r and puts it in its stored form.
func normalise(r *anchore.Registry) (err error) {
	const op = "catalog.normalise"
	if r.Name, err = anchore.ParseRegistryName(r.Name); err != nil {
		return err
	}
	if r.Type, err = anchore.ParseRegistryType(string(r.Type)); err != nil {
		return err
	}
	if r.Title == "" {
		r.Title = r.Name
	}
	control := func(c rune) bool { return c < ' ' || c == 0x7f }
	switch {
	case len(r.Title) > maxRegistryText || len(r.User) > maxRegistryText:
		return anchore.E(anchore.Invalid, op, "registry_name and registry_user may have %d bytes each", maxRegistryText)
	case len(r.Password) > maxRegistryPassword:
		return anchore.E(anchore.Invalid, op, "registry_pass may have %d bytes", maxRegistryPassword)
	case strings.ContainsFunc(r.Title, control) || strings.ContainsFunc(r.User, control):
		return anchore.E(anchore.Invalid, op, "registry_name and registry_user may hold no control characters")
	case strings.Contains(r.User, ":") && r.Type == anchore.RegistryDocker:
		return anchore.E(anchore.Invalid, op, "registry_user may hold no colon: HTTP's login cannot carry it")
	case r.User == "" && r.Password != "":
		return anchore.E(anchore.Invalid, op, "registry_pass is given without registry_user")
	}
	return nil
}
