package rest

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// statusOf is the HTTP status of a kind of error. A status that the original gave
// on one route only stands beside that route.
func statusOf(k anchore.Kind) int {
	switch k {
	case anchore.Invalid:
		return http.StatusBadRequest
	case anchore.Unauthorized:
		return http.StatusUnauthorized
	case anchore.Forbidden:
		return http.StatusForbidden
	case anchore.NotFound:
		return http.StatusNotFound
	case anchore.Conflict:
		return http.StatusConflict
	case anchore.Limited:
		return http.StatusTooManyRequests
	case anchore.Unavailable:
		return http.StatusServiceUnavailable
	case anchore.Internal:
	}
	return http.StatusInternalServerError
}

// status is the HTTP status of an error.
func status(err error) int {
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errMediaType):
		return http.StatusUnsupportedMediaType
	}
	return statusOf(anchore.KindOf(err))
}

// Fail answers with err, by its kind.
func (s *Responder) Fail(w http.ResponseWriter, r *http.Request, err error) {
	s.FailAs(w, r, status(err), err)
}

// FailAs answers with err and a status that differs from that of its kind.
func (s *Responder) FailAs(w http.ResponseWriter, r *http.Request, status int, err error) {
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		s.log.Debug("client went away", "request_id", requestID(r.Context()))
	case status >= http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "route", r.Pattern, "status", status,
			"request_id", requestID(r.Context()), "err", err)
	}
	s.answer(w, r, status, err)
}

// Refuse answers with err as FailAs does, where that is the outcome that was asked
// for, and no failure of the engine whatever the status: the log has it as news.
func (s *Responder) Refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	s.log.Info("request answered", "method", r.Method, "route", r.Pattern, "status", status,
		"request_id", requestID(r.Context()), "outcome", anchore.MessageOf(err))
	s.answer(w, r, status, err)
}

// answer writes the form that errors have.
func (s *Responder) answer(w http.ResponseWriter, r *http.Request, status int, err error) {
	if after := anchore.AfterOf(err); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	s.Write(w, r, status, map[string]any{"message": shortened(anchore.MessageOf(err)), "httpcode": status, "detail": detailOf(err)})
}

// detailOf is the detail object of an error's answer: what the error says for the
// user, never its cause.
func detailOf(err error) map[string]any {
	detail := map[string]any{}
	codes := []string{}
	var e *anchore.Error
	if errors.As(err, &e) && e.Kind != anchore.Internal {
		codes = append(codes, e.Codes...)
		maps.Copy(detail, e.Detail)
	}
	for name, value := range detail {
		if text, ok := value.(string); ok {
			detail[name] = shortened(text)
		}
	}
	detail["error_codes"] = codes
	return detail
}

// unauthorized answers as the original did: plain text, with the challenge that
// makes clients send their credentials.
func unauthorized(w http.ResponseWriter) {
	h := w.Header()
	h.Set("WWW-Authenticate", `basic realm="Authentication required"`)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len("Unauthorized")))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte("Unauthorized")) // the client is gone if this fails
}

// wrongMethod answers a request for a path that exists, with a method that it has
// not.
func (s *Responder) wrongMethod(w http.ResponseWriter, r *http.Request, allowed []string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.FailAs(w, r, http.StatusMethodNotAllowed, anchore.E(anchore.Invalid, "rest.route",
		"%s is not possible here; this path allows %s", r.Method, strings.Join(allowed, ", ")))
}
