package analyze

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

// world is a real catalog with images to analyze, and a registry and an analyzer
// that do as the test says.
type world struct {
	*catalog.Catalog
	t       *testing.T
	fetch   func(ctx context.Context, account string, ref anchore.Reference) error
	analyze func(context.Context, sbom.Request) (sbom.Report, error)
	mu      sync.Mutex
	fetched []string // accounts, in order
	extend  func(catalog.Job) error
	begin   func() error // instead of telling the catalog
	metrics *prometheus.Registry
	log     bytes.Buffer
	Workers *Workers
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "engine.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	blobs := &memory{blobs: map[store.Digest][]byte{}}
	c, err := catalog.New(catalog.Config{Store: s, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Catalog: c, t: t}
	w.metrics = prometheus.NewPedanticRegistry()
	w.Workers, err = New(Config{
		Catalog: w, Fetcher: w, Analyzer: w, Blobs: blobs, Dir: filepath.Join(t.TempDir(), "analyses"), Workers: 2, Registerer: w.metrics,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ExtendAnalysis lets a test take the lease away.
func (w *world) ExtendAnalysis(ctx context.Context, j catalog.Job, lease time.Duration) error {
	if w.extend != nil {
		return w.extend(j)
	}
	return w.Catalog.ExtendAnalysis(ctx, j, lease)
}

// AnalysisBegun lets a test fail it.
func (w *world) AnalysisBegun(ctx context.Context, j catalog.Job) error {
	if w.begin != nil {
		return w.begin()
	}
	return w.Catalog.AnalysisBegun(ctx, j)
}

// Identity is the account's own.
func (w *world) Identity(_ context.Context, account string, _ anchore.Reference) (string, error) {
	return account, nil
}

func (w *world) Fetch(ctx context.Context, account string, ref anchore.Reference, dir string, progress func(done, total int64)) error {
	w.mu.Lock()
	w.fetched = append(w.fetched, account)
	w.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	progress(50, 100)
	if w.fetch != nil {
		return w.fetch(ctx, account, ref)
	}
	return nil
}

// fetches returns the accounts that images were fetched with, sorted.
func (w *world) fetches() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.fetched))
}

func (w *world) Analyze(ctx context.Context, req sbom.Request) (sbom.Report, error) {
	if w.analyze != nil {
		return w.analyze(ctx, req)
	}
	path := filepath.Join(req.Work, "document.json")
	return sbom.Report{Document: path, Summary: anchore.Summary{Distro: "debian", Packages: 5}}, os.WriteFile(path, []byte(document), 0o600)
}

func (w *world) add(account, tag string) string {
	w.t.Helper()
	return w.addAs(account, tag, catalog.Addition{AutoSubscribe: true})
}

func (w *world) addAs(account, tag string, add catalog.Addition) string {
	w.t.Helper()
	err := w.CreateAccount(w.t.Context(), anchore.Account{Name: account, Type: anchore.UserAccount}, "foobar")
	if err != nil && anchore.KindOf(err) != anchore.Conflict {
		w.t.Fatal(err)
	}
	return w.see(account, tag, add)
}

// see adds the image to an account that there is.
func (w *world) see(account, tag string, add catalog.Addition) string {
	w.t.Helper()
	ref, err := anchore.ParseReference(tag)
	if err != nil {
		w.t.Fatal(err)
	}
	state, err := w.TagState(w.t.Context(), account, ref)
	if err != nil {
		w.t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ref.Tag)))
	m := anchore.Manifest{Ref: ref, TagDigest: digest, Digest: digest, ImageID: digest[7:], Platform: anchore.DefaultPlatform, Raw: []byte("{}"), Config: []byte("{}")}
	if _, err := w.SawTag(w.t.Context(), catalog.Sighting{Account: account, Manifest: m, Cause: "image add", Version: state.Version, Add: &add}); err != nil {
		w.t.Fatal(err)
	}
	return digest
}

