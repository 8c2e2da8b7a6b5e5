package rest

import (
	"log/slog"
	"net/http"
	"strconv"
)

// Responder answers requests in the original's form. A Handler has the only one.
type Responder struct {
	log *slog.Logger
}

// Write answers with v as JSON.
func (s *Responder) Write(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := Encode(v)
	if err != nil {
		s.log.Error("answer cannot be encoded", "route", r.Pattern, "request_id", requestID(r.Context()), "err", err)
		status, body = http.StatusInternalServerError, []byte(unencodable)
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

const unencodable = `{
  "detail": {
    "error_codes": []
  },
  "httpcode": 500,
  "message": "internal error; the engine's log has the cause"
}
`

// Send answers with v, or with err if there is one.
func (s *Responder) Send(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.Write(w, r, http.StatusOK, v)
}

// SendNothing answers with 204, or with err if there is one.
func (s *Responder) SendNothing(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Abort ends an answer that has begun and cannot be finished for err: it cuts the
// connection, so that the client sees it. It does not return.
func (s *Responder) Abort(r *http.Request, err error) {
	s.log.Error("answer broke off", "route", r.Pattern, "request_id", requestID(r.Context()), "err", err)
	panic(http.ErrAbortHandler)
}
