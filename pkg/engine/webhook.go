package engine

import (
	"context"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/server"
)

// webhooks is what the API shows of the relay and its channel.
type webhooks struct {
	relay   *notify.Relay
	channel *notify.Webhook
}

// Endpoints implements server.Webhooks.
func (h webhooks) Endpoints(ctx context.Context) ([]server.Endpoint, error) {
	states, err := h.relay.Status(ctx)
	list := make([]server.Endpoint, 0, len(states))
	for _, s := range states {
		list = append(list, server.Endpoint{
			Name: s.Name, URL: s.URL, Keys: s.Keys, Pending: s.Pending, Parked: s.Parked, InFlight: s.InFlight, Failures: s.Failures,
			Paused: !s.PausedAt.IsZero(), HeldUntil: s.HeldUntil, Removed: s.Removed, LastSuccess: s.LastSuccess, LastFailure: s.LastFailure, Reason: s.Reason, OldestDue: s.OldestDue,
		})
	}
	return list, err
}

// Test implements server.Webhooks.
func (h webhooks) Test(ctx context.Context, endpoint string, t anchore.SubscriptionType, a anchore.Account) (server.EndpointTest, error) {
	p, err := h.channel.Test(ctx, endpoint, t, a)
	if err != nil {
		return server.EndpointTest{}, err
	}
	test := server.EndpointTest{
		Endpoint: endpoint, URL: notify.MaskURL(p.Endpoint.URL), Keys: p.Endpoint.Keys, Delivered: p.Result == notify.Delivered,
		Status: p.Status, Reason: p.Reason, Took: p.Took,
	}
	if p.TLS == nil {
		return test, nil
	}
	test.TLS = &server.EndpointTLS{Version: p.TLS.Version, Trusted: p.TLS.Trusted}
	for _, c := range p.TLS.Chain {
		test.TLS.Chain = append(test.TLS.Chain, server.EndpointCertificate(c))
	}
	return test, nil
}

// Resume implements server.Webhooks.
func (h webhooks) Resume(ctx context.Context, endpoint string) error {
	return h.relay.Resume(ctx, endpoint)
}
