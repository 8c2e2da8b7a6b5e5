package oci

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
	"github.com/anchore/anchore-engine/pkg/oci/challenge"
)

// request is one question to a registry's API. Its path is what comes after
// /v2/<repository>/, or a whole path if it starts with /.
type request struct {
	answer.Question
	account string
	accept  string
	layer   bool // what comes is long: a short question does not wait for it
}

// answeredBy returns the host that another one sent the request to and that gave the
// answer, "" if the one that was asked did. It speaks for itself, not for the registry.
func (r request) answeredBy(res *http.Response) string {
	if res.Request == nil || res.Request.URL.Host == address(r.Ref.Registry) {
		return ""
	}
	return res.Request.URL.Host
}

func (r request) url(scheme string) string {
	path := r.Path
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + r.Ref.Repository + "/" + path
	}
	return scheme + "://" + address(r.Ref.Registry) + path
}

func (r request) scope() string {
	if r.Ref.Repository == "" {
		return ""
	}
	return "repository:" + r.Ref.Repository + ":pull"
}

// do sends the request with the account's credential and returns a 2xx answer,
// whose Close frees the registry's slot. Any other answer is an error. A registry
// with mirrors is asked where sources says.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	if len(c.cfg.Registries[r.Ref.Registry].Mirrors) > 0 {
		return c.doAtSources(ctx, r)
	}
	return c.ask(ctx, r)
}

// ask is do for the one registry of r.
func (c *Client) ask(ctx context.Context, r request) (*http.Response, error) {
	cred, err := c.cfg.Credentials.Credential(ctx, r.account, r.Ref)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, anchore.ErrNotAsked)
	}
	res, err := c.askAs(ctx, r, cred)
	switch {
	case c.cfg.Logins == nil || cred.anonymous():
	case err == nil:
		c.cfg.Logins.LoginAccepted(ctx, r.account, r.Ref, cred)
	case errors.Is(err, answer.ErrLogin):
		c.cfg.Logins.LoginRefused(ctx, r.account, r.Ref, cred, anchore.MessageOf(err))
	}
	return res, err
}

// askAs is ask with a given credential.
func (c *Client) askAs(ctx context.Context, r request, cred Credential) (*http.Response, error) {
	l, release, err := c.take(ctx, r, cred.Insecure)
	if err != nil {
		return nil, err
	}
	res, err := c.loggedIn(ctx, l, r, cred)
	if err != nil {
		release()
		return nil, err
	}
	res.Body = &slotBody{ReadCloser: res.Body, release: release}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	if other := r.answeredBy(res); other != "" && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) {
		return nil, anchore.E(anchore.Unavailable, r.Op, "registry %s sent us to %s, which answered with status %d", r.Ref.Registry, other, res.StatusCode).WithCodes(anchore.CodeNotAccessible)
	}
	if res.StatusCode == http.StatusNotFound && isPage(res) && !strings.HasPrefix(r.Path, "/") {
		if err := c.checkAPI(ctx, l, r); err != nil {
			return nil, err
		}
	}
	e := r.Refusal(res, cred.Username)
	if ch, _ := challenge.Pick(res.Header.Values("WWW-Authenticate")); res.StatusCode == http.StatusUnauthorized && ch.Scheme == challenge.Basic && !cred.anonymous() {
		e.Err = errors.Join(answer.ErrLogin, e.Err)
	}
	return nil, e
}

// isPage reports whether an answer is one for people.
func isPage(res *http.Response) bool {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return err == nil && strings.HasPrefix(kind, "text/")
}

// checkAPI asks whether there is a registry at all, where what came back may be of
// something that stands in for it: that one does not know which tags there are. The
// API's root is there for all, with a login or without: distribution specification,
// end-1.
func (c *Client) checkAPI(ctx context.Context, l *line, r request) error {
	r.Method, r.Path, r.accept = http.MethodGet, "/v2/", ""
	res, err := c.send(ctx, l, r, "")
	if err != nil {
		return err
	}
	defer answer.Drain(res)
	if res.StatusCode != http.StatusNotFound {
		return nil
	}
	return anchore.E(anchore.Unavailable, r.Op, "at registry %s there is no registry now: it has no /v2/, and answers with a page for people", r.Ref.Registry).WithCodes(anchore.CodeNotAccessible)
}

