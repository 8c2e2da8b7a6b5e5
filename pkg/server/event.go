package server

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// The original's page of events.
const (
	defaultEvents = 100
	maxEvents     = 1000
)

// ListEvents answers with a page of the account's events.
func (s *Server) ListEvents(w http.ResponseWriter, r *http.Request, params api.ListEventsParams) {
	filter, err := eventFilter(params.Since, params.Before, params.Level)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	filter.Type = rest.Given(params.EventType)
	filter.Service = rest.Given(params.SourceServicename)
	filter.ResourceType, filter.ResourceID = rest.Given(params.ResourceType), rest.Given(params.ResourceID)
	page, limit, err := rest.Page(params.Page, params.Limit, defaultEvents, maxEvents)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	answer := api.EventPage{Page: page, Results: []api.EventRecord{}}
	if host := rest.Given(params.SourceHostid); host != "" && host != s.cfg.HostID {
		s.Write(w, r, http.StatusOK, answer) // all events of this engine are its own
		return
	}
	events, more, err := s.cfg.Catalog.Events(r.Context(), account(r), filter, page, limit)
	answer.NextPage, answer.ItemCount = more, len(events)
	for _, e := range events {
		answer.Results = append(answer.Results, s.event(e))
	}
	s.Send(w, r, answer, err)
}

// eventFilter reads the filters that listing and deleting share.
func eventFilter(since, before, level *string) (catalog.EventFilter, error) {
	f := catalog.EventFilter{Level: anchore.Level(strings.ToLower(rest.Given(level)))}
	var err error
	if f.Since, err = rest.OptionalTime("since", since); err != nil {
		return f, err
	}
	if f.Before, err = rest.OptionalTime("before", before); err != nil {
		return f, err
	}
	if !f.Since.IsZero() && !f.Before.IsZero() && !f.Since.Before(f.Before) {
		return f, anchore.E(anchore.Invalid, "server.eventFilter", "Invalid values for since and before query parameters. since must be smaller than before timestamp")
	}
	return f, nil
}

// DeleteEvents deletes the account's events that match. A filter that there is not, or
// that only lists have, would mean all of them: it is refused. So is a slash at the end,
// which means nothing on other paths: it is what remains of the path of one event when a
// script has an empty id.
func (s *Server) DeleteEvents(w http.ResponseWriter, r *http.Request, params api.DeleteEventsParams) {
	filter, err := eventFilter(params.Since, params.Before, params.Level)
	if strings.HasSuffix(r.URL.Path, "/") {
		err = anchore.E(anchore.Invalid, "server.DeleteEvents", "the path has no id after its last slash; give the id of an event, or leave the slash out to delete all that the filters select")
	}
	for name := range r.URL.Query() {
		if !slices.Contains([]string{"since", "before", "level"}, name) {
			err = anchore.E(anchore.Invalid, "server.DeleteEvents", "events cannot be deleted by %q; the filters are since, before and level", name)
		}
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ids, err := s.cfg.Catalog.DeleteEvents(r.Context(), account(r), filter)
	s.Send(w, r, append([]string{}, ids...), err)
}

// GetEvent answers with one event.
func (s *Server) GetEvent(w http.ResponseWriter, r *http.Request, id string) {
	e, err := s.cfg.Catalog.Event(r.Context(), account(r), id)
	s.Send(w, r, s.event(e), err)
}

// DeleteEvent deletes one event. As the original's, the answer has no body.
func (s *Server) DeleteEvent(w http.ResponseWriter, r *http.Request, id string) {
	if err := s.cfg.Catalog.DeleteEvent(r.Context(), account(r), id); err != nil {
		s.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) event(e anchore.Event) api.EventRecord {
	details := e.Details
	if details == nil {
		details = map[string]any{}
	}
	return api.EventRecord{
		GeneratedUUID: e.ID, CreatedAt: rest.EventTime(e.At),
		Event: api.Event{
			Type: string(e.Type), Level: api.EventLevel(e.Level), Message: e.Message, Details: details,
			Timestamp: rest.EventTime(e.At),
			Resource:  api.EventResource{UserID: e.Account, ID: rest.TextOrNull(e.Resource.ID), Type: e.Resource.Type},
			Source: api.EventSource{
				Servicename: cmp.Or(e.Service, catalogService), Hostid: s.cfg.HostID, BaseURL: s.cfg.BaseURL,
			},
		},
	}
}
