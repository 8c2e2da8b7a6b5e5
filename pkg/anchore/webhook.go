package anchore

import (
	"net/textproto"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The messages of the errors below are what is wrong with a value, without the
// value, to stand after the name of its key.

// HTTPURL is what ParseHTTPURL takes, after "must be".
const HTTPURL = "an http or https URL, with a port from 1 to 65535 if it has one"

// ParseHTTPURL reads an address that requests can be sent to. Errors: Invalid.
func ParseHTTPURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, E(Invalid, "anchore.ParseHTTPURL", "must be %s", HTTPURL)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, E(Invalid, "anchore.ParseHTTPURL", "must be %s", HTTPURL)
		}
	}
	return u, nil
}

// ParseEndpointURL reads the URL of a webhook endpoint, which may hold placeholders
// in its path and query. Errors: Invalid.
func ParseEndpointURL(s Secret) (*url.URL, error) {
	const op = "anchore.ParseEndpointURL"
	u, err := ParseHTTPURL(s.Reveal())
	switch {
	case err != nil:
		return nil, err
	case strings.ContainsAny(u.Host, "<>"):
		return nil, E(Invalid, op, "has a placeholder in its host; <notification_type> and <userId> are replaced in the path and the query")
	case strings.ContainsAny(s.Reveal(), " \t"):
		return nil, E(Invalid, op, "has a space; write it as %%20 if it is meant")
	case u.Fragment != "":
		return nil, E(Invalid, op, "has a fragment (#), which is never sent; leave it out")
	}
	return u, nil
}

// A field name and a field value that can be sent (RFC 9110 §5.1, §5.5).
var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[^\x00-\x08\x0a-\x1f\x7f]*$`)
)

// CheckEndpointHeader says whether requests to a webhook endpoint can have a header
// that its configuration sets. Errors: Invalid.
func CheckEndpointHeader(name string, value Secret) error {
	const op = "anchore.CheckEndpointHeader"
	if !headerName.MatchString(name) {
		return E(Invalid, op, "is not the name of a header; expected letters, digits and hyphens, e.g. X-Team")
	}
	if !headerValue.MatchString(value.Reveal()) {
		return E(Invalid, op, "has a control character in its value")
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Idempotency-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature":
		return E(Invalid, op, "is a header that the engine sets; leave it out")
	}
	return nil
}
