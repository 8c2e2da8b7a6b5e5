package session

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects in a row are followed.
const maxRedirects = 10

// refusedRedirect is a redirect that is not followed.
type refusedRedirect struct {
	to  string // where it leads, without what may be secret
	why string
	url string // the value for --url that goes there directly, "" if none can be told
	ask bool   // url is good only for who trusts it
}

func (e *refusedRedirect) Error() string { return fmt.Sprintf("it redirects to %s, %s", e.to, e.why) }

// checkRedirect follows what is the same request at the same place, or at the same
// host with TLS instead of without. Another host, or one behind no encryption, is not
// told the password, and a request that would be sent as another one does not do what
// was asked for. base is the configured URL.
func checkRedirect(base *url.URL) func(r *http.Request, via []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		first, last := via[0], via[len(via)-1]
		e := &refusedRedirect{to: bare(r.URL).String(), url: movedBase(base, first.URL, r.URL)}
		upgrade := last.URL.Scheme == "http" && r.URL.Scheme == "https"
		switch {
		case last.URL.Scheme == "https" && r.URL.Scheme != "https":
			e.why, e.ask = "where the password would be sent without encryption", true
		case !strings.EqualFold(last.URL.Hostname(), r.URL.Hostname()) || !upgrade && port(last.URL) != port(r.URL):
			e.why, e.ask = "another host or port, which is not told the password", true
		case first.Method != r.Method:
			e.why = fmt.Sprintf("where a %s would arrive as a %s", first.Method, r.Method)
		case len(via) >= maxRedirects:
			e.why, e.url = "and so on without end", ""
		default:
			return nil
		}
		return e
	}
}

// bare is u without user, query and fragment.
func bare(u *url.URL) *url.URL {
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// movedBase is what base becomes where a request below it is redirected from one URL to
// another. It is "" if that is no other engine: if the redirect leads to another path,
// as to a page for people, or to the same base.
func movedBase(base, from, to *url.URL) string {
	cut := func(u *url.URL) string { return strings.TrimRight(u.EscapedPath(), "/") }
	below, ok := strings.CutPrefix(cut(from), cut(base))
	if !ok || to.Scheme != "http" && to.Scheme != "https" {
		return ""
	}
	path, ok := strings.CutSuffix(cut(to), below)
	if !ok || below == "" && path != cut(base) {
		return ""
	}
	moved := bare(to)
	moved.RawPath = path
	var err error
	if moved.Path, err = url.PathUnescape(path); err != nil || moved.String() == strings.TrimRight(bare(base).String(), "/") {
		return ""
	}
	return moved.String()
}

// redirected is the failure of a request that a redirect was refused for.
func (c *Client) redirected(e *refusedRedirect) *Failure {
	f := c.noAccess(e.Error(), e)
	switch {
	case e.url == "":
		return f.Hint("is the URL that of an engine? It should end in /v1")
	case e.ask:
		return f.Hint("if you trust that server, give this URL: --url %s (or in ANCHORE_CLI_URL)", e.url)
	}
	return f.Hint("give this URL: --url %s (or in ANCHORE_CLI_URL)", e.url)
}

// Lasting tells whether err is a refusal that no waiting ends: of the password, of a
// redirect, or of the URL's scheme.
func Lasting(err error) bool {
	var redirect *refusedRedirect
	f := AsFailure(err)
	return errors.As(err, &redirect) || errors.Is(err, errScheme) || f != nil && f.Status == http.StatusUnauthorized
}
