package run_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/run"
)

// journal records what happens in which order; one part at a time stops, so it
// needs no lock while Run's promise holds, and -race tells when it does not.
type journal struct{ lines []string }

func (j *journal) part(name string, grace, takes time.Duration, err error) run.Part {
	return run.Part{Name: name, Grace: grace, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(takes)
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
		err := run.Run(ctx, []run.Part{
			j.part("store", time.Second, 0, nil),
			j.part("relay", 5*time.Second, 3*time.Second, context.Canceled),
			j.part("server", 5*time.Second, 2*time.Second, nil),
		})
		if err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		if diff := cmp.Diff([]string{"server", "relay", "store"}, j.lines); diff != "" {
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
				err := run.Run(t.Context(), []run.Part{
					j.part("store", time.Second, 0, nil), tt.part, j.part("server", time.Second, 0, nil),
				})
				if !errors.Is(err, tt.want) {
					t.Errorf("Run() = %v, want %v", err, tt.want)
				}
				if want := "bad: " + tt.want.Error(); err == nil || err.Error() != want {
					t.Errorf("Run() = %q, want %q", err, want)
				}
				if diff := cmp.Diff([]string{"server", "store"}, j.lines); diff != "" {
					t.Errorf("order of stopping (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRunGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		first := &journal{}
		stuck := make(chan struct{})
		err := run.Run(ctx, []run.Part{
			first.part("store", time.Second, 0, nil),
			{Name: "relay", Grace: 4 * time.Second, Run: func(context.Context) error { <-stuck; return nil }},
		})
		if !errors.Is(err, run.ErrGrace) {
			t.Errorf("Run() = %v, want %v", err, run.ErrGrace)
		}
		if diff := cmp.Diff([]string{"store"}, first.lines); diff != "" {
			t.Errorf("parts stopped (-want +got):\n%s", diff)
		}
		if got := time.Since(began); got != 4*time.Second {
			t.Errorf("Run() took %s, want 4s", got)
		}
		close(stuck)
	})
}

type contextKey struct{}

func TestRunContextValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "here"))
		var got any
		err := run.Run(ctx, []run.Part{{Name: "one", Grace: time.Second, Run: func(ctx context.Context) error {
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
