package analyze

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/store"
)

// queue is what the workers use of catalog.Catalog.
type queue interface {
	AnalysisReady() <-chan struct{}
	ClaimAnalysis(ctx context.Context, lease time.Duration) (job catalog.Job, ok bool, next time.Time, err error)
	outcome
}

// outcome is how a claimed analysis goes on. All methods: Conflict if the lease
// was lost.
type outcome interface {
	AnalysisBegun(ctx context.Context, j catalog.Job) error
	ExtendAnalysis(ctx context.Context, j catalog.Job, lease time.Duration) error
	FinishAnalysis(ctx context.Context, j catalog.Job, r catalog.AnalysisResult) error
	FailAnalysis(ctx context.Context, j catalog.Job, reason string) error
	RefuseSource(ctx context.Context, j catalog.Job, account, reason string) error
	FailSources(ctx context.Context, j catalog.Job, reason string) (again bool, err error)
	PostponeAnalysis(ctx context.Context, j catalog.Job, until time.Time, reason string) error
	ReleaseAnalysis(ctx context.Context, j catalog.Job) error
}

// fetcher writes the image that ref.Digest names into a new OCI layout in dir,
// with the account's credentials, its digests verified. It tells progress the
// bytes fetched and their total. Identity names those credentials.
type fetcher interface {
	Identity(ctx context.Context, account string, ref anchore.Reference) (string, error)
	Fetch(ctx context.Context, account string, ref anchore.Reference, dir string, progress func(done, total int64)) error
}

const (
	defaultLease = time.Minute
	defaultGrace = 10 * time.Second
	// lookAgain is the longest a worker sleeps: wake-ups are hints that may be lost.
	lookAgain = 30 * time.Second
	// closing bounds what is told to the catalog after the shutdown began.
	closing = 5 * time.Second
)

// Config configures Workers. Catalog, Fetcher, Analyzer, Blobs and Dir are required.
type Config struct {
	Catalog  queue
	Fetcher  fetcher
	Analyzer Analyzer
	Blobs    store.Blobs
	Dir      string        // for temporary files, the workers' own: what a killed engine left in it is removed
	Workers  int           // analyses at once; default 1
	Lease    time.Duration // how long a killed worker's image waits for the next; default 1 minute
	Grace    time.Duration // how long running analyses may go on after the shutdown began; default 10 seconds
	Logger   *slog.Logger  // default: discards
	// Registerer takes the metrics anchore_analys…; nil keeps them private.
	Registerer prometheus.Registerer
}

// Workers take analyses from the catalog's queue and carry them out.
type Workers struct {
	cfg     Config
	metrics *metrics
	pauses  pauses

	mu       sync.Mutex
	progress map[lease]running
	tries    map[string]int    // failures so far that are worth another try, by analysis
	turns    map[int]time.Time // when workers that carry nothing out last began to look for work
	status   Status
	told     bool // that there is trouble, since the last success
}

// New makes Workers. It starts nothing.
func New(cfg Config) (*Workers, error) {
	if cfg.Catalog == nil || cfg.Fetcher == nil || cfg.Analyzer == nil || cfg.Blobs == nil || cfg.Dir == "" {
		return nil, anchore.E(anchore.Internal, "analyze.New", "Catalog, Fetcher, Analyzer, Blobs and Dir are required")
	}
	cfg.Workers = max(cfg.Workers, 1)
	cfg.Lease = cmp.Or(cfg.Lease, defaultLease)
	cfg.Grace = cmp.Or(cfg.Grace, defaultGrace)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Workers{cfg: cfg, progress: map[lease]running{}, tries: map[string]int{}, turns: map[int]time.Time{}}
	m, err := newMetrics(cfg.Registerer, func() float64 { return float64(w.Status().Running) })
	if err != nil {
		return nil, err
	}
	w.metrics = m
	return w, nil
}

// Run works until ctx ends. Then it claims nothing more, lets what runs go on for
// the grace, stops the rest and gives the leases back; it returns within the grace
// and a few seconds.
func (w *Workers) Run(ctx context.Context) error {
	if err := w.sweep(); err != nil {
		return err
	}
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(w.cfg.Grace, stop) })
	var all sync.WaitGroup
	for no := range w.cfg.Workers {
		all.Go(func() { w.work(ctx, hard, no) })
	}
	all.Wait()
	return nil
}

