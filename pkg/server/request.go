package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

type contextKey int

const (
	requestIDKey contextKey = iota
	callerKey
)

// identify gives each request an id, in the header X-Request-Id of its answer and
// in the log. A client's own id is not taken over: it would be text of a stranger
// in the log. What was asked is logged at debug only.
func (s *Server) identify(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey, id))
		if !logger.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		start, seen := time.Now(), &observed{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		logger.Debug("request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
			"took", time.Since(start), "from", clientAddress(r), "request_id", id)
	})
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// observed remembers the status of an answer.
type observed struct {
	http.ResponseWriter
	status int
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer below.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// recover turns a panic into an answer; the process lives.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p) // net/http's own way to end a connection
			}
			s.log.Error("request panicked", "method", r.Method, "route", r.Pattern,
				"request_id", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
			writeJSON(w, http.StatusInternalServerError, []byte(unencodable))
		}()
		next.ServeHTTP(w, r)
	})
}

// clientAddress is the host of the request's peer, for the log.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// serve finds the route, then checks the caller, then the request, and only then
// lets the handler see it: a stranger learns nothing about either.
func (s *Server) serve() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		if strings.TrimSuffix(path, "/") == "/metrics" && s.cfg.Metrics != nil {
			s.serveMetrics(w, r)
			return
		}
		found, values, methods := s.router.find(r.Method, withoutVersion(path))
		if found == nil || !s.document.public(found) {
			var ok bool
			if r, ok = s.authenticate(w, r); !ok {
				return
			}
		}
		switch {
		case found == nil && len(methods) > 0:
			s.wrongMethod(w, r, methods)
		case found == nil:
			s.fail(w, r, anchore.E(anchore.NotFound, "server.route", "there is nothing at this path; /v1/openapi.json lists what there is"))
		default:
			lowerBooleans(r, s.document.operation(found))
			if err := s.readBody(w, r, found); err != nil {
				s.failAs(w, r, bodyStatus(err), err)
				return
			}
			found.serve(w, r, values)
		}
	})
}

// withoutVersion removes the prefix /v1: with and without it, paths are the same.
func withoutVersion(path string) string {
	if rest, ok := strings.CutPrefix(path, "/v1"); ok && (rest == "" || rest[0] == '/') {
		return rest
	}
	return path
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if !s.cfg.OpenMetrics {
		if _, ok := s.authenticate(w, r); !ok {
			return
		}
	}
	s.cfg.Metrics.ServeHTTP(w, r)
}

// lowerBooleans writes the booleans of a query in lower case: the original's
// client sends True and False.
func lowerBooleans(r *http.Request, op *operation) {
	query := r.URL.Query()
	changed := false
	for name := range query {
		if !op.booleans[name] {
			continue
		}
		for i, value := range query[name] {
			if lower := strings.ToLower(value); lower != value {
				query[name][i], changed = lower, true
			}
		}
	}
	if changed {
		u := *r.URL
		u.RawQuery = url.Values(query).Encode()
		r.URL = &u
	}
}

// errTooLarge and errMediaType are told apart from other refusals of a body by
// their status alone.
var (
	errTooLarge  = errors.New("server: body too large")
	errMediaType = errors.New("server: body of another media type")
)

func bodyStatus(err error) int {
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errMediaType):
		return http.StatusUnsupportedMediaType
	}
	return statusOf(anchore.KindOf(err))
}

// readBody reads the body of a request that takes one, within the limits, and
// puts it back for those who decode it. Of other requests it is not read: the
// original's client sends one with some GETs.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, found *route) error {
	const op = "server.readBody"
	if s.document.operation(found).body == nil {
		r.Body = http.NoBody
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && (err != nil || media != "application/json") {
		return anchore.E(anchore.Invalid, op, "the body's Content-Type is %.80q; this request takes application/json", r.Header.Get("Content-Type")).Because(errMediaType)
	}
	r.Header.Set("Content-Type", "application/json")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return anchore.E(anchore.Invalid, op, "the body is larger than %d bytes, the most that this engine takes", s.cfg.MaxBody).Because(errTooLarge)
	case err != nil:
		return anchore.E(anchore.Invalid, op, "the body could not be read").Because(err)
	case len(bytes.TrimSpace(body)) == 0:
		return anchore.E(anchore.Invalid, op, "the request has no body; it takes a JSON document")
	case depth(body) > s.cfg.MaxDepth:
		return anchore.E(anchore.Invalid, op, "the body has objects or lists more than %d deep inside each other", s.cfg.MaxDepth)
	}
	var document json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil {
		return anchore.E(anchore.Invalid, op, "the request body is %s", jsonProblem(err)).Because(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}
