package rest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// requestIDKey is the context's key of a request's id.
type requestIDKey struct{}

// identify gives each request an id, in the header X-Request-Id of its answer and
// in the log. A client's own id is not taken over: it would be text of a stranger
// in the log. What was asked is logged at debug only.
func (h *Handler) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		if !h.log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		start, seen := time.Now(), &observed{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		h.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
			"took", time.Since(start), "from", clientAddress(r), "request_id", id)
	})
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
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
func (h *Handler) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p) // net/http's own way to end a connection
			}
			h.log.Error("request panicked", "method", r.Method, "route", r.Pattern,
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

// withoutVersion removes the prefix /v1: with and without it, paths are the same.
func withoutVersion(path string) string {
	if rest, ok := strings.CutPrefix(path, "/v1"); ok && (rest == "" || rest[0] == '/') {
		return rest
	}
	return path
}

// readQuery makes the query of a request ready for its handler. Each parameter must
// be readable: everything behind it asks net/url, which drops what is not, and without
// its filter a request is about all there is. An empty filter is none either: it is
// what a script sends whose variable is not set. Errors: Invalid.
func readQuery(r *http.Request, op *operation) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return anchore.E(anchore.Invalid, "rest.readQuery",
			"the query, what follows the ? in the URL, cannot be read (%s); separate parameters by &, and write %% ; and & in a value as %%25, %%3B and %%26", err).Because(err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if op.filled[name] && slices.Contains(query[name], "") {
			return anchore.E(anchore.Invalid, "rest.readQuery", "query parameter %q: empty; leave it out, or give it a value", name)
		}
	}
	lowerBooleans(r, query, op)
	return nil
}

// lowerBooleans writes the booleans of a query in lower case: the original's
// client sends True and False.
func lowerBooleans(r *http.Request, query url.Values, op *operation) {
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
		u.RawQuery = query.Encode()
		r.URL = &u
	}
}