// loggedIn makes a login of the credential and sends the request with it.
func (c *Client) loggedIn(ctx context.Context, l *line, r request, cred Credential) (*http.Response, error) {
	login, err := c.login(ctx, l, r, cred)
	if err != nil {
		return nil, err
	}
	return c.authorized(ctx, l, r, login)
}

// authorized sends the request; if the registry challenges it, once more with what
// the challenge asks for. A token service that does not give a token any more may have
// moved: then the registry is asked without one, and says where it is now.
func (c *Client) authorized(ctx context.Context, l *line, r request, cred Credential) (*http.Response, error) {
	header, noToken := c.auth.header(ctx, c, l, r, cred)
	if noToken != nil && !mayHaveMoved(ctx, noToken) {
		return nil, noToken
	}
	res, err := c.send(ctx, l, r, header)
	if err != nil || res.StatusCode != http.StatusUnauthorized || r.answeredBy(res) != "" {
		return res, err
	}
	in, known := answerable(res.Header, cred, header)
	if !known {
		return res, nil
	}
	answer.Drain(res)
	if news := c.auth.remember(loginKey{r.Ref.Registry, cred}, in); noToken != nil && !news {
		return nil, noToken
	}
	header, err = c.auth.answer(ctx, c, l, r, cred, in, strings.TrimPrefix(header, "Bearer "))
	if err != nil {
		return nil, err
	}
	return c.send(ctx, l, r, header)
}

// mayHaveMoved reports whether an error of a token service may mean that there is
// none, or another one, now. A login that it refuses is not tried twice, nor is one
// that it allows no more of.
func mayHaveMoved(ctx context.Context, err error) bool {
	return ctx.Err() == nil && anchore.KindOf(err) == anchore.Unavailable
}

// send sends the request over TLS, or over plain HTTP if that is approved and all
// that the registry speaks. What it speaks is asked without any credential: a
// failed handshake carries none.
func (c *Client) send(ctx context.Context, l *line, r request, authorization string) (*http.Response, error) {
	l.mu.Lock()
	plain := l.plain
	l.mu.Unlock()
	scheme := "https"
	if plain {
		scheme = "http"
	}
	res, err := c.sendOver(ctx, l, r, scheme, authorization)
	if err != nil && !plain && speaksPlain(err) && c.mayPlain(l, r.Ref.Registry) {
		l.mu.Lock()
		l.plain = true
		l.mu.Unlock()
		res, err = c.sendOver(ctx, l, r, "http", authorization)
	}
	if err != nil {
		if plain { // it may have learned TLS meanwhile
			l.mu.Lock()
			l.plain = false
			l.mu.Unlock()
		}
		return nil, r.Broken(ctx, err)
	}
	return res, nil
}

func (c *Client) sendOver(ctx context.Context, l *line, r request, scheme, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.url(scheme), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return l.client.Do(req)
}

// speaksPlain recognises a server that answers a TLS handshake in clear.
func speaksPlain(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// checkRedirect lets a registry send us to where its blobs are, but not out of TLS
// unless both it and that host may speak plain HTTP, and never with the credential.
func (c *Client) checkRedirect(l *line, req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return &answer.RefusedRedirect{Why: "redirects more than five times"}
	}
	if req.URL.Scheme != "https" && !(c.mayPlain(l, req.URL.Host) && c.mayPlain(l, l.registry)) {
		return &answer.RefusedRedirect{Why: fmt.Sprintf("redirects to plain HTTP at %s; that is followed only if it is approved for both hosts", req.URL.Host)}
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

type slotBody struct {
	io.ReadCloser
	release func()
	closed  bool
}

func (b *slotBody) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	defer b.release()
	_, _ = io.CopyN(io.Discard, b.ReadCloser, 4<<10) // the connection is used again if little is left
	return b.ReadCloser.Close()
}
