package server

import (
	"context"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// GetArchiveSummary sums up the account's archive.
func (s *Server) GetArchiveSummary(w http.ResponseWriter, r *http.Request) {
	sum, err := s.cfg.Catalog.ArchiveSummary(r.Context(), account(r))
	s.Send(w, r, api.ArchiveSummary{Images: api.AnalysisArchiveSummary{
		TotalImageCount: sum.Images, TotalTagCount: sum.Tags, TotalDataBytes: sum.Bytes, LastUpdated: rest.RecordTimeOrNull(sum.UpdatedAt),
	}}, err)
}

// ListArchivedImages answers with the account's archived images.
func (s *Server) ListArchivedImages(w http.ResponseWriter, r *http.Request, params api.ListArchivedImagesParams) {
	after, err := rest.ReadCursor(rest.Given(params.Page))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	images, next, err := s.cfg.Catalog.ArchivedImages(r.Context(), account(r), after, rest.Given(params.Limit))
	list := make([]api.ArchivedAnalysis, 0, len(images))
	for _, img := range images {
		list = append(list, archived(img))
	}
	rest.SetCursor(w, next)
	s.Send(w, r, list, err)
}

// GetArchivedImage answers with an archived image.
func (s *Server) GetArchivedImage(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	img, err := s.cfg.Catalog.ArchivedImage(r.Context(), account(r), digest)
	s.Send(w, r, archived(img), err)
}

// DeleteArchivedImage deletes an archived image. The original answered with null.
func (s *Server) DeleteArchivedImage(w http.ResponseWriter, r *http.Request, digest api.ImageDigest, _ api.DeleteArchivedImageParams) {
	s.Send(w, r, nil, s.cfg.Catalog.DeleteArchivedImage(r.Context(), account(r), digest))
}

// ArchiveImages archives several images, each for itself.
func (s *Server) ArchiveImages(w http.ResponseWriter, r *http.Request) {
	digests, err := rest.Decode[api.ArchiveImagesJSONRequestBody](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	list := make([]api.AnalysisArchiveAddResult, 0, len(digests))
	for _, digest := range digests {
		answer, err := s.archiveImage(r.Context(), account(r), digest)
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		list = append(list, answer)
	}
	s.Write(w, r, http.StatusOK, list)
}

// archiveImage tells what became of an image as the original does: a missing image
// and a refusal are answers, not errors.
func (s *Server) archiveImage(ctx context.Context, account, digest string) (api.AnalysisArchiveAddResult, error) {
	answer := api.AnalysisArchiveAddResult{Digest: digest, Status: api.AnalysisArchiveAddResultStatusArchived, Detail: "Completed successfully"}
	already, err := s.cfg.Catalog.ArchiveImage(ctx, account, digest)
	switch anchore.KindOf(err) {
	case anchore.NotFound, anchore.Conflict, anchore.Invalid:
		answer.Status, answer.Detail = api.AnalysisArchiveAddResultStatusError, anchore.MessageOf(err)
		return answer, nil
	}
	if already {
		answer.Detail = "Existing record found, archiving aborted"
	}
	return answer, err
}

func archived(img anchore.ArchivedImage) api.ArchivedAnalysis {
	record := api.ArchivedAnalysis{
		ImageDigest: img.Digest, ParentDigest: img.TagDigest, Annotations: img.Annotations, Status: api.ArchivedAnalysisStatusArchived,
		AnalyzedAt: rest.RecordTime(img.AnalyzedAt), CreatedAt: rest.RecordTime(img.ArchivedAt), LastUpdated: rest.RecordTime(img.ArchivedAt),
		ArchiveSizeBytes: img.Bytes, ImageDetail: make([]api.ArchivedTag, 0, len(img.Tags)),
	}
	if record.Annotations == nil {
		record.Annotations = map[string]string{}
	}
	for _, tag := range img.Tags {
		record.ImageDetail = append(record.ImageDetail, api.ArchivedTag{
			Pullstring: tag.Ref.FullTag(), Registry: tag.Ref.Registry, Repository: tag.Ref.Repository, Tag: tag.Ref.Tag,
			DetectedAt: rest.RecordTime(tag.DetectedAt), CreatedAt: rest.RecordTime(tag.CreatedAt), LastUpdated: rest.RecordTime(tag.UpdatedAt),
		})
	}
	return record
}