// run starts the workers; the function stops them and waits.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Workers.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		entries, err := os.ReadDir(w.Workers.cfg.Dir)
		if err != nil || len(entries) > 0 {
			w.t.Errorf("temporary files are left: %v %v", entries, err)
		}
	}
}

func (w *world) image(account, digest string) anchore.Image {
	w.t.Helper()
	img, err := w.Image(w.t.Context(), account, digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return img
}

func (w *world) expect(account, digest string, status anchore.AnalysisStatus, reason string) {
	w.t.Helper()
	img := w.image(account, digest)
	if diff := cmp.Diff([]string{string(status), reason}, []string{string(img.Status), img.Reason}); diff != "" {
		w.t.Errorf("status of %s's image (-want +got):\n%s", account, diff)
	}
}

// counted checks anchore_analyses_total.
func (w *world) counted(outcome string, want float64) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var got float64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "anchore_analyses_total" && m.GetLabel()[0].GetValue() == outcome {
				got = m.GetCounter().GetValue()
			}
		}
	}
	if got != want {
		w.t.Errorf("%v analyses are counted as %s, want %v", got, outcome, want)
	}
}

// memory is a store.Blobs.
type memory struct {
	mu    sync.Mutex
	blobs map[store.Digest][]byte
}

func (m *memory) Put(_ context.Context, r io.Reader) (store.Digest, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	d := store.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d] = data
	return d, nil
}

func (m *memory) Open(_ context.Context, d store.Digest) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.blobs[d]
	if !ok {
		return nil, store.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) Delete(context.Context, store.Digest, time.Duration) error { return nil }
func (m *memory) List(context.Context, func(store.BlobInfo) error) error    { return nil }

func TestAnalyzed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		w.add("b", "other.test/app:1")
		var steps []anchore.Progress
		w.analyze = func(ctx context.Context, req sbom.Request) (sbom.Report, error) {
			p, _ := w.Workers.Progress(digest)
			steps = append(steps, p)
			if req.Digest != digest || req.Name != "registry.test/app@"+digest {
				t.Errorf("asked to analyze %+v", req)
			}
			w.analyze = nil
			return w.Analyze(ctx, req)
		}
		w.fetch = func(context.Context, string, anchore.Reference) error {
			p, _ := w.Workers.Progress(digest)
			steps = append(steps, p)
			return nil
		}
		stop := w.run()
		synctest.Wait()
		w.expect("a", digest, anchore.Analyzed, "")
		w.expect("b", digest, anchore.Analyzed, "")
		if diff := cmp.Diff([]string{"a"}, w.fetched); diff != "" {
			t.Errorf("fetched by (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]anchore.Progress{{Step: anchore.Fetching, Done: 50, Total: 100}, {Step: anchore.Cataloging}}, steps); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		report, err := w.Report(t.Context(), "b", digest)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(report); err != nil || string(got) != document {
			t.Errorf("stored document %q, %v", got, err)
		}
		if s := w.Workers.Status(); s.Running != 0 || s.Failures != 0 || s.LastSuccess.IsZero() {
			t.Errorf("Status() = %+v", s)
		}
		if _, ok := w.Workers.Progress(digest); ok {
			t.Error("Progress is shown after the end")
		}
		w.counted(analyzed, 1)
		stop()
	})
}

