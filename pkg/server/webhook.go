package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// Webhooks is what the server asks about the webhook endpoints.
type Webhooks interface {
	// Endpoints returns the configured endpoints, and those that are no longer
	// configured but have deliveries.
	Endpoints(ctx context.Context) ([]Endpoint, error)
	// Test sends a sample to an endpoint, once. What the endpoint makes of it is no
	// error. Errors: Invalid for an endpoint or type that there is not.
	Test(ctx context.Context, endpoint string, t anchore.SubscriptionType, a anchore.Account) (EndpointTest, error)
	// Resume sends to an endpoint again that is paused or held. Errors: NotFound.
	Resume(ctx context.Context, endpoint string) error
}

// Endpoint is a webhook endpoint as operators see it.
type Endpoint struct {
	Name        string
	URL         string   // scheme and host
	Keys        []string // of the configuration, that made it
	Pending     int
	Parked      int
	InFlight    int
	Failures    int // in a row
	Paused      bool
	Removed     bool      // it is not configured any more, but has deliveries
	HeldUntil   time.Time // zero if it is not held; in the past while one delivery at a time is tried
	LastSuccess time.Time
	LastFailure time.Time
	Reason      string    // of the last failure
	OldestDue   time.Time // zero if nothing waits
}

// EndpointTest is what came of a test of an endpoint.
type EndpointTest struct {
	Endpoint  string
	URL       string
	Keys      []string
	Delivered bool
	Status    int // HTTP status, 0 if no answer came
	Reason    string
	Took      time.Duration
	TLS       *EndpointTLS // nil over plain HTTP, or if no certificate was seen
}

// EndpointTLS is what an endpoint's server said about itself.
type EndpointTLS struct {
	Version string // "" if the certificate was refused
	Trusted bool
	Chain   []EndpointCertificate
}

// EndpointCertificate is one certificate of a chain.
type EndpointCertificate struct {
	Subject  string
	Issuer   string
	Names    []string
	NotAfter time.Time
}

// ListWebhooks answers with the webhook endpoints and what waits for them.
func (s *Server) ListWebhooks(w http.ResponseWriter, r *http.Request) {
	if !s.requireAdmin(w, r, "listWebhooks") {
		return
	}
	answer := []api.Webhook{}
	if s.cfg.Webhooks == nil {
		s.Write(w, r, http.StatusOK, answer)
		return
	}
	list, err := s.cfg.Webhooks.Endpoints(r.Context())
	for _, e := range list {
		hook := api.Webhook{
			Name: e.Name, URL: e.URL, ConfigurationKeys: append([]string{}, e.Keys...), State: stateOf(e),
			Pending: e.Pending, Parked: e.Parked, InFlight: e.InFlight, Failures: e.Failures,
			LastSuccess: rest.RecordTimeOrNull(e.LastSuccess), LastFailure: rest.RecordTimeOrNull(e.LastFailure), OldestDue: rest.RecordTimeOrNull(e.OldestDue),
		}
		if hook.State != api.Paused && hook.State != api.Removed && e.HeldUntil.After(time.Now()) {
			hook.HeldUntil = rest.RecordTimeOrNull(e.HeldUntil)
		}
		if hook.State != api.Working || e.LastFailure.After(e.LastSuccess) {
			hook.LastError = rest.TextOrNull(e.Reason)
		}
		answer = append(answer, hook)
	}
	s.Send(w, r, answer, err)
}

func stateOf(e Endpoint) api.WebhookState {
	switch {
	case e.Removed:
		return api.Removed
	case e.Paused:
		return api.Paused
	case e.Failures > 0:
		return api.Failing
	}
	return api.Working
}

// TestWebhook sends a sample to a webhook endpoint and answers with what came of
// it: 200 if the endpoint took it, 502 if not, so that scripts see the difference.
func (s *Server) TestWebhook(w http.ResponseWriter, r *http.Request, name string, params api.TestWebhookParams) {
	if !s.requireAdmin(w, r, "testWebhook") {
		return
	}
	if s.cfg.Webhooks == nil {
		s.Fail(w, r, anchore.E(anchore.Invalid, "server.TestWebhook", "Webhooks Configuration not found"))
		return
	}
	kind := sampleType(name, rest.Given(params.NotificationType))
	got, err := s.cfg.Webhooks.Test(r.Context(), name, kind, callerOf(r).acts)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	answer := endpointTest(got, kind)
	if got.Delivered {
		s.Write(w, r, http.StatusOK, answer)
		return
	}
	s.Refuse(w, r, http.StatusBadGateway, &anchore.Error{
		Kind: anchore.Unavailable, Op: "server.TestWebhook",
		Message: "the endpoint " + name + " (" + got.URL + ") did not take the sample: " + got.Reason,
		Detail: map[string]any{
			"endpoint": answer.Endpoint, "url": answer.URL, "notification_type": answer.NotificationType, "configuration_keys": answer.ConfigurationKeys,
			"status": answer.Status, "latency_ms": answer.LatencyMs, "tls": answer.TLS, "reason": answer.Reason,
		},
	})
}

// sampleType is the type that was asked for, else the one that the endpoint is
// named after, else tag_update, as in the original.
func sampleType(endpoint string, asked api.TestWebhookParamsNotificationType) anchore.SubscriptionType {
	if asked != "" {
		return anchore.SubscriptionType(asked)
	}
	own := anchore.SubscriptionType(endpoint)
	if slices.Contains(anchore.TagSubscriptionTypes(), own) || own == anchore.ErrorEvent || own == anchore.EventLog {
		return own
	}
	return anchore.TagUpdate
}

func endpointTest(t EndpointTest, kind anchore.SubscriptionType) api.WebhookTest {
	answer := api.WebhookTest{
		Endpoint: t.Endpoint, URL: t.URL, NotificationType: string(kind), ConfigurationKeys: append([]string{}, t.Keys...),
		LatencyMs: float64(t.Took.Microseconds()) / 1000, Reason: rest.TextOrNull(t.Reason),
	}
	if t.Status != 0 {
		answer.Status = &t.Status
	}
	if t.TLS == nil {
		return answer
	}
	answer.TLS = &api.WebhookTLS{Version: rest.TextOrNull(t.TLS.Version), Trusted: t.TLS.Trusted, Chain: []api.Certificate{}}
	for _, c := range t.TLS.Chain {
		answer.TLS.Chain = append(answer.TLS.Chain, api.Certificate{
			Subject: c.Subject, Issuer: c.Issuer, Names: append([]string{}, c.Names...), NotAfter: rest.RecordTime(c.NotAfter),
		})
	}
	return answer
}

// ResumeWebhook lets an endpoint that is paused or held be sent to again.
func (s *Server) ResumeWebhook(w http.ResponseWriter, r *http.Request, name string) {
	if !s.requireAdmin(w, r, "resumeWebhook") {
		return
	}
	if s.cfg.Webhooks == nil {
		s.Fail(w, r, anchore.E(anchore.NotFound, "server.ResumeWebhook", "no webhook endpoint %q is configured", name))
		return
	}
	s.Send(w, r, true, s.cfg.Webhooks.Resume(r.Context(), name))
}
