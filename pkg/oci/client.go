// Package oci talks to registries: it asks what a tag names, resolves it for a
// platform, lists tags and fetches images into a layout on disk. It is the only
// importer of go-containerregistry, of which it uses the types; the requests are
// its own, because that library falls back to plain HTTP for private addresses,
// repeats on its own, and asks for a token for each repository it opens.
//
// Formats: OCI distribution specification 1.1, OCI image specification 1.1,
// Docker's image manifest version 2 schema 2.
package oci

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
	"github.com/anchore/anchore-engine/pkg/oci/layer"
)

// Registry holds what differs for one registry.
type Registry struct {
	PlainHTTP   bool           // plain HTTP is approved if the registry does not speak TLS
	SkipVerify  bool           // its certificate is not verified
	RootCAs     *x509.CertPool // nil: Config.RootCAs
	Concurrency int            // requests at once; 0: Config.Concurrency
	Mirrors     []string       // "host" or "host/prefix", asked before the registry, in this order
}

// Config configures a Client. Its zero value is good: anonymous, verified TLS,
// plain HTTP to loopback addresses only, no cache.
type Config struct {
	Credentials Credentials                           // nil: anonymous
	Logins      Logins                                // nil: nobody is told
	Sources     Sources                               // of registries with mirrors; nil: known until Close
	Ambient     bool                                  // credentials of kind AmbientLogin may use what the engine's host has
	RootCAs     *x509.CertPool                        // nil: the system's
	Registries  map[string]Registry                   // by host as in a reference, "docker.io", "localhost:5000"
	Transport   http.RoundTripper                     // nil: one of our own
	Proxy       func(*http.Request) (*url.URL, error) // of our own transport; nil: as the environment's variables say
	Concurrency int                                   // requests at once to one registry; 0: 8
	Timeout     time.Duration                         // of one request for a manifest, tags or token, and in which leastBytes of a layer must come; 0: 30 s
	UserAgent   string                                // "": "anchore-engine"
	Logger      *slog.Logger                          // nil: none

	LayerCache      string // directory of layers fetched lately, made if missing; "" for none
	LayerCacheBytes int64  // its size; 0: 1 GiB
}

const (
	defaultConcurrency = 8
	defaultTimeout     = 30 * time.Second
	defaultCacheBytes  = 1 << 30

	// maxManifest is what the distribution specification asks registries to take,
	// 4 MiB; none of use is larger.
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
	maxToken    = 64 << 10

	// maxHeader bounds the headers of an answer, of which a part is kept for each
	// host. The longest of use is a signed address of a few kilobytes.
	maxHeader = 64 << 10

	// maxHosts bounds what is kept for hosts, and for credentials there, which any
	// user may name.
	maxHosts = 1024
)

// Client asks registries. It is safe for concurrent use and keeps connections,
// tokens and layers between calls. It repeats nothing, except once with a new
// token: when to try again is its caller's to decide.
//
// Errors of all methods: Unauthorized and Forbidden when the credentials are not
// accepted, NotFound, Limited with After from the answer, Unavailable when the
// registry does not answer or answers wrongly, Invalid when what it has cannot be
// used. Messages are for users and hold no credentials.
type Client struct {
	cfg      Config
	auth     auth
	logins   logins
	troubles troubles
	cache    *layer.Cache // nil for none

	mu    sync.Mutex
	hosts map[string]*host
}

// host is what the client keeps for one registry.
type host struct {
	slots chan struct{}  // of short requests
	bulk  chan struct{}  // of layers, so that they do not hold up the rest
	links map[bool]*line // by whether they are insecure; under Client.mu
	asked atomic.Int32   // requests that run or wait; raised under Client.mu
}

// line is a way to a registry: as the configuration says, or insecure because a
// credential says so.
type line struct {
	registry string
	insecure bool
	client   *http.Client

	mu    sync.Mutex
	plain bool // the registry was seen to speak plain HTTP, and may
}

