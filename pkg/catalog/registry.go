package catalog

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
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

// VerifyRegistry tries a credential out. Nil takes it as it is.
type VerifyRegistry func(context.Context, anchore.Registry) error

// AddRegistry stores a credential. Its name is normalised; it is verified before
// it is stored. Errors: Invalid for what is missing or malformed; Conflict if the
// account has a credential of that name; those of verify.
func (c *Catalog) AddRegistry(ctx context.Context, r anchore.Registry, verify VerifyRegistry) (stored anchore.Registry, err error) {
	const op = "catalog.AddRegistry"
	if err := normalise(&r); err != nil {
		return stored, err
	}
	exists := anchore.E(anchore.Conflict, op, "registry already exists in DB: %s; change it with anchore-cli registry update", r.Name)
	switch _, err := c.Registry(ctx, r.Account, r.Name); {
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
	err = c.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Find(tx, acct.No, r.Name)
		if err != nil {
			return err
		}
		if old != nil {
			return exists
		}
		row, err := c.sealedRegistry(acct.No, r)
		if err != nil {
			return err
		}
		row.Created, row.Updated = table.Nanos(now), table.Nanos(now)
		stored = row.Domain(acct.Name)
		return registry.Table.Insert(tx, row)
	})
	return stored, err
}

// RegistryUpdate is a change of a credential; nil fields stay. Name, where given,
// must name the credential itself.
type RegistryUpdate struct {
	Name     string
	Title    *string
	Type     *string
	User     *string
	Password *anchore.Secret
	Verify   *bool
}

// UpdateRegistry changes the account's credential of that name, at once for
// everything that asks the registry. Errors: as of AddRegistry, but NotFound if
// there is none, and Conflict for another name in u.
func (c *Catalog) UpdateRegistry(ctx context.Context, name, what string, u RegistryUpdate, verify VerifyRegistry) (stored anchore.Registry, err error) {
	const op = "catalog.UpdateRegistry"
	r, err := c.credential(ctx, name, what)
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
	err = c.changeRegistry(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Find(tx, acct.No, r.Name)
		if err != nil {
			return err
		}
		if old == nil {
			return anchore.E(anchore.NotFound, op, "could not find existing registry to update: %s", what)
		}
		row, err := c.sealedRegistry(acct.No, r)
		if err != nil {
			return err
		}
		row.Created, row.Updated = old.Created, table.Nanos(now) // Refused is forgotten: it was another login
		stored = row.Domain(acct.Name)
		return registry.Table.Replace(tx, old, row)
	})
	return stored, err
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

// DeleteRegistry removes the account's credential of that name, if there is one.
func (c *Catalog) DeleteRegistry(ctx context.Context, name, what string) error {
	what, err := anchore.ParseRegistryName(what)
	if err != nil {
		return nil // such a name cannot be stored
	}
	return c.changeRegistry(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, what)
		if err != nil || row == nil {
			return err
		}
		return registry.Table.Delete(tx, row)
	})
}

// Registries returns the account's credentials without their passwords, sorted by
// name.
func (c *Catalog) Registries(ctx context.Context, name string) ([]anchore.Registry, error) {
	var list []anchore.Registry
	err := c.eachRegistry(ctx, name, func(row *registry.Row) error {
		list = append(list, row.Domain(name))
		return nil
	})
	return list, err
}

// Registry returns the account's credential of that name without its password.
// Errors: NotFound.
func (c *Catalog) Registry(ctx context.Context, name, what string) (anchore.Registry, error) {
	r, err := c.credential(ctx, name, what)
	r.Password = ""
	return r, err
}

// credential is Registry with the password.
func (c *Catalog) credential(ctx context.Context, name, what string) (r anchore.Registry, err error) {
	missing := anchore.E(anchore.NotFound, "catalog.Registry", "registry not found in DB: %s", what)
	what, err = anchore.ParseRegistryName(what)
	if err != nil {
		return r, missing
	}
	err = c.view(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, what)
		if err != nil {
			return err
		}
		if row == nil {
			return missing
		}
		r, err = c.openRegistry(acct.Name, row)
		return err
	})
	return r, err
}

// RegistryFor returns the credential, with its password, that the account reads
// ref's repository with: of those that are for it the one with the longest name.
// It is answered from memory. Errors: NotFound for the account; Unavailable if the
// password cannot be decrypted.
func (c *Catalog) RegistryFor(ctx context.Context, name string, ref anchore.Reference) (r anchore.Registry, found bool, err error) {
	list, err := c.credentials.list(name, func() ([]anchore.Registry, error) {
		var list []anchore.Registry
		err := c.eachRegistry(ctx, name, func(row *registry.Row) error {
			r, err := c.openRegistry(name, row)
			list = append(list, r)
			return err
		})
		return list, err
	})
	if err != nil {
		return r, false, err
	}
	r, found = anchore.ForReference(list, ref)
	return r, found, nil
}

