package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/certfile"
)

const (
	dialTimeout      = 5 * time.Second
	idleTimeout      = time.Minute
	maxHeaderBytes   = 64 << 10 // of a response
	maxIdlePerServer = 16
)

// newTransport builds the connection pool of one endpoint, so that its TLS
// settings, and its slowness, are its own.
func newTransport(e Endpoint) (*http.Transport, error) {
	tlsConfig, err := newTLS(e)
	if err != nil {
		return nil, err
	}
	proxy, err := newProxy(e)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the body is not read
		MaxIdleConnsPerHost:    maxIdlePerServer,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}, nil
}

func newTLS(e Endpoint) (*tls.Config, error) {
	const op = "notify.newTLS"
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.Insecure} // #nosec: off unless configured
	var err error
	if e.CAFile != "" {
		if cfg.RootCAs, err = certfile.Pool(nil, e.CAFile); err != nil {
			return nil, anchore.E(anchore.Invalid, op, "webhook %s: ca_file: %s %s", e.Name, e.CAFile, err)
		}
	}
	if e.CertFile != "" || e.KeyFile != "" {
		cert, err := certfile.Pair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, anchore.E(anchore.Invalid, op, "webhook %s: client_key: %s %s", e.Name, e.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

func newProxy(e Endpoint) (func(*http.Request) (*url.URL, error), error) {
	if e.Proxy == "" {
		return http.ProxyFromEnvironment, nil
	}
	u, err := url.Parse(e.Proxy.Reveal())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return nil, anchore.E(anchore.Invalid, "notify.newProxy", `webhook %s: proxy must be a URL with the scheme http, https or socks5`, e.Name)
	}
	return http.ProxyURL(u), nil
}

// parseURL checks the endpoint's URL. The error does not show it.
func parseURL(e Endpoint) (*url.URL, error) {
	u, err := anchore.ParseEndpointURL(e.URL)
	if err != nil {
		return nil, anchore.E(anchore.Invalid, "notify.parseURL", "webhook %s: url %s", e.Name, anchore.MessageOf(err))
	}
	return u, nil
}

// MaskURL is the part of an endpoint's URL that may be shown: scheme and host.
func MaskURL(s anchore.Secret) string {
	u, err := url.Parse(s.Reveal())
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// expand puts type and account into the URL, escaped for the place they stand in.
func expand(template string, m Message) string {
	path, query, ok := strings.Cut(template, "?")
	out := placeholders(path, m, url.PathEscape)
	if ok {
		out += "?" + placeholders(query, m, url.QueryEscape)
	}
	return out
}

func placeholders(s string, m Message, escape func(string) string) string {
	return strings.NewReplacer("<notification_type>", escape(cmp.Or(m.URLType, string(m.Type))), "<userId>", escape(m.Account)).Replace(s)
}

func checkHeaders(e Endpoint) error {
	for name, value := range e.Headers {
		if err := anchore.CheckEndpointHeader(name, value); err != nil {
			return anchore.E(anchore.Invalid, "notify.checkHeaders", "webhook %s: %q %s", e.Name, name, anchore.MessageOf(err))
		}
	}
	return nil
}

// shortestToken is the least length of a part of a path or query that may be a
// secret by itself.
const shortestToken = 8

// scrubber returns a function that removes the endpoint's secrets from a text.
func scrubber(e Endpoint, u *url.URL) func(string) string {
	var pairs []string
	hide := func(secret string) {
		if secret != "" && secret != "/" {
			pairs = append(pairs, secret, "******")
		}
	}
	hide(e.URL.Reveal())
	hide(u.RequestURI())
	hide(u.Path)
	hide(u.RawQuery)
	for _, part := range strings.FieldsFunc(u.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=", r) }) {
		if len(part) >= shortestToken {
			hide(part)
		}
	}
	if u.User != nil {
		hide(u.User.String())
	}
	if password, ok := u.User.Password(); ok {
		hide(password)
	}
	if e.User != "" || e.Password != "" {
		hide(base64.StdEncoding.EncodeToString([]byte(e.User + ":" + e.Password.Reveal())))
	}
	hide(e.Password.Reveal())
	hide(e.BearerToken.Reveal())
	hide(e.Secret.Reveal())
	hide(e.Proxy.Reveal())
	for _, value := range e.Headers {
		hide(value.Reveal())
	}
	return strings.NewReplacer(pairs...).Replace
}

// maxReason is the longest reason, in bytes, that is kept of an error.
const maxReason = 300

// reasonOf is one line that says why no response came. The URL that net/http puts
// into its errors is left out.
func reasonOf(err error, scrub func(string) string) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if errors.Is(err, context.Canceled) {
		return "stopped before the answer came"
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	text := strings.Join(strings.Fields(scrub(err.Error())), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