// TestLastTurn: it is that of the workers without an analysis, however long those of the
// others take.
func TestLastTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.analyze = func(context.Context, sbom.Request) (sbom.Report, error) {
			time.Sleep(time.Hour)
			return sbom.Report{}, anchore.E(anchore.Invalid, "test", "no image")
		}
		if s := w.Workers.Status(); !s.LastTurn.IsZero() {
			t.Errorf("before the start the last turn was at %v", s.LastTurn)
		}
		stop := w.run()
		defer stop()
		for i, step := range []struct {
			add  string
			idle bool // a worker
		}{{"", true}, {"registry.test/app:1", true}, {"registry.test/app:2", false}, {"", true}, {"", true}} {
			if step.add != "" {
				w.add("a", step.add)
			}
			time.Sleep(25 * time.Minute)
			synctest.Wait()
			last := w.Workers.Status().LastTurn
			if last.IsZero() == step.idle || step.idle && time.Since(last) > lookAgain {
				t.Errorf("step %d: the last turn was at %v, %v ago; a worker is idle: %v", i, last, time.Since(last), step.idle)
			}
		}
	})
}

// TestTwoAnalysesOfOneImage: a forced one runs beside that of the other accounts, and
// each counts.
func TestTwoAnalysesOfOneImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls atomic.Int64
		w.analyze = func(context.Context, sbom.Request) (sbom.Report, error) {
			time.Sleep(time.Duration(calls.Add(1)) * time.Minute)
			return sbom.Report{}, anchore.E(anchore.Invalid, "test", "no image")
		}
		digest := w.add("a", "registry.test/app:1")
		w.add("b", "registry.test/app:1")
		w.addAs("b", "registry.test/app:1", catalog.Addition{Force: true})
		stop := w.run()
		for _, want := range []int{2, 1, 0} {
			time.Sleep(30 * time.Second)
			synctest.Wait()
			p, shown := w.Workers.Progress(digest)
			if s := w.Workers.Status(); s.Running != want || shown != (want > 0) {
				t.Errorf("%d analyses run, and the image shows %+v, %v; want %d", s.Running, p, shown, want)
			}
			time.Sleep(30 * time.Second)
		}
		stop()
	})
}

func TestRefusedAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		w.add("b", "registry.test/app:1")
		w.fetch = func(_ context.Context, account string, _ anchore.Reference) error {
			if account == "a" {
				return anchore.E(anchore.Unauthorized, "oci.Fetch", "registry.test refuses the credentials")
			}
			return nil
		}
		stop := w.run()
		synctest.Wait()
		w.expect("a", digest, anchore.AnalysisFailed, "registry.test refuses the credentials")
		w.expect("b", digest, anchore.Analyzed, "")
		stop()
	})
}

// remove deletes an account.
func (w *world) remove(account string) {
	w.t.Helper()
	if err := errors.Join(w.SetAccountState(w.t.Context(), account, anchore.AccountDisabled), w.DeleteAccount(w.t.Context(), account)); err != nil {
		w.t.Error(err)
	}
}

// TestAccountIsDeletedWhileItsCredentialsAreTried: what is said of it then is not
// said of the image.
func TestAccountIsDeletedWhileItsCredentialsAreTried(t *testing.T) {
	refused, absent := anchore.E(anchore.Unauthorized, "oci.Fetch", "no"), anchore.E(anchore.NotFound, "oci.Fetch", "gone")
	tests := map[string]struct {
		gone func(*world) error // what the fetch with the deleted account's credentials says
		errs map[string]error   // by account: what the others' say
		late bool               // the other one comes after the job was claimed
		want anchore.AnalysisStatus
		says string
	}{
		"refused":                 {func(*world) error { return refused }, nil, false, anchore.Analyzed, ""},
		"no account":              {missing, nil, false, anchore.Analyzed, ""},
		"refused, other late":     {func(*world) error { return refused }, nil, true, anchore.Analyzed, ""},
		"no account, other late":  {missing, nil, true, anchore.Analyzed, ""},
		"no account, not there":   {missing, map[string]error{"other": absent}, false, anchore.AnalysisFailed, "gone"},
		"no account, refused too": {missing, map[string]error{"other": refused}, false, anchore.AnalysisFailed, "no"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := w.add("team", "registry.test/app:1")
				if !test.late {
					w.add("other", "registry.test/app:1")
				}
				w.fetch = func(_ context.Context, account string, _ anchore.Reference) error {
					if account != "team" {
						return test.errs[account]
					}
					if test.late {
						w.add("other", "registry.test/app:1")
					}
					w.remove("team")
					return test.gone(w)
				}
				stop := w.run()
				synctest.Wait()
				w.expect("other", digest, test.want, test.says)
				stop()
			})
		})
	}
}

