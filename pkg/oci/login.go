package oci

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/aws"
)

// logins are the logins that were made of credentials, until they expire.
type logins struct {
	mu    sync.Mutex
	known map[loginKey]*login
}

// loginKey is a registry and what is shown there. The credential is its own key: to
// hash it for each request would cost more than to compare it.
type loginKey struct {
	registry string
	cred     Credential
}

type login struct {
	mu     sync.Mutex // held while it is made, so that one request serves all who wait
	cred   Credential
	useTil time.Time
}

// of returns the login that was or is to be made of a credential.
func (s *logins) of(key loginKey) *login {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[key]
	if known == nil {
		if len(s.known) >= maxHosts {
			clear(s.known) // seldom; those in use are made once more
		}
		known = &login{}
		s.known[key] = known
	}
	return known
}

// ambientFor is how long a login of the engine's host is used before its helpers
// are asked again: they are programs, and their tokens live for an hour or more.
const ambientFor = 10 * time.Minute

// login returns user and password to use for the credential at the request's
// registry. Its errors are ErrNotAsked, but where another attempt may succeed.
func (c *Client) login(ctx context.Context, l *line, r request, cred Credential) (Credential, error) {
	if cred.Kind == PasswordLogin {
		return cred, nil
	}
	known := c.logins.of(loginKey{r.Ref.Registry, cred})
	known.mu.Lock()
	defer known.mu.Unlock()
	if time.Now().Before(known.useTil) {
		return known.cred, nil
	}
	made, life, err := c.makeLogin(ctx, l, r, cred)
	if kind := anchore.KindOf(err); err != nil && kind != anchore.Unavailable && kind != anchore.Limited {
		err = fmt.Errorf("%w (%w)", err, anchore.ErrNotAsked)
	}
	if err != nil {
		return Credential{}, err
	}
	made.Insecure = cred.Insecure
	known.cred, known.useTil = made, time.Now().Add(life*3/4)
	return made, nil
}

func (c *Client) makeLogin(ctx context.Context, l *line, r request, cred Credential) (Credential, time.Duration, error) {
	exchange := c.exchange(l)
	if cred.Kind == ECRLogin {
		return credentialOf(exchange.Login(ctx, r.Question, aws.Key{ID: cred.Username, Secret: cred.Password}))
	}
	if !c.cfg.Ambient {
		return Credential{}, 0, anchore.E(anchore.Forbidden, r.Op, "'awsauto' is not enabled in service configuration: set registries.ambient_credentials to let registries use the credentials of the engine's host").WithCodes(anchore.CodePermissionDenied)
	}
	found, life, err := ambient(ctx, r)
	if anchore.KindOf(err) != anchore.Unauthorized || !aws.IsRegistry(r.Ref.Registry) {
		return found, life, err
	}
	key, err := exchange.HostKey(ctx, r.Question)
	if err != nil {
		return Credential{}, 0, err
	}
	found, life, err = credentialOf(exchange.Login(ctx, r.Question, key))
	return found, min(life, hostKeyFor), err
}

// exchange asks AWS the way that the registry is asked.
func (c *Client) exchange(l *line) aws.Exchange {
	e := aws.Exchange{AWS: l.client, Timeout: c.cfg.Timeout, UserAgent: c.cfg.UserAgent}
	if c.cfg.Transport != nil {
		e.Host = l.client
	}
	return e
}

func credentialOf(login aws.Login, err error) (Credential, time.Duration, error) {
	return Credential{Username: login.User, Password: login.Password}, login.Life, err
}

// hostKeyFor is how long a login that was made with the host's key is used: a role
// may be taken from the host.
const hostKeyFor = time.Hour

// ambient asks docker's configuration file of the engine's user, and the credential
// helpers that it names, for a login.
func ambient(ctx context.Context, r request) (Credential, time.Duration, error) {
	reg, err := name.NewRegistry(r.Ref.Registry)
	if err != nil {
		return Credential{}, 0, anchore.E(anchore.Invalid, r.Op, "%s is no registry that the engine's host can have credentials for", r.Ref.Registry).Because(err)
	}
	found, err := authn.Resolve(ctx, authn.DefaultKeychain, reg)
	var login *authn.AuthConfig
	if err == nil {
		login, err = authn.Authorization(ctx, found)
	}
	switch {
	case err != nil:
		return Credential{}, 0, anchore.E(anchore.Unavailable, r.Op, "the credentials of the engine's host for registry %s cannot be read", r.Ref.Registry).WithCodes(anchore.CodePermissionDenied).Because(err)
	case login.Username == "" && login.Password == "" && login.IdentityToken+login.RegistryToken != "":
		return Credential{}, 0, anchore.E(anchore.Unavailable, r.Op, "the engine's host has a token for registry %s, not a user and password; that is not supported", r.Ref.Registry).WithCodes(anchore.CodePermissionDenied)
	case login.Username == "" && login.Password == "":
		return Credential{}, 0, anchore.E(anchore.Unauthorized, r.Op, "the engine's host has no credentials for registry %s; give its user a docker configuration file with a login or a credential helper", r.Ref.Registry).WithCodes(anchore.CodePermissionDenied)
	}
	return Credential{Username: login.Username, Password: anchore.Secret(login.Password)}, ambientFor, nil
}
