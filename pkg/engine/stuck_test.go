package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/store"
)

// hanging is a store that does not answer while it is so, but to who asks with asking.
type hanging struct {
	store.Store
	now atomic.Bool
}

type askingKey struct{}

func (h *hanging) View(ctx context.Context, fn func(store.Tx) error) error {
	if h.now.Load() && ctx.Value(askingKey{}) == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Store.View(ctx, fn)
}

// newLoops is an engine that serves no API, on a store that may hang.
func newLoops(t *testing.T) (*Engine, *hanging) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := config.Load(nil, []string{"HOME=" + dir, "ANCHORE_DATA_DIR=" + filepath.Join(dir, "data"), "ANCHORE_LISTEN=127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Webhooks.Endpoints = []config.Endpoint{{Name: "general", URL: "http://127.0.0.1:1/"}}
	e := &Engine{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	metrics, endpoints := prometheus.NewRegistry(), webhookEndpoints(cfg.Webhooks)
	s, blobs, err := e.openData()
	if err != nil {
		t.Fatal(err)
	}
	h := &hanging{Store: s}
	e.store, e.blobs = h, blobs
	if err := e.listen(); err != nil {
		t.Fatal(err)
	}
	if e.catalog, err = catalog.New(catalog.Config{Store: h, Blobs: blobs, Endpoints: notify.Route(endpoints)}); err != nil {
		t.Fatal(err)
	}
	if err := e.newRegistryClient(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	in, err := intake.New(intake.Config{Catalog: e.catalog, Registry: e.registry})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.newWatcher(in, metrics, nil), e.newWorkers(Options{}, metrics), e.newRelay(endpoints, Options{}, metrics), e.newAlarms(alarm.WatchStore(h), nil)); err != nil {
		t.Fatal(err)
	}
	return e, h
}

// TestALoopThatIsStuckIsDown: each part whose loop does not turn any more is shown as
// down, and says since when.
func TestALoopThatIsStuckIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newLoops(t)
		defer func() { _ = e.close() }()
		ctx, stop := context.WithCancel(t.Context())
		var loops sync.WaitGroup
		for _, run := range []func(context.Context) error{e.relay.Run, e.catalog.RunFanOut, e.sweep, e.workers.Run, e.watcher.Run} {
			loops.Go(func() {
				if err := run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		defer loops.Wait()
		defer stop()
		look := func(wait time.Duration) map[string]bool {
			time.Sleep(wait)
			synctest.Wait()
			down := map[string]bool{}
			for _, p := range e.health(context.WithValue(t.Context(), askingKey{}, true)) {
				down[p.Part] = p.Down
				if p.Down != (p.Message != "") {
					t.Errorf("%s is down: %v, and says %q", p.Part, p.Down, p.Message)
				}
			}
			return down
		}
		want := map[string]bool{"storage": false, "watch": false, "sweep": false, "analyze": false, "fan-out": false, "notify": false}
		if diff := cmp.Diff(want, look(0)); diff != "" {
			t.Errorf("down at the start (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, look(5*time.Hour+7*time.Minute)); diff != "" {
			t.Errorf("down while all turn (-want +got):\n%s", diff)
		}
		store.now.Store(true)
		for part := range want {
			want[part] = part != "storage" // whose alarms do not run here
		}
		if diff := cmp.Diff(want, look(30*time.Minute)); diff != "" {
			t.Errorf("down while the store hangs (-want +got):\n%s", diff)
		}
	})
}
