package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/api"
)

const (
	dialTimeout = 10 * time.Second
	// answerTimeout covers the slowest answer, which is that to image add: the
	// engine asks a registry first.
	answerTimeout = 2 * time.Minute
	// requestTimeout bounds a whole request, its body included.
	requestTimeout = 5 * time.Minute
)

// Client talks to one engine. Requests are made by the generated client; answers
// are decoded without a schema.
type Client struct {
	*api.Client
	set    settings
	Root   string // the configured URL, as it was written but for a user in it
	scheme string // of Root: http or https
	debug  func(format string, args ...any)
}

func newClient(set settings, program string, debug func(string, ...any)) (*Client, error) {
	c := &Client{set: set, Root: set.url, debug: debug}
	u, err := url.Parse(set.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, c.badURL(err)
	}
	c.scheme = u.Scheme
	if u.User != nil {
		c.takeUser(u)
		set = c.set
	}
	transport, err := newTransport(set)
	if err != nil {
		return nil, err
	}
	c.Client, err = api.NewClient(strings.TrimSuffix(set.url, "/"),
		api.WithHTTPClient(&http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: checkRedirect(u)}),
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("User-Agent", program)
			r.Header.Set("Accept", "*/*")
			if set.user != "" || set.pass != "" {
				r.SetBasicAuth(set.user, set.pass)
			}
			if set.account != "" {
				r.Header.Set("X-Anchore-Account", set.account)
			}
			return nil
		}))
	return c, err
}

// takeUser moves the user in the URL to where users are, unless one was given, so
// that no message about the URL shows a password.
func (c *Client) takeUser(u *url.URL) {
	if c.set.user == "" && c.set.pass == "" {
		c.set.user = u.User.Username()
		c.set.pass, _ = u.User.Password()
	}
	u.User = nil
	c.Root = u.String()
	c.set.url = c.Root
}

// badURL is the failure of a URL that cannot be used, shown without what stands
// before an @: that may be a password, and the cause then quotes parts of it.
func (c *Client) badURL(cause error) error {
	if at := strings.LastIndexByte(c.Root, '@'); at >= 0 {
		start := 0
		if i := strings.Index(c.Root[:at], "://"); i >= 0 {
			start = i + len("://")
		}
		c.Root = c.Root[:start] + c.Root[at+1:]
		return c.noAccess(needsHost, errors.New("bad URL")).
			Hint("give the user name and the password with --u and --p, not in the URL")
	}
	return c.noAccess(needsHost, errors.Join(errors.New("bad URL"), cause)).Hint("for example --url %s", defaultURL)
}

const needsHost = "the URL must begin with http:// or https:// and name a host"

func newTransport(set settings) (*http.Transport, error) {
	trust := &tls.Config{InsecureSkipVerify: !set.verify, MinVersion: tls.VersionTLS12} //nolint:gosec // --insecure asks for it
	if set.caFile != "" {
		certificates, err := os.ReadFile(set.caFile)
		if err != nil {
			return nil, Failf("cannot read the CA file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names: %v", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(certificates) {
			return nil, Failf("no certificate in the CA file %s", set.caFile).Hint("it must be in PEM form: its certificates begin with -----BEGIN CERTIFICATE-----")
		}
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       trust,
	}, nil
}

func (e *Failure) because(err error) *Failure {
	e.cause = err
	return e
}

// Raw sends a request that the API's document does not have.
func (c *Client) Raw(ctx context.Context, method, target string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	for _, edit := range c.RequestEditors {
		if err := edit(ctx, r); err != nil {
			return nil, err
		}
	}
	return c.Client.Client.Do(r)
}

// Base is the configured URL without its last slash.
func (c *Client) Base() string { return strings.TrimSuffix(c.Root, "/") }

// noAccess is the original's only word on every trouble at the start; reason
// follows it where there is one.
func (c *Client) noAccess(reason string, cause error) *Failure {
	text := fmt.Sprintf("could not access anchore service (user=%s url=%s)", cmp.Or(c.set.user, "None"), c.Root)
	if reason == "" && c.set.debug && cause != nil {
		reason = cause.Error()
	}
	if reason != "" {
		text += ": " + reason
	}
	return Failf("%s", text).because(cause)
}

func (c *Client) refused() error {
	f := c.noAccess("the user name or password is not accepted (HTTP 401)", nil)
	f.Status = http.StatusUnauthorized
	if c.set.user == "" && c.set.pass == "" {
		f = c.noAccess("no user name and password were given (HTTP 401)", nil)
		f.Status = http.StatusUnauthorized
		f = f.Hint("give --u and --p, set ANCHORE_CLI_USER and ANCHORE_CLI_PASS, or write ~/.anchore/credentials.yaml")
	}
	if c.set.adminFile != "" {
		return f.Hint("the engine on this host wrote the first password of the user admin to %s", c.set.adminFile)
	}
	return f.Hint("an engine writes the first password of the user admin to the file admin-password in its data directory")
}

// authorities is the variable that names the file with the certificates that are
// trusted.
func (s settings) authorities() string {
	if s.caFile != "" {
		return "REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE), which is set and comes before SSL_CERT_FILE"
	}
	return "SSL_CERT_FILE"
}

// unreachableHint says what to do about an engine that does not answer.
func unreachableHint(target string, cause error, authorities string) string {
	var untrusted *tls.CertificateVerificationError
	if errors.As(cause, &untrusted) {
		return fmt.Sprintf("its certificate is not trusted (%v); name the CA's file in %s, or give --insecure", untrusted.Err, authorities)
	}
	u, err := url.Parse(target)
	if err == nil && isLoopback(u) {
		return "is the engine running? Start it with: engine serve"
	}
	return "is the engine running, and can this host reach it? --url or ANCHORE_CLI_URL names its address"
}

// isLoopback tells whether u is on this host whatever its network is.
func isLoopback(u *url.URL) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// Optional is nil for a flag that was not given.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
