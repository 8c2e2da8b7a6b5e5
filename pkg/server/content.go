package server

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// finder looks up an image by what a path names it with.
type finder func(ctx context.Context, account, name string) (anchore.Image, error)

// ListImageContent answers with the types of content of an image.
func (s *Server) ListImageContent(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.listContent(w, r, s.cfg.Catalog.Image, digest)
}

// ListImageContentByID is ListImageContent by image id.
func (s *Server) ListImageContentByID(w http.ResponseWriter, r *http.Request, id api.ImageID) {
	s.listContent(w, r, s.cfg.Catalog.ImageByID, id)
}

func (s *Server) listContent(w http.ResponseWriter, r *http.Request, find finder, name string) {
	_, err := find(r.Context(), account(r), name)
	s.Send(w, r, sbom.ContentTypes(), err)
}

// GetImageContent answers with what an image contains, of one type.
func (s *Server) GetImageContent(w http.ResponseWriter, r *http.Request, digest api.ImageDigest, ctype api.ContentType) {
	s.sendContent(w, r, s.cfg.Catalog.Image, digest, ctype)
}

// GetImageContentByID is GetImageContent by image id.
func (s *Server) GetImageContentByID(w http.ResponseWriter, r *http.Request, id api.ImageID, ctype api.ContentType) {
	s.sendContent(w, r, s.cfg.Catalog.ImageByID, id, ctype)
}

func (s *Server) sendContent(w http.ResponseWriter, r *http.Request, find finder, name, ctype string) {
	digest, entries, err := s.content(r.Context(), account(r), find, name, ctype)
	s.Send(w, r, map[string]any{"imageDigest": digest, "content_type": ctype, "content": entries}, err)
}

func (s *Server) content(ctx context.Context, account string, find finder, name, ctype string) (digest string, entries any, err error) {
	img, err := find(ctx, account, name)
	if err != nil {
		return "", nil, err
	}
	report, err := s.cfg.Catalog.Report(ctx, account, img.Digest)
	if err != nil {
		return "", nil, err
	}
	entries, err = sbom.Content(report, ctype)
	if err = errors.Join(err, report.Close()); err == nil {
		entries, err = rest.Sorted(entries)
	}
	return img.Digest, entries, err
}

// GetNativeSbom answers with the analyzer's own document, compressed.
func (s *Server) GetNativeSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	report, err := s.cfg.Catalog.Report(r.Context(), account(r), digest)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer func() { _ = report.Close() }() // it was only read
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", `attachment; filename="sbom.json.gz"`)
	zip := gzip.NewWriter(w)
	if _, err := io.Copy(zip, report); err != nil {
		s.Abort(r, err)
	}
	_ = zip.Close() // the client is gone if this fails
}
