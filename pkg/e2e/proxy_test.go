package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// proxied are hosts behind a proxy: servers of plain HTTP by their name, and where a
// tunnel to a host and port leads.
type proxied struct {
	plain   map[string]http.Handler
	tunnels map[string]string
}

// ServeHTTP is a forward proxy (RFC 9110 §7.3, §9.3.6) that wants a password.
func (p proxied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, ok := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
	server, address := p.plain[r.Host], p.tunnels[r.Host]
	switch {
	case !ok || user != "engine" || password != "pass-the-proxy":
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect && address != "":
		tunnel(w, address)
	case r.Method != http.MethodConnect && server != nil:
		server.ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusBadGateway)
	}
}

// tunnel passes bytes on in both directions until one end closes.
func tunnel(w http.ResponseWriter, address string) {
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n") // who is gone is seen below
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
}

// TestProxyOfTheEnvironment has registries and a receiver whose names only a proxy
// knows, which the engine's environment names.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	plain, secure, direct := newRegistry(t), registry{ocitest.StartWith(t, ocitest.Config{TLS: true})}, newRegistry(t)
	recv := newReceiver(t)
	proxy := newFront(t, proxied{
		plain:   map[string]http.Handler{"plain.example.test": plain, "hooks.example.test": http.HandlerFunc(recv.receive)},
		tunnels: map[string]string{"plain.example.test:443": plain.Host(), "registry.test:443": secure.Host()},
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, secure.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, watching+`
registries:
  insecure: {plain.example.test: true}
  ca_files: {registry.test: '`+ca+`'}
webhooks:
  general:
    url: 'http://hooks.example.test/<notification_type>'
`)
	address := "http://engine:pass-the-proxy@" + proxy.host()
	e.env = append(e.env, "HTTP_PROXY="+address, "HTTPS_PROXY="+address)
	e.start()
	for ref, reg := range map[string]registry{"plain.example.test/team/app:v1": plain, "registry.test/team/app:v1": secure, direct.ref("team/app", "v1"): direct} {
		reg.push(t, reg.ref("team/app", "v1"), "a")
		e.mustCLI("image", "add", ref)
		recv.wait(t, 1, "the analysis_update of "+ref, of("analysis_update", ref))
		reg.push(t, reg.ref("team/app", "v1"), "b")
		recv.wait(t, 1, "the tag_update of "+ref, of("tag_update", ref))
	}
	hosts := map[string]bool{}
	for _, r := range proxy.requests(func(request) bool { return true }) {
		hosts[r.Host] = true
	}
	// The registry without TLS was asked for it before; loopback addresses are asked directly.
	want := map[string]bool{"hooks.example.test": true, "plain.example.test": true, "plain.example.test:443": true, "registry.test:443": true}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("hosts that the proxy was asked for (-want +got):\n%s", diff)
	}
	if strings.Contains(e.log.String(), "pass-the-proxy") {
		t.Errorf("the proxy's password is in the log:\n%s", e.log)
	}
}