// missing is what a fetch says that begins after the account is gone.
func missing(w *world) error {
	_, _, err := w.RegistryFor(w.t.Context(), "team", anchore.Reference{Registry: "registry.test"})
	return err
}

// TestManyAccountsAreRefused: a job carries the first accounts, and the others are
// tried after them.
func TestManyAccountsAreRefused(t *testing.T) {
	const many = 120
	team := func(i int) string { return fmt.Sprintf("team-%03d", i) }
	tests := map[string]struct {
		refused func(i int) bool
		others  error // what the registry says to those that are not refused
		want    anchore.AnalysisStatus
		says    string
	}{
		"but the last":           {func(i int) bool { return i < many-1 }, nil, anchore.Analyzed, ""},
		"all":                    {func(int) bool { return true }, nil, anchore.AnalysisFailed, "no"},
		"and it is not there":    {func(i int) bool { return i < many-1 }, anchore.E(anchore.NotFound, "oci.Fetch", "gone"), anchore.AnalysisFailed, "gone"},
		"and some have it not":   {func(i int) bool { return i%10 != 0 }, anchore.E(anchore.NotFound, "oci.Fetch", "gone"), anchore.AnalysisFailed, "gone"},
		"and the registry rests": {func(i int) bool { return i < many-1 }, anchore.E(anchore.Unavailable, "oci.Fetch", "down"), anchore.NotAnalyzed, "down"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := ""
				for i := range many {
					if _, err := w.AddAccount(t.Context(), team(i), ""); err != nil {
						t.Fatal(err)
					}
					digest = w.see(team(i), "registry.test/app:1", catalog.Addition{AutoSubscribe: true})
				}
				w.fetch = func(_ context.Context, account string, _ anchore.Reference) error {
					i, err := strconv.Atoi(strings.TrimPrefix(account, "team-"))
					if err == nil && test.refused(i) {
						return anchore.E(anchore.Unauthorized, "oci.Fetch", "no")
					}
					return errors.Join(err, test.others)
				}
				stop := w.run()
				synctest.Wait()
				for i := range many {
					want, says := test.want, test.says
					if test.refused(i) {
						want, says = anchore.AnalysisFailed, "no"
					}
					w.expect(team(i), digest, want, says)
				}
				w.mu.Lock()
				if got := len(w.fetched); got > 2*many {
					t.Errorf("the registry was asked %d times for %d accounts", got, many)
				}
				w.mu.Unlock()
				stop()
			})
		})
	}
}

