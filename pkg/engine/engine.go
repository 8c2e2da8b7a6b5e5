// Package engine is the composition root: it builds the parts of the engine in the
// order of the data's path, starts receivers before senders, and stops them in
// reverse.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/analyze"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/run"
	"github.com/anchore/anchore-engine/pkg/server"
	"github.com/anchore/anchore-engine/pkg/server/rest"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// SchemaVersion is the version of the stored data that /version and `system
// status` show. It begins where the original's ended.
const SchemaVersion = "0.1.0"

// Options are what the program adds to its configuration.
type Options struct {
	Version string
	Log     *slog.Logger // nil discards
	// AnalysisCommand is the program, with its arguments, that carries one analysis
	// out; nil is this program with analyze.AnalyzeChild.
	AnalysisCommand []string
	// CacheDir is the user's cache directory, where anchore-cli finds the admin
	// password's file while the engine runs; "" for no note of it.
	CacheDir string
}

// Engine is one engine: its parts, not yet started. Several fit in one process.
type Engine struct {
	cfg     *config.Config
	log     *slog.Logger
	closers []closer

	store    store.Store
	blobs    store.Blobs
	catalog  *catalog.Catalog
	registry *oci.Client
	watcher  *watch.Watcher
	child    *analyze.Child
	workers  *analyze.Workers
	relay    *notify.Relay
	webhook  *notify.Webhook
	alarms   *alarm.Watch
	http     *http.Server
	listener net.Listener
	swept    atomic.Pointer[time.Time] // when the sweep last turned
}

// closer ends what New opened.
type closer struct {
	name  string
	close func() error
}

// New builds an engine: it opens the data directory, creates the admin account at
// the first start, and binds the listener. It starts nothing. If it fails, it
// closes what it had opened.
func New(ctx context.Context, cfg *config.Config, opt Options) (e *Engine, err error) {
	own := *cfg
	cfg = &own
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil { // children run in directories of their own
		return nil, err
	}
	e = &Engine{cfg: cfg, log: opt.Log}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
			e = nil
		}
	}()
	metrics := newRegistry()
	endpoints := webhookEndpoints(cfg.Webhooks)

	watched, err := e.newCatalog(ctx, endpoints)
	if err != nil {
		return e, err
	}
	e.leaveNote(opt.CacheDir)
	if err = e.newRegistryClient(ctx, opt); err != nil {
		return e, err
	}
	in, err := intake.New(intake.Config{
		Catalog: e.catalog, Registry: e.registry, MaxSizeMB: float64(cfg.MaxCompressedImageSizeMB),
		Platform: cfg.Platform, Platforms: platforms(cfg.Watch), Logger: e.part("catalog"),
	})
	if err != nil {
		return e, err
	}
	troubles, err := e.catalog.Troubles(ctx) // before a part can tell of one
	if err != nil {
		return e, err
	}
	if err = e.newWatcher(in, metrics, troubles); err != nil {
		return e, err
	}
	if err = e.newWorkers(opt, metrics); err != nil {
		return e, err
	}
	if err = e.newRelay(endpoints, opt, metrics); err != nil {
		return e, err
	}
	if err = e.newAlarms(watched, troubles); err != nil {
		return e, err
	}
	return e, e.newServer(in, opt, metrics)
}

// newCatalog opens what the catalog stands on, the listener among it, and has the
// admin account made if there is none. It returns the store as the alarms watch it.
func (e *Engine) newCatalog(ctx context.Context, endpoints []notify.Endpoint) (watched *alarm.Store, err error) {
	opened, blobs, err := e.openData()
	if err != nil {
		return nil, err
	}
	watched = alarm.WatchStore(opened)
	e.store, e.blobs = watched, blobs
	if err = e.listen(); err != nil { // before the parts that tell others the address
		return nil, err
	}
	ring, err := e.openKey(ctx)
	if err != nil {
		return nil, err
	}
	if e.catalog, err = catalog.New(catalog.Config{
		Store: e.store, Blobs: e.blobs, Seal: ring, Endpoints: notify.Route(endpoints), Subscriptions: e.cfg.Subscriptions,
		NotifyRebuilds: e.cfg.Watch.NotifyRebuilds, EventLog: e.cfg.Events.Notified, HostID: e.cfg.HostID, BaseURL: e.baseURL(), Log: e.part("catalog"),
	}); err != nil {
		return nil, err
	}
	if err = e.bootstrap(ctx); err != nil {
		return nil, err
	}
	return watched, e.catalog.EndLeases(ctx) // the data directory's lock says that nobody else has any
}

