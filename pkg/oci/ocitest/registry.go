// Package ocitest is a real registry on loopback and a builder of real images,
// for tests, benchmarks and the quickstart. The registry speaks the distribution
// protocol through go-containerregistry's own server, counts its requests, and
// fails in the ways that registries do. Images are deterministic: the same Spec
// has the same digest on every machine.
package ocitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TB is what the helpers need of a test or benchmark, so that a program can use
// this package without the testing package.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Config says how a Registry behaves. The zero value is open, plain HTTP.
type Config struct {
	TLS      bool          // HTTPS with the certificate that Registry.CA holds
	Auth     Auth          // none by default
	User     string        // with Basic and Token; empty means that Token is given to anybody
	Password string        // of User
	TokenFor time.Duration // how long a token is good; 0 is five minutes
	Latency  time.Duration // added to each answer
	TagsPage int           // most tags in a page of the tag list; 0 is all
}

// Auth is how a Registry asks who is there.
type Auth int

const (
	Open  Auth = iota
	Basic      // RFC 7617
	Token      // the distribution project's token flow, served by the registry itself at /token
)

// Registry is a registry on a loopback port. All methods are safe for concurrent
// use.
type Registry struct {
	cfg    Config
	server *http.Server
	listen net.Listener
	store  http.Handler
	ca     []byte

	mu       sync.Mutex
	counts   map[call]int
	faults   []*Fault
	tokens   map[string]grant
	issued   int
	inFlight int // requests that are being answered
	peak     int
}

type call struct{ method, path string }

type grant struct {
	scope   string
	expires time.Time
}

// New starts a registry on 127.0.0.1 that runs until Close.
func New(cfg Config) (*Registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := NewHandler(cfg)
	r.listen = l
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	if cfg.TLS {
		conf, ca, err := certificate()
		if err != nil {
			return nil, err
		}
		r.server.TLSConfig, r.ca = conf, ca
		go func() { _ = r.server.ServeTLS(l, "", "") }() // ends with Close
		return r, nil
	}
	go func() { _ = r.server.Serve(l) }() // ends with Close
	return r, nil
}

// NewHandler returns a registry without a listener, for a transport that calls
// ServeHTTP directly, as tests under synctest do. Its Host is registry.test.
func NewHandler(cfg Config) *Registry {
	return &Registry{
		cfg:    cfg,
		store:  registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)),
		counts: map[call]int{},
		tokens: map[string]grant{},
	}
}

// Start starts an open registry that ends with the test.
func Start(t TB) *Registry {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith starts a registry that ends with the test.
func StartWith(t TB, cfg Config) *Registry {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatalf("starting a registry: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// Close stops the registry at once; its images are gone.
func (r *Registry) Close() error { return r.server.Close() }

// Host is the registry's part of a reference, "127.0.0.1:port".
func (r *Registry) Host() string {
	if r.listen == nil {
		return "registry.test"
	}
	return r.listen.Addr().String()
}

// CA is the PEM certificate to trust, nil without TLS.
func (r *Registry) CA() []byte { return r.ca }

// Put stores an artifact under "repository:tag", or under its digest alone if the
// tag is missing. It bypasses authentication, faults and counting. Pushing another
// artifact to the same tag moves the tag.
func (r *Registry) Put(ref string, a Artifact) error {
	full := r.Host() + "/" + ref
	if !strings.Contains(ref, ":") {
		full += "@" + a.Digest
	}
	n, err := name.ParseReference(full, name.Insecure)
	if err != nil {
		return err
	}
	opts := []remote.Option{remote.WithTransport(direct{r.store}), remote.WithContext(context.Background())}
	if a.index != nil {
		return remote.WriteIndex(n, a.index, opts...)
	}
	return remote.Write(n, a.image, opts...)
}

// Push is Put for tests: it returns the full reference.
func (r *Registry) Push(t TB, ref string, a Artifact) string {
	t.Helper()
	if err := r.Put(ref, a); err != nil {
		t.Fatalf("pushing %s: %v", ref, err)
	}
	return r.Host() + "/" + ref
}

// Delete removes "repository:tag", as somebody who deletes it in the registry does.
func (r *Registry) Delete(ref string) error {
	repo, tag, _ := strings.Cut(ref, ":")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, "http://"+r.Host()+"/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		return err
	}
	res, err := direct{r.store}.RoundTrip(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("deleting %s: status %d", ref, res.StatusCode)
	}
	return res.Body.Close()
}

// Requests counts the requests since the last Reset with this method ("" for any)
// whose path contains part.
func (r *Registry) Requests(method, part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for c, count := range r.counts {
		if (method == "" || c.method == method) && strings.Contains(c.path, part) {
			n += count
		}
	}
	return n
}

// Counts returns the number of requests since the last Reset with this method, by
// their path.
func (r *Registry) Counts(method string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for c, n := range r.counts {
		if c.method == method {
			counts[c.path] = n
		}
	}
	return counts
}

// Peak is the largest number of requests that were answered at once since the
// last Reset.
func (r *Registry) Peak() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peak
}

// Reset sets all counts to zero.
func (r *Registry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
	r.peak = 0
}

// ServeHTTP answers one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.counts[call{req.Method, req.URL.Path}]++
	r.inFlight++
	r.peak = max(r.peak, r.inFlight)
	fault := r.fault(req)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.inFlight--
		r.mu.Unlock()
	}()
	if wait := r.cfg.Latency + fault.Delay; wait > 0 {
		select {
		case <-time.After(wait):
		case <-req.Context().Done():
			return
		}
	}
	if r.cfg.Auth == Token && req.URL.Path == "/token" && fault.Status == 0 {
		r.token(w, req)
		return
	}
	if fault.Status == 0 && !r.allowed(w, req) {
		return
	}
	fault.answer(w, req, http.HandlerFunc(r.serve))
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	if strings.HasSuffix(req.URL.Path, "/tags/list") && r.cfg.TagsPage > 0 {
		r.tags(w, req)
		return
	}
	r.store.ServeHTTP(w, req)
}

// tags pages the list with Link, as the distribution specification says under
// "Content Discovery".
func (r *Registry) tags(w http.ResponseWriter, req *http.Request) {
	all := httptest.NewRecorder()
	plain := req.Clone(req.Context())
	plain.URL.RawQuery = ""
	r.store.ServeHTTP(all, plain)
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if all.Code != http.StatusOK || json.Unmarshal(all.Body.Bytes(), &list) != nil {
		w.WriteHeader(all.Code)
		_, _ = w.Write(all.Body.Bytes())
		return
	}
	size := r.cfg.TagsPage
	if n, err := strconv.Atoi(req.URL.Query().Get("n")); err == nil && n > 0 {
		size = min(size, n)
	}
	last := req.URL.Query().Get("last")
	start, found := slices.BinarySearch(list.Tags, last)
	if found {
		start++
	}
	list.Tags = list.Tags[start:]
	if len(list.Tags) > size {
		list.Tags = list.Tags[:size]
		w.Header().Set("Link", fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, req.URL.Path, size, url.QueryEscape(list.Tags[size-1])))
	}
	_ = json.NewEncoder(w).Encode(list)
}

// direct is a transport that calls a handler without a network.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	res := rec.Result()
	res.Request = req
	return res, nil
}

// Transport returns a transport that calls the registry without a network, so
// that time under synctest moves while it answers.
func (r *Registry) Transport() http.RoundTripper { return direct{r} }
