package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

const (
	dialTimeout = 10 * time.Second
	// answerTimeout covers the slowest answer, which is that to image add: the
	// engine asks a registry first.
	answerTimeout = 2 * time.Minute
	// requestTimeout bounds a whole request, its body included.
	requestTimeout = 5 * time.Minute
	// maxAnswer is more than a list of a million subscriptions, in bytes.
	maxAnswer = 1 << 30
)

// client talks to one engine. Requests are made by the generated client; answers
// are decoded without a schema.
type client struct {
	*api.Client
	set   settings
	root  string // the configured URL, as it was written
	debug func(format string, args ...any)
}

// answer is a response that was read completely.
type answer struct {
	status int
	value  any // nil, bool, number, string, []any or object; a body that is no JSON is a string
	isJSON bool
}

func newClient(set settings, program string, debug func(string, ...any)) (*client, error) {
	c := &client{set: set, root: set.url, debug: debug}
	u, err := url.Parse(set.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, c.noAccess("the URL must begin with http:// or https:// and name a host", errors.Join(errors.New("bad URL"), err))
	}
	transport, err := newTransport(set)
	if err != nil {
		return nil, err
	}
	c.Client, err = api.NewClient(strings.TrimSuffix(set.url, "/"),
		api.WithHTTPClient(&http.Client{Transport: transport, Timeout: requestTimeout}),
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

func newTransport(set settings) (*http.Transport, error) {
	trust := &tls.Config{InsecureSkipVerify: !set.verify, MinVersion: tls.VersionTLS12} //nolint:gosec // --insecure asks for it
	if set.caFile != "" {
		certificates, err := os.ReadFile(set.caFile)
		if err != nil {
			return nil, failf("cannot read the CA file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names: %v", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(certificates) {
			return nil, failf("no certificate in the CA file %s", set.caFile)
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

// do reads the response that a method of the generated client returned. A
// failure status is a *failure with the engine's own words. The original asked
// for the configured URL before each command; here that is asked only when an
// answer cannot have come from an engine.
func (c *client) do(ctx context.Context, response *http.Response, err error) (answer, error) {
	a, err := c.read(response, err)
	if err != nil {
		return a, err
	}
	if a.status >= 200 && a.status <= 298 {
		return a, nil
	}
	if a.status == http.StatusUnauthorized {
		return a, c.refused()
	}
	if _, ok := a.value.(render.Object); !ok {
		if err := c.check(ctx); err != nil {
			return a, err
		}
	}
	return a, &failure{answer: a.value, status: a.status, code: statusCode(a.status)}
}

// read gets the body. Errors: no answer at all.
func (c *client) read(response *http.Response, err error) (answer, error) {
	if err != nil {
		c.debug("%v", err)
		return answer{}, c.noAccess("", err).hint("%s", unreachableHint(c.root, err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	c.debug("%s url=%s httpcode=%d bytes=%d", response.Request.Method, response.Request.URL.Redacted(), response.StatusCode, len(body))
	if err != nil {
		return answer{}, failf("the answer of %s was cut off", c.root).because(err)
	}
	a := answer{status: response.StatusCode, value: render.PlainText(body)}
	if v, err := render.DecodeJSON(body); err == nil {
		a.value, a.isJSON = v, true
	}
	return a, nil
}

func (e *failure) because(err error) *failure {
	e.cause = err
	return e
}

// check asks for the configured URL, as the original's start-up check did.
func (c *client) check(ctx context.Context) error {
	response, err := c.raw(ctx, http.MethodGet, c.root)
	a, err := c.read(response, err)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusUnauthorized:
		return c.refused()
	case a.status < 200 || a.status > 298:
		return c.noAccess(fmt.Sprintf("it answers with HTTP %d", a.status), nil).hint("does the URL end in /v1, and is it that of an engine?")
	}
	return nil
}

// raw sends a request that the API's document does not have.
func (c *client) raw(ctx context.Context, method, target string) (*http.Response, error) {
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

// base is the configured URL without its last slash.
func (c *client) base() string { return strings.TrimSuffix(c.root, "/") }

// noAccess is the original's only word on every trouble at the start; reason
// follows it where there is one.
func (c *client) noAccess(reason string, cause error) *failure {
	text := fmt.Sprintf("could not access anchore service (user=%s url=%s)", cmp.Or(c.set.user, "None"), c.root)
	if reason == "" && c.set.debug && cause != nil {
		reason = cause.Error()
	}
	if reason != "" {
		text += ": " + reason
	}
	return failf("%s", text).because(cause)
}

func (c *client) refused() error {
	f := c.noAccess("the user name or password is not accepted (HTTP 401)", nil)
	f.status = http.StatusUnauthorized
	if c.set.user == "" && c.set.pass == "" {
		f = c.noAccess("no user name and password were given (HTTP 401)", nil)
		f.status = http.StatusUnauthorized
		f = f.hint("give --u and --p, set ANCHORE_CLI_USER and ANCHORE_CLI_PASS, or write ~/.anchore/credentials.yaml")
	}
	if c.set.adminFile != "" {
		return f.hint("the engine on this host wrote the first password of the user admin to %s", c.set.adminFile)
	}
	return f.hint("an engine writes the first password of the user admin to the file admin-password in its data directory")
}

func unreachableHint(target string, cause error) string {
	var untrusted *tls.CertificateVerificationError
	if errors.As(cause, &untrusted) {
		return fmt.Sprintf("its certificate is not trusted (%v); name the CA's file in SSL_CERT_FILE, or give --insecure", untrusted.Err)
	}
	u, err := url.Parse(target)
	if err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()) {
		return "is the engine running? Start it with: engine serve"
	}
	return "is the engine running, and can this host reach it? --url or ANCHORE_CLI_URL names its address"
}
