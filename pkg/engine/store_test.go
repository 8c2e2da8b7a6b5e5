package engine

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/config"
)

// TestStoreFailureIsToldWithoutTheStore: the store stops to serve while the engine
// runs, so that neither the event nor its notification can be recorded.
func TestStoreFailureIsToldWithoutTheStore(t *testing.T) {
	received := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received <- string(body)
	}))
	defer receiver.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	text := "data_dir: " + filepath.Join(dir, "data") + "\nlisten: 127.0.0.1:0\nwebhooks: {error_event: {url: '" + receiver.URL + "'}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(nil, []string{"ANCHORE_CONFIG=" + file, "HOME=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), cfg, Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.waitUntilItServes(t)
	e.waitUntilItDelivers(t)
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.catalog.Raise(t.Context(), anchore.Event{Type: anchore.EventRegistryUp, Level: anchore.Info}); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("Raise() without a store = %v, want unavailable", err)
	}
	select {
	case got := <-received:
		for _, want := range []string{`"system.storage.failing"`, `"fatal"`, `"notification_type":"error_event"`} {
			if !strings.Contains(got, want) {
				t.Errorf("received %s, want %s in it", got, want)
			}
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing was received")
	}
	stop()
	<-done // what the parts say of a store that is gone is not the point here
}

// waitUntilItDelivers polls until the relay has looked for work: a store that fails
// before ends the engine's start instead.
func (e *Engine) waitUntilItDelivers(t *testing.T) {
	t.Helper()
	for range 1000 {
		states, err := e.relay.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(states) > 0 && !states[0].LookedAt.IsZero() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the relay does not look for work")
}

// waitUntilItServes polls until the API answers: the parts run by then.
func (e *Engine) waitUntilItServes(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: time.Second}
	for range 1000 {
		resp, err := client.Get(e.URL() + "/health")
		if err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the API does not answer")
}
