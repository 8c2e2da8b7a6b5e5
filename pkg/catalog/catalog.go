// Package catalog holds every change of state. One change, its event and the
// cause of its notifications are one transaction; nothing else writes to the
// store. What owns rows is in the packages below; this one holds what spans them.
package catalog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Config is what a Catalog is built from. Store and Blobs are required.
type Config struct {
	Store store.Store
	Blobs store.Blobs
	Seal  Sealer // of registry passwords; nil: none can be stored
	// Endpoints names the endpoints that receive notifications of a type; nil is
	// none. It is asked when a notification is routed, inside a transaction, so it
	// only looks at the configuration.
	Endpoints func(anchore.SubscriptionType) []string
	// Subscriptions says which types adding an image creates, and whether active.
	// Nil is DefaultSubscriptions.
	Subscriptions map[anchore.SubscriptionType]bool
	// NotifyRebuilds asks for a tag_update also when only the index around the
	// same image changed.
	NotifyRebuilds bool
	// EventLog says whether events of a level become event_log notifications. Nil:
	// none do. It is asked inside a transaction.
	EventLog func(anchore.Level) bool
	HostID   string // of this engine, in notifications of events
	BaseURL  string // where it answers, in notifications of events
	// PublicURL is where clients reach the engine: the links in notifications begin
	// with it. Empty leaves them as paths.
	PublicURL string
	Log       *slog.Logger // nil discards
	Random    io.Reader    // of ids and salts; nil is crypto/rand
}

// DefaultSubscriptions is what adding an image by tag creates.
func DefaultSubscriptions() map[anchore.SubscriptionType]bool {
	return map[anchore.SubscriptionType]bool{
		anchore.AnalysisUpdate: true,
		anchore.PolicyEval:     false,
		anchore.TagUpdate:      true,
		anchore.VulnUpdate:     false,
	}
}

// Catalog is the state of the engine. Its methods may be called from many
// goroutines. Errors are *anchore.Error where the caller can do something about
// them; others are the store's.
type Catalog struct {
	store          store.Store
	blobs          store.Blobs
	seal           Sealer
	endpoints      func(anchore.SubscriptionType) []string
	defaults       map[anchore.SubscriptionType]bool
	notifyRebuilds bool
	eventLog       func(anchore.Level) bool
	hostID         string
	publicURL      string
	baseURL        string
	log            *slog.Logger
	random         io.Reader
	logins         *logins
	credentials    credentials

	lastCause atomic.Int64 // instant of the newest cause, in nanoseconds since 1970

	subscriptionsChanged hint
	analysisReady        hint
	causesReady          hint
	deliveryReady        hint
}

// New builds a Catalog. It reads and writes nothing.
func New(cfg Config) (*Catalog, error) {
	if cfg.Store == nil || cfg.Blobs == nil {
		return nil, errors.New("catalog.New: Store and Blobs are required")
	}
	c := &Catalog{
		store: cfg.Store, blobs: cfg.Blobs, seal: cfg.Seal, endpoints: cfg.Endpoints, defaults: cfg.Subscriptions,
		notifyRebuilds: cfg.NotifyRebuilds, eventLog: cfg.EventLog, hostID: cfg.HostID, baseURL: cfg.BaseURL, publicURL: strings.TrimSuffix(cfg.PublicURL, "/"), log: cfg.Log, random: cfg.Random,
		subscriptionsChanged: newHint(), analysisReady: newHint(), causesReady: newHint(), deliveryReady: newHint(),
	}
	if c.endpoints == nil {
		c.endpoints = func(anchore.SubscriptionType) []string { return nil }
	}
	if c.eventLog == nil {
		c.eventLog = func(anchore.Level) bool { return false }
	}
	if c.defaults == nil {
		c.defaults = DefaultSubscriptions()
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.random == nil {
		c.random = rand.Reader
	}
	var err error
	c.logins, err = newLogins(c.random)
	return c, err
}

// hint says "look": there may be work. It holds one, and may be lost in a crash,
// so who waits for it also looks from time to time.
type hint chan struct{}

func newHint() hint { return make(hint, 1) }

func (h hint) wake() {
	select {
	case h <- struct{}{}:
	default: // one is waiting already
	}
}

// SubscriptionsChanged hints that the set of watched tags may have changed.
func (c *Catalog) SubscriptionsChanged() <-chan struct{} { return c.subscriptionsChanged }

// AnalysisReady hints that an analysis may be due.
func (c *Catalog) AnalysisReady() <-chan struct{} { return c.analysisReady }

// stamp is the identity of one change: made outside of its transaction, which may
// run more than once.
type stamp struct {
	now    time.Time
	nanos  int64 // of the cause: later than that of any other cause of this process
	random uint64
	hex    string // 32 random hexadecimal digits
}

func (c *Catalog) stamp() (stamp, error) {
	var raw [24]byte
	if _, err := io.ReadFull(c.random, raw[:]); err != nil {
		return stamp{}, fmt.Errorf("catalog: random bytes: %w", err)
	}
	now := time.Now().UTC()
	for {
		last := c.lastCause.Load()
		nanos := max(now.UnixNano(), last+1)
		if c.lastCause.CompareAndSwap(last, nanos) {
			return stamp{now: now, nanos: nanos, random: binary.BigEndian.Uint64(raw[:8]), hex: hex.EncodeToString(raw[8:])}, nil
		}
	}
}

// eventID is the id of the nth event of this change.
func (s stamp) eventID(n int) string {
	return fmt.Sprintf("%s%04x", s.hex[:28], uint16(n))
}

// update runs fn in a transaction with the account of that name.
func (c *Catalog) update(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	return c.store.Update(ctx, func(tx store.Tx) error {
		acct, err := account.ByName(tx, name)
		if err != nil {
			return err
		}
		return fn(tx, acct)
	})
}

// view runs fn on a snapshot with the account of that name.
func (c *Catalog) view(ctx context.Context, name string, fn func(store.Tx, *account.Row) error) error {
	return c.store.View(ctx, func(tx store.Tx) error {
		acct, err := account.ByName(tx, name)
		if err != nil {
			return err
		}
		return fn(tx, acct)
	})
}
