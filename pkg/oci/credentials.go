package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// LoginKind says how the login at a registry is made of a credential.
type LoginKind int

const (
	PasswordLogin LoginKind = iota // user and password are the login
	ECRLogin                       // an AWS access key and its secret, exchanged for a login that expires
	AmbientLogin                   // what the engine's host has for the registry; see Config.Ambient
)

// Credential is what an account has for a registry. The zero value is anonymous.
type Credential struct {
	Username string
	Password anchore.Secret
	Kind     LoginKind
	Insecure bool // the registry's certificate is not verified, and plain HTTP is approved
}

func (c Credential) anonymous() bool {
	return c.Username == "" && c.Password == "" && c.Kind == PasswordLogin
}

// Credentials knows with which credential an account reads a repository.
type Credentials interface {
	// Credential returns the credential for ref's registry and repository; the
	// zero value for none. It is asked before each request, so it must be quick.
	Credential(ctx context.Context, account string, ref anchore.Reference) (Credential, error)
}

// Logins is told what registries say of logins. Its methods must be quick where
// nothing changes: they are called after each request.
type Logins interface {
	// LoginRefused says that the registry of ref knows no such user and password; a
	// user who may not read the repository is something else.
	LoginRefused(ctx context.Context, account string, ref anchore.Reference, cred Credential, reason string)
	// LoginAccepted says that a request with the credential was answered.
	LoginAccepted(ctx context.Context, account string, ref anchore.Reference, cred Credential)
}

type anonymous struct{}

func (anonymous) Credential(context.Context, string, anchore.Reference) (Credential, error) {
	return Credential{}, nil
}

// Identity returns a text that two accounts share exactly when they would read the
// repository with the same credentials, at each of its sources, so that one question
// serves both. It does not reveal them. "" is anonymous everywhere. An account whose
// credential cannot be told is alone: asking for it will say why.
func (c *Client) Identity(ctx context.Context, account string, ref anchore.Reference) (string, error) {
	all := sha256.New()
	named := false
	for _, at := range c.sources(ref.Registry) {
		cred, err := c.cfg.Credentials.Credential(ctx, account, at.ref(ref))
		if err != nil {
			return "account " + account, ctx.Err()
		}
		id := cred.identity()
		named = named || id != ""
		fmt.Fprintf(all, "%s\n", id)
	}
	if !named {
		return "", nil
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

func (c Credential) identity() string {
	if c == (Credential{}) {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %t %d:%s%s", c.Kind, c.Insecure, len(c.Username), c.Username, c.Password.Reveal()))
	return hex.EncodeToString(sum[:])
}
