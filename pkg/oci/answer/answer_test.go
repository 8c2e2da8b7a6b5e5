package answer

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

var question = Question{Op: "oci.Test", Ref: anchore.Reference{Registry: "r.example", Repository: "team/app", Tag: "1"}, Method: "GET", Path: "manifests/1"}

// TestBrokenSaysWhatWasWrong connects to servers that fail in the ways
// that operators meet.
func TestBrokenSaysWhatWasWrong(t *testing.T) {
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
		patience := time.Minute // of a machine that is busy: all but one fail at once
		if tt.want == "in time" {
			patience = 200 * time.Millisecond
		}
		client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: tt.config}}
		res, err := client.Get(tt.url)
		if err == nil {
			res.Body.Close()
			t.Errorf("%s: an answer came", tt.what)
			continue
		}
		err = question.Broken(t.Context(), err)
		if got := anchore.MessageOf(err); !strings.Contains(got, tt.want) || anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("%s: %q, kind %v; want unavailable with %q", tt.what, got, anchore.KindOf(err), tt.want)
		}
	}
	name := &url.Error{Op: "Get", URL: "https://r.example/?signature=s3cret", Err: &net.DNSError{Err: "no such host", Name: "r.example"}}
	if got := question.Broken(t.Context(), name).Error(); !strings.Contains(got, "name is not known") || strings.Contains(got, "s3cret") {
		t.Errorf("unknown name: %q", got)
	}
}

// TestRefusal: an answer's status says what its receiver can do.
func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		status int
		user   string
		header http.Header
		kind   anchore.Kind
		after  time.Duration
		want   string
	}{
		{status: 401, kind: anchore.Unauthorized, want: "registry r.example does not let anonymous users read r.example/team/app; it may not exist, or a registry credential is needed"},
		{status: 401, user: "ann", kind: anchore.Unauthorized, want: `registry r.example does not let user "ann" read r.example/team/app; check the registry's credential`},
		{status: 403, user: "ann", kind: anchore.Forbidden, want: `registry r.example does not let user "ann" read r.example/team/app; check the registry's credential`},
		{status: 404, kind: anchore.NotFound, want: "registry r.example does not have r.example/team/app:1"},
		{status: 429, header: http.Header{"Retry-After": {"30"}}, kind: anchore.Limited, after: 30 * time.Second, want: "registry r.example allows no more requests for now"},
		{status: 503, header: http.Header{"Retry-After": {"5"}}, kind: anchore.Unavailable, after: 5 * time.Second, want: "registry r.example answered with status 503"},
		{status: 500, header: http.Header{"Retry-After": {"5"}}, kind: anchore.Unavailable, want: "registry r.example answered with status 500"},
	} {
		body := io.NopCloser(strings.NewReader(`{"errors":[{"code":"DENIED","message":"come in"}]}`))
		err := question.Refusal(&http.Response{StatusCode: tc.status, Header: tc.header, Body: body}, tc.user)
		if err.Message != tc.want || err.Kind != tc.kind || err.After != tc.after {
			t.Errorf("status %d: %q, kind %v, after %v; want %q, %v, %v", tc.status, err.Message, err.Kind, err.After, tc.want, tc.kind, tc.after)
		}
		if log := fmt.Sprintf(`oci.Test: %s: GET manifests/1: status %d "DENIED"`, tc.want, tc.status); err.Error() != log {
			t.Errorf("the log has %q, want %q", err.Error(), log)
		}
	}
}

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		body io.Reader
		kind anchore.Kind // Internal: it is read
	}{
		{strings.NewReader("12345"), anchore.Internal},
		{strings.NewReader("123456"), anchore.Invalid},
		{io.MultiReader(strings.NewReader("123"), iotest.ErrReader(io.ErrUnexpectedEOF)), anchore.Unavailable},
	} {
		got, err := question.Read(t.Context(), &http.Response{Body: io.NopCloser(tc.body)}, 5)
		if tc.kind == anchore.Internal && (string(got) != "12345" || err != nil) || tc.kind != anchore.Internal && anchore.KindOf(err) != tc.kind {
			t.Errorf("Read = %q, %v; want kind %v", got, err, tc.kind)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "30", 30 * time.Second},
		{"Retry-After", "Wed, 01 May 2024 12:01:30 GMT", 90 * time.Second},
		{"Retry-After", "Wed, 01 May 2024 11:00:00 GMT", 0},
		{"Retry-After", "99999999", 24 * time.Hour},
		{"Retry-After", "-5", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "soon", 0},
		{"X-Retry-After", "1714564860", time.Minute},
		{"RateLimit-Reset", "12", 12 * time.Second},
		{"RateLimit-Limit", "100;w=21600", 216 * time.Second},
		{"RateLimit-Limit", "0;w=21600", 0},
	} {
		h := http.Header{}
		h.Set(tc.name, tc.value)
		if got := retryAfter(h, now); got != tc.want {
			t.Errorf("retryAfter(%s: %s) = %v, want %v", tc.name, tc.value, got, tc.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("30", "100;w=21600")
	f.Add("Wed, 01 May 2024 12:01:30 GMT", "")
	f.Fuzz(func(t *testing.T, after, limit string) {
		h := http.Header{"Retry-After": {after}, "Ratelimit-Limit": {limit}}
		if got := retryAfter(h, time.Unix(1714564800, 0)); got < 0 || got > maxAfter {
			t.Errorf("retryAfter(%q, %q) = %v, want within 0 and %v", after, limit, got, maxAfter)
		}
	})
}
