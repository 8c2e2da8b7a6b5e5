package server

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
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
		s.fail(w, r, err)
		return
	}
	filter.Type = given(params.EventType)
	filter.Service = given(params.SourceServicename)
	filter.ResourceType, filter.ResourceID = given(params.ResourceType), given(params.ResourceID)
	page, limit := 1, defaultEvents
	if params.Page != nil {
		page = *params.Page
	}
	if params.Limit != nil {
		limit = *params.Limit
	}
	if err := checkPage(page, limit); err != nil {
		s.fail(w, r, err)
		return
	}
	answer := api.EventPage{Page: page, Results: []api.EventRecord{}}
	if host := given(params.SourceHostid); host != "" && host != s.cfg.HostID {
		s.write(w, r, http.StatusOK, answer) // all events of this engine are its own
		return
	}
	events, more, err := s.cfg.Catalog.Events(r.Context(), account(r), filter, page, limit)
	answer.NextPage, answer.ItemCount = more, len(events)
	for _, e := range events {
		answer.Results = append(answer.Results, s.event(e))
	}
	s.send(w, r, answer, err)
}

// checkPage keeps the original's limits and texts.
func checkPage(page, limit int) error {
	const maxPage = 1 << 31 / maxEvents // so that page times limit cannot overflow
	switch {
	case page < 1 || page > maxPage:
		return anchore.E(anchore.Invalid, "server.checkPage", "page must be a valid integer greater than 0")
	case limit < 1 || limit > maxEvents:
		return anchore.E(anchore.Invalid, "server.checkPage", "limit must be valid integer between 1 and %d", maxEvents)
	}
	return nil
}

// eventFilter reads the filters that listing and deleting share.
func eventFilter(since, before, level *string) (catalog.EventFilter, error) {
	f := catalog.EventFilter{Level: anchore.Level(strings.ToLower(given(level)))}
	var err error
	if f.Since, err = optionalTime("since", since); err != nil {
		return f, err
	}
	if f.Before, err = optionalTime("before", before); err != nil {
		return f, err
	}
	if !f.Since.IsZero() && !f.Before.IsZero() && !f.Since.Before(f.Before) {
		return f, anchore.E(anchore.Invalid, "server.eventFilter", "Invalid values for since and before query parameters. since must be smaller than before timestamp")
	}
	return f, nil
}

func optionalTime(parameter string, value *string) (time.Time, error) {
	if given(value) == "" {
		return time.Time{}, nil
	}
	return parseTime(parameter, *value)
}

// DeleteEvents deletes the account's events that match.
func (s *Server) DeleteEvents(w http.ResponseWriter, r *http.Request, params api.DeleteEventsParams) {
	filter, err := eventFilter(params.Since, params.Before, params.Level)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ids, err := s.cfg.Catalog.DeleteEvents(r.Context(), account(r), filter)
	s.send(w, r, append([]string{}, ids...), err)
}

// GetEvent answers with one event.
func (s *Server) GetEvent(w http.ResponseWriter, r *http.Request, id string) {
	e, err := s.cfg.Catalog.Event(r.Context(), account(r), id)
	s.send(w, r, s.event(e), err)
}

// DeleteEvent deletes one event. As the original's, the answer has no body.
func (s *Server) DeleteEvent(w http.ResponseWriter, r *http.Request, id string) {
	if err := s.cfg.Catalog.DeleteEvent(r.Context(), account(r), id); err != nil {
		s.fail(w, r, err)
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
		GeneratedUUID: e.ID, CreatedAt: eventTime(e.At),
		Event: api.Event{
			Type: string(e.Type), Level: api.EventLevel(e.Level), Message: e.Message, Details: details,
			Timestamp: eventTime(e.At),
			Resource:  api.EventResource{UserID: e.Account, ID: textOrNull(e.Resource.ID), Type: e.Resource.Type},
			Source: api.EventSource{
				Servicename: cmp.Or(e.Service, catalogService), Hostid: s.cfg.HostID, BaseURL: s.cfg.BaseURL,
			},
		},
	}
}