func (e *Engine) newRegistryClient(ctx context.Context, opt Options) error {
	list, roots, err := registries(e.cfg)
	if err != nil {
		return err
	}
	if err = e.catalog.SettleSources(ctx, func(registry string) bool { return len(list[registry].Mirrors) > 0 }); err != nil {
		return err
	}
	logins := registryLogins{catalog: e.catalog, log: e.part("oci")}
	if e.registry, err = oci.New(oci.Config{
		Credentials: logins, Logins: logins, Sources: e.catalog, Ambient: e.cfg.Registries.Ambient, RootCAs: roots, Registries: list,
		Concurrency: e.cfg.Watch.RegistryConcurrency, UserAgent: "anchore-engine/" + cmp.Or(opt.Version, "unknown"), Logger: e.part("oci"),
		LayerCache: e.layerCache(), LayerCacheBytes: e.cfg.Analysis.LayerCacheBytes,
	}); err != nil {
		return err
	}
	e.onClose("registry connections", func() error { e.registry.Close(); return nil })
	return nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// part is the log of one part.
func (e *Engine) part(name string) *slog.Logger { return e.log.With("part", name) }

func (e *Engine) onClose(name string, fn func() error) {
	e.closers = append(e.closers, closer{name, fn})
}

// close closes what New opened, the last first.
func (e *Engine) close() error {
	var errs []error
	for _, c := range slices.Backward(e.closers) {
		if err := c.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
	e.closers = nil
	return errors.Join(errs...)
}

func (e *Engine) layerCache() string {
	if e.cfg.Analysis.LayerCacheBytes <= 0 {
		return ""
	}
	return filepath.Join(e.cfg.DataDir, "layers")
}

func (e *Engine) newWatcher(in *intake.Intake, metrics prometheus.Registerer, told []anchore.Trouble) error {
	m, err := watch.NewMetrics(metrics)
	if err != nil {
		return err
	}
	w := e.cfg.Watch
	cfg := watch.Config{
		Catalog: e.catalog, Registry: e.registry, Intake: in, Interval: w.Interval, Looks: w.Concurrency, PerHost: w.RegistryConcurrency,
		Intervals: map[string]time.Duration{}, PerHosts: map[string]int{}, Log: e.part("watch"), Metrics: m,
	}
	if w.Interval == 0 {
		cfg.Interval = -1
	}
	if cfg.ListEvery = w.RepositoryInterval; cfg.ListEvery == 0 {
		cfg.ListEvery = -1
	}
	for _, t := range told {
		if t.Type == anchore.EventRegistryDown && t.Stands() {
			cfg.Down = append(cfg.Down, t.Resource)
		}
	}
	for host := range w.Registries {
		cfg.Intervals[host], cfg.PerHosts[host] = w.RegistryInterval(host), w.RegistryLimit(host)
	}
	e.watcher, err = watch.New(cfg)
	return err
}

func (e *Engine) newWorkers(opt Options, metrics prometheus.Registerer) (err error) {
	a := e.cfg.Analysis
	if e.child, err = analyze.NewChild(analyze.ChildConfig{
		Command: opt.AnalysisCommand, Timeout: a.Timeout, Memory: a.MemoryLimit, Children: a.Concurrency, Version: opt.Version, Logger: e.part("analyze"),
	}); err != nil {
		return err
	}
	e.workers, err = analyze.New(analyze.Config{
		Catalog: e.catalog, Fetcher: e.registry, Analyzer: e.child, Blobs: e.blobs, Workers: a.Concurrency,
		Dir: filepath.Join(e.cfg.DataDir, "work"), Grace: analysisGrace, Logger: e.part("analyze"), Registerer: metrics,
	})
	return err
}

func (e *Engine) newRelay(endpoints []notify.Endpoint, opt Options, metrics prometheus.Registerer) (err error) {
	if e.webhook, err = notify.NewWebhook(notify.WebhookConfig{Endpoints: endpoints, BaseURL: e.baseURL(), UserAgent: "anchore-engine/" + cmp.Or(opt.Version, "unknown")}); err != nil {
		return err
	}
	e.onClose("webhook connections", func() error { e.webhook.Close(); return nil })
	e.relay, err = notify.New(notify.Config{
		Catalog: e.catalog, Channel: e.webhook, Endpoints: endpoints, Grace: deliveryGrace, Log: e.part("notify"), Registerer: metrics,
	})
	return err
}

func (e *Engine) newServer(in *intake.Intake, opt Options, metrics *prometheus.Registry) error {
	converter, err := analyze.NewConverter(e.child, filepath.Join(e.cfg.DataDir, "convert"))
	if err != nil {
		return err
	}
	cfg := server.Config{
		Catalog: e.catalog, VerifyRegistry: e.verifyRegistry, Intake: hinting{in, e.watcher}, Hint: e.watcher.Hint, Looks: e.looks, Progress: e.workers.Progress, Health: e.health,
		Webhooks: webhooks{e.relay, e.webhook}, Convert: converter.Convert,
		OpenMetrics: e.cfg.Metrics.Open, Version: opt.Version, SchemaVersion: SchemaVersion, HostID: e.cfg.HostID,
		BaseURL: e.baseURL(), Log: e.part("server"),
	}
	if e.cfg.Metrics.Enabled {
		cfg.Metrics = promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError, // what cannot be collected is missing; the rest is served
			ErrorLog:      slog.NewLogLogger(e.part("server").Handler(), slog.LevelWarn),
		})
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	e.http = rest.HTTPServer(s, e.part("server"))
	return nil
}

// Run starts the parts, receivers before senders, and runs until ctx ends. Then it
// stops them in reverse: no new requests, looks, analyses or deliveries, each with
// a grace for what is under way; the store is closed last, within ten seconds.
func (e *Engine) Run(ctx context.Context) error {
	e.log.Info("engine started", "url", e.URL(), "data_dir", e.cfg.DataDir, "config", cmp.Or(e.cfg.File, "defaults"))
	e.warnOfClearText()
	err := run.Run(ctx, drainTime, e.parts())
	err = errors.Join(err, e.close())
	e.log.Info("engine stopped")
	return err
}

// drainTime is what all parts together have to stop, so that the store is closed
// within the ten seconds after which container runtimes kill.
const drainTime = 8 * time.Second

// How long what is under way may go on once its part is stopped: requests, analyses
// (the rest begin again after the next start) and deliveries (the rest are made again).
const (
	requestGrace  = 2 * time.Second
	analysisGrace = 2 * time.Second
	deliveryGrace = 2 * time.Second
)

// parts lists the parts in the order of their start. Their graces add up to drainTime;
// beyond what is under way, each has time to record what came of it.
func (e *Engine) parts() []run.Part {
	const closing = 250 * time.Millisecond
	return []run.Part{
		{Name: "notify", Grace: deliveryGrace + 2*closing, Run: e.relay.Run},
		{Name: "fan-out", Grace: closing, Run: e.catalog.RunFanOut},
		{Name: "sweep", Grace: closing, Run: e.sweep},
		{Name: "alarm", Grace: closing, Run: e.alarms.Run},
		{Name: "analyze", Grace: analysisGrace + closing, Run: e.workers.Run},
		{Name: "watch", Grace: closing, Run: e.watcher.Run},
		{Name: "server", Grace: requestGrace + closing, Run: e.serve},
	}
}

// serve answers requests until ctx ends.
func (e *Engine) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- e.http.Serve(e.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestGrace)
	defer cancel()
	if err := e.http.Shutdown(drain); err != nil {
		return e.http.Close() // those that did not end in time are cut off
	}
	return nil
}

// sweepEvery is the time between two sweeps of what nothing refers to.
const sweepEvery = 10 * time.Minute

// sweep removes what nothing refers to, and sees to what was put off by a clock that
// has been set back since.
func (e *Engine) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		e.swept.Store(&now)
		if err := errors.Join(e.catalog.FitClock(ctx, e.longestRetry()), e.catalog.Sweep(ctx), e.expireEvents(ctx)); err != nil && ctx.Err() == nil {
			e.log.Error("the sweep did not finish; trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// expireEvents removes the events that are older than the configuration says.
func (e *Engine) expireEvents(ctx context.Context) error {
	if e.cfg.Events.Keep == 0 {
		return nil
	}
	_, err := e.catalog.ExpireEvents(ctx, e.cfg.Events.Keep)
	return err
}
