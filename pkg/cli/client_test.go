package cli

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// run runs one command line against the engine at url.
func run(t *testing.T, url string, environ []string, args ...string) (code int, out, talk string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), session.Config{Args: append([]string{"--url", url, "--u", "admin", "--p", "x"}, args...), Environ: environ, In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[]")) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake fails on purpose
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	doc := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		code    int
		talk    string
	}{
		{"not trusted", nil, nil, 2, "its certificate is not trusted"},
		{"trusted by file", []string{"REQUESTS_CA_BUNDLE=" + ca}, nil, 0, ""},
		{"not verified", []string{"ANCHORE_CLI_SSL_VERIFY=n"}, nil, 0, ""},
		{"insecure", nil, []string{"--insecure"}, 0, ""},
		{"no file", []string{"CURL_CA_BUNDLE=" + ca + "x"}, nil, 2, ""},
	} {
		code, out, talk := run(t, server.URL+"/v1", tt.environ, append(tt.args, "subscription", "list")...)
		if code != tt.code || !strings.Contains(talk, tt.talk) {
			t.Errorf("%s: code %d, want %d; %q %q", tt.name, code, tt.code, out, talk)
		}
	}
}

// The original made a new connection and an extra request for each command; a
// command of ours makes the requests that it needs, on one connection.
func TestOneConnection(t *testing.T) {
	var requests, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Write([]byte(`[{"subscription_id":"1","subscription_key":"a","subscription_type":"tag_update"}]`))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	if code, out, talk := run(t, server.URL+"/v1", nil, "subscription", "activate", "tag_update", "a"); code != 0 {
		t.Fatalf("code %d, %q %q", code, out, talk)
	}
	if requests.Load() != 2 || connections.Load() != 1 {
		t.Errorf("%d requests on %d connections; want 2 on 1", requests.Load(), connections.Load())
	}
}

func TestAdminPasswordFileIsNamed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	home := t.TempDir()
	file := filepath.Join(home, ".anchore_engine", "admin-password")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, talk := run(t, server.URL, []string{"HOME=" + home}, "image", "list")
	if code != 2 || !strings.Contains(talk, file) || strings.Contains(out+talk, "secret") {
		t.Errorf("code %d, %q %q", code, out, talk)
	}
}

// An engine that accepts and never answers does not hold a wait beyond its time.
func TestWaitOutlivesASilentEngine(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	for want, args := range map[string][]string{
		"Error: Timed-out waiting for analysis status": {"image", "wait", "--timeout", "0.1", "alpine"},
		"Error: timed out after 0.1 seconds.":          {"system", "wait", "--timeout", "0.1"},
	} {
		if code, out, talk := run(t, server.URL, nil, args...); code != 2 || !strings.HasPrefix(out, want) {
			t.Errorf("%v: code %d, %q %q", args, code, out, talk)
		}
	}
}
