package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// ListRegistries answers with the account's credentials for registries.
func (s *Server) ListRegistries(w http.ResponseWriter, r *http.Request) {
	list, err := s.cfg.Catalog.Registries(r.Context(), account(r))
	s.sendRegistries(w, r, list, err)
}

// AddRegistry stores a credential once the registry has accepted it.
func (s *Server) AddRegistry(w http.ResponseWriter, r *http.Request, params api.AddRegistryParams) {
	body, err := rest.Decode[api.RegistryRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	stored, err := s.cfg.Catalog.AddRegistry(r.Context(), anchore.Registry{
		Account: account(r), Name: body.Registry, Title: rest.Given(body.RegistryName), Type: anchore.RegistryType(rest.Given(body.RegistryType)),
		User: body.RegistryUser, Password: anchore.Secret(body.RegistryPass), Verify: body.RegistryVerify == nil || *body.RegistryVerify,
	}, s.registryCheck(params.Validate))
	s.sendRegistries(w, r, []anchore.Registry{stored}, err)
}

// GetRegistry answers with one credential, in a list.
func (s *Server) GetRegistry(w http.ResponseWriter, r *http.Request, registry string) {
	found, err := s.cfg.Catalog.Registry(r.Context(), account(r), registry)
	s.sendRegistries(w, r, []anchore.Registry{found}, err)
}

// UpdateRegistry changes a credential once the registry has accepted it.
func (s *Server) UpdateRegistry(w http.ResponseWriter, r *http.Request, registry string, params api.UpdateRegistryParams) {
	body, err := rest.Decode[api.RegistryUpdate](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	stored, err := s.cfg.Catalog.UpdateRegistry(r.Context(), account(r), registry, catalog.RegistryUpdate{
		Name: rest.Given(body.Registry), Title: body.RegistryName, Type: body.RegistryType, User: body.RegistryUser,
		Password: (*anchore.Secret)(body.RegistryPass), Verify: body.RegistryVerify,
	}, s.registryCheck(params.Validate))
	s.sendRegistries(w, r, []anchore.Registry{stored}, err)
}

// DeleteRegistry deletes a credential, if there is one.
func (s *Server) DeleteRegistry(w http.ResponseWriter, r *http.Request, registry string) {
	s.Send(w, r, true, s.cfg.Catalog.DeleteRegistry(r.Context(), account(r), registry))
}

// errRegistryCheck marks what came of trying a credential out.
var errRegistryCheck = errors.New("server: the registry's check failed")

// registryCheck is what tries a credential out, nil if the request wants none.
func (s *Server) registryCheck(validate *bool) catalog.VerifyRegistry {
	if validate != nil && !*validate || s.cfg.VerifyRegistry == nil {
		return nil
	}
	return func(ctx context.Context, r anchore.Registry) error {
		err := s.cfg.VerifyRegistry(ctx, r)
		if err == nil {
			return nil
		}
		what := "cannot ping supplied registry with supplied credentials"
		if r.Type == anchore.RegistryECR {
			what = "cannot refresh credentials for supplied registry, with supplied credentials"
		}
		e := anchore.E(anchore.Invalid, "server.registryCheck", "%s - exception: %s", what, anchore.MessageOf(err))
		var cause *anchore.Error
		if errors.As(err, &cause) {
			e.Codes = cause.Codes
		}
		return e.Because(errors.Join(errRegistryCheck, err))
	}
}

// sendRegistries answers with credentials, or with err: as the original, 406 for a
// check that failed, and 409 for a name that is an address.
func (s *Server) sendRegistries(w http.ResponseWriter, r *http.Request, list []anchore.Registry, err error) {
	switch {
	case errors.Is(err, errRegistryCheck):
		s.FailAs(w, r, http.StatusNotAcceptable, err)
		return
	case errors.Is(err, anchore.ErrRegistryForm):
		s.FailAs(w, r, http.StatusConflict, err)
		return
	case err != nil:
		s.Fail(w, r, err)
		return
	}
	records := make([]api.Registry, 0, len(list))
	for _, found := range list {
		records = append(records, api.Registry{
			Registry: found.Name, RegistryName: found.Title, RegistryType: string(found.Type), RegistryUser: found.User,
			RegistryVerify: found.Verify, UserID: found.Account,
			CreatedAt: rest.RecordTime(found.CreatedAt), LastUpdated: rest.RecordTime(found.UpdatedAt),
		})
	}
	s.Write(w, r, http.StatusOK, records)
}
