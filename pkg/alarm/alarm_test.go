package alarm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
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

func (t *trouble) condition(context.Context) []anchore.Event {
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
		{nil, look, true},               // which a transaction that writes nothing does not disprove
		{nil, refuse, true}, {nil, put, false},
	} {
		below.err = step.fails
		err := s.Update(t.Context(), step.fn)
		if (err != nil) != (step.fails != nil) && step.fails != nil {
			t.Errorf("step %d: Update() = %v", i, err)
		}
		if got := len(s.Condition(t.Context())) > 0; got != step.failed {
			t.Errorf("step %d: failing = %v, want %v", i, got, step.failed)
		}
	}
	select {
	case <-s.Failed():
	default:
		t.Error("nobody was told to look")
	}
	below.err = full
	if err := s.View(t.Context(), look); !errors.Is(err, full) || len(s.Condition(t.Context())) != 1 {
		t.Errorf("View() = %v; condition %v", err, s.Condition(t.Context()))
	}
}

func TestDiskCondition(t *testing.T) {
	for _, tt := range []struct {
		dir   string
		least int64
		want  int
	}{
		{t.TempDir(), 1, 0}, {t.TempDir(), 1 << 60, 1}, {filepath.Join(t.TempDir(), "gone"), 1, 1},
	} {
		if got := alarm.Disk(tt.dir, tt.least)(t.Context()); len(got) != tt.want {
			t.Errorf("Disk(%q, %d) = %v, want %d events", tt.dir, tt.least, got, tt.want)
		}
	}
}

func TestKeyFileCondition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	c := alarm.KeyFile(path)
	look := func(what string, want int) {
		t.Helper()
		if got := c(t.Context()); len(got) != want {
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
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	look("no file", 1)
}

func TestDeadEndpoints(t *testing.T) {
	long := time.Now().Add(-2 * time.Hour)
	c := alarm.Dead(time.Hour, func(context.Context) ([]alarm.Endpoint, error) {
		return []alarm.Endpoint{
			{Name: "error_event", Waiting: 1, Since: long}, {Name: "general", Waiting: 1, Since: long, Reason: "refused"},
			{Name: "tag_update", Waiting: 1, Since: time.Now()}, {Name: "vuln_update", Since: long}, {Name: "policy_eval", Waiting: 3},
		}, nil
	})
	var names []string
	for _, e := range c(t.Context()) {
		names = append(names, e.Resource.ID)
	}
	if diff := cmp.Diff([]string{"general"}, names); diff != "" {
		t.Errorf("dead (-want +got):\n%s", diff)
	}
}

func TestFailuresCondition(t *testing.T) {
	n := 4
	c := alarm.Failures(5, func() (int, string) { return n, "no space" })
	if got := c(t.Context()); got != nil {
		t.Errorf("after 4 failures: %v", got)
	}
	n = 5
	if got := c(t.Context()); len(got) != 1 {
		t.Errorf("after 5 failures: %v, want one event", got)
	}
}
