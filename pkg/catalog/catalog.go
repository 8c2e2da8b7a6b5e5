// Package catalog holds every change of state. One change, its event and the
// cause of its notifications are one transaction; nothing else writes to the
// store. What owns rows is in the packages below; this one holds what spans them.
package catalog

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/analysis"
	"github.com/anchore/anchore-engine/pkg/catalog/announce"
	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/credential"
	"github.com/anchore/anchore-engine/pkg/catalog/delivery"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/catalog/login"
	"github.com/anchore/anchore-engine/pkg/catalog/watchlist"
	"github.com/anchore/anchore-engine/pkg/store"
)

// The words of the packages below that callers of a Catalog use.
type (
	Delivery           = delivery.Delivery
	DeliveryResult     = delivery.Result
	EndpointState      = delivery.EndpointState
	Notified           = delivery.Notified
	EventFilter        = eventlog.Filter
	RegistryUpdate     = credential.Update
	VerifyRegistry     = credential.Verify
	Sealer             = credential.Sealer
	Job                = analysis.Job
	Source             = analysis.Source
	AnalysisResult     = analysis.Result
	SubscriptionFilter = watchlist.Filter
	SubscriptionUpdate = watchlist.Update
	WatchedRepository  = watchlist.WatchedRepository
)

// ErrStoreFailing is in the chain of each error that says that the engine's own store
// cannot serve, and not whom the engine asks.
var ErrStoreFailing = store.ErrFailing

// ErrNoAccount is in the chain of each error that says that there is no account of a
// name: it was deleted, or never was.
var ErrNoAccount = account.ErrNone

// MaxClaim is how many deliveries one claim gives at most.
const MaxClaim = delivery.MaxClaim

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
	// BaseURL is where clients reach the engine, without a slash at its end: it
	// stands in notifications of events, and links begin with it.
	BaseURL string
	Log     *slog.Logger // nil discards
	Random  io.Reader    // of ids and salts; nil is crypto/rand
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
	*eventlog.Log
	*delivery.Queue
	*login.Directory
	*credential.Keyring
	*watchlist.List
	*analysis.Analyses
	*announce.Announcer
	*imports.Operations
	*archive.Archive

	store          *change.Store
	blobs          store.Blobs
	defaults       map[anchore.SubscriptionType]bool
	notifyRebuilds bool
	recorder       *eventlog.Recorder
	passwords      *credential.Copy

	subscriptionsChanged change.Hint
	analysisReady        change.Hint
	causesReady          change.Hint
	deliveryReady        change.Hint
}

// New builds a Catalog. It reads and writes nothing.
func New(cfg Config) (*Catalog, error) {
	if cfg.Store == nil || cfg.Blobs == nil {
		return nil, errors.New("catalog.New: Store and Blobs are required")
	}
	if cfg.Endpoints == nil {
		cfg.Endpoints = func(anchore.SubscriptionType) []string { return nil }
	}
	if cfg.EventLog == nil {
		cfg.EventLog = func(anchore.Level) bool { return false }
	}
	if cfg.Subscriptions == nil {
		cfg.Subscriptions = DefaultSubscriptions()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	c := &Catalog{
		store: &change.Store{Store: cfg.Store, Random: cfg.Random}, blobs: cfg.Blobs, defaults: cfg.Subscriptions,
		notifyRebuilds: cfg.NotifyRebuilds,
		recorder: eventlog.NewRecorder(eventlog.Config{
			Endpoints: cfg.Endpoints, EventLog: cfg.EventLog, HostID: cfg.HostID, BaseURL: cfg.BaseURL,
		}),
		passwords:            &credential.Copy{},
		subscriptionsChanged: change.NewHint(), analysisReady: change.NewHint(), causesReady: change.NewHint(), deliveryReady: change.NewHint(),
	}
	c.Log = eventlog.New(c.store, c.recorder, c.deliveryReady)
	c.Queue = delivery.New(c.store, c.recorder, c.deliveryReady)
	c.Keyring = credential.New(c.store, c.recorder, cfg.Seal, c.passwords, c.subscriptionsChanged, c.deliveryReady)
	c.List = watchlist.New(c.store, c.recorder, cfg.Log, c.subscriptionsChanged, c.deliveryReady)
	c.Analyses = analysis.New(c.store, c.analysisReady, c.causesReady)
	c.Announcer = announce.New(announce.Config{
		Store: c.store, Recorder: c.recorder, Endpoints: cfg.Endpoints, BaseURL: cfg.BaseURL, Causes: c.causesReady, Told: c.deliveryReady, Log: cfg.Log,
	})
	c.Operations = imports.New(c.store, c.blobs)
	c.Archive = archive.New(c.store, c.blobs, c.recorder, c.deliveryReady)
	var err error
	c.Directory, err = login.New(c.store, c.subscriptionsChanged)
	return c, err
}
