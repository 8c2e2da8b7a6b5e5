package notify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// testWord stands for the type in the URL of a test, as in the original, so that a
// receiver can tell it from what it acts on.
const testWord = "test"

// Probe is what came of a test of an endpoint.
type Probe struct {
	Endpoint Endpoint
	Type     anchore.SubscriptionType
	Outcome
	Took time.Duration // from the start to the answer, or to the failure
	TLS  *TLSState     // nil for plain HTTP, and if no server said who it is
}

// TLSState is what a server said about itself.
type TLSState struct {
	Version string // "TLS 1.3"; "" if the handshake failed
	Trusted bool   // the chain ends at an authority that the endpoint trusts
	Chain   []Certificate
}

// Certificate is one certificate of a chain, the server's own first.
type Certificate struct {
	Subject  string
	Issuer   string
	Names    []string // DNS names and addresses that it is for
	NotAfter time.Time
}

// Test makes one attempt to send a sample of the given type to an endpoint. What the
// endpoint makes of it is in the Probe, not an error. Errors: Invalid for an
// endpoint that is not configured, or a type that is never sent.
func (w *Webhook) Test(ctx context.Context, endpoint string, t anchore.SubscriptionType, account anchore.Account) (Probe, error) {
	const op = "notify.Test"
	to := w.targets[endpoint]
	if to == nil && len(w.targets) == 0 {
		return Probe{}, anchore.E(anchore.Invalid, op, "Webhooks Configuration not found")
	}
	if to == nil {
		return Probe{}, anchore.E(anchore.Invalid, op, "No Webhook Configuration found for type=%s; it needs the key webhooks.%s.url", endpoint, endpoint)
	}
	now := time.Now()
	id := newID()
	sample := anchore.SamplePayload(t, account.Name, id, w.baseURL, now)
	if sample == nil {
		return Probe{}, anchore.E(anchore.Invalid, op, "notifications of type %q are never sent", t)
	}
	payload, err := json.Marshal(sample)
	if err != nil {
		return Probe{}, fmt.Errorf("notify.Test: %w", err)
	}
	timeout := to.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o, state, err := w.send(ctx, to, Message{
		Notification: anchore.Notification{ID: id, Account: account.Name, Type: t, Payload: payload, CreatedAt: now},
		Email:        account.Email, Attempt: 1, Until: now, URLType: testWord,
	})
	return Probe{Endpoint: to.Endpoint, Type: t, Outcome: o, Took: time.Since(now), TLS: tlsState(state, err)}, nil
}

// newID is a random UUID (RFC 9562 §5.4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// tlsState describes a connection, or the chain for which it was refused.
func tlsState(state *tls.ConnectionState, err error) *TLSState {
	var refused *tls.CertificateVerificationError
	switch {
	case state != nil:
		return &TLSState{Version: tls.VersionName(state.Version), Trusted: len(state.VerifiedChains) > 0, Chain: chain(state.PeerCertificates)}
	case errors.As(err, &refused):
		return &TLSState{Chain: chain(refused.UnverifiedCertificates)}
	}
	return nil
}

func chain(certificates []*x509.Certificate) []Certificate {
	list := make([]Certificate, 0, len(certificates))
	for _, c := range certificates {
		names := append([]string{}, c.DNSNames...)
		for _, ip := range c.IPAddresses {
			names = append(names, ip.String())
		}
		list = append(list, Certificate{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: names, NotAfter: c.NotAfter})
	}
	return list
}
