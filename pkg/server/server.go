// Package server is what the REST API does: it knows who calls and in which account,
// and has one file of handlers a resource. It holds no rule of the engine. The HTTP
// around the handlers is package rest's.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/document"
	"github.com/anchore/anchore-engine/pkg/server/rest"
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
	// Convert writes a syft document in another format. Nil: nothing is converted.
	Convert document.Convert

	Metrics     http.Handler // served at /metrics to administrators; nil serves none
	OpenMetrics bool         // serve /metrics to everybody, without authentication

	Version       string // of the program; "" is "unknown"
	SchemaVersion string // of the stored data; "" is "unknown"
	HostID        string // of this engine, in events and services; "" is "localhost"
	BaseURL       string // where clients reach this engine; "" is "http://localhost:8228"

	MaxBody  int64        // bytes of a request's body; 0 is rest.DefaultMaxBody
	MaxDepth int          // nesting of a request's body; 0 is rest.DefaultMaxDepth
	Log      *slog.Logger // nil discards
}

// Server answers the REST API. It may be used from many goroutines.
type Server struct {
	*rest.Responder
	cfg       Config
	rest      *rest.Handler
	documents *document.Documents
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
	s := &Server{cfg: cfg}
	var extra []rest.Extra
	if cfg.Metrics != nil {
		extra = append(extra, rest.Extra{Path: "/metrics", Handler: http.HandlerFunc(s.serveMetrics), Open: cfg.OpenMetrics})
	}
	var err error
	s.rest, err = rest.New(rest.Config{
		Document: api.Document(), Authenticate: s.authenticate, Extra: extra,
		MaxBody: cfg.MaxBody, MaxDepth: cfg.MaxDepth, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("server.New: %w", err)
	}
	s.Responder = s.rest.Responder
	s.documents = document.New(s.Responder, cfg.Catalog, cfg.Convert)
	api.HandlerWithOptions(s, s.rest.Options())
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.rest.ServeHTTP(w, r) }
