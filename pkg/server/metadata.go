package server

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

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
	manifest, err := s.readAll(r.Context(), s.cfg.Catalog.Manifest, account(r), img.Digest)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	config, err := s.readAll(r.Context(), s.cfg.Catalog.ImageConfig, account(r), img.Digest)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	text, err := sbom.Metadata(kind, manifest, config, img.Dockerfile)
	s.Send(w, r, api.Metadata{ImageDigest: img.Digest, MetadataType: kind, Metadata: text}, err)
}

func (s *Server) readAll(ctx context.Context, open func(ctx context.Context, account, digest string) (io.ReadCloser, error), account, digest string) ([]byte, error) {
	in, err := open(ctx, account, digest)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(in)
	return raw, errors.Join(err, in.Close())
}

// GetSpdxSbom answers with the analyzer's document in SPDX.
func (s *Server) GetSpdxSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.sendConverted(w, r, digest, sbom.SPDX, "application/spdx+json")
}

// GetCyclonedxSbom answers with the analyzer's document in CycloneDX.
func (s *Server) GetCyclonedxSbom(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	s.sendConverted(w, r, digest, sbom.CycloneDX, "application/vnd.cyclonedx+json")
}

func (s *Server) sendConverted(w http.ResponseWriter, r *http.Request, digest, format, media string) {
	report, err := s.cfg.Catalog.Report(r.Context(), account(r), digest)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer func() { _ = report.Close() }() // it was only read
	if s.cfg.Convert == nil {
		s.Fail(w, r, anchore.E(anchore.Unavailable, "server.sendConverted", "this engine runs without the part that converts documents"))
		return
	}
	out := s.File(w, r, media, "sbom."+format+".json")
	out.End(s.cfg.Convert(r.Context(), format, report, out))
}
