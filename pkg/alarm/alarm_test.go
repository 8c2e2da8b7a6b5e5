package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// trouble is a condition that can be switched.
type trouble struct {
	mu sync.Mutex
	on bool
}

func (t *trouble) set(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = on
}

func (t *trouble) condition(context.Context, alarm.Standing) []anchore.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return nil
	}
	return []anchore.Event{{Type: anchore.EventDiskFull, Message: "full", Resource: anchore.Resource{ID: "data_dir"}}}
}

func TestTroubleIsToldOnceForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk trouble
		raised := 0
		w, err := alarm.New(alarm.Config{
			Conditions: []alarm.Condition{disk.condition},
			Raise: func(_ context.Context, e anchore.Event) error {
				if e.Level != anchore.Fatal {
					t.Errorf("raised with level %q", e.Level)
				}
				raised++
				return nil
			},
			Direct: func(context.Context, anchore.Event) error { t.Error("sent without the store"); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		for i, step := range []struct {
			on   bool
			wait time.Duration
			want int
		}{
			{false, time.Hour, 0}, {true, time.Minute, 1}, {true, 5 * time.Hour, 1},
			{false, time.Minute, 1}, {true, time.Minute, 2}, // it began again, long after
			{false, time.Minute, 2}, {true, time.Minute, 2}, // and so soon that it is no news yet
			{true, 2 * time.Hour, 3}, // but it lasts
			{false, 2 * time.Hour, 3}, {true, time.Minute, 4},
		} {
			disk.set(step.on)
			time.Sleep(step.wait)
			synctest.Wait()
			if raised != step.want {
				t.Errorf("step %d: %d events, want %d", i, raised, step.want)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

func TestWhatCannotBeRecordedIsSentDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := trouble{on: true}
		var direct []anchore.EventType
		w, err := alarm.New(alarm.Config{
			Conditions: []alarm.Condition{disk.condition},
			Raise:      func(context.Context, anchore.Event) error { return errors.New("disk full") },
			Direct: func(_ context.Context, e anchore.Event) error {
				direct = append(direct, e.Type)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
		if diff := cmp.Diff([]anchore.EventType{anchore.EventDiskFull}, direct); diff != "" {
			t.Errorf("sent directly (-want +got):\n%s", diff)
		}
	})
}

// TestWhatCouldNotBeRecordedIsRecordedLater: once the store serves, for as long as
// the trouble stands, and without telling again what was sent.
func TestWhatCouldNotBeRecordedIsRecordedLater(t *testing.T) {
	type counts struct{ Raised, Recorded, Direct int }
	for _, tt := range []struct {
		name   string
		sends  bool          // the direct send works
		serves time.Duration // after which the store does
		over   time.Duration // after which the trouble is
		want   counts
	}{
		{name: "not sent", serves: time.Hour, over: 5 * time.Hour, want: counts{1, 0, 1}},
		{name: "sent", sends: true, serves: time.Hour, over: 5 * time.Hour, want: counts{0, 1, 1}},
		{name: "it is over before", serves: time.Hour, over: 30 * time.Minute, want: counts{0, 0, 1}},
		{name: "the store serves", sends: true, over: 5 * time.Hour, want: counts{1, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk, got, begin := trouble{on: true}, counts{}, time.Now()
				record := func(n *int) func(context.Context, anchore.Event) error {
					return func(_ context.Context, e anchore.Event) error {
						if time.Since(begin) < tt.serves {
							return errors.New("disk full")
						}
						if *n++; e.Level != anchore.Fatal {
							t.Errorf("recorded with level %q", e.Level)
						}
						return nil
					}
				}
				w, err := alarm.New(alarm.Config{
					Conditions: []alarm.Condition{disk.condition}, Raise: record(&got.Raised), Record: record(&got.Recorded),
					Direct: func(context.Context, anchore.Event) error {
						if got.Direct++; !tt.sends {
							return errors.New("refused")
						}
						return nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(tt.over, func() { disk.set(false) })
				ctx, stop := context.WithTimeout(t.Context(), 9*time.Hour)
				defer stop()
				if err := w.Run(ctx); err != nil {
					t.Errorf("Run() = %v", err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// engine is what an alarm lives in: a store that outlives its runs.
type engine struct {
	*testing.T
	disk    trouble
	catalog *catalog.Catalog
	end     func()
}

// newEngine opens a store and lets a first run begin.
func newEngine(t *testing.T) *engine {
	base := t.TempDir()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(base, "db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	blobs, err := dir.New(dir.Config{Path: filepath.Join(base, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{T: t}
	if e.catalog, err = catalog.New(catalog.Config{Store: s, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	if err := e.catalog.CreateAccount(t.Context(), anchore.Account{Name: anchore.AdminAccount}, "foobar"); err != nil {
		t.Fatal(err)
	}
	e.start()
	t.Cleanup(func() { e.end() })
	return e
}

func (e *engine) start() {
	e.Helper()
	told, err := e.catalog.Troubles(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	w, err := alarm.New(alarm.Config{
		Conditions: []alarm.Condition{e.disk.condition}, Raise: e.catalog.TroubleBegan, Told: told,
		Over: func(ctx context.Context, kind anchore.EventType, resource string) error {
			_, err := e.catalog.TroubleEnded(ctx, kind, resource, anchore.Event{})
			return err
		},
	})
	if err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	e.end = func() {
		cancel()
		if err := <-done; err != nil {
			e.Errorf("Run() = %v", err)
		}
		e.end = func() {}
	}
}

// events counts what was told.
func (e *engine) events() int {
	e.Helper()
	list, _, err := e.catalog.Events(context.Background(), anchore.AdminAccount, catalog.EventFilter{Type: string(anchore.EventDiskFull), Level: anchore.Fatal}, 1, 100)
	if err != nil {
		e.Fatal(err)
	}
	return len(list)
}

// TestRestarts: what was told is not told again by a later run, and stays quiet for
// the hour that it would be without a restart.
func TestRestarts(t *testing.T) {
	type step struct {
		what string // full, free: the disk; stop, start, restart: the engine
		wait time.Duration
		want int // events so far
	}
	const minute = time.Minute
	for name, steps := range map[string][]step{
		"it stands": {
			{"full", minute, 1}, {"restart", minute, 1}, {"restart", 5 * time.Hour, 1}, {"restart", minute, 1},
			{"free", minute, 1}, {"full", minute, 2},
		},
		"it begins while the engine is down": {{"stop", minute, 0}, {"full", minute, 0}, {"start", minute, 1}, {"restart", minute, 1}},
		"it ends and comes back soon, a restart between": {
			{"full", minute, 1}, {"free", minute, 1}, {"restart", minute, 1}, {"full", minute, 1}, {"restart", 2 * minute, 1},
			{"restart", time.Hour, 2}, // it lasts
			{"restart", 5 * time.Hour, 2},
		},
		"it ends and comes back soon, gone by the next hour": {
			{"full", minute, 1}, {"free", minute, 1}, {"restart", minute, 1}, {"full", minute, 1}, {"free", 2 * time.Hour, 1},
		},
		"it ends while the engine is down and comes back soon": {
			{"full", minute, 1}, {"stop", minute, 1}, {"free", minute, 1}, {"start", minute, 1}, {"full", minute, 1}, {"start", 2 * time.Hour, 2},
		},
		"it ends and comes back while the engine is down": {
			{"full", minute, 1}, {"stop", minute, 1}, {"free", 2 * time.Hour, 1}, {"full", minute, 1}, {"start", 2 * time.Hour, 1}, // nobody saw it end
		},
		"it comes back long after": {
			{"full", minute, 1}, {"free", 2 * time.Hour, 1}, {"restart", minute, 1}, {"full", minute, 2}, {"restart", minute, 2},
		},
		"it ends while the engine is down and comes back long after": {
			{"full", minute, 1}, {"stop", minute, 1}, {"free", 2 * time.Hour, 1}, {"start", minute, 1}, {"full", minute, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				for i, s := range steps {
					switch s.what {
					case "full", "free":
						e.disk.set(s.what == "full")
					case "stop":
						e.end()
					default:
						e.end()
						e.start()
					}
					time.Sleep(s.wait)
					synctest.Wait()
					if got := e.events(); got != s.want {
						t.Errorf("step %d, %s: %d events, want %d", i, s.what, got, s.want)
					}
				}
			})
		})
	}
}

// TestAClockThatWasSetBack: what was told at a time that is still to come is quiet
// for an hour from now, not from then.
func TestAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, raised := trouble{on: true}, 0
		w, err := alarm.New(alarm.Config{
			Conditions: []alarm.Condition{disk.condition},
			Raise:      func(context.Context, anchore.Event) error { raised++; return nil },
			Told:       []anchore.Trouble{{Type: anchore.EventDiskFull, Resource: "data_dir", ToldAt: time.Now().Add(1000 * time.Hour), OverAt: time.Now()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Hour)
		defer stop()
		if err := w.Run(ctx); err != nil || raised != 1 {
			t.Errorf("%d events in two hours, %v; want 1", raised, err)
		}
	})
}

// TestAnEndIsRecordedOnceTheStoreServes: until then each look tries again.
func TestAnEndIsRecordedOnceTheStoreServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk trouble
		tries := 0
		w, err := alarm.New(alarm.Config{
			Conditions: []alarm.Condition{disk.condition},
			Raise:      func(context.Context, anchore.Event) error { t.Error("raised"); return nil },
			Over: func(_ context.Context, kind anchore.EventType, resource string) error {
				if tries++; kind != anchore.EventDiskFull || resource != "data_dir" {
					t.Errorf("Over(%s, %s)", kind, resource)
				}
				if tries < 20 {
					return errors.New("disk full")
				}
				return nil
			},
			Told: []anchore.Trouble{{Type: anchore.EventDiskFull, Resource: "data_dir", ToldAt: time.Now().Add(-9 * time.Hour)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := w.Run(ctx); err != nil || tries != 20 {
			t.Errorf("%d tries in an hour, %v; want 20, of which the last was good", tries, err)
		}
	})
}

// broken is a store that serves or not, as it is told.
type broken struct{ err error }

func (b *broken) View(_ context.Context, fn func(store.Tx) error) error {
	if b.err != nil {
		return b.err
	}
	return fn(nothing{})
}

func (b *broken) Update(_ context.Context, fn func(store.Tx) error) error {
	if err := fn(nothing{}); err != nil {
		return err
	}
	return b.err
}

func (b *broken) Close() error { return nil }

type nothing struct{}

func (nothing) Get(store.Bucket, []byte) ([]byte, error)              { return nil, store.ErrNotFound }
func (nothing) Put(store.Bucket, []byte, []byte) error                { return nil }
func (nothing) Delete(store.Bucket, []byte) error                     { return nil }
func (nothing) Scan(store.Bucket, store.Range) ([]store.Entry, error) { return nil, nil }

func TestStoreCondition(t *testing.T) {
	below := &broken{}
	s := alarm.WatchStore(below)
	full := anchore.E(anchore.Unavailable, "bolt.Update", "the disk is full")
	put := func(tx store.Tx) error { return tx.Put("b", []byte("k"), nil) }
	look := func(store.Tx) error { return nil }
	refuse := func(store.Tx) error { return errors.New("not this way") }
	for i, step := range []struct {
		fails  error
		fn     func(store.Tx) error
		failed bool
	}{
		{nil, put, false},
		{nil, refuse, false},            // the caller's own error
		{store.ErrTooLarge, put, false}, // the caller's defect
		{full, put, true},               // it takes nothing
		{full, look, true},              // and still
		{nil, look, false},              // it works again, as the condition itself finds out
		{full, put, true}, {nil, put, false},
	} {
		below.err = step.fails
		err := s.Update(t.Context(), step.fn)
		if (err != nil) != (step.fails != nil) && step.fails != nil {
			t.Errorf("step %d: Update() = %v", i, err)
		}
		if got := len(s.Condition(t.Context(), nil)) > 0; got != step.failed {
			t.Errorf("step %d: failing = %v, want %v", i, got, step.failed)
		}
	}
	select {
	case <-s.Failed():
	default:
		t.Error("nobody was told to look")
	}
	below.err = full
	if err := s.View(t.Context(), look); !errors.Is(err, full) || len(s.Condition(t.Context(), nil)) != 1 {
		t.Errorf("View() = %v; condition %v", err, s.Condition(t.Context(), nil))
	}
}

// TestADamagedPageIsAStoreThatFails: what the store below says inside a transaction
// comes back through the caller's function, and is the store's all the same.
func TestADamagedPageIsAStoreThatFails(t *testing.T) {
	page := anchore.E(anchore.Unavailable, "bolt.Get", "the store is damaged").Because(store.Failing(errors.New("bad page")))
	meet := func(store.Tx) error { return fmt.Errorf("a row: %w", page) }
	for name, call := range map[string]func(*alarm.Store) error{
		"Update": func(s *alarm.Store) error { return s.Update(t.Context(), meet) },
		"View":   func(s *alarm.Store) error { return s.View(t.Context(), meet) },
	} {
		s := alarm.WatchStore(&broken{})
		if err := call(s); !errors.Is(err, page) || len(s.Condition(t.Context(), nil)) != 1 {
			t.Errorf("%s() = %v; condition %v, want that the store fails", name, err, s.Condition(t.Context(), nil))
		}
	}
}

func TestDiskCondition(t *testing.T) {
	low := alarm.Standing{anchore.EventDiskFull: {"data_dir"}}
	for _, tt := range []struct {
		dir   string
		least int64
		stood alarm.Standing
		want  int
	}{
		{t.TempDir(), 1, nil, 0}, {t.TempDir(), 1, low, 0}, {t.TempDir(), 1 << 60, nil, 1}, {filepath.Join(t.TempDir(), "gone"), 1, nil, 1},
	} {
		if got := alarm.Disk(tt.dir, tt.least)(t.Context(), tt.stood); len(got) != tt.want {
			t.Errorf("Disk(%q, %d) after %v = %v, want %d events", tt.dir, tt.least, tt.stood, got, tt.want)
		}
	}
}

// TestDiskIsWellWithATenthMore asks for so much that what is free, which others
// change meanwhile, is between that and a tenth more.
func TestDiskIsWellWithATenthMore(t *testing.T) {
	dir := t.TempDir()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	c := alarm.Disk(dir, int64(fs.Bavail)*int64(fs.Bsize)/105*100)
	if got := c(t.Context(), nil); len(got) != 0 {
		t.Errorf("with a twentieth more than the least: %v, want nothing", got)
	}
	if got := c(t.Context(), alarm.Standing{anchore.EventDiskFull: {"data_dir"}}); len(got) != 1 {
		t.Errorf("the same after the trouble stood, also before a restart: %v, want one event", got)
	}
}

func TestKeyFileCondition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	c := alarm.KeyFile(path, nil)
	var stood alarm.Standing
	look := func(what string, want int) {
		t.Helper()
		if got := c(t.Context(), stood); len(got) != want {
			t.Errorf("%s: %v, want %d events", what, got, want)
		}
	}
	look("no key yet", 0)
	if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	look("a key", 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look("the key is gone", 1)
	if msg, _ := c(t.Context(), stood)[0].Details["msg"].(string); !strings.Contains(msg, path) {
		t.Errorf("the event says %q, without the file %s", msg, path)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	look("no file", 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c = alarm.KeyFile(path, nil)
	look("no key after a restart", 0)
	stood = alarm.Standing{anchore.EventKeyUnreadable: {"key"}}
	look("no key after a restart, and it was gone before", 1)
}

func TestDeadEndpoints(t *testing.T) {
	long := time.Now().Add(-2 * time.Hour)
	stood := alarm.Standing{anchore.EventEndpointDead: {"general"}}
	for _, tt := range []struct {
		what     string
		endpoint alarm.Endpoint
		stood    alarm.Standing
		want     bool
	}{
		{"dead", alarm.Endpoint{Name: "general", Waiting: 1, Since: long, Failed: true, Reason: "refused"}, nil, true},
		{"dead as before", alarm.Endpoint{Name: "general", Waiting: 1, Since: long, Failed: true}, stood, true},
		{"the endpoint of error_event", alarm.Endpoint{Name: "error_event", Waiting: 1, Since: long, Failed: true}, nil, false},
		{"fails since a moment", alarm.Endpoint{Name: "general", Waiting: 1, Since: time.Now(), Failed: true}, nil, false},
		{"nothing waits", alarm.Endpoint{Name: "general", Since: long, Failed: true}, nil, false},
		{"works", alarm.Endpoint{Name: "general", Waiting: 3}, nil, false},
		{"resumed, not tried yet", alarm.Endpoint{Name: "general", Waiting: 3, Failed: true}, nil, false},
		{"dead, resumed, not tried yet", alarm.Endpoint{Name: "general", Waiting: 3, Failed: true}, stood, true},
		{"dead, resumed, fails again", alarm.Endpoint{Name: "general", Waiting: 3, Since: time.Now(), Failed: true}, stood, true},
		{"it was dead and took something", alarm.Endpoint{Name: "general", Waiting: 3}, stood, false},
		{"another was dead", alarm.Endpoint{Name: "tag_update", Waiting: 3, Failed: true}, stood, false},
	} {
		c := alarm.Dead(time.Hour, func(context.Context) ([]alarm.Endpoint, error) { return []alarm.Endpoint{tt.endpoint}, nil })
		got := c(t.Context(), tt.stood)
		if len(got) > 0 != tt.want || tt.want && got[0].Resource.ID != tt.endpoint.Name {
			t.Errorf("%s: %v, want an event: %v", tt.what, got, tt.want)
		}
	}
	unknown := alarm.Dead(time.Hour, func(context.Context) ([]alarm.Endpoint, error) { return nil, errors.New("no store") })
	if got := unknown(t.Context(), nil); len(got) != 0 {
		t.Errorf("without the store: %v", got)
	}
	if got := unknown(t.Context(), stood); len(got) != 1 || got[0].Resource.ID != "general" {
		t.Errorf("without the store after general stood: %v, want general", got)
	}
}

func TestFailuresCondition(t *testing.T) {
	stood := alarm.Standing{anchore.EventAnalysisDown: {"analyzer"}}
	for _, tt := range []struct {
		what      string
		failures  int
		succeeded bool
		stood     alarm.Standing
		want      int
	}{
		{"few", 4, true, nil, 0},
		{"many", 5, true, nil, 1},
		{"many from the start on", 5, false, nil, 1},
		{"a restart", 0, false, nil, 0},
		{"a restart while it stands", 0, false, stood, 1},
		{"it fails again after a restart", 4, false, stood, 1},
		{"a success", 0, true, stood, 0},
	} {
		c := alarm.Failures(5, func() (int, string, bool) { return tt.failures, "no space", tt.succeeded })
		if got := c(t.Context(), tt.stood); len(got) != tt.want {
			t.Errorf("%s: %v, want %d events", tt.what, got, tt.want)
		}
	}
}
