package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/intake"
)

// trusting is a catalog to which everybody may log in, with many subscriptions.
type trusting struct{ manySubscriptions }

func (trusting) Authenticate(context.Context, string, anchore.Secret) (anchore.User, error) {
	return anchore.User{Name: "alice", Account: "alice"}, nil
}

func (trusting) Account(context.Context, string) (anchore.Account, error) {
	return anchore.Account{Name: "alice", Type: anchore.UserAccount, State: anchore.AccountEnabled}, nil
}

func (trusting) AddSubscription(_ context.Context, s anchore.Subscription) (anchore.Subscription, bool, error) {
	return s, true, nil
}

// BenchmarkRequest is the way of a request through the server alone: the catalog
// behind it does nothing.
func BenchmarkRequest(b *testing.B) {
	s, err := New(Config{Catalog: trusting{manySubscriptions{n: 1000}}, Intake: &intake.Intake{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"public", "GET", "/v1/health", "", http.StatusOK},
		{"list", "GET", "/v1/subscriptions", "", http.StatusOK},
		{"body", "POST", "/v1/subscriptions", `{"subscription_key":"docker.io/library/alpine:latest","subscription_type":"tag_update"}`, http.StatusOK},
		{"refused", "POST", "/v1/subscriptions", `{"subscription_key":5}`, http.StatusBadRequest},
		{"nothing", "GET", "/v1/nothing", "", http.StatusNotFound},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), bb.method, bb.path, strings.NewReader(bb.body))
				r.SetBasicAuth("alice", "alice-password")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != bb.status {
					rest, _ := io.ReadAll(w.Body)
					b.Fatalf("%s %s = %d, want %d\n%s", bb.method, bb.path, w.Code, bb.status, rest)
				}
			}
		})
	}
}
