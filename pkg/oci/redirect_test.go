package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// network is hosts by "scheme://host", and what was asked of them: the URL, and the
// scheme of the Authorization header.
type network struct {
	hosts map[string]http.HandlerFunc
	asked []string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	n.asked = append(n.asked, strings.TrimSpace(r.URL.String()+" "+scheme))
	h := n.hosts[r.URL.Scheme+"://"+r.URL.Host]
	if h == nil {
		return nil, errors.New("nobody listens")
	}
	w := httptest.NewRecorder()
	h(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// requests returns what was asked since the last call.
func (n *network) requests() []string {
	asked := n.asked
	n.asked = nil
	return asked
}

type horse struct{}

func (horse) Credential(context.Context, string, anchore.Reference) (Credential, error) {
	return Credential{Username: "user", Password: "correct-horse"}, nil
}

// get asks registry.test for a blob.
func (n *network) get(t *testing.T, c *Client) error {
	t.Helper()
	r := request{Question: answer.Question{Op: "test", Method: http.MethodGet, Ref: anchore.Reference{Registry: "registry.test", Repository: "app"}, Path: "blobs/b"}}
	res, err := c.do(t.Context(), r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func (n *network) client(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.Transport, cfg.Credentials = n, horse{}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answers is a host that answers so.
func answers(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "{}")
	}
}

// asks is a host that answers so to who shows a header of that scheme, and else wants
// it.
func asks(challenge string, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want, _, _ := strings.Cut(challenge, " ")
		if got, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); got == want {
			then(w, r)
			return
		}
		answers(http.StatusUnauthorized, "WWW-Authenticate", challenge)(w, r)
	}
}

// TestRedirects: a registry may send us to where its blobs are. The credential stays
// behind, whatever is asked for there, and so does what is only for TLS.
func TestRedirects(t *testing.T) {
	basic, here := `Basic realm="registry"`, "https://registry.test/v2/app/blobs/b"
	first := []string{here, here + " Basic"}
	for _, tc := range []struct {
		name, to string
		there    http.HandlerFunc
		cfg      Config
		says     string // of an error, "" for none
		asked    []string
	}{
		{name: "taken", to: "https://cdn.test/b?signature=x", there: answers(200), asked: append(first, "https://cdn.test/b?signature=x")},
		{
			name: "asks for a token", to: "https://cdn.test/b", there: asks(`Bearer realm="https://cdn.test/token"`, answers(200)),
			says: "registry registry.test sent us to cdn.test, which answered with status 401", asked: append(first, "https://cdn.test/b"),
		},
		{
			name: "asks for the password", to: "https://cdn.test/b", there: asks(basic, answers(200)),
			says: "registry registry.test sent us to cdn.test, which answered with status 401", asked: append(first, "https://cdn.test/b"),
		},
		{
			name: "expired", to: "https://cdn.test/b", there: answers(403),
			says: "registry registry.test sent us to cdn.test, which answered with status 403", asked: append(first, "https://cdn.test/b"),
		},
		{name: "another port", to: "https://registry.test:444/b", there: answers(200), asked: append(first, "https://registry.test:444/b")},
		{name: "plain HTTP", to: "http://cdn.test/b", there: answers(200), says: "registry registry.test redirects to plain HTTP at cdn.test", asked: first},
		{name: "plain HTTP here", to: "http://127.0.0.1:80/secret", there: answers(200), says: "registry registry.test redirects to plain HTTP at 127.0.0.1:80", asked: first},
		{
			name: "plain HTTP that is approved", to: "http://cdn.test/b", there: answers(200), asked: append(first, "http://cdn.test/b"),
			cfg: Config{Registries: map[string]Registry{"registry.test": {PlainHTTP: true}, "cdn.test": {PlainHTTP: true}}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := tc.to[:strings.LastIndex(tc.to, "/")]
			n := &network{hosts: map[string]http.HandlerFunc{"https://registry.test": asks(basic, answers(307, "Location", tc.to)), host: tc.there}}
			c := n.client(t, tc.cfg)
			for i := range 2 { // what was learned the first time must not change the second
				err := n.get(t, c)
				if tc.says == "" && err != nil || tc.says != "" && (anchore.KindOf(err) != anchore.Unavailable || !strings.Contains(anchore.MessageOf(err), tc.says)) {
					t.Errorf("%v, want %q", err, tc.says)
				}
				if diff := cmp.Diff(tc.asked[i:], n.requests()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestAnotherWayIn: a registry that wants to be asked in another way than before is
// asked so. What refuses a login is not asked twice.
func TestAnotherWayIn(t *testing.T) {
	token := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t","expires_in":60}`) }
	at := func(host string) http.HandlerFunc {
		return asks(fmt.Sprintf(`Bearer realm="https://%s/token",service="s"`, host), answers(200))
	}
	here := "https://registry.test/v2/app/blobs/b"
	tokenOf := func(host string) string {
		return "https://" + host + "/token?scope=repository%3Aapp%3Apull&service=s Basic"
	}
	for _, tc := range []struct {
		name      string
		then      map[string]http.HandlerFunc
		kind      anchore.Kind // of an error, if says is not ""
		says      string
		wantAsked []string
	}{
		{
			name: "the token service has moved", then: map[string]http.HandlerFunc{"https://registry.test": at("new.test"), "https://new.test": token},
			wantAsked: []string{tokenOf("old.test"), here, tokenOf("new.test"), here + " Bearer"},
		},
		{
			name: "and the old place is another page", then: map[string]http.HandlerFunc{"https://registry.test": at("new.test"), "https://new.test": token, "https://old.test": answers(404)},
			wantAsked: []string{tokenOf("old.test"), here, tokenOf("new.test"), here + " Bearer"},
		},
		{
			name: "there is no such page any more", then: map[string]http.HandlerFunc{"https://registry.test": at("old.test"), "https://old.test": answers(404)},
			kind: anchore.Unavailable, says: "the token service of registry registry.test answered with status 404", wantAsked: []string{tokenOf("old.test"), here},
		},
		{
			name: "the token service is down", then: map[string]http.HandlerFunc{"https://registry.test": at("old.test"), "https://old.test": answers(502)},
			kind: anchore.Unavailable, says: "status 502", wantAsked: []string{tokenOf("old.test"), here},
		},
		{
			name: "the token service refuses the login", then: map[string]http.HandlerFunc{"https://registry.test": at("new.test"), "https://old.test": answers(401)},
			kind: anchore.Unauthorized, says: "does not let user", wantAsked: []string{tokenOf("old.test")},
		},
		{
			name: "the token service allows no more", then: map[string]http.HandlerFunc{"https://registry.test": at("new.test"), "https://old.test": answers(429)},
			kind: anchore.Limited, says: "allows no more", wantAsked: []string{tokenOf("old.test")},
		},
		{
			name: "the password itself", then: map[string]http.HandlerFunc{"https://registry.test": asks(`Basic realm="r"`, answers(200)), "https://old.test": token},
			wantAsked: []string{tokenOf("old.test"), here + " Bearer", here + " Basic"},
		},
		{
			name: "nothing", then: map[string]http.HandlerFunc{"https://registry.test": answers(200)},
			wantAsked: []string{tokenOf("old.test"), here},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{hosts: map[string]http.HandlerFunc{"https://registry.test": at("old.test"), "https://old.test": token}}
				c := n.client(t, Config{})
				if err := n.get(t, c); err != nil {
					t.Fatal(err)
				}
				n.requests()
				n.hosts = tc.then
				time.Sleep(time.Hour) // the token has expired
				err := n.get(t, c)
				if tc.says == "" && err != nil || tc.says != "" && (anchore.KindOf(err) != tc.kind || !strings.Contains(anchore.MessageOf(err), tc.says)) {
					t.Errorf("%v, want %v with %q", err, tc.kind, tc.says)
				}
				if diff := cmp.Diff(tc.wantAsked, n.requests()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestNoRegistryIsNoMissingTag: a page of what stands in for a registry does not say
// that it has no such tag. One that the registry itself sends does.
func TestNoRegistryIsNoMissingTag(t *testing.T) {
	page := answers(404, "Content-Type", "text/html; charset=utf-8")
	root := "https://registry.test/v2/"
	for _, tc := range []struct {
		name  string
		blob  http.HandlerFunc
		root  http.HandlerFunc
		kind  anchore.Kind
		asked []string
	}{
		{"the registry's answer", answers(404, "Content-Type", "application/json"), page, anchore.NotFound, nil},
		{"an answer without a type", answers(404, "Content-Type", ""), page, anchore.NotFound, nil},
		{"a page of a registry", page, answers(401), anchore.NotFound, []string{root}},
		{"a page of an open registry", page, answers(200), anchore.NotFound, []string{root}},
		{"a page of something else", page, page, anchore.Unavailable, []string{root}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &network{hosts: map[string]http.HandlerFunc{"https://registry.test": func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					tc.root(w, r)
					return
				}
				tc.blob(w, r)
			}}}
			err := n.get(t, n.client(t, Config{}))
			if anchore.KindOf(err) != tc.kind {
				t.Errorf("%v, want %v", err, tc.kind)
			}
			if diff := cmp.Diff(append([]string{"https://registry.test/v2/app/blobs/b"}, tc.asked...), n.requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
