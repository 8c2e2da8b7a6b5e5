// Package answer reads what comes back on a question to a registry, or to a service
// that lets us in there, and makes the error of what does not come or is no success:
// what was wrong, in words for users that hold no credentials, and how long to wait
// if the other side said so.
package answer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Question is what was asked, as errors tell of it.
type Question struct {
	Op     string            // package.Function
	Ref    anchore.Reference // its registry was asked, for what Ref names there
	Method string            // for the log, as is the path
	Path   string
}

// ErrLogin is the cause of an error that says that user and password are wrong, and
// not that the user may not read what was asked for.
var ErrLogin = errors.New("the login is refused")

// Refusal makes the error of an answer that is no success to a user, "" for nobody
// in particular: Unauthorized, Forbidden, NotFound, Limited, or Unavailable for all
// else. It reads the body and leaves closing it to the caller.
func (q Question) Refusal(res *http.Response, user string) *anchore.Error {
	cause := fmt.Errorf("%s %s: status %d%s", q.Method, q.Path, res.StatusCode, registryCodes(res.Body))
	reg := q.Ref.Registry
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		kind := anchore.Unauthorized
		if res.StatusCode == http.StatusForbidden {
			kind = anchore.Forbidden
		}
		if user == "" {
			return anchore.E(kind, q.Op, "registry %s does not let anonymous users read %s; it may not exist, or a registry credential is needed", reg, q.Ref.RepositoryName()).WithCodes(anchore.CodePermissionDenied).Because(cause)
		}
		return anchore.E(kind, q.Op, "registry %s does not let user %q read %s; check the registry's credential", reg, user, q.Ref.RepositoryName()).WithCodes(anchore.CodePermissionDenied).Because(cause)
	case http.StatusNotFound:
		return anchore.E(anchore.NotFound, q.Op, "registry %s does not have %s", reg, q.Ref).WithCodes(anchore.CodeImageNotFound).Because(cause)
	case http.StatusTooManyRequests:
		e := anchore.E(anchore.Limited, q.Op, "registry %s allows no more requests for now", reg).WithCodes(anchore.CodeNotAccessible).Because(cause)
		e.After = retryAfter(res.Header, time.Now())
		return e
	}
	e := anchore.E(anchore.Unavailable, q.Op, "registry %s answered with status %d", reg, res.StatusCode).WithCodes(anchore.CodeNotAccessible).Because(cause)
	if res.StatusCode == http.StatusServiceUnavailable {
		e.After = retryAfter(res.Header, time.Now())
	}
	return e
}

// maxErrors bounds how much of an answer is searched for error codes.
const maxErrors = 64 << 10

// registryCodes reads the error codes of an answer, for the log; its texts are
// not ours to trust.
func registryCodes(body io.Reader) string {
	var doc struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(body, maxErrors)).Decode(&doc) != nil {
		return ""
	}
	var text strings.Builder
	for i, e := range doc.Errors {
		if i < 3 && len(e.Code) < 40 {
			fmt.Fprintf(&text, " %q", e.Code)
		}
	}
	return text.String()
}

// Broken makes the error of a request without an answer, or with half of one:
// Unavailable, or that of ctx if that is what ended it.
func (q Question) Broken(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return ctx.Err()
	}
	// url.Error repeats the URL, which after a redirect may hold a signature.
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return anchore.E(anchore.Unavailable, q.Op, "registry %s %s", q.Ref.Registry, connectionFault(q.Ref.Registry, err)).WithCodes(anchore.CodeNotAccessible).Because(err)
}

// ProxyRefused is the error of a proxy that does not connect to a registry.
type ProxyRefused struct {
	Proxy  string // its host
	Status string // that it answered with
}

// Error implements error.
func (e *ProxyRefused) Error() string {
	return fmt.Sprintf("the proxy %s answered with status %q", e.Proxy, e.Status)
}

// RefusedRedirect is the error of a redirect that is not followed.
type RefusedRedirect struct {
	Why string // as what the registry does, without what may be secret
}

// Error implements error.
func (e *RefusedRedirect) Error() string { return "the redirect is refused: it " + e.Why }

// proxyFault says what was wrong with a proxy, "" if it was not the proxy.
func proxyFault(err error) string {
	var refused *ProxyRefused
	var op *net.OpError
	switch {
	case errors.As(err, &refused):
		return "cannot be reached: " + refused.Error()
	case errors.As(err, &op) && op.Op == "proxyconnect": // as net/http calls it
		return "cannot be reached: the proxy that the environment or the configuration names does not answer"
	}
	return ""
}

// connectionFault says what was wrong with a connection, in words that hold nothing
// of the request.
func connectionFault(registry string, err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var dns *net.DNSError
	var timeout net.Error
	var redirect *RefusedRedirect
	if fault := proxyFault(err); fault != "" {
		return fault
	}
	switch {
	case errors.As(err, &redirect):
		return redirect.Why
	case errors.As(err, &unknown):
		return fmt.Sprintf("has a certificate of an unknown authority; name the authority's file under registries.ca_files.%s or registries.ca_file", registry)
	case errors.As(err, &name):
		return "has a certificate for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has a certificate that is expired or not valid yet"
	case errors.As(err, &invalid), errors.As(err, &certificate):
		return "has a certificate that cannot be verified"
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS; plain HTTP is used only for loopback addresses and registries that are configured as insecure"
	case errors.As(err, &dns):
		return "cannot be reached: its name is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "cannot be reached: the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "broke the connection off"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "did not answer in time"
	}
	return "cannot be reached, or its answer broke off"
}

// maxAfter bounds what a registry can ask us to wait.
const maxAfter = 24 * time.Hour

// retryAfter is the least wait that an answer asks for, 0 if it does not say. It
// reads Retry-After (RFC 9110 §10.2.3: seconds or a date), the reset times of the
// RateLimit headers (seconds, or seconds since 1970 as Docker Hub sends), and else
// the share of one request in Docker Hub's "ratelimit-limit: 100;w=21600".
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After", "X-Retry-After", "RateLimit-Reset", "X-RateLimit-Reset"} {
		v := strings.TrimSpace(h.Get(name))
		if n, err := strconv.ParseFloat(v, 64); err == nil && n >= 0 {
			if n > 1e9 { // a point in time
				n -= float64(now.Unix())
			}
			return time.Duration(max(0, min(n, maxAfter.Seconds())) * float64(time.Second))
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, min(at.Sub(now), maxAfter))
		}
	}
	limit, window, ok := strings.Cut(h.Get("RateLimit-Limit"), ";w=")
	n, err1 := strconv.Atoi(limit)
	w, err2 := strconv.Atoi(window)
	if !ok || err1 != nil || err2 != nil || n <= 0 || w <= 0 {
		return 0
	}
	return time.Duration(min(w/n, int(maxAfter/time.Second))) * time.Second
}

// Read reads a whole answer of at most limit bytes. Errors: as of Broken; Invalid if
// it is longer.
func (q Question) Read(ctx context.Context, res *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, q.Broken(ctx, err)
	}
	if int64(len(body)) > limit {
		return nil, anchore.E(anchore.Invalid, q.Op, "registry %s answered with more than %d bytes for %s", q.Ref.Registry, limit, q.Ref).WithCodes(anchore.CodeManifestUnreadable)
	}
	return body, nil
}

// Drain reads the rest of a short answer and closes it, so that its connection is
// used again.
func Drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // what fails here only costs the connection
	_ = res.Body.Close()
}
