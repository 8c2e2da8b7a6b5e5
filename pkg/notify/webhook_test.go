package notify_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/notify/notifytest"
)

func newWebhook(t *testing.T, e notify.Endpoint) notify.Channel {
	t.Helper()
	w, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: []notify.Endpoint{e}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestWebhookIsAChannel(t *testing.T) { notifytest.Run(t, newWebhook) }

// received is a request as a receiver sees it.
type received struct {
	uri    string
	header http.Header
	body   []byte
}

// receive starts a server and returns what it got for one message.
func receive(t *testing.T, e notify.Endpoint, m notify.Message, path string) received {
	t.Helper()
	var got received
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = received{uri: r.RequestURI, header: r.Header, body: body}
	}))
	defer server.Close()
	e.Name, e.URL = notify.General, anchore.Secret(server.URL+path)
	if o := newWebhook(t, e).Send(t.Context(), e, m); o.Result != notify.Delivered {
		t.Fatalf("Send: %+v", o)
	}
	return got
}

func TestWebhookRequest(t *testing.T) {
	got := receive(t, notify.Endpoint{
		User: "user", Password: "pass", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		Headers: map[string]anchore.Secret{"X-Team": "blue"},
	}, notifytest.Message(), "/general/<notification_type>/<userId>?u=<userId>")
	if got.uri != "/general/tag_update/admin?u=admin" {
		t.Errorf("URI %q", got.uri)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "anchore-engine", "X-Team": "blue",
		"Authorization": "Basic dXNlcjpwYXNz", "Idempotency-Key": notifytest.Message().ID, "Webhook-Id": notifytest.Message().ID,
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("header %s: %q; want %q", name, value, want)
		}
	}
	if got.header.Get("Webhook-Timestamp") == "" || !strings.HasPrefix(got.header.Get("Webhook-Signature"), "v1,") {
		t.Errorf("signature headers: %v", got.header)
	}
	want := `{"queueId":"tag_update","userId":"admin","dataId":"5c3f2f1e-8d0e-8b5a-9c70-000000000001","created_at":1622548800,` +
		`"last_updated":1622548800,"record_state_key":"active","record_state_val":null,"tries":0,"max_tries":1622808000,` +
		`"data":{"notification_user":"admin","notification_user_email":null,"notification_type":"tag_update","notification_payload":{"summary":"moved"}}}`
	if diff := cmp.Diff(want, string(got.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestWebhookRepeatKeepsItsID(t *testing.T) {
	m := notifytest.Message()
	m.Attempt, m.TriedAt, m.Email = 2, time.Unix(1622549000, 0), "admin@myanchore"
	got := receive(t, notify.Endpoint{Secret: "plain text"}, m, "/")
	if got.header.Get("Webhook-Id") != m.ID || got.header.Get("Idempotency-Key") != m.ID {
		t.Errorf("the id changed: %v", got.header)
	}
	var body struct {
		Tries, Last_updated int64
		Data                struct {
			Email string `json:"notification_user_email"`
		}
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Tries != 1622549000 || body.Last_updated != 1622549000 || body.Data.Email != "admin@myanchore" {
		t.Errorf("body %s", got.body)
	}
}

func TestWebhookPlaceholdersAreEscaped(t *testing.T) {
	m := notifytest.Message()
	m.Account = "a/b ?&c"
	got := receive(t, notify.Endpoint{}, m, "/x/<userId>?q=<userId>")
	if want := "/x/a%2Fb%20%3F&c?q=a%2Fb+%3F%26c"; got.uri != want {
		t.Errorf("URI %q; want %q", got.uri, want)
	}
}

func TestWebhookBearer(t *testing.T) {
	got := receive(t, notify.Endpoint{User: "inherited", Password: "p", BearerToken: "t0ken"}, notifytest.Message(), "/")
	if got.header.Get("Authorization") != "Bearer t0ken" || got.header.Get("Webhook-Signature") != "" {
		t.Errorf("headers %v", got.header)
	}
}

func TestWebhookAuthorizationHeader(t *testing.T) {
	got := receive(t, notify.Endpoint{Headers: map[string]anchore.Secret{"authorization": "Token t0ken"}}, notifytest.Message(), "/")
	if got.header.Get("Authorization") != "Token t0ken" {
		t.Errorf("headers %v", got.header)
	}
}

func TestWebhookTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			w.Header().Set("X-Client", "known")
		}
		w.WriteHeader(http.StatusOK)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	ca, key := writePair(t, server.TLS.Certificates[0])
	url := anchore.Secret(server.URL)
	for _, tt := range []struct {
		name string
		e    notify.Endpoint
		want notify.Result
	}{
		{"unknown authority", notify.Endpoint{}, notify.Retry},
		{"ssl_verify: false", notify.Endpoint{Insecure: true}, notify.Delivered},
		{"ca_file", notify.Endpoint{CAFile: ca}, notify.Delivered},
		{"client certificate", notify.Endpoint{CAFile: ca, CertFile: ca, KeyFile: key}, notify.Delivered},
	} {
		tt.e.Name, tt.e.URL = notify.General, url
		if o := newWebhook(t, tt.e).Send(t.Context(), tt.e, notifytest.Message()); o.Result != tt.want {
			t.Errorf("%s: %+v; want %v", tt.name, o, tt.want)
		}
	}
}

// writePair writes a certificate and its key as PEM files.
func writePair(t *testing.T, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestWebhookProxy(t *testing.T) {
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = r.RequestURI }))
	defer proxy.Close()
	e := notify.Endpoint{Name: notify.General, URL: "http://receiver.invalid/hook", Proxy: anchore.Secret(proxy.URL)}
	if o := newWebhook(t, e).Send(t.Context(), e, notifytest.Message()); o.Result != notify.Delivered || asked != "http://receiver.invalid/hook" {
		t.Errorf("through a proxy: %+v, it was asked for %q", o, asked)
	}
}