// New makes a client. It asks nothing yet. Errors: Internal if the layer cache
// cannot be opened.
func New(cfg Config) (*Client, error) {
	if cfg.Credentials == nil {
		cfg.Credentials = anonymous{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	cfg.Concurrency = cmp.Or(cfg.Concurrency, defaultConcurrency)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "anchore-engine")
	if cfg.Sources == nil {
		cfg.Sources = &untilClose{}
	}
	cfg.LayerCacheBytes = cmp.Or(cfg.LayerCacheBytes, defaultCacheBytes)
	c := newClient(cfg)
	if cfg.LayerCache == "" {
		return c, nil
	}
	var err error
	if c.cache, err = layer.Open(cfg.LayerCache, cfg.LayerCacheBytes); err != nil {
		return nil, anchore.E(anchore.Internal, "oci.New", "the layer cache %s cannot be opened", cfg.LayerCache).Because(err)
	}
	return c, nil
}

func newClient(cfg Config) *Client {
	return &Client{
		cfg: cfg, hosts: map[string]*host{}, auth: auth{ways: map[loginKey]way{}, tokens: map[tokenKey]*token{}},
		logins: logins{known: map[loginKey]*login{}}, troubles: troubles{tags: map[tagKey]trouble{}, health: map[source]*health{}},
	}
}

// Close ends idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		for _, l := range h.links {
			l.client.CloseIdleConnections()
		}
	}
}

// enter returns what is kept for the registry, and keeps it until h.asked is lowered.
func (c *Client) enter(registry string, insecure bool) (*host, *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reg := c.cfg.Registries[registry]
	h := c.hosts[registry]
	if h == nil {
		if len(c.hosts) >= maxHosts {
			c.dropIdle()
		}
		n := cmp.Or(reg.Concurrency, c.cfg.Concurrency)
		h = &host{slots: make(chan struct{}, n), bulk: make(chan struct{}, n), links: map[bool]*line{}}
		c.hosts[registry] = h
	}
	l := h.links[insecure]
	if l == nil {
		l = &line{registry: registry, insecure: insecure}
		transport := c.cfg.Transport
		if transport == nil {
			transport = c.newTransport(reg, insecure)
		}
		l.client = &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error { return c.checkRedirect(l, req, via) }}
		h.links[insecure] = l
	}
	h.asked.Add(1)
	return h, l
}

// dropIdle forgets the hosts that nothing is asked of now: all of them, since it is
// seldom, and who is asked again costs a handshake.
func (c *Client) dropIdle() {
	for registry, h := range c.hosts {
		if h.asked.Load() > 0 {
			continue
		}
		for _, l := range h.links {
			l.client.CloseIdleConnections()
		}
		delete(c.hosts, registry)
	}
}

func (c *Client) newTransport(reg Registry, insecure bool) *http.Transport {
	roots := reg.RootCAs
	if roots == nil {
		roots = c.cfg.RootCAs
	}
	return &http.Transport{
		Proxy:                  c.cfg.Proxy,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    cmp.Or(reg.Concurrency, c.cfg.Concurrency),
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  c.cfg.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode != http.StatusOK {
				return &answer.ProxyRefused{Proxy: proxy.Host, Status: res.Status}
			}
			return nil
		},
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			InsecureSkipVerify: reg.SkipVerify || insecure, // #nosec G402: only where the operator said so
		},
	}
}

// mayPlain reports whether plain HTTP to a host is approved: by its address being
// loopback, by the configuration, or by the credential if it is the registry itself.
func (c *Client) mayPlain(l *line, host string) bool {
	return c.cfg.Registries[host].PlainHTTP || isLoopback(host) || l.insecure && (host == l.registry || host == address(l.registry))
}

func isLoopback(registry string) bool {
	name := registry
	if h, _, err := net.SplitHostPort(registry); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// address is where a registry's API is: Docker Hub's is not at docker.io.
func address(registry string) string {
	if registry == anchore.DefaultRegistry {
		return "registry-1.docker.io"
	}
	return registry
}

// take waits for one of the registry's slots. What it returns is the way there, to
// be released once. Errors: as of Broken.
func (c *Client) take(ctx context.Context, r request, insecure bool) (l *line, release func(), err error) {
	h, l := c.enter(r.Ref.Registry, insecure)
	slots := h.slots
	if r.layer {
		slots = h.bulk
	}
	select {
	case slots <- struct{}{}:
		return l, func() {
			<-slots
			h.asked.Add(-1)
		}, nil
	case <-ctx.Done():
		h.asked.Add(-1)
		return nil, nil, r.Broken(ctx, ctx.Err())
	}
}
