package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestRequestsThatCannotBeServed(t *testing.T) {
	f := newFixture(t, func(cfg *Config) { cfg.MaxBody, cfg.MaxDepth = 2000, 10 })
	deep := `{"tag":"alpine","x":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + `}`
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
		header             []string
	}{
		{method: "GET", path: "/nonsense", status: 404, message: "nothing at this path"},
		{method: "GET", path: "/v1x/health", status: 404, message: "nothing at this path"},
		{method: "PUT", path: "/images", status: 405, message: "this path allows DELETE, GET, POST"},
		{method: "POST", path: "/images", body: "{", status: 400, message: "not valid JSON"},
		{method: "POST", path: "/images", body: "{} {}", status: 400, message: "not valid JSON"},
		{method: "POST", path: "/images", body: " ", status: 400, message: "no body"},
		{method: "POST", path: "/images", body: "null", status: 400, message: "request body"},
		{method: "POST", path: "/images", body: `{"tag":5}`, status: 400, message: `at "tag"`},
		{method: "POST", path: "/images", body: `{"source":{"digest":{"tag":"x"}}}`, status: 400, message: "pullstring"},
		{method: "POST", path: "/images", body: deep, status: 400, message: "more than 10 deep"},
		{method: "POST", path: "/images", body: `{"tag":"` + strings.Repeat("x", 2000) + `"}`, status: 413, message: "larger than 2000 bytes"},
		{method: "POST", path: "/images", body: `tag=alpine`, status: 415, message: "application/json", header: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{method: "PUT", path: "/subscriptions/x", body: `<active/>`, status: 415, message: "application/json", header: []string{"Content-Type", "text/xml"}},
		{method: "POST", path: "/images", body: `{"tag":"alpine"}`, status: 415, message: "application/json", header: []string{"Content-Type", "no media type"}},
		{method: "POST", path: "/images?force=maybe", body: `{}`, status: 400, message: "force"},
	} {
		f.call("alice", tt.method, tt.path, tt.body, tt.header...).says(tt.status, tt.message)
	}
	for _, ct := range []string{"", "application/json; charset=utf-8", "APPLICATION/JSON"} {
		f.call("alice", "POST", "/images", `{"tag":"alpine"}`, "Content-Type", ct).is(200)
	}
	if got := f.call("alice", "PUT", "/images", "").header.Get("Allow"); got != "DELETE, GET, POST" {
		t.Errorf("Allow = %q", got)
	}
}

// panicking is a catalog with a defect.
type panicking struct{ Catalog }

func (panicking) Event(context.Context, string, string) (anchore.Event, error) { panic("SECRET") }

func TestPanicIsAnswered(t *testing.T) {
	var log strings.Builder
	f := newFixture(t, func(cfg *Config) {
		cfg.Catalog = panicking{cfg.Catalog}
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	a := f.call("alice", "GET", "/events/1", "")
	a.says(500, "internal error")
	if strings.Contains(string(a.body), "SECRET") {
		t.Errorf("the answer shows the panic:\n%s", a.body)
	}
	if id := a.header.Get("X-Request-Id"); id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "SECRET") {
		t.Errorf("the log lacks request %q or its panic:\n%s", id, log.String())
	}
}

func TestAccessLogIsForDebuggingAndWithoutCredentials(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var log strings.Builder
		f := newFixture(t, func(cfg *Config) {
			cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
		})
		f.call("alice", "GET", "/subscriptions?subscription_key=alpine", "").is(200)
		if got := strings.Contains(log.String(), "path=/subscriptions status=200"); got != (level == slog.LevelDebug) {
			t.Errorf("at level %v the log is:\n%s", level, log.String())
		}
		if strings.Contains(log.String(), "password") || strings.Contains(log.String(), "YWxpY2U6") {
			t.Errorf("the log shows credentials:\n%s", log.String())
		}
	}
}
