// Package server is the REST API: authentication, accounts, limits, validation
// against the document of package api, one file of handlers a resource, and the
// one mapping from errors to answers. It holds no rule of the engine.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// Limits that apply where Config leaves them zero.
const (
	DefaultMaxBody  = 10 << 20 // bytes of a request's body
	DefaultMaxDepth = 100      // objects and lists inside each other in a body
)

// Config is what a Server is built from. Catalog and Intake are required.
type Config struct {
	Catalog Catalog
	Intake  Intake

	// VerifyRegistry logs in at a registry with a credential before it is stored. Nil:
	// all are taken as they are.
	VerifyRegistry catalog.VerifyRegistry

	// Hint makes the watchers look at a tag of an account now, or at a repository if
	// ref has no tag, and says whether they watch it. Nil: nothing is watched.
	Hint func(account string, ref anchore.Reference) bool
	// Looks collects what the watchers know of an account's tags and repositories;
	// the function it returns tells it of a subscription's key. Nil: nothing.
	Looks func(ctx context.Context, account string) (func(anchore.Subscription) Look, error)
	// Progress tells how far the running analysis of a digest has come, if that is
	// known. Nil: nothing is.
	Progress func(digest string) (anchore.Progress, bool)
	// Health asks each part of the engine how it is doing. Nil: all is well.
	Health func(ctx context.Context) []PartHealth

	// Webhooks tells of the webhook endpoints and tests them. Nil: none is configured.
	Webhooks Webhooks
	// Convert writes a syft document to out in one of sbom.Formats, or returns an error
	// without having written. Nil: nothing is converted.
	Convert func(ctx context.Context, format string, document io.Reader, out io.Writer) error

	Metrics     http.Handler // served at /metrics; nil serves none
	OpenMetrics bool         // serve /metrics without authentication

	Version       string // of the program; "" is "unknown"
	SchemaVersion string // of the stored data; "" is "unknown"
	HostID        string // of this engine, in events and services; "" is "localhost"
	BaseURL       string // where clients reach this engine; "" is "http://localhost:8228"

	MaxBody  int64        // bytes of a request's body; 0 is DefaultMaxBody
	MaxDepth int          // nesting of a request's body; 0 is DefaultMaxDepth
	Log      *slog.Logger // nil discards
}

// Server answers the REST API. It may be used from many goroutines.
type Server struct {
	cfg      Config
	log      *slog.Logger
	router   *router
	document *document
	handler  http.Handler
}

// New builds a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Catalog == nil || cfg.Intake == nil {
		return nil, errors.New("server.New: Catalog and Intake are required")
	}
	cfg.Version = cmp.Or(cfg.Version, "unknown")
	cfg.SchemaVersion = cmp.Or(cfg.SchemaVersion, "unknown")
	cfg.HostID = cmp.Or(cfg.HostID, "localhost")
	cfg.BaseURL = cmp.Or(cfg.BaseURL, "http://localhost:8228")
	cfg.MaxBody = cmp.Or(cfg.MaxBody, DefaultMaxBody)
	cfg.MaxDepth = cmp.Or(cfg.MaxDepth, DefaultMaxDepth)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	doc, err := loadDocument()
	if err != nil {
		return nil, fmt.Errorf("server.New: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Log, router: &router{}, document: doc}
	api.HandlerWithOptions(s, api.StdHTTPServerOptions{
		BaseRouter:       s.router,
		Middlewares:      []api.MiddlewareFunc{s.validate},
		ErrorHandlerFunc: s.refuseParameter,
	})
	s.handler = s.identify(s.log, s.recover(s.serve()))
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// HTTPServer returns an http.Server for h with the limits that a server open to
// strangers needs. Slow clients are cut off: a minute for a request, two more for
// its answer.
func HTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      3 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          connectionLog(logger),
	}
}

// connectionLog receives what net/http says about single connections: a client
// that speaks no TLS, a scanner. It is nothing an operator acts on.
func connectionLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
