package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// run runs one command line against the engine at url.
func run(t *testing.T, url string, environ []string, args ...string) (code int, out, talk string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), session.Config{Args: append([]string{"--url", url, "--u", "admin", "--p", "x"}, args...), Environ: environ, In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// anotherCA is the certificate of an authority that has signed nothing.
func anotherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[]")) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake fails on purpose
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	doc := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := errors.Join(os.WriteFile(ca, doc, 0o600), os.WriteFile(other, anotherCA(t), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		code    int
		talk    string
	}{
		{"not trusted", nil, nil, 2, "name the CA's file in SSL_CERT_FILE, or"},
		{"trusts others", []string{"CURL_CA_BUNDLE=" + other}, nil, 2, "name the CA's file in REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE)"},
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

// A password in the URL is not shown, whatever goes wrong and whatever is asked for.
func TestPasswordInURLIsNotShown(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refuses.Close()
	cuts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("["))
	}))
	defer cuts.Close()
	for name, address := range map[string]string{
		"refused":        strings.TrimPrefix(refuses.URL, "http://"),
		"cut off":        strings.TrimPrefix(cuts.URL, "http://"),
		"nobody there":   "127.0.0.1:1",
		"no host at all": "",
		"no port":        "127.0.0.1:x",
	} {
		for _, user := range []string{"admin:hunter2", "admin:hunter2/x", "admin:hunter2 x", "admin:%zzhunter2", "hunter2", "a@b:hunter2"} {
			for _, args := range [][]string{{"image", "list"}, {"--debug", "image", "list"}, {"--debug", "--output", "yaml", "repo", "get", "x"}, {"--debug", "system", "wait", "--timeout", "0.1"}} {
				for _, scheme := range []string{"http://", "ftp://", ""} {
					code, out, talk := run(t, scheme+user+"@"+address+"/v1", nil, args...)
					if code == 0 || strings.Contains(out+talk, "hunter2") {
						t.Errorf("%s, %s%s, %v: code %d\n%s%s", name, scheme, user, args, code, out, talk)
					}
				}
			}
		}
	}
}

// The user in the URL is whom the engine sees, unless another is given.
func TestUserInURL(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		seen = append(seen, user+":"+pass)
		w.Write([]byte("[]"))
	}))
	defer server.Close()
	for _, args := range [][]string{{"image", "list"}, {"--u", "admin", "--p", "foobar", "image", "list"}} {
		var out bytes.Buffer
		address := strings.Replace(server.URL, "http://", "http://bob:hunter2@", 1)
		if code := Main(t.Context(), session.Config{Args: append([]string{"--url", address + "/v1"}, args...), In: strings.NewReader(""), Out: &out, Err: &out}); code != 0 {
			t.Fatalf("%v: code %d, %s", args, code, out.String())
		}
	}
	if diff := cmp.Diff([]string{"bob:hunter2", "admin:foobar"}, seen); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