// sweep removes the temporary files of an engine that was killed.
func (w *Workers) sweep() error {
	const op = "analyze.Run"
	dir := w.cfg.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return anchore.E(anchore.Unavailable, op, "the directory for analyses cannot be made").Because(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return anchore.E(anchore.Unavailable, op, "the directory for analyses cannot be read").Because(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return anchore.E(anchore.Unavailable, op, "the directory for analyses cannot be emptied").Because(err)
		}
	}
	return nil
}

// work is one worker: it claims while ctx lasts, and carries out under hard.
func (w *Workers) work(ctx, hard context.Context, no int) {
	for ctx.Err() == nil {
		w.looks(no)
		job, ok, next, err := w.cfg.Catalog.ClaimAnalysis(ctx, w.cfg.Lease)
		switch {
		case err != nil && ctx.Err() == nil:
			w.failure("claim", err)
			w.sleep(ctx, time.Now().Add(backoff(1, nil)))
		case ok:
			w.busy(no)
			w.job(hard, job)
		default:
			w.sleep(ctx, next)
		}
	}
}

// sleep waits for a hint that there is work, or until the given time.
func (w *Workers) sleep(ctx context.Context, until time.Time) {
	wait := lookAgain
	if !until.IsZero() {
		wait = min(wait, max(time.Until(until), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.cfg.Catalog.AnalysisReady():
	case <-timer.C:
	}
}

// errLost is the cause with which a job's context ends when its lease is another's.
var errLost = errors.New("analyze: the lease was lost")

// job carries out one job and tells the catalog how it ended, unless the lease was
// lost: then whoever has it now does.
func (w *Workers) job(hard context.Context, job catalog.Job) {
	log := w.cfg.Logger.With("digest", job.Digest, "attempt", job.Attempt)
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	var renewal sync.WaitGroup
	renewal.Go(func() { w.renew(ctx, cancel, job) })
	w.begun(job)
	begin := time.Now()
	result, err := w.carryOut(ctx, job)
	dropped := errors.Is(context.Cause(ctx), errLost) || anchore.KindOf(err) == anchore.Conflict
	cancel(nil)
	renewal.Wait() // so that no renewal follows the outcome
	w.done(job)

	last, end := context.WithTimeout(context.WithoutCancel(hard), closing)
	defer end()
	outcome := lost
	switch {
	case dropped:
	case err == nil:
		outcome, err = analyzed, w.cfg.Catalog.FinishAnalysis(last, job, result)
	case hard.Err() != nil:
		outcome, err = released, w.cfg.Catalog.ReleaseAnalysis(last, job)
	default:
		outcome, err = w.settle(last, log, job, err)
	}
	if anchore.KindOf(err) == anchore.Conflict {
		outcome = lost
	}
	took := time.Since(begin)
	w.metrics.ended(outcome, took)
	switch {
	case outcome == lost:
		log.Info("analysis dropped: its lease was lost")
	case err != nil:
		w.failure("outcome of "+job.Digest, err) // the lease runs out, and the job comes up again
	case outcome == analyzed:
		log.Info("image analyzed", "took", took.Round(time.Millisecond), "packages", result.Summary.Packages)
		w.success(job)
	}
}

// renew extends the lease every third of it, and ends the job when it is lost.
func (w *Workers) renew(ctx context.Context, cancel context.CancelCauseFunc, job catalog.Job) {
	ticker := time.NewTicker(w.cfg.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := w.cfg.Catalog.ExtendAnalysis(ctx, job, w.cfg.Lease); {
		case err == nil || ctx.Err() != nil:
		case anchore.KindOf(err) == anchore.Conflict:
			cancel(errLost)
			return
		default:
			w.cfg.Logger.Warn("the lease of an analysis could not be renewed", "digest", job.Digest, "error", err)
		}
	}
}

// backoff is how long to wait after the nth failure: 15 to 30 s, doubled each
// time, half an hour at most. Without a source of chance it is the middle.
func backoff(n int, random func() float64) time.Duration {
	const first, most = 30 * time.Second, 30 * time.Minute
	wait := min(first<<min(n-1, 10), most)
	share := 0.75
	if random != nil {
		share = 0.5 + random()/2
	}
	return time.Duration(float64(wait) * share)
}

func jittered(n int) time.Duration { return backoff(n, rand.Float64) }
