package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Credential is a user's name and password at a registry. The zero value is
// anonymous.
type Credential struct {
	Username string
	Password anchore.Secret
}

// Credentials knows with which credential an account reads a repository.
type Credentials interface {
	// Credential returns the credential for ref's registry and repository; the
	// zero value for none. It is asked before each request, so it must be quick.
	Credential(ctx context.Context, account string, ref anchore.Reference) (Credential, error)
}

type anonymous struct{}

func (anonymous) Credential(context.Context, string, anchore.Reference) (Credential, error) {
	return Credential{}, nil
}

// Identity returns a text that two accounts share exactly when they would read the
// repository with the same credential, so that one question serves both. It does
// not reveal the credential. "" is anonymous.
func (c *Client) Identity(ctx context.Context, account string, ref anchore.Reference) (string, error) {
	cred, err := c.cfg.Credentials.Credential(ctx, account, ref)
	if err != nil {
		return "", err
	}
	return cred.identity(), nil
}

func (c Credential) identity() string {
	if c == (Credential{}) {
		return ""
	}
	sum := sha256.Sum256([]byte(c.Username + "\x00" + c.Password.Reveal()))
	return hex.EncodeToString(sum[:])
}
