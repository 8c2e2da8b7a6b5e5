// Package change has what every change of state needs, whichever table it is in:
// the account that it belongs to, its identity, and the hints that it gives.
package change

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Hint says "look": there may be work. It holds one, and may be lost in a crash,
// so who waits for it also looks from time to time.
type Hint chan struct{}

// NewHint returns a hint that nobody has given yet.
func NewHint() Hint { return make(Hint, 1) }

// Wake gives the hint. It does not block.
func (h Hint) Wake() {
	select {
	case h <- struct{}{}:
	default: // one is waiting already
	}
}

// Stamp is the identity of one change: made outside of its transaction, which may
// run more than once.
type Stamp struct {
	Now    time.Time
	Nanos  int64 // of the cause: later than that of any other cause of this process
	Random uint64
	Hex    string // 32 random hexadecimal digits
}

// EventID is the id of the nth event of this change.
func (s Stamp) EventID(n int) string {
	return fmt.Sprintf("%s%04x", s.Hex[:28], uint16(n))
}

// Store is the store with transactions of one account and the identities of
// changes. Its methods may be called from many goroutines. It must not be copied.
type Store struct {
	store.Store
	Random io.Reader // of ids

	lastCause atomic.Int64 // instant of the newest cause, in nanoseconds since 1970
}

// Stamp makes the identity of a change.
func (s *Store) Stamp() (Stamp, error) {
	var raw [24]byte
	if _, err := io.ReadFull(s.Random, raw[:]); err != nil {
		return Stamp{}, fmt.Errorf("catalog: random bytes: %w", err)
	}
	now := time.Now().UTC()
	for {
		last := s.lastCause.Load()
		nanos := max(now.UnixNano(), last+1)
		if s.lastCause.CompareAndSwap(last, nanos) {
			return Stamp{Now: now, Nanos: nanos, Random: binary.BigEndian.Uint64(raw[:8]), Hex: hex.EncodeToString(raw[8:])}, nil
		}
	}
}

// Number returns the number of the account of that name, which no other account ever
// has: who acts on an account in several steps keeps to it, since the name may be
// another one's in between. Errors: NotFound.
func (s *Store) Number(ctx context.Context, name string) (no uint32, err error) {
	err = s.View(ctx, func(tx store.Tx) (err error) {
		no, err = account.NumberOf(tx, name)
		return err
	})
	return no, err
}

// UpdateAccount runs fn in a transaction with the account of that name. Errors:
// NotFound.
func (s *Store) UpdateAccount(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	return s.Update(ctx, func(tx store.Tx) error {
		acct, err := account.ByName(tx, name)
		if err != nil {
			return err
		}
		return fn(tx, acct)
	})
}

// ViewAccount runs fn on a snapshot with the account of that name. Errors:
// NotFound.
func (s *Store) ViewAccount(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	return s.View(ctx, func(tx store.Tx) error {
		acct, err := account.ByName(tx, name)
		if err != nil {
			return err
		}
		return fn(tx, acct)
	})
}
