package server

import (
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// CreateImport begins an import.
func (s *Server) CreateImport(w http.ResponseWriter, r *http.Request) {
	imp, err := s.cfg.Catalog.NewImport(r.Context(), account(r))
	s.Send(w, r, importRecord(imp), err)
}

// ListImports answers with the account's imports.
func (s *Server) ListImports(w http.ResponseWriter, r *http.Request) {
	imports, err := s.cfg.Catalog.Imports(r.Context(), account(r))
	list := make([]api.Import, 0, len(imports))
	for _, imp := range imports {
		list = append(list, importRecord(imp))
	}
	s.Send(w, r, list, err)
}

// GetImport answers with an import.
func (s *Server) GetImport(w http.ResponseWriter, r *http.Request, id api.ImportID) {
	imp, err := s.cfg.Catalog.Import(r.Context(), account(r), id)
	s.Send(w, r, importRecord(imp), err)
}

// CancelImport gives an import up.
func (s *Server) CancelImport(w http.ResponseWriter, r *http.Request, id api.ImportID) {
	imp, err := s.cfg.Catalog.CancelImport(r.Context(), account(r), id)
	s.Send(w, r, importRecord(imp), err)
}

// AddImportContent stores a document of an import, which it does not read: POST
// /images does, when the image is whole.
func (s *Server) AddImportContent(w http.ResponseWriter, r *http.Request, id api.ImportID, part string) {
	kind, err := anchore.ParseImportPart(part)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	content, err := s.cfg.Catalog.AddImportContent(r.Context(), account(r), id, kind, r.Body)
	s.Send(w, r, importContent(content), err)
}

// ListImportContent answers with the documents of one part of an import.
func (s *Server) ListImportContent(w http.ResponseWriter, r *http.Request, id api.ImportID, part string) {
	kind, err := anchore.ParseImportPart(part)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	imp, err := s.cfg.Catalog.Import(r.Context(), account(r), id)
	list := []api.ImportContent{}
	for _, content := range imp.Contents {
		if content.Part == kind {
			list = append(list, importContent(content))
		}
	}
	s.Send(w, r, list, err)
}

func importRecord(imp anchore.Import) api.Import {
	return api.Import{
		UUID: imp.ID, Status: api.ImportStatus(imp.Status),
		CreatedAt: rest.RecordTime(imp.CreatedAt), LastUpdated: rest.RecordTime(imp.UpdatedAt), ExpiresAt: rest.RecordTime(imp.ExpiresAt),
	}
}

func importContent(content anchore.ImportContent) api.ImportContent {
	return api.ImportContent{Digest: content.Digest, CreatedAt: rest.RecordTime(content.CreatedAt)}
}
