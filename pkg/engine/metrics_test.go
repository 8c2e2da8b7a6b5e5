package engine

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/config"
)

// TestMetricsWithoutTheStore: what cannot be counted is missing, and the rest is there:
// it is then that somebody looks.
func TestMetricsWithoutTheStore(t *testing.T) {
	dir := t.TempDir()
	env := []string{"HOME=" + dir, "ANCHORE_DATA_DIR=" + filepath.Join(dir, "data"), "ANCHORE_LISTEN=127.0.0.1:0", "ANCHORE_ENABLE_METRICS=true", "ANCHORE_DISABLE_METRICS_AUTH=true"}
	cfg, err := config.Load(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), cfg, Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.close() }()
	for _, state := range []string{"open", "closed"} {
		answer := httptest.NewRecorder()
		e.http.Handler.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		if body := answer.Body.String(); answer.Code != 200 || !strings.Contains(body, "anchore_watch_tags ") {
			t.Errorf("with the store %s /metrics answers %d:\n%.500s", state, answer.Code, body)
		}
		if err := e.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