func TestNewWebhookRefuses(t *testing.T) {
	for name, e := range map[string]notify.Endpoint{
		"no url":             {},
		"another scheme":     {URL: "ftp://h/tok3n"},
		"no host":            {URL: "http:///tok3n"},
		"placeholder":        {URL: "http://<userId>.example/tok3n"},
		"secret":             {URL: "http://h/tok3n", Secret: "whsec_not base64"},
		"header name":        {URL: "http://h/tok3n", Headers: map[string]anchore.Secret{"a b": "x"}},
		"header value":       {URL: "http://h/tok3n", Headers: map[string]anchore.Secret{"A": "x\r\nB: y"}},
		"header of ours":     {URL: "http://h/tok3n", Headers: map[string]anchore.Secret{"webhook-ID": "x"}},
		"proxy":              {URL: "http://h/tok3n", Proxy: "proxy:3128"},
		"no ca_file":         {URL: "http://h/tok3n", CAFile: "/nonexistent/ca"},
		"half a client pair": {URL: "http://h/tok3n", CertFile: "/nonexistent/cert"},
	} {
		e.Name = "general"
		_, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: []notify.Endpoint{e}})
		if anchore.KindOf(err) != anchore.Invalid || strings.Contains(err.Error(), "tok3n") || !strings.Contains(anchore.MessageOf(err), "general") && name != "secret" {
			t.Errorf("%s: %v; want an Invalid that names the endpoint without its path", name, err)
		}
	}
}

func TestRoute(t *testing.T) {
	route := notify.Route([]notify.Endpoint{{Name: "general"}, {Name: "tag_update"}, {Name: "error_event"}})
	for _, tt := range []struct {
		typ  anchore.SubscriptionType
		want []string
	}{
		{anchore.TagUpdate, []string{"general", "tag_update"}},
		{anchore.PolicyEval, []string{"general"}},
		{anchore.ErrorEvent, []string{"error_event"}},
	} {
		if diff := cmp.Diff(tt.want, route(tt.typ)); diff != "" {
			t.Errorf("route of %s (-want +got):\n%s", tt.typ, diff)
		}
	}
}

func TestEndpointIsNotPrinted(t *testing.T) {
	e := notify.Endpoint{Name: "general", URL: "https://u:p4ss@host:1/tok3n?k=tok3n", Password: "p4ss", Headers: map[string]anchore.Secret{"A": "tok3n"}}
	doc, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(doc, []byte("tok3n")) || bytes.Contains(doc, []byte("p4ss")) {
		t.Errorf("printed: %s", doc)
	}
	if got := notify.MaskURL(e.URL); got != "https://host:1" {
		t.Errorf("MaskURL = %q", got)
	}
}
