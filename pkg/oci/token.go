package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
	"github.com/anchore/anchore-engine/pkg/oci/challenge"
)

// auth remembers how registries want to be asked and the tokens they gave.
type auth struct {
	mu      sync.Mutex
	ways    map[loginKey]way
	tokens  map[tokenKey]*token
	sweepAt int // number of tokens at which expired ones are dropped
}

// way is how a registry wants to be asked.
type way struct {
	scheme         string // challenge.Basic or challenge.Bearer
	realm, service string // of Bearer: where there are tokens, and for what
}

type tokenKey struct {
	loginKey
	scope string
}

type token struct {
	mu     sync.Mutex // held while it is fetched, so that one request serves all who wait
	value  string
	useTil time.Time
}

const (
	minTokenLife = 60 * time.Second // what a token without expires_in is good for, by the specification
	minSweep     = 1024
)

// header returns the Authorization header for a request, "" if nothing is known of
// the registry yet: then it is asked without, and says what it wants.
func (a *auth) header(ctx context.Context, c *Client, l *line, r request, cred Credential) (string, error) {
	a.mu.Lock()
	in, ok := a.ways[loginKey{r.Ref.Registry, cred}]
	a.mu.Unlock()
	if !ok {
		return "", nil
	}
	return a.answer(ctx, c, l, r, cred, in, "")
}

// answerable reads the challenge of a 401, and reports whether there is an answer to
// it that was not just refused.
func answerable(header http.Header, cred Credential, refused string) (in way, ok bool) {
	ch, ok := challenge.Pick(header.Values("WWW-Authenticate"))
	if ch.Scheme == challenge.Basic {
		return way{scheme: ch.Scheme}, ok && !cred.anonymous() && refused != basic(cred)
	}
	return way{ch.Scheme, ch.Params["realm"], ch.Params["service"]}, ok
}

// remember keeps how a registry wants to be asked, and reports whether that is news.
func (a *auth) remember(key loginKey, in way) (news bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, known := a.ways[key]
	if !known && len(a.ways) >= maxHosts {
		clear(a.ways) // seldom; who is asked again says again how
	}
	a.ways[key] = in
	return !known || old != in
}

// answer returns the Authorization header for a way in. A token that was
// just refused is not used again.
func (a *auth) answer(ctx context.Context, c *Client, l *line, r request, cred Credential, in way, refused string) (string, error) {
	if in.scheme == challenge.Basic {
		return basic(cred), nil
	}
	t := a.token(tokenKey{loginKey{r.Ref.Registry, cred}, r.scope()})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && t.value != refused && time.Now().Before(t.useTil) {
		return "Bearer " + t.value, nil
	}
	value, life, err := c.fetchToken(ctx, l, r, cred, in)
	if err != nil {
		return "", err
	}
	// Renewed after three quarters of its life, so that none expires on its way.
	t.value, t.useTil = value, time.Now().Add(life*3/4)
	return "Bearer " + value, nil
}

func (a *auth) token(key tokenKey) *token {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.tokens[key]; ok {
		return t
	}
	if len(a.tokens) >= max(a.sweepAt, minSweep) {
		now := time.Now()
		for k, t := range a.tokens {
			if t.mu.TryLock() { // one that is being fetched is not old
				if now.After(t.useTil) {
					delete(a.tokens, k)
				}
				t.mu.Unlock()
			}
		}
		a.sweepAt = 2 * len(a.tokens)
	}
	t := &token{}
	a.tokens[key] = t
	return t
}

func basic(cred Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password.Reveal()))
}

// fetchToken asks the realm of a way in for a token: distribution's
// docs/content/spec/auth/token.md.
func (c *Client) fetchToken(ctx context.Context, l *line, r request, cred Credential, in way) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	realm, err := url.Parse(in.realm)
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != "http" {
		return "", 0, anchore.E(anchore.Unavailable, r.Op, "registry %s names no usable token service", r.Ref.Registry).WithCodes(anchore.CodeNotAccessible)
	}
	if realm.Scheme == "http" && !(c.mayPlain(l, realm.Host) && c.mayPlain(l, r.Ref.Registry)) {
		return "", 0, anchore.E(anchore.Unavailable, r.Op, "registry %s wants its token fetched over plain HTTP from %s; that is refused unless the registry is configured as insecure", r.Ref.Registry, realm.Host).WithCodes(anchore.CodeNotAccessible)
	}
	q := realm.Query()
	if in.service != "" {
		q.Set("service", in.service)
	}
	if s := r.scope(); s != "" {
		q.Set("scope", s)
	}
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return "", 0, r.Broken(ctx, err)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if !cred.anonymous() {
		req.Header.Set("Authorization", basic(cred))
	}
	res, err := l.client.Do(req)
	if err != nil {
		return "", 0, r.Broken(ctx, err)
	}
	defer answer.Drain(res)
	if res.StatusCode != http.StatusOK {
		return "", 0, r.tokenRefusal(res, cred)
	}
	return readToken(r, res.Body)
}

// tokenRefusal makes the error of a token service's answer that is no success. That
// there is no such page says nothing of what the registry has.
func (r request) tokenRefusal(res *http.Response, cred Credential) error {
	e := r.Refusal(res, cred.Username)
	switch {
	case res.StatusCode == http.StatusUnauthorized && !cred.anonymous():
		e.Err = errors.Join(answer.ErrLogin, e.Err)
	case e.Kind == anchore.NotFound, e.Kind == anchore.Unavailable:
		gone := anchore.E(anchore.Unavailable, r.Op, "the token service of registry %s answered with status %d", r.Ref.Registry, res.StatusCode).WithCodes(anchore.CodeNotAccessible).Because(e.Err)
		gone.After = e.After
		return gone
	}
	return e
}

func readToken(r request, body io.Reader) (string, time.Duration, error) {
	var doc struct {
		Token     string  `json:"token"`
		Access    string  `json:"access_token"` // of OAuth2 servers
		ExpiresIn float64 `json:"expires_in"`
	}
	err := json.NewDecoder(io.LimitReader(body, maxToken)).Decode(&doc)
	if doc.Token == "" {
		doc.Token = doc.Access
	}
	if err != nil || doc.Token == "" || strings.ContainsAny(doc.Token, "\r\n") {
		return "", 0, anchore.E(anchore.Unavailable, r.Op, "the token service of registry %s did not answer with a token", r.Ref.Registry).WithCodes(anchore.CodeNotAccessible)
	}
	life := minTokenLife
	if doc.ExpiresIn > 0 {
		life = time.Duration(min(doc.ExpiresIn, 86400) * float64(time.Second))
	}
	return doc.Token, life, nil
}
