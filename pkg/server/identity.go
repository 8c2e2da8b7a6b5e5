package server

import (
	"context"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// actingFor names the account that an administrator wants to act in.
const actingFor = "X-Anchore-Account"

// caller is who makes a request, and in which account.
type caller struct {
	user  anchore.User
	home  anchore.Account // the user's own
	acts  anchore.Account // the one that the request is about
	admin bool            // may act in every account, and on the engine
}

// callerKey is the context's key of a request's caller.
type callerKey struct{}

// callerOf returns the caller of a request that was authenticated.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// account is the name of the account that the request acts in.
func account(r *http.Request) string { return callerOf(r).acts.Name }

// authenticate finds out who makes a request, and in which account. Errors:
// Unauthorized; Forbidden and NotFound for the account.
func (s *Server) authenticate(r *http.Request) (*http.Request, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return nil, anchore.E(anchore.Unauthorized, "server.authenticate", "the request has no credentials")
	}
	c, err := s.login(r.Context(), name, anchore.Secret(password), r.Header.Get(actingFor))
	if err != nil {
		return nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c)), nil
}

// login verifies the password and decides in which account the caller acts: the
// user's own, or for administrators any that exists, also a disabled one.
func (s *Server) login(ctx context.Context, name string, password anchore.Secret, other string) (caller, error) {
	const op = "server.login"
	user, err := s.cfg.Catalog.Authenticate(ctx, name, password)
	if err != nil {
		return caller{}, err
	}
	home, err := s.cfg.Catalog.Account(ctx, user.Account)
	if err != nil {
		return caller{}, err
	}
	if home.State != anchore.AccountEnabled {
		return caller{}, anchore.E(anchore.Forbidden, op, "Not authorized. Account %s not enabled.", home.Name)
	}
	c := caller{user: user, home: home, acts: home, admin: home.Type == anchore.AdminType}
	if other == "" || other == home.Name {
		return c, nil
	}
	if !c.admin {
		return caller{}, anchore.E(anchore.Forbidden, op, "Not authorized. Requires permissions: domain=%s action=* target=*", other)
	}
	c.acts, err = s.cfg.Catalog.Account(ctx, other)
	return c, err
}

// requireAdmin answers requests of others than administrators, and returns false.
func (s *Server) requireAdmin(w http.ResponseWriter, r *http.Request, action string) bool {
	if callerOf(r).admin {
		return true
	}
	s.Fail(w, r, anchore.E(anchore.Forbidden, "server.requireAdmin", "Not authorized. Requires permissions: domain=system action=%s target=*", action))
	return false
}

// GetAccount answers with the account that the request acts in.
func (s *Server) GetAccount(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, accountRecord(callerOf(r).acts))
}

// GetUser answers with the user who makes the request.
func (s *Server) GetUser(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, userRecord(callerOf(r).user))
}
