package notify_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/notify/notifytest"
)

var update = flag.Bool("update", false, "rewrite the examples in docs/webhooks.md")

const document = "../../docs/webhooks.md"

// block finds the fenced block of docs/webhooks.md with that language and name.
func block(t *testing.T, info string) (doc []byte, begin, end int) {
	t.Helper()
	doc, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^```" + info + "\n(.*?)^```$").FindSubmatchIndex(doc)
	if found == nil {
		t.Fatalf("%s has no block %q", document, info)
	}
	return doc, found[2], found[3]
}

// The bodies in the document are what the webhook sends.
func TestDocumentShowsTheBodies(t *testing.T) {
	const before, after = "sha256:69665d02cb32192e52e07644d76bc6f25abeb5410edc1c7a81a10ba3f0efb90a", "sha256:ec14c7992a97fc11425907e908340c6c3d6ff602f5f13d899e6b7027c9b4133a"
	shared := anchore.Context{
		DigestBefore: before, DigestAfter: after, Platform: "linux/amd64", Revision: "4bdae1a",
		Source: "https://github.com/alpinelinux/docker-alpine", ImageURL: "http://127.0.0.1:8228/v1/images/" + after,
	}
	moved, analyzed := shared, shared
	moved.Cause, moved.Summary = "watcher", "docker.io/library/alpine:latest moved from "+before[:19]+" to "+after[:19]
	analyzed.Cause, analyzed.DigestBefore, analyzed.Summary = "analysis", "", "docker.io/library/alpine:latest was analyzed ("+after[:19]+")"
	const id, key = "5c3f2f1e-8d0e-8b5a-9c70-d5a4bca1ab54", "docker.io/library/alpine:latest"
	eval := func(status anchore.AnalysisStatus) anchore.AnalysisEval {
		return anchore.AnalysisEval{ImageDigest: after, AnalysisStatus: status, Annotations: map[string]string{}}
	}
	for typ, payload := range map[anchore.SubscriptionType]any{
		anchore.TagUpdate: anchore.TagUpdatePayload{
			NotificationID: id, UserID: "admin", SubscriptionKey: key, SubscriptionType: anchore.TagUpdate,
			LastEval: []string{before}, CurrEval: []string{after}, Annotations: map[string]string{"team": "base-images"}, Context: moved,
		},
		anchore.AnalysisUpdate: anchore.AnalysisUpdatePayload{
			NotificationID: id, UserID: "admin", SubscriptionKey: key, SubscriptionType: anchore.AnalysisUpdate,
			LastEval: eval(anchore.Analyzing), CurrEval: eval(anchore.Analyzed), Annotations: map[string]string{}, Context: analyzed,
		},
		anchore.ErrorEvent: anchore.NewEventPayload(id, anchore.Event{
			ID: "9b00f6c1d2e34a5b8c7d6e5f4a3b2c1d", Account: "admin", Type: anchore.EventDiskFull, Level: anchore.Fatal,
			Message: "The data directory has hardly any space left", Service: "catalog", At: time.Unix(1622548800, 123456000),
			Resource: anchore.Resource{Type: "service", ID: "data_dir"}, Details: map[string]any{"free_mb": 120, "limit_mb": 256},
		}, "anchore-quickstart", "http://127.0.0.1:8228"),
	} {
		raw, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		created := time.Unix(1622548800, 0)
		got := receive(t, notify.Endpoint{}, notify.Message{
			Notification: anchore.Notification{ID: id, Account: "admin", Type: typ, Key: key, Payload: raw, CreatedAt: created},
			Email:        "admin@myanchore", Attempt: 1, Until: created.Add(72 * time.Hour),
		}, "/")
		var shown bytes.Buffer
		if err := json.Indent(&shown, got.body, "", "  "); err != nil {
			t.Fatal(err)
		}
		shown.WriteByte('\n')
		doc, begin, end := block(t, "json "+string(typ))
		if *update {
			doc = append(append(append([]byte{}, doc[:begin]...), shown.Bytes()...), doc[end:]...)
			if err := os.WriteFile(document, doc, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(string(doc[begin:end]), shown.String()); diff != "" {
			t.Errorf("%s in %s (-document +sent); go test -update rewrites it:\n%s", typ, document, diff)
		}
	}
}

// The receivers in the document accept what is signed with their secret, and
// nothing else.
func TestDocumentReceivers(t *testing.T) {
	for _, tt := range []struct {
		language, file string
		run            func(t *testing.T, path, secret string) (url string)
	}{
		{"go", "receiver.go", runGo},
		{"python", "receiver.py", func(t *testing.T, path, secret string) string { return listen(t, secret, "python3", path) }},
		{"sh", "receiver.sh", runShell},
	} {
		t.Run(tt.language, func(t *testing.T) {
			doc, begin, end := block(t, tt.language+" receiver")
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, doc[begin:end], 0o600); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a plain 'text'"} {
				url := tt.run(t, path, secret)
				for signed, want := range map[string]notify.Result{secret: notify.Delivered, "another": notify.Retry} {
					e := notify.Endpoint{Name: notify.General, URL: anchore.Secret(url), Secret: anchore.Secret(signed)}
					if o := newWebhook(t, e).Send(t.Context(), e, notifytest.Message()); o.Result != want {
						t.Errorf("signed with %q for %q: %+v; want %v", signed, secret, o, want)
					}
				}
			}
		})
	}
}

func runGo(t *testing.T, path, secret string) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(path), "receiver")
	build := exec.Command("go", "build", "-o", program, path)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return listen(t, secret, program)
}

// listen starts a receiver that prints its address and returns its URL.
func listen(t *testing.T, secret, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append(args, "127.0.0.1:0")...)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not say where it listens: %v", program, err)
	}
	return "http://" + strings.TrimSpace(address)
}

// runShell serves each request with the script, as a CGI server does.
func runShell(t *testing.T, path, secret string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cmd := exec.Command("sh", path)
		cmd.Stdin = r.Body
		cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
		for name := range r.Header {
			cmd.Env = append(cmd.Env, "HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+r.Header.Get(name))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			http.Error(w, string(out), http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