// RegistryRefused records that the registry refuses the login of r, as RegistryFor
// gave it, and raises an event the first time. It writes nothing if that is known,
// or if the credential was changed meanwhile.
func (c *Catalog) RegistryRefused(ctx context.Context, r anchore.Registry, reason string) (first bool, err error) {
	if !r.RefusedAt.IsZero() {
		return false, nil
	}
	st, err := c.stamp()
	if err != nil {
		return false, err
	}
	err = c.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Find(tx, acct.No, r.Name)
		first = err == nil && row != nil && row.Refused == 0 && row.Updated == table.Nanos(r.UpdatedAt)
		if err != nil || !first {
			return err
		}
		next := *row
		next.Refused = table.Nanos(st.now)
		if err := c.record(tx, acct, st, 0, anchore.Event{
			Type: anchore.EventRegistryLoginFailed, Level: anchore.Failure, Service: "catalog", Message: "Registry does not accept the credential",
			Resource: anchore.Resource{Type: "registry", ID: r.Name},
			Details:  map[string]any{"msg": reason, "registry_user": r.User},
		}); err != nil {
			return err
		}
		return registry.Table.Replace(tx, row, &next)
	})
	if err == nil && first {
		c.deliveryReady.wake()
	}
	return first, err
}

// RegistryAccepted records that the registry accepts the login of r again. It
// writes nothing if it was not refused before.
func (c *Catalog) RegistryAccepted(ctx context.Context, r anchore.Registry) error {
	if r.RefusedAt.IsZero() {
		return nil
	}
	return c.changeRegistry(ctx, r.Account, func(tx store.Tx, acct *account.Row) error {
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
func (c *Catalog) TagSource(ctx context.Context, name string, ref anchore.Reference) (source string, err error) {
	err = c.view(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := registry.Sources.Find(tx, registry.Key(acct.No, ref.String()))
		if row != nil {
			source = row.Source
		}
		return err
	})
	return source, err
}

// SetTagSource records what TagSource returns.
func (c *Catalog) SetTagSource(ctx context.Context, name string, ref anchore.Reference, source string) error {
	return c.update(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := registry.Sources.Find(tx, registry.Key(acct.No, ref.String()))
		if err != nil {
			return err
		}
		return registry.Sources.Replace(tx, old, &registry.SourceRow{Account: acct.No, Tag: ref.String(), Source: source})
	})
}

// changeRegistry is update for a function that changes the account's credentials.
// Whoever asks a registry for several accounts at once is told to look who shares
// a credential now.
func (c *Catalog) changeRegistry(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	err := c.update(ctx, name, fn)
	c.credentials.forget(name) // also after an error: it may have been committed
	c.subscriptionsChanged.wake()
	return err
}

// eachRegistry calls fn with the account's credentials in the order of their names.
func (c *Catalog) eachRegistry(ctx context.Context, name string, fn func(*registry.Row) error) error {
	var r store.Range
	for {
		var page []*registry.Row
		err := c.view(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
			r.Prefix = registry.Prefix(acct.No)
			page, err = registry.Table.Scan(tx, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := fn(row); err != nil {
				return err
			}
		}
		if len(page) < store.MaxPage {
			return nil
		}
		r.Start = table.After(registry.Table.Key(page[len(page)-1]))
	}
}

func (c *Catalog) sealedRegistry(no uint32, r anchore.Registry) (*registry.Row, error) {
	if c.seal == nil {
		return nil, errors.New("catalog: Config.Seal is needed to store passwords")
	}
	row := &registry.Row{Account: no, Name: r.Name, Title: r.Title, Type: string(r.Type), User: r.User, Verify: r.Verify}
	var err error
	row.Seal, row.Sealed, err = c.seal.Seal([]byte(r.Password.Reveal()), registry.About(no, r.Name))
	return row, err
}

func (c *Catalog) openRegistry(name string, row *registry.Row) (anchore.Registry, error) {
	r := row.Domain(name)
	if c.seal == nil {
		return r, errors.New("catalog: Config.Seal is needed to read passwords")
	}
	password, err := c.seal.Open(row.Seal, row.Sealed, registry.About(row.Account, row.Name))
	if err != nil {
		return r, anchore.E(anchore.Unavailable, "catalog.openRegistry", "the password for registry %s cannot be decrypted; set it again with anchore-cli registry update", row.Name).Because(err)
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

// credentials is a copy of the accounts' credentials with their passwords, since
// one is wanted for each request to a registry.
type credentials struct {
	mu    sync.RWMutex
	lists map[string][]anchore.Registry // by account, as anchore.ForReference wants them
}

// list returns the account's credentials, from read the first time.
func (s *credentials) list(account string, read func() ([]anchore.Registry, error)) ([]anchore.Registry, error) {
	s.mu.RLock()
	list, ok := s.lists[account]
	s.mu.RUnlock()
	if ok {
		return list, nil
	}
	// Read under the lock: forget, which follows each change, waits for it, so that
	// nothing older than the change stays.
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := read()
	if err != nil {
		return nil, err
	}
	anchore.SortRegistries(list)
	if s.lists == nil {
		s.lists = map[string][]anchore.Registry{}
	}
	s.lists[account] = list
	return list, nil
}

func (s *credentials) forget(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lists, account)
}
