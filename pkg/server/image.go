package server

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/addition"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// AddImage asks the registry for an image, or takes what was handed in of it, or what
// the archive has, and records it.
func (s *Server) AddImage(w http.ResponseWriter, r *http.Request, params api.AddImageParams) {
	body, err := rest.Decode[api.ImageRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	add, err := addition.Read(body)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	img, err := s.add(r, add, rest.Given(params.Force), params.Autosubscribe == nil || *params.Autosubscribe)
	switch {
	case err == nil:
		s.Write(w, r, http.StatusOK, s.images(img))
	case add.Pull != nil && anchore.KindOf(err) == anchore.Limited: // only registries limit this; its status and Retry-After say what helps
		s.Fail(w, r, notFetched(err, anchore.CodeNotAccessible))
	case add.Pull != nil && fromRegistry(err):
		s.FailAs(w, r, http.StatusBadRequest, notFetched(err, anchore.CodesOf(err)...))
	default:
		s.Fail(w, r, err)
	}
}

func (s *Server) add(r *http.Request, add addition.Addition, force, subscribe bool) (anchore.Image, error) {
	if in := add.Import; in != nil {
		in.Account, in.Force, in.AutoSubscribe = account(r), force, subscribe
		return s.cfg.Intake.Import(r.Context(), *in)
	}
	if in := add.Restore; in != nil {
		return s.cfg.Catalog.RestoreImage(r.Context(), account(r), in.Digest, catalog.Addition{AutoSubscribe: subscribe, Annotations: in.Annotations})
	}
	in := add.Pull
	in.Account, in.Force, in.AutoSubscribe = account(r), force, subscribe
	return s.cfg.Intake.Add(r.Context(), *in)
}

// fromRegistry reports whether err is a registry's refusal, which has a name in
// detail.error_codes. On this route the original answered all of them with 400.
func fromRegistry(err error) bool {
	var e *anchore.Error
	return errors.As(err, &e) && e.Kind != anchore.Internal && len(e.Codes) > 0
}

// notFetched is such an error in the original's form: its sentence, which scripts look
// for, before the reason, and that in the detail as well, beside the codes.
func notFetched(err error, codes ...string) error {
	e := anchore.E(anchore.KindOf(err), "server.AddImage", "cannot fetch image digest/manifest from registry: %s", anchore.MessageOf(err)).Because(err).WithCodes(codes...)
	e.After, e.Detail = anchore.AfterOf(err), map[string]any{"raw_exception_message": anchore.MessageOf(err)}
	var was *anchore.Error
	if errors.As(err, &was) {
		maps.Copy(e.Detail, was.Detail)
	}
	return e
}

// ListImages answers with the account's images.
func (s *Server) ListImages(w http.ResponseWriter, r *http.Request, params api.ListImagesParams) {
	filter := catalog.ImageFilter{
		Tag: rest.Given(params.Fulltag), History: rest.Given(params.History),
		State: string(rest.Given(params.ImageStatus)), Status: anchore.AnalysisStatus(rest.Given(params.AnalysisStatus)),
	}
	after, err := rest.ReadCursor(rest.Given(params.Page))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	images, next, err := s.cfg.Catalog.Images(r.Context(), account(r), filter, after, rest.Given(params.Limit))
	rest.SetCursor(w, next)
	s.Send(w, r, s.images(images...), err)
}

// GetImage answers with one image, in a list.
func (s *Server) GetImage(w http.ResponseWriter, r *http.Request, digest api.ImageDigest) {
	img, err := s.cfg.Catalog.Image(r.Context(), account(r), digest)
	s.Send(w, r, s.images(img), err)
}

// GetImageByID answers with the newest image that has the id, in a list.
func (s *Server) GetImageByID(w http.ResponseWriter, r *http.Request, id api.ImageID) {
	img, err := s.cfg.Catalog.ImageByID(r.Context(), account(r), id)
	s.Send(w, r, s.images(img), err)
}

// DeleteImage deletes an image, or says in its answer why not.
func (s *Server) DeleteImage(w http.ResponseWriter, r *http.Request, digest api.ImageDigest, params api.DeleteImageParams) {
	answer, err := s.deleteImage(r.Context(), account(r), digest, rest.Given(params.Force))
	s.Send(w, r, answer, err)
}

// DeleteImageByID is DeleteImage by image id.
func (s *Server) DeleteImageByID(w http.ResponseWriter, r *http.Request, id api.ImageID, params api.DeleteImageByIDParams) {
	img, err := s.cfg.Catalog.ImageByID(r.Context(), account(r), id)
	if err != nil && anchore.KindOf(err) != anchore.NotFound {
		s.Fail(w, r, err)
		return
	}
	answer, err := s.deleteImage(r.Context(), account(r), cmp.Or(img.Digest, id), rest.Given(params.Force))
	s.Send(w, r, answer, err)
}

// DeleteImages deletes several images, each for itself.
func (s *Server) DeleteImages(w http.ResponseWriter, r *http.Request, params api.DeleteImagesParams) {
	list := make([]api.ImageDeletion, 0, len(params.ImageDigests))
	for _, digest := range params.ImageDigests {
		answer, err := s.deleteImage(r.Context(), account(r), digest, rest.Given(params.Force))
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		list = append(list, answer)
	}
	s.Write(w, r, http.StatusOK, list)
}

// deleteImage tells what became of a deletion as the original does: a missing
// image and a refusal are answers, not errors.
func (s *Server) deleteImage(ctx context.Context, account, digest string, force bool) (api.ImageDeletion, error) {
	answer := api.ImageDeletion{Digest: digest, Status: api.ImageDeletionStatusDeleting}
	err := s.cfg.Catalog.DeleteImage(ctx, account, digest, force)
	switch {
	case err == nil:
		return answer, nil
	case anchore.KindOf(err) == anchore.NotFound:
		answer.Status = api.ImageDeletionStatusNotFound
	case anchore.KindOf(err) == anchore.Conflict:
		answer.Status = api.ImageDeletionStatusDeleteFailed
	default:
		return answer, err
	}
	answer.Detail = new(anchore.MessageOf(err))
	return answer, nil
}

func (s *Server) images(images ...anchore.Image) []api.Image {
	list := make([]api.Image, 0, len(images))
	for _, img := range images {
		list = append(list, s.image(img))
	}
	return list
}

func (s *Server) image(img anchore.Image) api.Image {
	record := api.Image{
		ImageDigest: img.Digest, ParentDigest: img.TagDigest, UserID: img.Account, ImageType: "docker",
		AnalysisStatus: api.ImageAnalysisStatus(img.Status), AnalysisStatusReason: rest.TextOrNull(img.Reason),
		ImageStatus: api.ImageImageStatus(img.State), Platform: rest.TextOrNull(img.Platform.String()),
		RetryAt: rest.RecordTimeOrNull(img.RetryAt), Annotations: img.Annotations,
		CreatedAt: rest.RecordTime(img.CreatedAt), LastUpdated: rest.RecordTime(img.UpdatedAt), AnalyzedAt: rest.RecordTimeOrNull(img.AnalyzedAt),
		ImageContent: api.ImageContent{Metadata: metadata(img)}, ImageDetail: details(img),
	}
	if record.Annotations == nil {
		record.Annotations = map[string]string{}
	}
	if img.Status == anchore.Analyzing {
		record.AnalysisProgress = s.progress(img)
	}
	return record
}

// progress is how far the image's analysis has come, nil if that is not known.
func (s *Server) progress(img anchore.Image) *api.AnalysisProgress {
	if s.cfg.Progress == nil {
		return nil
	}
	p, ok := s.cfg.Progress(img.Digest)
	if !ok {
		return nil
	}
	return &api.AnalysisProgress{Step: string(p.Step), Done: p.Done, Total: p.Total}
}

// metadata is what the analysis found, all null before.
func metadata(img anchore.Image) api.ImageMetadata {
	m := api.ImageMetadata{}
	if img.Dockerfile != "" {
		m.DockerfileMode = new("Actual")
	}
	if img.Status != anchore.Analyzed {
		return m
	}
	if m.DockerfileMode == nil {
		m.DockerfileMode = new("Guessed")
	}
	m.Arch = new(img.Platform.Architecture)
	m.Distro, m.DistroVersion = new(img.Content.Distro), new(img.Content.DistroVersion)
	m.ImageSize, m.LayerCount = new(img.Content.Size), new(img.Layers)
	return m
}

// details has an entry for each tag that names, or named, the image.
func details(img anchore.Image) []api.ImageDetail {
	list := make([]api.ImageDetail, 0, len(img.Tags))
	for _, tag := range img.Tags {
		list = append(list, api.ImageDetail{
			Registry: tag.Ref.Registry, Repo: tag.Ref.Repository, Tag: tag.Ref.Tag,
			Fulltag: tag.Ref.FullTag(), Fulldigest: tag.Ref.FullDigest(img.Digest),
			ImageDigest: img.Digest, Digest: img.Digest, ImageID: img.ID, UserID: img.Account,
			Dockerfile: rest.TextOrNull(img.Dockerfile), Current: new(tag.Current),
			CreatedAt: rest.RecordTime(tag.CreatedAt), LastUpdated: rest.RecordTime(tag.UpdatedAt), TagDetectedAt: rest.RecordTime(tag.DetectedAt),
		})
	}
	return list
}
