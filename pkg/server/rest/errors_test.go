package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	want := map[anchore.Kind]int{
		anchore.Internal: 500, anchore.Invalid: 400, anchore.Unauthorized: 401, anchore.Forbidden: 403,
		anchore.NotFound: 404, anchore.Conflict: 409, anchore.Limited: 429, anchore.Unavailable: 503,
	}
	for _, kind := range anchore.Kinds() {
		status, ok := want[kind]
		if !ok {
			t.Errorf("kind %v has no status in this test", kind)
		}
		if got := statusOf(kind); got != status {
			t.Errorf("statusOf(%v) = %d, want %d", kind, got, status)
		}
	}
}

func TestErrorAnswers(t *testing.T) {
	limited := anchore.E(anchore.Limited, "op", "slow down").Because(errors.New("SECRET"))
	limited.After = 1500 * time.Millisecond
	detailed := anchore.E(anchore.Invalid, "op", "no").WithCodes("A_CODE")
	detailed.Detail = map[string]any{"limit": 5, "error_codes": "not this"}
	internal := anchore.E(anchore.Internal, "op", "SECRET")
	internal.Detail = map[string]any{"SECRET": 1}
	for _, tt := range []struct {
		name   string
		err    error
		status int
		body   string
		after  string
	}{
		{"limited", limited, 429, `{"message":"slow down","httpcode":429,"detail":{"error_codes":[]}}`, "2"},
		{"detailed", fmt.Errorf("SECRET: %w", detailed), 400, `{"message":"no","httpcode":400,"detail":{"error_codes":["A_CODE"],"limit":5}}`, ""},
		{"internal", internal, 500, `{"message":"internal error; the engine's log has the cause","httpcode":500,"detail":{"error_codes":[]}}`, ""},
		{"foreign", errors.New("SECRET"), 500, `{"message":"internal error; the engine's log has the cause","httpcode":500,"detail":{"error_codes":[]}}`, ""},
		{"too large", fmt.Errorf("SECRET: %w", tooLarge(5)), 413, `{"message":"the body is larger than 5 bytes, the most that this engine takes","httpcode":413,"detail":{"error_codes":[]}}`, ""},
		{"an echo", anchore.E(anchore.Invalid, "op", "%q is bad", strings.Repeat("x", 300)), 400,
			`{"message":"\"` + strings.Repeat("x", 200) + `…\" is bad","httpcode":400,"detail":{"error_codes":[]}}`, ""},
		{"late", context.DeadlineExceeded, 503, `{"message":"the engine could not finish the request in time; try again","httpcode":503,"detail":{"error_codes":[]}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Responder{log: slog.New(slog.DiscardHandler)}
			w := httptest.NewRecorder()
			s.Fail(w, httptest.NewRequest("GET", "/", nil), tt.err)
			if diff := cmp.Diff(decoded(t, []byte(tt.body)), decoded(t, w.Body.Bytes())); diff != "" || w.Code != tt.status {
				t.Errorf("Fail() = %d, want %d (-want +got):\n%s", w.Code, tt.status, diff)
			}
			if got := w.Header().Get("Retry-After"); got != tt.after {
				t.Errorf("Retry-After = %q, want %q", got, tt.after)
			}
		})
	}
}

// decoded is a JSON object.
func decoded(t *testing.T, doc []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(doc, &object); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return object
}
