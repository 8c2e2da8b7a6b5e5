package server

import (
	"context"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/sbom"
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
	img, err := find(r.Context(), account(r), name)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.documents.Content(w, r, account(r), img.Digest, ctype)
}

// ListImageMetadata answers with the types of metadata of an image.
func (s *Server) ListImageMetadata(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	_, err := s.cfg.Catalog.Image(r.Context(), account(r), digest)
	s.Send(w, r, sbom.MetadataTypes(), err)
}

// GetImageMetadata answers with one document about an image.
func (s *Server) GetImageMetadata(w http.ResponseWriter, r *http.Request, digest api.ImageDigest, kind string) {
	img, err := s.cfg.Catalog.Image(r.Context(), account(r), digest)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.documents.Metadata(w, r, account(r), img, kind)
}

// GetNativeSbom answers with the analyzer's own document, compressed.
func (s *Server) GetNativeSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.documents.Native(w, r, account(r), digest)
}

// GetSpdxSbom answers with the analyzer's document in SPDX.
func (s *Server) GetSpdxSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.documents.Converted(w, r, account(r), digest, sbom.SPDX, "application/spdx+json")
}

// GetCyclonedxSbom answers with the analyzer's document in CycloneDX.
func (s *Server) GetCyclonedxSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.documents.Converted(w, r, account(r), digest, sbom.CycloneDX, "application/vnd.cyclonedx+json")
}
