package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEndpointSettings sends to an endpoint behind a proxy, which must not be sent
// to too often, and to one that wants a client certificate and further headers.
func TestEndpointSettings(t *testing.T) {
	t.Parallel()
	const perSecond, tags = 4, 12
	reg, behind := newRegistry(t), newReceiver(t)
	proxy := newFront(t, http.HandlerFunc(behind.receive))
	certificate, cert, key := clientCertificate(t)
	clients := x509.NewCertPool()
	clients.AddCert(certificate)
	closed := newTLSReceiverWith(t, &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	e := startEngine(t, offline+fmt.Sprintf(`
webhooks:
  ca_file: '%[1]s'
  general:
    url: 'http://hooks.example.test/<notification_type>/<userId>'
    proxy: '%[2]s'
    max_per_second: %[3]d
  analysis_update:
    url: '%[4]s/in'
    client_cert: '%[5]s'
    client_key: '%[6]s'
    bearer_token: 'the-token'
    headers: {X-Team: 'base images', x-trace: 'on'}
  vuln_update:
    url: '%[4]s/in'
`, closed.caFile(t), proxy.URL, perSecond, closed.URL, cert, key))
	refs := make([]string, tags)
	for i := range refs {
		refs[i] = reg.ref("endpoint/settings", fmt.Sprintf("v%d", i))
		reg.push(t, refs[i], "one image")
		e.mustCLI("image", "add", refs[i])
	}
	for _, ref := range refs {
		behind.wait(t, 1, "the analysis_update through the proxy", of("analysis_update", ref))
		closed.wait(t, 1, "the analysis_update with a client certificate", of("analysis_update", ref))
	}

	sent := proxy.requests(func(r request) bool { return true })
	for _, r := range sent {
		if r.Method != http.MethodPost || r.Host != "hooks.example.test" || r.Path != "/analysis_update/admin" {
			t.Errorf("the proxy was asked for %+v", r)
		}
	}
	first, last := sent[0].At, sent[len(sent)-1].At
	if least := (tags - 1) * time.Second / perSecond; last.Sub(first) < least-time.Second || len(sent) != tags { // the first may have been slow
		t.Errorf("%d requests in %v at %d a second", len(sent), last.Sub(first), perSecond)
	}
	for _, d := range closed.deliveries(func(delivery) bool { return true }) {
		if h := d.Header; h.Get("Authorization") != "Bearer the-token" || h.Get("X-Team") != "base images" || h.Get("X-Trace") != "on" {
			t.Errorf("headers %v", h)
		}
	}
	// In TLS 1.3 the client may have sent its request before it learns that its
	// certificate was missing, and then sees the connection break off instead.
	waitFor(t, "a sample to be refused for want of a client certificate", func() bool {
		r := e.cli("system", "webhook", "test", "vuln_update")
		if r.Code == 0 {
			t.Fatalf("a sample without a client certificate was taken: %+v", r)
		}
		return strings.Contains(r.Stdout+r.Stderr, "certificate required")
	})
}

// clientCertificate makes a certificate and returns it with its two files.
func clientCertificate(t testing.TB) (certificate *x509.Certificate, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "engine"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", secret)
}

// TestRetriesEnd has endpoints that take nothing: what is sent to them is tried
// until the configured time is over, and then parked where the operator sees it.
func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	reg, patient, once := newRegistry(t), newReceiver(t), newReceiver(t)
	down := func(delivery) reply { return reply{Status: http.StatusServiceUnavailable} }
	patient.answers(down)
	once.answers(down)
	e := startEngine(t, offline+fmt.Sprintf(`
webhooks:
  notification_retry_timeout: 3
  general:
    url: '%s'
  analysis_update:
    url: '%s'
    notification_retry_timeout: 0
`, patient.URL, once.URL))
	ref := reg.ref("endpoint/retries", "v1")
	reg.push(t, ref, "a")
	e.mustCLI("image", "add", ref)
	for endpoint, within := range map[string]string{"general": "3s", "analysis_update": "0s"} {
		waitFor(t, "the delivery to "+endpoint+" to be given up", func() bool {
			for _, row := range cells(e.mustCLI("system", "webhook", "list")) {
				if len(row) > 5 && row[0] == endpoint {
					return slices.Equal(row[2:5], []string{"failing", "0", "1"}) // state, waiting, given up
				}
			}
			return false
		})
		if out := e.mustCLI("system", "webhook", "list", "--output", "wide"); !strings.Contains(out, "not delivered within "+within+"; the last of ") {
			t.Errorf("system webhook list does not say why a delivery to %s was given up:\n%s", endpoint, out)
		}
		if events := e.events("system.webhook.delivery_parked", endpoint); len(events) != 1 || events[0].Event.Details["subscription_key"] != ref {
			t.Errorf("events of a delivery to %s that was given up: %+v", endpoint, events)
		}
	}
	if n := len(once.deliveries(of("analysis_update", ref))); n != 1 {
		t.Errorf("%d attempts at the endpoint that is tried once", n)
	}
	tries := patient.deliveries(of("analysis_update", ref))
	last := tries[len(tries)-1]
	if len(tries) < 2 || last.At.Unix() < last.Envelope.MaxTries {
		t.Errorf("%d attempts, the last at %v; want it at the end of the time: %v", len(tries), last.At, time.Unix(last.Envelope.MaxTries, 0))
	}
}