func TestFetchFails(t *testing.T) {
	fails := func(kind anchore.Kind, text string) error { return anchore.E(kind, "oci.Fetch", "%s", text) }
	tests := []struct {
		name  string
		errs  map[string]error // by account
		after time.Duration
		want  anchore.AnalysisStatus
		says  string
	}{
		{"all refused", map[string]error{"a": fails(anchore.Unauthorized, "no"), "b": fails(anchore.Forbidden, "no")}, 0, anchore.AnalysisFailed, "no"},
		{"gone everywhere", map[string]error{"a": fails(anchore.NotFound, "gone"), "b": fails(anchore.NotFound, "gone too")}, 0, anchore.AnalysisFailed, "gone"},
		{"gone for one", map[string]error{"a": fails(anchore.NotFound, "gone")}, 0, anchore.Analyzed, ""},
		{"broken", map[string]error{"a": fails(anchore.Invalid, "a layer is damaged"), "b": fails(anchore.NotFound, "gone")}, 0, anchore.AnalysisFailed, "a layer is damaged"},
		{"down for one, gone for the other", map[string]error{"a": fails(anchore.NotFound, "gone"), "b": fails(anchore.Unavailable, "down")}, 0, anchore.NotAnalyzed, "down"},
		{"down for long", map[string]error{"a": fails(anchore.Unavailable, "down"), "b": fails(anchore.Unavailable, "down")}, 4 * time.Hour, anchore.AnalysisFailed, "down"},
		{"limited", map[string]error{"a": fails(anchore.Limited, "too many requests"), "b": fails(anchore.Unavailable, "down")}, 0, anchore.NotAnalyzed, "too many requests"},
		{"limited for long", map[string]error{"a": fails(anchore.Limited, "too many requests"), "b": fails(anchore.Limited, "so too")}, 4 * time.Hour, anchore.NotAnalyzed, "too many requests"},
		{"no Error", map[string]error{"a": errors.New("boom"), "b": errors.New("boom")}, 0, anchore.NotAnalyzed, "the analysis failed; the engine's log has the cause"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := w.add("a", "registry.test/app:1")
				w.add("b", "registry.test/app:1")
				w.fetch = func(_ context.Context, account string, _ anchore.Reference) error { return test.errs[account] }
				stop := w.run()
				time.Sleep(test.after)
				synctest.Wait()
				w.expect("b", digest, test.want, test.says)
				stop()
			})
		})
	}
}

func TestLimitedWaitsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		limited := anchore.E(anchore.Limited, "oci.Fetch", "registry.test limits our requests")
		limited.After = 90 * time.Second
		w.fetch = func(context.Context, string, anchore.Reference) error { return limited }
		begin := time.Now()
		stop := w.run()
		synctest.Wait()
		if got := w.image("a", digest).RetryAt.Sub(begin); got != 90*time.Second {
			t.Errorf("the image shows that it is tried again after %v, want 90s", got)
		}
		w.fetch = nil
		time.Sleep(89 * time.Second)
		synctest.Wait()
		w.expect("a", digest, anchore.NotAnalyzed, "registry.test limits our requests")
		time.Sleep(time.Second)
		synctest.Wait()
		w.expect("a", digest, anchore.Analyzed, "")
		stop()
	})
}

// TestLimitHoldsTheOthers: what would be fetched with the credentials that a registry
// allows no more for now is not asked for either, and everything else is.
func TestLimitHoldsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Workers.cfg.Workers = 1
		first := w.add("a", "registry.test/app:1")
		second := w.add("a", "registry.test/app:2")
		elsewhere := w.add("a", "other.test/app:3")
		other := w.add("b", "registry.test/app:4")
		limited := anchore.E(anchore.Limited, "oci.Fetch", "registry.test limits our requests")
		limited.After = 90 * time.Second
		begin := time.Now()
		w.fetch = func(_ context.Context, account string, ref anchore.Reference) error {
			if account == "a" && ref.Registry == "registry.test" && time.Since(begin) < limited.After {
				return limited
			}
			return nil
		}
		stop := w.run()
		synctest.Wait()
		for _, digest := range []string{first, second} {
			w.expect("a", digest, anchore.NotAnalyzed, "registry.test limits our requests")
			if got := w.image("a", digest).RetryAt.Sub(begin); got != limited.After {
				t.Errorf("%s is tried again after %v, want %v", digest, got, limited.After)
			}
		}
		w.expect("a", elsewhere, anchore.Analyzed, "")
		w.expect("b", other, anchore.Analyzed, "")
		if diff := cmp.Diff([]string{"a", "a", "b"}, w.fetches()); diff != "" {
			t.Errorf("fetches while the registry limits one account (-want +got):\n%s", diff)
		}
		time.Sleep(limited.After)
		synctest.Wait()
		w.expect("a", first, anchore.Analyzed, "")
		w.expect("a", second, anchore.Analyzed, "")
		stop()
	})
}

