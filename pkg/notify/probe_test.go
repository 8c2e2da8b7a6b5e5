package notify_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
)

// probe tests one endpoint at a server with the given handler.
func probe(t *testing.T, server *httptest.Server, e notify.Endpoint, typ anchore.SubscriptionType) notify.Probe {
	t.Helper()
	e.Name, e.URL = notify.General, anchore.Secret(server.URL+"/hook/<notification_type>/<userId>")
	w, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: []notify.Endpoint{e}, BaseURL: "http://engine:8228"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	p, err := w.Test(t.Context(), notify.General, typ, anchore.Account{Name: "alice", Email: "alice@example.com"})
	if err != nil {
		t.Fatalf("Test(%s): %v", typ, err)
	}
	return p
}

// TestSampleIsWellFormed: the sample of each type has the keys of a real one.
func TestSampleIsWellFormed(t *testing.T) {
	var uri string
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		uri, body = r.RequestURI, nil
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Errorf("body %s: %v", raw, err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	for typ, keys := range map[anchore.SubscriptionType]string{
		anchore.TagUpdate:      "last_eval curr_eval annotations subscription_key subscription_type",
		anchore.AnalysisUpdate: "last_eval curr_eval annotations subscription_key subscription_type",
		anchore.PolicyEval:     "last_eval curr_eval annotations subscription_key subscription_type",
		anchore.VulnUpdate:     "imageDigest diff_vulnerability_result annotations subscription_key subscription_type",
		anchore.ErrorEvent:     "generated_uuid created_at event",
		anchore.EventLog:       "generated_uuid created_at event",
	} {
		p := probe(t, server, notify.Endpoint{}, typ)
		if p.Result != notify.Delivered || p.Status != http.StatusNoContent || p.TLS != nil || p.Type != typ {
			t.Errorf("%s: %+v", typ, p)
		}
		if uri != "/hook/test/alice" {
			t.Errorf("%s: sent to %s", typ, uri)
		}
		data, _ := body["data"].(map[string]any)
		payload, _ := data["notification_payload"].(map[string]any)
		if body["queueId"] != string(typ) || data["notification_type"] != string(typ) || data["notification_user_email"] != "alice@example.com" {
			t.Errorf("%s: envelope %v", typ, body)
		}
		if payload["notificationId"] != body["dataId"] || payload["userId"] != "alice" {
			t.Errorf("%s: payload %v", typ, payload)
		}
		if link, ok := payload["image_url"].(string); ok && !strings.HasPrefix(link, "http://engine:8228/v1/images/sha256:") {
			t.Errorf("%s: the link to the image is %s", typ, link)
		}
		for _, key := range strings.Fields(keys) {
			if _, ok := payload[key]; !ok {
				t.Errorf("%s: the payload has no %s: %v", typ, key, payload)
			}
		}
	}
}

func TestProbeTellsOfRefusals(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	p := probe(t, server, notify.Endpoint{}, anchore.TagUpdate)
	if p.Result != notify.Retry || p.Status != http.StatusForbidden || p.Reason != "answered 403 Forbidden" || p.Took <= 0 {
		t.Errorf("a refusal: %+v", p)
	}
	server.Close()
	if p := probe(t, server, notify.Endpoint{}, anchore.TagUpdate); p.Result != notify.Retry || p.Status != 0 || p.Reason == "" {
		t.Errorf("nobody listens: %+v", p)
	}
}

func TestProbeTellsOfTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		endpoint  notify.Endpoint
		delivered bool
		trusted   bool
		version   string
	}{
		"trusted":      {notify.Endpoint{CAFile: authority}, true, true, "TLS 1.3"},
		"not verified": {notify.Endpoint{Insecure: true}, true, false, "TLS 1.3"},
		"refused":      {notify.Endpoint{}, false, false, ""},
	} {
		p := probe(t, server, tt.endpoint, anchore.TagUpdate)
		if (p.Result == notify.Delivered) != tt.delivered || p.TLS == nil {
			t.Errorf("%s: %+v", name, p)
			continue
		}
		if p.TLS.Trusted != tt.trusted || p.TLS.Version != tt.version || len(p.TLS.Chain) != 1 {
			t.Errorf("%s: TLS %+v", name, p.TLS)
			continue
		}
		if !slices.Contains(p.TLS.Chain[0].Names, "127.0.0.1") {
			t.Errorf("%s: the certificate is for %q", name, p.TLS.Chain[0].Names)
		}
	}
}

func TestProbeOfWhatIsNotThere(t *testing.T) {
	none, err := notify.NewWebhook(notify.WebhookConfig{})
	if err != nil {
		t.Fatal(err)
	}
	some, err := notify.NewWebhook(notify.WebhookConfig{Endpoints: []notify.Endpoint{{Name: notify.General, URL: "http://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		webhook  *notify.Webhook
		endpoint string
		typ      anchore.SubscriptionType
		want     string
	}{
		{none, "general", anchore.TagUpdate, "Webhooks Configuration not found"},
		{some, "tag_update", anchore.TagUpdate, "No Webhook Configuration found for type=tag_update"},
		{some, "general", anchore.RepoUpdate, `notifications of type "repo_update" are never sent`},
	} {
		_, err := tt.webhook.Test(t.Context(), tt.endpoint, tt.typ, anchore.Account{Name: "admin"})
		if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), tt.want) {
			t.Errorf("Test(%s, %s) = %v, want %q", tt.endpoint, tt.typ, err, tt.want)
		}
	}
}