// A redirect is followed where the request stays the same and the password is told to
// nobody else; what is refused names the URL to give instead.
func TestRedirects(t *testing.T) {
	var asked []string // of the engines, in order
	engine := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		asked = append(asked, r.Method+" "+r.URL.Path+" "+user+":"+pass)
		w.Write([]byte("[]"))
	})
	plain := httptest.NewServer(engine)
	defer plain.Close()
	encrypted := httptest.NewTLSServer(engine)
	defer encrypted.Close()
	other := strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)
	list, add := []string{"image", "list"}, []string{"image", "add", "alpine"}
	for _, tt := range []struct {
		name   string
		tls    bool // the server that redirects
		to     string
		status int
		args   []string
		code   int
		asked  []string
		out    string // part of it
		hint   string
	}{
		{"to TLS", false, encrypted.URL, 301, list, 0, []string{"GET /v1/images admin:x"}, "", ""},
		{"to TLS, with a body", false, encrypted.URL, 308, add, 0, []string{"POST /v1/images admin:x"}, "", ""},
		{"to TLS, as another method", false, encrypted.URL, 301, add, 2, nil, "where a POST would arrive as a GET", "give this URL: --url " + encrypted.URL + "/v1 (or in ANCHORE_CLI_URL)\n"},
		{"from TLS", true, plain.URL, 301, list, 2, nil, "where the password would be sent without encryption", "if you trust that server, give this URL: --url " + plain.URL + "/v1 "},
		{"from TLS, with a body", true, plain.URL, 307, add, 2, nil, "without encryption", "--url " + plain.URL + "/v1 "},
		{"to another port", false, plain.URL, 302, list, 2, nil, "another host or port", "--url " + plain.URL + "/v1 "},
		{"to another host", false, other, 307, list, 2, nil, "another host or port", "--url " + other + "/v1 "},
		{"to itself", false, "", 302, list, 2, nil, "and so on without end", "It should end in /v1"},
		{"with secrets", false, "http://eve:hunter2@" + strings.TrimPrefix(other, "http://"), 302, list, 2, nil, "it redirects to " + other + "/v1/images, another", "--url " + other + "/v1 "},
	} {
		asked = nil
		proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", tt.to+r.URL.Path+"?token=hunter2")
			w.WriteHeader(tt.status)
		}))
		if proxy.Start(); tt.tls {
			proxy.Close()
			proxy = httptest.NewTLSServer(proxy.Config.Handler)
		}
		for _, debug := range []string{"--debug=false", "--debug"} {
			code, out, talk := run(t, proxy.URL+"/v1", nil, append([]string{"--insecure", debug}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(talk, tt.hint) || strings.Contains(out+talk, "hunter2") && tt.code != 0 {
				t.Errorf("%s: code %d, want %d\n%s%s", tt.name, code, tt.code, out, talk)
			}
		}
		proxy.Close()
		if diff := cmp.Diff(append(tt.asked, tt.asked...), asked); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A wait does not go on for a redirect that will be refused each time.
func TestWaitEndsAtRefusedRedirect(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/v1", http.StatusFound))
	defer server.Close()
	for _, args := range [][]string{{"system", "wait", "--timeout", "5"}, {"image", "wait", "--timeout", "5", "alpine"}} {
		if code, out, _ := run(t, server.URL+"/v1", nil, args...); code != 2 || !strings.Contains(out, "it redirects to http://127.0.0.1:1/v1") {
			t.Errorf("%v: code %d, %q", args, code, out)
		}
	}
}

// A URL with the scheme of the other kind of server is told by name, and does not keep a
// wait from its end.
func TestWrongScheme(t *testing.T) {
	engine := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[]")) })
	plain := httptest.NewServer(engine)
	defer plain.Close()
	encrypted := httptest.NewUnstartedServer(engine)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	encrypted.StartTLS()
	defer encrypted.Close()
	nginx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte("<center>The plain HTTP request was sent to HTTPS port</center>"))
	}))
	defer nginx.Close()
	alert := rawServer(t, "\x15\x03\x01\x00\x02\x02\x46")
	noHTTP := rawServer(t, "220 mail.example ESMTP\r\n")
	for _, tt := range []struct{ name, url, reason, give string }{
		{"no TLS", "https://" + plain.Listener.Addr().String(), "it does not speak TLS", plain.URL},
		{"TLS alone", "http://" + encrypted.Listener.Addr().String(), "it speaks TLS only", encrypted.URL},
		{"nginx", nginx.URL, "it speaks TLS only", "https://" + nginx.Listener.Addr().String()},
		{"an alert", "http://" + alert, "it speaks TLS only", "https://" + alert},
		{"no HTTP either", "https://" + noHTTP, "it does not speak TLS", "http://" + noHTTP},
	} {
		for _, args := range [][]string{{"image", "list"}, {"system", "wait", "--timeout", "5"}, {"image", "wait", "--timeout", "5", "alpine"}} {
			code, out, talk := run(t, tt.url+"/v1", nil, args...)
			want := "Error: could not access anchore service (user=admin url=" + tt.url + "/v1): " + tt.reason + "\n\n"
			if code != 2 || out != want || !strings.HasSuffix(talk, "Hint: give this URL: --url "+tt.give+"/v1 (or in ANCHORE_CLI_URL)\n") {
				t.Errorf("%s, %v: code %d\n%s%s", tt.name, args, code, out, talk)
			}
		}
	}
}

// rawServer answers each connection on the returned address with the same bytes once
// something was said.
func rawServer(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			conn.Write([]byte(answer))
			conn.Close()
		}
	}()
	return listener.Addr().String()
}