func TestAnalyzerFails(t *testing.T) {
	tests := []struct {
		kind  anchore.Kind
		tries int32
	}{
		{anchore.Invalid, 1},
		{anchore.Internal, maxCrashes},
		{anchore.Unavailable, maxTries},
	}
	for _, test := range tests {
		t.Run(test.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := w.add("a", "registry.test/app:1")
				var tries atomic.Int32
				w.analyze = func(context.Context, sbom.Request) (sbom.Report, error) {
					tries.Add(1)
					return sbom.Report{}, anchore.E(test.kind, "test", "this is why").Because(errors.New("internals"))
				}
				stop := w.run()
				time.Sleep(4 * time.Hour)
				synctest.Wait()
				w.expect("a", digest, anchore.AnalysisFailed, "this is why")
				if tries.Load() != test.tries {
					t.Errorf("tried %d times, want %d", tries.Load(), test.tries)
				}
				w.counted(postponed, float64(test.tries-1))
				w.counted(failed, 1)
				stop()
			})
		})
	}
}

// A failure is one line of the log that says why once, and what else is known of it.
func TestFailureIsLoggedOnce(t *testing.T) {
	const why = "registry.test does not answer"
	tests := []struct {
		name string
		err  error
		line string
	}{
		{"postponed", anchore.E(anchore.Unavailable, "oci.Fetch", why).Because(errors.New("dial tcp: refused")),
			`level=WARN msg="analysis postponed" digest=D attempt=1 reason="registry.test does not answer" cause="dial tcp: refused" wait=W`},
		{"postponed without a cause", anchore.E(anchore.Unavailable, "oci.Fetch", why),
			`level=WARN msg="analysis postponed" digest=D attempt=1 reason="registry.test does not answer" wait=W`},
		{"failed", anchore.E(anchore.Invalid, "oci.Fetch", why), `level=WARN msg="analysis failed" digest=D attempt=1 reason="registry.test does not answer"`},
		{"failed, told twice", anchore.E(anchore.Invalid, "oci.Fetch", why).Because(anchore.E(anchore.Invalid, "oci.get", why).Because(errors.New("cut"))),
			`level=WARN msg="analysis failed" digest=D attempt=1 reason="registry.test does not answer" cause=cut`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := w.add("a", "registry.test/app:1")
				w.fetch = func(context.Context, string, anchore.Reference) error { return test.err }
				stop := w.run()
				synctest.Wait()
				stop()
				_, line, _ := strings.Cut(w.log.String(), " ") // the time
				line = regexp.MustCompile(`wait=\w+`).ReplaceAllString(strings.ReplaceAll(line, digest, "D"), "wait=W")
				if diff := cmp.Diff(test.line+"\n", line); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Postponed analyses have lines of their own; they do not hide that the catalog has
// trouble, which is told once.
func TestTroubleIsLoggedOnce(t *testing.T) {
	w := newWorld(t)
	w.Workers.failed("analysis of D", errors.New("down"))
	for range 3 {
		w.Workers.failure("claim", errors.New("the disk is full"))
	}
	if got := strings.Count(w.log.String(), "the analysis worker has trouble"); got != 1 {
		t.Errorf("told %d times, want once:\n%s", got, &w.log)
	}
	if s := w.Workers.Status(); s.Failures != 4 {
		t.Errorf("%d failures are counted, want 4", s.Failures)
	}
}

func TestCause(t *testing.T) {
	const why = "the registry refuses"
	inner := anchore.E(anchore.Invalid, "a", why)
	tests := map[string]struct {
		err  error
		want string
	}{
		"a reason alone":          {inner, ""},
		"the reason again":        {anchore.E(anchore.Invalid, "b", why).Because(inner), ""},
		"as text":                 {anchore.E(anchore.Invalid, "b", why).Because(errors.New(why)), ""},
		"as the start of a text":  {anchore.E(anchore.Invalid, "b", why).Because(errors.New(why + ": EOF")), "EOF"},
		"as the child says it":    {anchore.E(anchore.Invalid, "b", why).Because(errors.New("syft: " + why + ": EOF")), "EOF"},
		"nothing":                 {anchore.E(anchore.Invalid, "b", why).Because(errors.New("")), ""},
		"more":                    {anchore.E(anchore.Invalid, "b", why).Because(anchore.E(anchore.Invalid, "c", "status 500").Because(io.EOF)), "status 500: EOF"},
		"no Error":                {errors.New("boom"), "boom"},
		"an Error without a text": {(&anchore.Error{}).Because(errors.New("boom")), "boom"},
		"within another":          {fmt.Errorf("look: %w", inner), ""},
	}
	for name, test := range tests {
		if got := cause(test.err); got != test.want {
			t.Errorf("%s: cause() = %q, want %q", name, got, test.want)
		}
	}
}

func TestShutdown(t *testing.T) {
	tests := []struct {
		name string
		took time.Duration
		want anchore.AnalysisStatus
	}{
		{"ends within the grace", 5 * time.Second, anchore.Analyzed},
		{"stopped and given back", time.Hour, anchore.NotAnalyzed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				digest := w.add("a", "registry.test/app:1")
				w.analyze = func(ctx context.Context, req sbom.Request) (sbom.Report, error) {
					select {
					case <-time.After(test.took):
					case <-ctx.Done():
						return sbom.Report{}, anchore.E(anchore.Unavailable, "test", "stopped")
					}
					path := filepath.Join(req.Work, "d")
					return sbom.Report{Document: path}, os.WriteFile(path, nil, 0o600)
				}
				stop := w.run()
				synctest.Wait()
				w.expect("a", digest, anchore.Analyzing, "")
				begin := time.Now()
				stop()
				if took := time.Since(begin); took > defaultGrace {
					t.Errorf("the shutdown took %v", took)
				}
				w.expect("a", digest, test.want, "")
				if _, ok, _, err := w.ClaimAnalysis(t.Context(), time.Minute); err != nil || ok != (test.want == anchore.NotAnalyzed) {
					t.Errorf("ClaimAnalysis after the shutdown: %v, %v", ok, err)
				}
			})
		})
	}
}

