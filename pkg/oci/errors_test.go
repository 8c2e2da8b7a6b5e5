package oci

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// TestConnectionErrorsSayWhatWasWrong connects to servers that fail in the ways
// that operators meet.
func TestConnectionErrorsSayWhatWasWrong(t *testing.T) {
	wait := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/hang") {
			<-wait
		}
	})
	private := httptest.NewTLSServer(handler)
	defer private.Close()
	plain := httptest.NewServer(handler)
	defer plain.Close()
	defer close(wait)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + closed.Addr().String()
	closed.Close()
	roots := private.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, tt := range []struct {
		what, url string
		config    *tls.Config
		want      string
	}{
		{"private authority", private.URL, nil, "registries.ca_files.r.example"},
		{"another name", private.URL, &tls.Config{RootCAs: roots, ServerName: "other.example"}, "another name"},
		{"expired", private.URL, &tls.Config{RootCAs: roots, Time: func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }}, "expired"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), nil, "plain HTTP"},
		{"nobody listens", nobody, nil, "refused"},
		{"no answer", plain.URL + "/hang", nil, "in time"},
	} {
		client := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{TLSClientConfig: tt.config}}
		res, err := client.Get(tt.url)
		if err == nil {
			res.Body.Close()
			t.Errorf("%s: an answer came", tt.what)
			continue
		}
		err = connectionError(t.Context(), request{op: "oci.Test", ref: anchore.Reference{Registry: "r.example"}}, err)
		if got := anchore.MessageOf(err); !strings.Contains(got, tt.want) || anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("%s: %q, kind %v; want unavailable with %q", tt.what, got, anchore.KindOf(err), tt.want)
		}
	}
	name := &url.Error{Op: "Get", URL: "https://r.example/?signature=s3cret", Err: &net.DNSError{Err: "no such host", Name: "r.example"}}
	if got := connectionError(t.Context(), request{ref: anchore.Reference{Registry: "r.example"}}, name).Error(); !strings.Contains(got, "name is not known") || strings.Contains(got, "s3cret") {
		t.Errorf("unknown name: %q", got)
	}
}
