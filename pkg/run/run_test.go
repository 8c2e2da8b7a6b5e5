package run_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/run"
)

// drain is the time that the parts of these tests have to stop.
const drain = 8 * time.Second

// journal records what happens in which order.
type journal struct {
	mu    sync.Mutex // parts that are late overlap
	lines []string
}

func (j *journal) ended() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) part(name string, grace, takes time.Duration, err error) run.Part {
	return run.Part{Name: name, Grace: grace, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(takes)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, name)
		return err
	}}
}

func TestRunStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		j := &journal{}
		began := time.Now()
		time.AfterFunc(time.Minute, cancel)
		err := run.Run(ctx, drain, []run.Part{
			j.part("store", time.Second, 0, nil),
			j.part("relay", 5*time.Second, 3*time.Second, context.Canceled),
			j.part("server", 5*time.Second, 2*time.Second, nil),
		})
		if err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		if diff := cmp.Diff([]string{"server", "relay", "store"}, j.ended()); diff != "" {
			t.Errorf("order of stopping (-want +got):\n%s", diff)
		}
		if got, want := time.Since(began), time.Minute+5*time.Second; got != want {
			t.Errorf("Run() took %s, want %s", got, want)
		}
	})
}

func TestRunFailure(t *testing.T) {
	broken := errors.New("disk full")
	tests := []struct {
		name string
		part run.Part
		want error
	}{
		{"fails", run.Part{Name: "bad", Run: func(context.Context) error { return broken }}, broken},
		{"returns nil unasked", run.Part{Name: "bad", Run: func(context.Context) error { return nil }}, run.ErrEnded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{}
				err := run.Run(t.Context(), drain, []run.Part{
					j.part("store", time.Second, 0, nil), tt.part, j.part("server", time.Second, 0, nil),
				})
				if !errors.Is(err, tt.want) {
					t.Errorf("Run() = %v, want %v", err, tt.want)
				}
				if want := "bad: " + tt.want.Error(); err == nil || err.Error() != want {
					t.Errorf("Run() = %q, want %q", err, want)
				}
				if diff := cmp.Diff([]string{"server", "store"}, j.ended()); diff != "" {
					t.Errorf("order of stopping (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRunDrains: a part that does not end in its grace does not keep the next one
// from stopping, may go on until the drain is over, and is left behind then.
func TestRunDrains(t *testing.T) {
	const second = time.Second
	type part struct {
		name         string
		grace, takes time.Duration // takes < 0: it never ends
	}
	tests := []struct {
		name  string
		parts []part
		order []string // of those that end
		takes time.Duration
		left  []string
	}{
		{"each in its grace", []part{{"notify", 3 * second, 2 * second}, {"analyze", 2 * second, second}, {"server", 3 * second, 3 * second}}, []string{"server", "analyze", "notify"}, 6 * second, nil},
		{"one is late", []part{{"notify", 3 * second, second}, {"analyze", second, 4 * second}, {"server", second, 0}}, []string{"server", "notify", "analyze"}, 4 * second, nil},
		{"one hangs", []part{{"notify", 3 * second, second}, {"analyze", second, -1}, {"server", second, 0}}, []string{"server", "notify"}, drain, []string{"analyze"}},
		{"all hang", []part{{"notify", 3 * second, -1}, {"analyze", 2 * second, -1}, {"server", 3 * second, -1}}, nil, drain, []string{"notify", "analyze", "server"}},
		{"graces above the drain", []part{{"notify", 30 * second, -1}, {"analyze", 20 * second, second}, {"server", 30 * second, -1}}, nil, drain, []string{"notify", "analyze", "server"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				j, stuck := &journal{}, make(chan struct{})
				var parts []run.Part
				for _, p := range tt.parts {
					if p.takes >= 0 {
						parts = append(parts, j.part(p.name, p.grace, p.takes, nil))
						continue
					}
					parts = append(parts, run.Part{Name: p.name, Grace: p.grace, Run: func(context.Context) error { <-stuck; return nil }})
				}
				began := time.Now()
				err := run.Run(ctx, drain, parts)
				if got := time.Since(began); got != tt.takes {
					t.Errorf("Run() took %s, want %s", got, tt.takes)
				}
				if diff := cmp.Diff(tt.order, j.ended()); diff != "" {
					t.Errorf("parts that ended (-want +got):\n%s", diff)
				}
				if errors.Is(err, run.ErrGrace) != (tt.left != nil) {
					t.Errorf("Run() = %v, want %v for %v", err, run.ErrGrace, tt.left)
				}
				for _, name := range tt.left {
					if !strings.Contains(err.Error(), name+": "+run.ErrGrace.Error()) {
						t.Errorf("Run() = %q, which does not name %s", err, name)
					}
				}
				close(stuck)
				time.Sleep(time.Minute) // what was left behind ends
			})
		})
	}
}

// TestRunStopsTheNextAfterTheGrace: each keeps its share, however long those before
// it take.
func TestRunStopsTheNextAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		told := map[string]time.Duration{}
		var mu sync.Mutex
		hang := func(name string, grace time.Duration) run.Part {
			return run.Part{Name: name, Grace: grace, Run: func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				told[name] = time.Since(began)
				mu.Unlock()
				time.Sleep(time.Hour)
				return nil
			}}
		}
		_ = run.Run(ctx, drain, []run.Part{hang("notify", 3*time.Second), hang("analyze", 2*time.Second), hang("server", 3*time.Second)})
		time.Sleep(2 * time.Hour) // what was left behind ends
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[string]time.Duration{"server": 0, "analyze": 3 * time.Second, "notify": 5 * time.Second}, told); diff != "" {
			t.Errorf("when the parts were told to stop (-want +got):\n%s", diff)
		}
	})
}

type contextKey struct{}

func TestRunContextValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "here"))
		var got any
		err := run.Run(ctx, drain, []run.Part{{Name: "one", Grace: time.Second, Run: func(ctx context.Context) error {
			got = ctx.Value(contextKey{})
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}}})
		if err != nil || got != "here" {
			t.Errorf("Run() = %v with value %v, want nil with here", err, got)
		}
	})
}