func TestLease(t *testing.T) {
	slow := func(ctx context.Context, req sbom.Request) (sbom.Report, error) {
		select {
		case <-time.After(10 * time.Minute):
		case <-ctx.Done():
			return sbom.Report{}, context.Cause(ctx)
		}
		path := filepath.Join(req.Work, "d")
		return sbom.Report{Document: path}, os.WriteFile(path, nil, 0o600)
	}
	t.Run("renewed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			digest := w.add("a", "registry.test/app:1")
			w.analyze = slow
			stop := w.run()
			for range 20 {
				time.Sleep(29 * time.Second)
				if _, ok, _, err := w.ClaimAnalysis(t.Context(), time.Minute); ok || err != nil {
					t.Fatalf("somebody else took it: %v", err)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			w.expect("a", digest, anchore.Analyzed, "")
			stop()
		})
	})
	t.Run("lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			digest := w.add("a", "registry.test/app:1")
			var stopped error
			w.analyze = func(ctx context.Context, req sbom.Request) (sbom.Report, error) {
				_, stopped = slow(ctx, req)
				w.analyze = nil
				return sbom.Report{}, stopped
			}
			w.extend = func(catalog.Job) error {
				w.extend = nil
				return anchore.E(anchore.Conflict, "test", "lost")
			}
			stop := w.run()
			time.Sleep(21 * time.Second)
			synctest.Wait()
			if !errors.Is(stopped, errLost) {
				t.Errorf("the analysis ended with %v, want that its lease was lost", stopped)
			}
			w.expect("a", digest, anchore.Analyzing, "") // nothing was told to the catalog
			w.counted(lost, 1)
			time.Sleep(time.Minute)
			synctest.Wait()
			w.expect("a", digest, anchore.Analyzed, "")
			stop()
		})
	})
}

func TestKilledEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		left := filepath.Join(w.Workers.cfg.Dir, "job-old", "tmp")
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
		for range maxCrashes { // engines that began to analyze it and were never heard of again
			w.killed(true)
		}
		stop := w.run()
		synctest.Wait()
		w.expect("a", digest, anchore.AnalysisFailed, "the engine was stopped 3 times while it analyzed this image")
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what a killed engine left is still there: %v", err)
		}
		stop()
	})
}

// killed is an engine that took an analysis and was never heard of again, before or
// after it started the child.
func (w *world) killed(reached bool) {
	w.t.Helper()
	job, ok, _, err := w.ClaimAnalysis(w.t.Context(), time.Minute)
	if !ok || err != nil {
		w.t.Fatal(ok, err)
	}
	if reached {
		if err := w.AnalysisBegun(w.t.Context(), job); err != nil {
			w.t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Minute)
}

func TestEnginesKilledWhileTheyFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		for range 10 * maxCrashes {
			w.killed(false)
		}
		for range maxCrashes - 1 {
			w.killed(true)
		}
		stop := w.run()
		synctest.Wait()
		w.expect("a", digest, anchore.Analyzed, "")
		stop()
	})
}

// The workers tell that the child begins, and only then: who is killed while they
// fetch has caused nothing.
func TestBegunBeforeTheChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digest := w.add("a", "registry.test/app:1")
		var told []string
		begins := []error{anchore.E(anchore.Conflict, "test", "lost"), errors.New("the disk is full"), nil}
		w.begin = func() (err error) {
			told = append(told, "begun")
			err, begins = begins[0], begins[1:]
			return err
		}
		w.fetch = func(context.Context, string, anchore.Reference) error {
			told = append(told, "fetched")
			return nil
		}
		w.analyze = func(context.Context, sbom.Request) (sbom.Report, error) {
			told = append(told, "analyzed")
			return sbom.Report{}, anchore.E(anchore.Invalid, "test", "no image")
		}
		stop := w.run()
		synctest.Wait()
		w.counted(lost, 1)
		time.Sleep(time.Minute) // the lease ends
		synctest.Wait()
		w.expect("a", digest, anchore.NotAnalyzed, "the start of the analysis cannot be recorded")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.expect("a", digest, anchore.AnalysisFailed, "no image")
		stop()
		want := []string{"fetched", "begun", "fetched", "begun", "fetched", "begun", "analyzed"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("what happened (-want +got):\n%s", diff)
		}
	})
}

func TestWorkersRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 5 {
			w.add("a", fmt.Sprint("registry.test/app:", i))
		}
		var running, most atomic.Int32
		w.analyze = func(_ context.Context, req sbom.Request) (sbom.Report, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			path := filepath.Join(req.Work, "d")
			return sbom.Report{Document: path}, os.WriteFile(path, nil, 0o600)
		}
		stop := w.run()
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if s := w.Workers.Status(); s.Running != 0 || most.Load() != 2 {
			t.Errorf("after 3.5 s %d run, at most %d did at once; want 0 and 2", s.Running, most.Load())
		}
		stop()
	})
}

func TestBackoff(t *testing.T) {
	low, high := func() float64 { return 0 }, func() float64 { return 1 }
	for n, want := range map[int][2]time.Duration{
		1: {15 * time.Second, 30 * time.Second}, 2: {30 * time.Second, time.Minute}, 7: {15 * time.Minute, 30 * time.Minute},
		100: {15 * time.Minute, 30 * time.Minute},
	} {
		if got := [2]time.Duration{backoff(n, low), backoff(n, high)}; got != want {
			t.Errorf("backoff(%d) = %v, want %v", n, got, want)
		}
	}
}
