// Package rest is the HTTP of the REST API, without its resources. It finds the
// route of a request, has its caller authenticated, holds it against the OpenAPI
// document and the limits, and gives answers and errors the original's form. What
// the routes do is package server's.
package rest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
)

// Limits that apply where Config leaves them zero.
const (
	DefaultMaxBody  = 10 << 20 // bytes of a request's body
	DefaultMaxDepth = 100      // objects and lists inside each other in a body
)

// Config is what a Handler is built from. Document and Authenticate are required.
type Config struct {
	Document []byte // the OpenAPI document, in YAML or JSON

	// Authenticate finds out who makes a request, and returns the request with that in
	// its context. Errors: Unauthorized is answered with the challenge, others by
	// their kind.
	Authenticate func(*http.Request) (*http.Request, error)

	Extra []Extra // what is served beside the document

	MaxBody  int64        // bytes of a request's body, where the document says no other; 0 is DefaultMaxBody
	MaxDepth int          // nesting of a request's body; 0 is DefaultMaxDepth
	Log      *slog.Logger // nil discards
}

// Extra is a handler for a path that the document does not have.
type Extra struct {
	Path    string // as in /metrics; the prefix /v1 does not lead there
	Handler http.Handler
	Open    bool // without authentication
}

// Handler serves the routes that were added to the router of its Options. It may be
// used from many goroutines once they are.
type Handler struct {
	*Responder
	cfg      Config
	router   *router
	document *document
	chain    http.Handler
}

// New builds a Handler that has no routes yet.
func New(cfg Config) (*Handler, error) {
	if len(cfg.Document) == 0 || cfg.Authenticate == nil {
		return nil, errors.New("rest.New: Document and Authenticate are required")
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, DefaultMaxBody)
	cfg.MaxDepth = cmp.Or(cfg.MaxDepth, DefaultMaxDepth)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	doc, err := loadDocument(cfg.Document)
	if err != nil {
		return nil, fmt.Errorf("rest.New: the OpenAPI document: %w", err)
	}
	h := &Handler{Responder: &Responder{log: cfg.Log}, cfg: cfg, router: &router{}, document: doc}
	h.chain = h.identify(h.recover(http.HandlerFunc(h.serve)))
	return h, nil
}

// Options is what the generated code needs to add its routes, and to have their
// requests validated. Each route must be in the document.
func (h *Handler) Options() api.StdHTTPServerOptions {
	return api.StdHTTPServerOptions{
		BaseRouter:       h.router,
		Middlewares:      []api.MiddlewareFunc{h.validate},
		ErrorHandlerFunc: h.refuseParameter,
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.chain.ServeHTTP(w, r) }

// serve finds the route, then checks the caller, then the request, and only then
// lets the handler see it: a stranger learns nothing about either.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if extra := h.extra(path); extra != nil {
		if known, ok := h.authenticate(w, r, extra.Open); ok {
			extra.Handler.ServeHTTP(w, known)
		}
		return
	}
	found, values, methods := h.router.find(r.Method, withoutVersion(path))
	r, ok := h.authenticate(w, r, found != nil && h.document.operation(found).public)
	switch {
	case !ok:
	case found == nil && len(methods) > 0:
		h.wrongMethod(w, r, methods)
	case found == nil:
		h.Fail(w, r, anchore.E(anchore.NotFound, "rest.route", "there is nothing at this path; /v1/openapi.json lists what there is"))
	default:
		h.handle(w, r, found, values)
	}
}

// handle makes a request ready for its handler, and lets that see it.
func (h *Handler) handle(w http.ResponseWriter, r *http.Request, to *route, values map[string]string) {
	op := h.document.operation(to)
	err := readQuery(r, op)
	if err == nil {
		err = h.readBody(w, r, op)
	}
	if err != nil {
		h.Fail(w, r, err)
		return
	}
	to.serve(w, r, values)
}

// extra returns what is served at a path beside the document, or nil.
func (h *Handler) extra(path string) *Extra {
	path = strings.TrimSuffix(path, "/")
	for i := range h.cfg.Extra {
		if h.cfg.Extra[i].Path == path {
			return &h.cfg.Extra[i]
		}
	}
	return nil
}

// authenticate finds out who calls unless everybody may, or answers the request and
// returns false.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request, open bool) (*http.Request, bool) {
	if open {
		return r, true
	}
	known, err := h.cfg.Authenticate(r)
	switch {
	case err == nil:
		return known, true
	case anchore.KindOf(err) == anchore.Unauthorized:
		unauthorized(w)
	default:
		h.Fail(w, r, err)
	}
	return r, false
}
