package catalog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Bootstrapped reports whether the admin account exists.
func (c *Catalog) Bootstrapped(ctx context.Context) (bool, error) {
	_, err := c.Account(ctx, anchore.AdminAccount)
	if anchore.KindOf(err) == anchore.NotFound {
		return false, nil
	}
	return err == nil, err
}

// CreateAccount stores a new account with one user of the same name. Errors:
// Conflict if either name is taken.
func (c *Catalog) CreateAccount(ctx context.Context, a anchore.Account, password anchore.Secret) error {
	hash, err := account.HashPassword(password.Reveal(), c.random)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	a.CreatedAt, a.UpdatedAt = now, now
	if a.State == "" {
		a.State = anchore.AccountEnabled
	}
	defer c.credentials.forget(a.Name) // of an account that had the name before
	return c.store.Update(ctx, func(tx store.Tx) error {
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
func (c *Catalog) Account(ctx context.Context, name string) (anchore.Account, error) {
	var a anchore.Account
	err := c.view(ctx, name, func(_ store.Tx, row *account.Row) error {
		a = row.Domain()
		return nil
	})
	return a, err
}

// User returns a user. Errors: NotFound.
func (c *Catalog) User(ctx context.Context, name string) (anchore.User, error) {
	user, _, err := c.user(ctx, name)
	return user, err
}

func (c *Catalog) user(ctx context.Context, name string) (user anchore.User, hash string, err error) {
	err = c.store.View(ctx, func(tx store.Tx) error {
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
func (c *Catalog) Authenticate(ctx context.Context, name string, password anchore.Secret) (anchore.User, error) {
	user, hash, err := c.user(ctx, name)
	if err != nil && anchore.KindOf(err) != anchore.NotFound {
		return anchore.User{}, err
	}
	refused := anchore.E(anchore.Unauthorized, "catalog.Authenticate", "user name or password is wrong")
	if c.logins.known(name, hash, password) {
		return user, nil
	}
	right, verr := c.logins.verify(ctx, hash, password)
	if verr != nil {
		return anchore.User{}, verr
	}
	if err != nil || !right {
		return anchore.User{}, refused
	}
	c.logins.remember(name, hash, password)
	return user, nil
}

const (
	loginTTL  = time.Minute
	maxLogins = 1024
	// hashersAtOnce bounds the memory (19 MiB each) that logins may take.
	hashersAtOnce = 2
)

// logins remembers logins that were right, by a keyed hash of user, password
// hash and password: the passwords themselves are not kept.
type logins struct {
	key     []byte
	decoy   func() (string, error) // a hash to verify against for an unknown user, so that it takes as long
	hashers chan struct{}

	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

func newLogins(random io.Reader) (*logins, error) {
	key := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("catalog: login key: %w", err)
	}
	return &logins{
		key:     key,
		decoy:   sync.OnceValues(func() (string, error) { return account.HashPassword(string(key), random) }),
		hashers: make(chan struct{}, hashersAtOnce),
		until:   map[[sha256.Size]byte]time.Time{},
	}, nil
}

func (l *logins) tag(name, hash string, password anchore.Secret) (tag [sha256.Size]byte) {
	mac := hmac.New(sha256.New, l.key)
	for _, part := range []string{name, hash, password.Reveal()} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	mac.Sum(tag[:0])
	return tag
}

func (l *logins) known(name, hash string, password anchore.Secret) bool {
	tag := l.tag(name, hash, password)
	l.mu.Lock()
	defer l.mu.Unlock()
	return hash != "" && time.Now().Before(l.until[tag])
}

func (l *logins) remember(name, hash string, password anchore.Secret) {
	tag := l.tag(name, hash, password)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) >= maxLogins {
		clear(l.until)
	}
	l.until[tag] = time.Now().Add(loginTTL)
}

func (l *logins) verify(ctx context.Context, hash string, password anchore.Secret) (bool, error) {
	select {
	case l.hashers <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-l.hashers }()
	if hash == "" {
		decoy, err := l.decoy()
		if err != nil {
			return false, err
		}
		_, err = account.VerifyPassword(decoy, password.Reveal())
		return false, err
	}
	return account.VerifyPassword(hash, password.Reveal())
}
