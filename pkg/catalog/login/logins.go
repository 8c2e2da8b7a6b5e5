package login

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
)

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
