package engine_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/engine"
)

// TestFatalEventReachesTheErrorEventWebhook: a data directory with less space than
// asked for is told to error_event, and not to general.
func TestFatalEventReachesTheErrorEventWebhook(t *testing.T) {
	received := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Data struct {
				Type    string `json:"notification_type"`
				Payload struct {
					Event struct {
						Type, Level string
					}
				} `json:"notification_payload"`
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		received <- r.URL.Path + " " + body.Data.Type + " " + body.Data.Payload.Event.Type + " " + body.Data.Payload.Event.Level
	}))
	defer receiver.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	text := "data_dir: " + filepath.Join(dir, "data") + "\nlisten: 127.0.0.1:0\nalarms: {min_free_mb: 1073741824}\n" +
		"webhooks:\n  general: {url: '" + receiver.URL + "/general'}\n  error_event: {url: '" + receiver.URL + "/error_event/'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(nil, []string{"ANCHORE_CONFIG=" + file, "HOME=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(t.Context(), cfg, engine.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	select {
	case got := <-received:
		if diff := cmp.Diff("/error_event/ error_event system.storage.disk_full fatal", got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing was received")
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
	if n := len(received); n > 0 {
		t.Errorf("%d more requests, e.g. %s", n, <-received)
	}
}
