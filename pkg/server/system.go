package server

import (
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// The original's five services. Scripts wait for them by name, so each part of
// this engine is shown under the one that did its work.
const (
	analyzerService = "analyzer"
	apiService      = "apiext"
	catalogService  = "catalog"
	policyService   = "policy_engine"
	queueService    = "simplequeue"
)

func services() []string {
	return []string{analyzerService, apiService, catalogService, policyService, queueService}
}

// PartHealth is how one part of the engine is doing.
type PartHealth struct {
	Part    string         // its name in this engine: watch, analyze, notify, …
	Service string         // the original's service that it is shown under: catalog, analyzer, …
	Down    bool           // it does not do its work
	Busy    bool           // it works on something now
	Message string         // one line for an operator, "" if all is well
	Detail  map[string]any // further facts, shown as they are: registries that fail, backlogs
}

// health asks every part, and keeps what is shown under the services. What a part
// has to tell names the registries and endpoints of all accounts, so it is for
// administrators; others see whether it is down or busy.
func (s *Server) health(r *http.Request) map[string][]PartHealth {
	parts := map[string][]PartHealth{}
	if s.cfg.Health == nil {
		return parts
	}
	for _, p := range s.cfg.Health(r.Context()) {
		if !callerOf(r).admin {
			p.Message, p.Detail = "", nil
		}
		parts[p.Service] = append(parts[p.Service], p)
	}
	return parts
}

// status is the state of the service that the given parts are shown under.
func (s *Server) status(parts []PartHealth) api.Status {
	status := api.Status{
		Up: true, Available: true, Message: "all good", Detail: map[string]any{},
		Version: s.cfg.Version, DBVersion: s.cfg.SchemaVersion,
	}
	told := false
	for _, p := range parts {
		status.Available = status.Available && !p.Down
		status.Busy = status.Busy || p.Busy
		if p.Message != "" && !told {
			status.Message, told = p.Part+": "+p.Message, true
		}
		if p.Detail != nil {
			status.Detail[p.Part] = p.Detail
		}
	}
	return status
}

// states returns the services that keep selects, in alphabetical order.
func (s *Server) states(r *http.Request, keep func(name string) bool) []api.Service {
	parts := s.health(r)
	list := []api.Service{}
	for _, name := range services() {
		if !keep(name) {
			continue
		}
		status := s.status(parts[name])
		service := api.Service{
			Servicename: name, Hostid: s.cfg.HostID, BaseURL: s.cfg.BaseURL, Version: "v1",
			Status: status.Available, StatusMessage: "available", ServiceDetail: status,
		}
		if !status.Available {
			service.StatusMessage = "unavailable"
		}
		list = append(list, service)
	}
	return list
}

func every(string) bool { return true }

// GetRoot says that this is the API.
func (s *Server) GetRoot(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, "v1")
}

// GetOpenapi answers with the OpenAPI document.
func (s *Server) GetOpenapi(w http.ResponseWriter, r *http.Request) { s.rest.ServeOpenAPI(w, r) }

// GetSwagger answers with what older clients read of the document.
func (s *Server) GetSwagger(w http.ResponseWriter, r *http.Request) { s.rest.ServeSwagger(w, r) }

// GetHealth says that the process answers.
func (s *Server) GetHealth(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, "ok")
}

// serveMetrics answers with the metrics. Their labels name the registries and
// endpoints of all accounts, as what health has to tell does.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if s.cfg.OpenMetrics || s.requireAdmin(w, r, "getMetrics") {
		s.cfg.Metrics.ServeHTTP(w, r)
	}
}

// GetVersion answers with the versions of program and data.
func (s *Server) GetVersion(w http.ResponseWriter, r *http.Request) {
	var v api.Version
	v.Service.Version, v.DB.SchemaVersion = s.cfg.Version, s.cfg.SchemaVersion
	s.Write(w, r, http.StatusOK, v)
}

// GetStatus answers with the state of the service that answers.
func (s *Server) GetStatus(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, s.status(s.health(r)[apiService]))
}

// GetSystem answers with the state of every service.
func (s *Server) GetSystem(w http.ResponseWriter, r *http.Request) {
	s.Write(w, r, http.StatusOK, api.SystemStatus{ServiceStates: s.states(r, every)})
}

// ListServices answers with every service.
func (s *Server) ListServices(w http.ResponseWriter, r *http.Request) {
	if s.requireAdmin(w, r, "listServices") {
		s.Write(w, r, http.StatusOK, s.states(r, every))
	}
}

// ListServicesByName answers with the service of a name, or an empty list.
func (s *Server) ListServicesByName(w http.ResponseWriter, r *http.Request, name string) {
	if s.requireAdmin(w, r, "listServices") {
		s.Write(w, r, http.StatusOK, s.states(r, func(n string) bool { return n == name }))
	}
}

// GetService answers with the service of a name on a host.
func (s *Server) GetService(w http.ResponseWriter, r *http.Request, name, host string) {
	if s.requireAdmin(w, r, "listServices") {
		found, err := s.service(r, name, host)
		s.Send(w, r, found, err)
	}
}

// DeleteService deletes no service: those that there are, are active.
func (s *Server) DeleteService(w http.ResponseWriter, r *http.Request, name, host string) {
	if !s.requireAdmin(w, r, "deleteService") {
		return
	}
	_, err := s.service(r, name, host)
	if err == nil {
		err = anchore.E(anchore.Conflict, "server.DeleteService", "cannot delete an active service")
	}
	s.Fail(w, r, err)
}

// service returns the service of a name on a host, in a list. Errors: NotFound.
func (s *Server) service(r *http.Request, name, host string) ([]api.Service, error) {
	found := s.states(r, func(n string) bool { return n == name && host == s.cfg.HostID })
	if len(found) == 0 {
		return nil, anchore.E(anchore.NotFound, "server.service", "servicename/host_id (%s/%s) not found in anchore-engine", name, host)
	}
	return found, nil
}

// AddHint makes the watchers look at a tag or repository now.
func (s *Server) AddHint(w http.ResponseWriter, r *http.Request) {
	body, err := rest.Decode[api.Hint](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ref, key, err := hinted(rest.Given(body.Tag), rest.Given(body.Repository))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	accepted := s.cfg.Hint != nil && s.cfg.Hint(account(r), ref)
	status := http.StatusOK
	if accepted {
		status = http.StatusAccepted
	}
	s.Write(w, r, status, api.HintResult{Key: key, Accepted: accepted})
}

// hinted reads what a hint is about: a tag, or a repository.
func hinted(tag, repository string) (ref anchore.Reference, key string, err error) {
	switch {
	case (tag == "") == (repository == ""):
		return ref, "", anchore.E(anchore.Invalid, "server.AddHint", `give either "tag" or "repository"`)
	case repository != "":
		ref, err = anchore.ParseRepository(repository)
		return ref, ref.RepositoryName(), err
	}
	ref, err = anchore.ParseReference(tag)
	if err == nil && ref.Digest != "" {
		err = anchore.E(anchore.Invalid, "server.AddHint", "%q names a digest, which never changes; give a tag", tag)
	}
	return ref, ref.FullTag(), err
}
