// Package config reads config.yaml, the environment and flags into one typed,
// validated value. One table (keys in key.go) names every key: it drives reading,
// validation, docs/configuration.md and the sample config.yaml.
package config

import (
	"log/slog"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Config is the engine's configuration. Everything in it is valid.
type Config struct {
	File     string   // the file that was read, "" if none was found
	Warnings Problems // what is unknown or has no effect, for the log

	DataDir   string // holds the store and the blobs
	Listen    string // host:port; port 0 takes any
	TLS       TLS
	PublicURL string // where clients reach this engine, without a slash at its end; "": where it listens
	LogLevel  slog.Level
	LogFormat string // "text" or "json"
	HostID    string // this engine in events and services

	AdminPassword anchore.Secret // of the account admin at first start; "" makes a random one
	AdminEmail    string

	MaxCompressedImageSizeMB int              // -1: no limit; otherwise at least 1 MiB
	Platform                 anchore.Platform // what a multi-platform tag is resolved to

	Watch         Watch
	Registries    Registries
	Subscriptions map[anchore.SubscriptionType]bool // what adding a tag creates: active or not
	Analysis      Analysis
	Metrics       Metrics
	Events        Events
	Alarms        Alarms
	Webhooks      Webhooks
}

// TLS is the listener's certificate; both empty: plain HTTP.
type TLS struct {
	Cert, Key string // PEM files
}

// Watch says how registries are asked for changes.
type Watch struct {
	Interval            time.Duration // one look at each watched tag per interval; 0: never
	RepositoryInterval  time.Duration // one list of each watched repository per interval; 0: never
	Concurrency         int           // requests at once, over all registries
	RegistryConcurrency int           // requests at once to one registry
	NotifyRebuilds      bool          // tell when only the index around the platform's manifest moved
	Registries          map[string]Registry
}

// Registry holds what differs for one registry.
type Registry struct {
	Interval    *time.Duration   // nil: Watch.Interval; 0: never
	Concurrency int              // 0: Watch.RegistryConcurrency
	Platform    anchore.Platform // zero: Config.Platform
}

// Analysis bounds the analysis of images.
type Analysis struct {
	Concurrency     int           // images at once
	Timeout         time.Duration // of one image
	MemoryLimit     int64         // bytes of a child; 0: from the machine or container
	LayerCacheBytes int64         // fetched layers kept for the next image; 0: none
}

// Metrics says who may read /metrics.
type Metrics struct {
	Enabled bool
	Open    bool // without authentication
}

// Events says how long events are kept and which are sent to event_log.
type Events struct {
	Keep   time.Duration          // 0: for ever
	Notify bool                   // events become event_log notifications
	Levels map[anchore.Level]bool // those that do; empty: all
}

// Alarms says when something is so wrong that a FATAL event tells of it.
type Alarms struct {
	MinFree      int64         // least free bytes below DataDir; 0: not looked at
	EndpointDead time.Duration // how long an endpoint may take nothing; 0: for ever
}

// Notified reports whether an event of the level becomes an event_log notification.
func (e Events) Notified(l anchore.Level) bool {
	return e.Notify && (len(e.Levels) == 0 || e.Levels[l])
}

// Webhooks lists where notifications go.
type Webhooks struct {
	Endpoints []Endpoint // those with a URL, by name
}

// Endpoint is one receiver. Its values already include what it inherits from the
// top of the webhooks section.
type Endpoint struct {
	Name         string         // "general", or the type of notification it receives
	URL          anchore.Secret // may hold <notification_type> and <userId>
	User         string
	Password     anchore.Secret
	BearerToken  anchore.Secret // excludes User
	Headers      map[string]anchore.Secret
	SSLVerify    bool
	CAFile       string // PEM, beside the system's
	ClientCert   string // PEM, with ClientKey
	ClientKey    string
	Proxy        anchore.Secret // URL; "" follows the environment's proxy variables
	MaxPerSecond float64        // 0: no limit
	Secret       anchore.Secret // signs by Standard Webhooks; "" does not sign
	Timeout      time.Duration  // of one attempt
	RetryFor     time.Duration  // from the first attempt until it is given up
	Keys         []string       // what of it was set, own or inherited, each with where; no values
}

// RegistryInterval is the time between two looks at a tag of host; 0: never.
func (w Watch) RegistryInterval(host string) time.Duration {
	if r := w.Registries[host]; r.Interval != nil {
		return *r.Interval
	}
	return w.Interval
}

// RegistryLimit is how many requests go to host at once.
func (w Watch) RegistryLimit(host string) int {
	if r := w.Registries[host]; r.Concurrency > 0 {
		return r.Concurrency
	}
	return w.RegistryConcurrency
}
