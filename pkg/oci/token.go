package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// auth remembers how registries want to be asked and the tokens they gave.
type auth struct {
	mu         sync.Mutex
	challenges map[string]challenge // by registry and credential
	tokens     map[tokenKey]*token
	sweepAt    int // number of tokens at which expired ones are dropped
}

type tokenKey struct{ registry, identity, scope string }

type token struct {
	mu     sync.Mutex // held while it is fetched, so that one request serves all who wait
	value  string
	useTil time.Time
}

// challenge is a parsed WWW-Authenticate header (RFC 9110 §11.6.1).
type challenge struct {
	scheme string // lower case
	params map[string]string
}

const (
	minTokenLife     = 60 * time.Second // what a token without expires_in is good for, by the specification
	minSweep         = 1024
	schemeBasic      = "basic"
	schemeBearer     = "bearer"
	challengeDivider = "\x00"
)

// header returns the Authorization header for a request, "" if nothing is known of
// the registry yet: then it is asked without, and says what it wants.
func (a *auth) header(ctx context.Context, c *Client, h *host, r request, cred Credential) (string, error) {
	a.mu.Lock()
	ch, ok := a.challenges[r.ref.Registry+challengeDivider+cred.identity()]
	a.mu.Unlock()
	if !ok {
		return "", nil
	}
	return a.answer(ctx, c, h, r, cred, ch, "")
}

// learn reads the challenge of a 401. It returns how to answer it, and whether
// there is an answer that was not just refused.
func (a *auth) learn(r request, cred Credential, header http.Header, refused string) (func(context.Context, *Client, *host) (string, error), bool) {
	ch, ok := pickChallenge(header.Values("WWW-Authenticate"))
	if !ok || ch.scheme == schemeBasic && (cred == (Credential{}) || refused != "") {
		return nil, false
	}
	a.mu.Lock()
	a.challenges[r.ref.Registry+challengeDivider+cred.identity()] = ch
	a.mu.Unlock()
	return func(ctx context.Context, c *Client, h *host) (string, error) {
		return a.answer(ctx, c, h, r, cred, ch, strings.TrimPrefix(refused, "Bearer "))
	}, true
}

func (a *auth) answer(ctx context.Context, c *Client, h *host, r request, cred Credential, ch challenge, refused string) (string, error) {
	if ch.scheme == schemeBasic {
		return basic(cred), nil
	}
	t := a.token(tokenKey{r.ref.Registry, cred.identity(), r.scope()})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && t.value != refused && time.Now().Before(t.useTil) {
		return "Bearer " + t.value, nil
	}
	value, life, err := c.fetchToken(ctx, h, r, cred, ch)
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

// fetchToken asks the realm of the challenge for a token: distribution's
// docs/content/spec/auth/token.md.
func (c *Client) fetchToken(ctx context.Context, h *host, r request, cred Credential, ch challenge) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	realm, err := url.Parse(ch.params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != "http" {
		return "", 0, anchore.E(anchore.Unavailable, r.op, "registry %s names no usable token service", r.ref.Registry).WithCodes(anchore.CodeNotAccessible)
	}
	if realm.Scheme == "http" && !(c.mayPlain(realm.Host) && c.mayPlain(r.ref.Registry)) {
		return "", 0, anchore.E(anchore.Unavailable, r.op, "registry %s wants its token fetched over plain HTTP from %s; that is refused unless the registry is configured as insecure", r.ref.Registry, realm.Host).WithCodes(anchore.CodeNotAccessible)
	}
	q := realm.Query()
	if s := ch.params["service"]; s != "" {
		q.Set("service", s)
	}
	q.Set("scope", r.scope())
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return "", 0, connectionError(ctx, r, err)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if cred != (Credential{}) {
		req.Header.Set("Authorization", basic(cred))
	}
	res, err := h.client.Do(req)
	if err != nil {
		return "", 0, connectionError(ctx, r, err)
	}
	defer drain(res)
	if res.StatusCode != http.StatusOK {
		return "", 0, statusError(r, cred, res)
	}
	return readToken(r, res.Body)
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
		return "", 0, anchore.E(anchore.Unavailable, r.op, "the token service of registry %s did not answer with a token", r.ref.Registry).WithCodes(anchore.CodeNotAccessible)
	}
	life := minTokenLife
	if doc.ExpiresIn > 0 {
		life = time.Duration(min(doc.ExpiresIn, 86400) * float64(time.Second))
	}
	return doc.Token, life, nil
}

// pickChallenge chooses what we can answer: Bearer before Basic.
func pickChallenge(headers []string) (challenge, bool) {
	var found challenge
	for _, h := range headers {
		for _, ch := range parseChallenges(h) {
			if ch.scheme == schemeBearer || ch.scheme == schemeBasic && found.scheme == "" {
				found = ch
			}
		}
	}
	return found, found.scheme != ""
}

// parseChallenges reads one WWW-Authenticate header, which may hold several
// challenges. What it does not understand it leaves out.
func parseChallenges(s string) []challenge {
	var list []challenge
	for s = skipBlank(s); s != ""; s = skipBlank(s) {
		word, rest := cutToken(s)
		if word == "" {
			return list
		}
		rest = strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(rest, "=") { // a scheme: no parameter of the one before
			list = append(list, challenge{scheme: strings.ToLower(word), params: map[string]string{}})
			s = rest
			continue
		}
		value, after := cutValue(strings.TrimLeft(rest[1:], " \t"))
		if len(list) > 0 {
			list[len(list)-1].params[strings.ToLower(word)] = value
		}
		s = after
	}
	return list
}

func skipBlank(s string) string { return strings.TrimLeft(s, " \t,") }

func cutToken(s string) (word, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool {
		return r > 0x7e || r <= ' ' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// cutValue reads a token or a quoted string.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			return s, ""
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
