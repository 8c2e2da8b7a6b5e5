package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// errScheme is in the cause of a failure that the other scheme in the URL would end.
var errScheme = errors.New("the URL has the wrong scheme")

// wrongScheme is the failure of a URL whose server expects the given scheme. It wraps
// errScheme. A port that only the scheme told stays the same.
func (c *Client) wrongScheme(scheme string, cause error) *Failure {
	reason, warning := "it speaks TLS only", ""
	u, err := url.Parse(c.Root)
	if err != nil {
		return c.noAccess(reason, errors.Join(errScheme, cause))
	}
	if scheme == "http" {
		reason = "it does not speak TLS"
		if !isLoopback(u) {
			warning = "; the password is then sent without encryption"
		}
	}
	if u.Port() == "" {
		u.Host += ":" + port(u)
	}
	u.Scheme = scheme
	return c.noAccess(reason, errors.Join(errScheme, cause)).Hint("give this URL: --url %s (or in ANCHORE_CLI_URL)%s", u, warning)
}

// otherScheme is the scheme that a server expects which a request failed at: "http" if
// it answered a TLS handshake with something else, "https" if it answered with a TLS
// alert, which Go's HTTP client shows by the bytes that it begins with. It is "" for any
// other failure.
func otherScheme(err error) string {
	var noRecord tls.RecordHeaderError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &noRecord):
		return "http"
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`):
		return "https"
	}
	return ""
}

// asksForTLS tells whether the body of an answer with status 400 is that of a server
// that expects TLS: Go's, nginx's or Apache's.
func asksForTLS(body []byte) bool {
	for _, text := range []string{"HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled server port"} {
		if bytes.Contains(body, []byte(text)) {
			return true
		}
	}
	return false
}
