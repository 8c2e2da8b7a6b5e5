package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/intake"
)

// trusting is a catalog to which everybody may log in, with many subscriptions.
type trusting struct{ manySubscriptions }

func (trusting) Authenticate(context.Context, string, anchore.Secret) (anchore.User, error) {
	return anchore.User{Name: "alice", Account: "alice"}, nil
}

func (trusting) Account(context.Context, string) (anchore.Account, error) {
	return anchore.Account{Name: "alice", Type: anchore.UserAccount, State: anchore.AccountEnabled}, nil
}

func (trusting) AddSubscription(_ context.Context, s anchore.Subscription) (anchore.Subscription, bool, error) {
	return s, true, nil
}

// BenchmarkRequest is the way of a request through the server alone: the catalog
// behind it does nothing.
func BenchmarkRequest(b *testing.B) {
	s, err := New(Config{Catalog: trusting{manySubscriptions{n: 1000}}, Intake: &intake.Intake{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"public", "GET", "/v1/health", "", http.StatusOK},
		{"list", "GET", "/v1/subscriptions", "", http.StatusOK},
		{"body", "POST", "/v1/subscriptions", `{"subscription_key":"docker.io/library/alpine:latest","subscription_type":"tag_update"}`, http.StatusOK},
		{"refused", "POST", "/v1/subscriptions", `{"subscription_key":5}`, http.StatusBadRequest},
		{"nothing", "GET", "/v1/nothing", "", http.StatusNotFound},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), bb.method, bb.path, strings.NewReader(bb.body))
				r.SetBasicAuth("alice", "alice-password")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != bb.status {
					rest, _ := io.ReadAll(w.Body)
					b.Fatalf("%s %s = %d, want %d\n%s", bb.method, bb.path, w.Code, bb.status, rest)
				}
			}
		})
	}
}

// hugeImage is a catalog whose images have a document of many files.
type hugeImage struct {
	trusting
	document []byte
}

func (h hugeImage) Image(_ context.Context, account, digest string) (anchore.Image, error) {
	return anchore.Image{Account: account, Digest: digest, Status: anchore.Analyzed}, nil
}

func (h hugeImage) Report(context.Context, string, string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(h.document)), nil
}

// hugeDocument is a syft document of about so many bytes, most of it files.
func hugeDocument(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"artifacts":[{"name":"musl","version":"1.2.4-r2","type":"apk","metadata":{"maintainer":"T <t@example.test>"}}],"files":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%016x","location":{"path":"/usr/share/doc/package-%d/file-%d.html","layerID":"sha256:%064x"},`+
			`"metadata":{"mode":644,"type":"RegularFile","userID":0,"groupID":0,"mimeType":"text/html","size":%d},"digests":[{"algorithm":"sha256","value":"%064x"}]}`,
			i, i%100, i, 7, 100+i, i)
	}
	b.WriteString(`],"source":{"type":"image","metadata":{}},"distro":{"id":"alpine"}}`)
	return b.Bytes()
}

// sink is an answer that goes nowhere.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkContent lists the files of an image whose document has 10 MiB.
func BenchmarkContent(b *testing.B) {
	s, err := New(Config{Catalog: hugeImage{document: hugeDocument(10 << 20)}, Intake: &intake.Intake{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, ctype := range []string{"files", "os"} {
		b.Run(ctype, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), "GET", "/v1/images/sha256:ab/content/"+ctype, nil)
				r.SetBasicAuth("alice", "alice-password")
				w := &sink{header: http.Header{}}
				s.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatalf("status %d, want 200", w.status)
				}
			}
		})
	}
}
