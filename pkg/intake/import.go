package intake

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"unicode/utf8"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/store"
)

// importer is what intake asks of the catalog about imports.
type importer interface {
	OpenImportContent(ctx context.Context, account, id string, part anchore.ImportPart, digest string) (io.ReadCloser, store.Digest, error)
	AddImported(ctx context.Context, i catalog.ImportedImage) (anchore.Image, error)
}

// ImportRequest asks for an image to be added to an account from what was handed
// in: it is neither pulled nor analyzed.
type ImportRequest struct {
	Account       string
	Import        string // id of the operation
	Tags          []anchore.Reference
	Digest        string                        // of the image manifest
	ParentDigest  string                        // of the index that it is in; "" for none
	ImageID       string                        // 64 hexadecimal digits; "": as the manifest says
	Contents      map[anchore.ImportPart]string // digests of the documents
	Force         bool                          // in place of an analysis that the image has
	AutoSubscribe bool
	Annotations   map[string]string
}

// importAnnotation tells of an image which import it came from: the original's.
const importAnnotation = "anchore.system/import_operation_id"

// Limits of an import. The first keeps a request short, the others are what a
// registry's documents may have (package oci), and what a row takes.
const (
	maxImportTags   = 20
	maxImportJSON   = 8 << 20
	maxImportScript = 256 << 10
)

// Import takes an image in as its owner describes it. What it says of sizes is
// believed, so that the limit on an image's size does not apply, as in the original.
// Errors: Invalid, NotFound and Conflict as the request is; those of the catalog.
func (i *Intake) Import(ctx context.Context, r ImportRequest) (anchore.Image, error) {
	if err := r.check(); err != nil {
		return anchore.Image{}, err
	}
	image, err := i.imported(ctx, r)
	if err != nil {
		return anchore.Image{}, err
	}
	return i.cfg.Catalog.AddImported(ctx, image)
}

func (r ImportRequest) check() error {
	const op = "intake.Import"
	if len(r.Tags) == 0 || len(r.Tags) > maxImportTags {
		return anchore.E(anchore.Invalid, op, "an import names its image by 1 to %d tags, this one has %d", maxImportTags, len(r.Tags))
	}
	for _, tag := range r.Tags {
		if tag.Tag == "" || tag.Digest != "" {
			return anchore.E(anchore.Invalid, op, "%s is not a tag; give one such as docker.io/library/alpine:latest", tag)
		}
	}
	for _, digest := range []string{r.Digest, r.ParentDigest} {
		if digest != "" && !anchore.IsDigest(digest) || r.Digest == "" {
			return anchore.E(anchore.Invalid, op, "%.80q is not a digest; expected sha256: and 64 lower-case hexadecimal digits", digest)
		}
	}
	if r.ImageID != "" && !anchore.IsImageID(r.ImageID) {
		return anchore.E(anchore.Invalid, op, "%.80q is not an image id; expected 64 hexadecimal digits", r.ImageID)
	}
	required, _ := anchore.ImportParts()
	for _, part := range required {
		if r.Contents[part] == "" {
			return anchore.E(anchore.Invalid, op, "contents lacks the digest of %q, which each import needs", part)
		}
	}
	return nil
}

// imported reads the documents of an import.
func (i *Intake) imported(ctx context.Context, r ImportRequest) (catalog.ImportedImage, error) {
	image := catalog.ImportedImage{
		Account: r.Account, Import: r.Import, Tags: r.Tags,
		Addition: catalog.Addition{AutoSubscribe: r.AutoSubscribe, Force: r.Force, Annotations: map[string]string{importAnnotation: r.Import}},
	}
	maps.Copy(image.Annotations, r.Annotations)
	manifest, err := i.importContent(ctx, r, anchore.ImportManifest, maxImportJSON)
	if err != nil {
		return image, err
	}
	config, err := i.importContent(ctx, r, anchore.ImportImageConfig, maxImportJSON)
	if err != nil {
		return image, err
	}
	if image.Manifest, err = oci.ReadImage(r.Tags[0], manifest, config); err != nil {
		return image, err
	}
	image.Manifest.Digest, image.Manifest.TagDigest = r.Digest, r.Digest
	if r.ParentDigest != "" {
		image.Manifest.TagDigest = r.ParentDigest
	}
	if r.ImageID != "" {
		image.Manifest.ImageID = r.ImageID
	}
	if r.Contents[anchore.ImportDockerfile] != "" {
		file, err := i.importContent(ctx, r, anchore.ImportDockerfile, maxImportScript)
		if err != nil {
			return image, err
		}
		image.Dockerfile = base64.StdEncoding.EncodeToString(file)
	}
	if r.Contents[anchore.ImportParentManifest] != "" {
		if _, err := i.importContent(ctx, r, anchore.ImportParentManifest, maxImportJSON); err != nil {
			return image, err
		}
	}
	image.Analysis, err = i.importAnalysis(ctx, r)
	return image, err
}

// importContent reads a document of an import of at most limit bytes.
func (i *Intake) importContent(ctx context.Context, r ImportRequest, part anchore.ImportPart, limit int64) (_ []byte, err error) {
	in, _, err := i.cfg.Catalog.OpenImportContent(ctx, r.Account, r.Import, part, r.Contents[part])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > limit:
		return nil, anchore.E(anchore.Invalid, "intake.Import", "the %s has more than %d bytes, the most that an image may have", part, limit)
	case !utf8.Valid(content):
		return nil, anchore.E(anchore.Invalid, "intake.Import", "the %s is no text in UTF-8", part)
	}
	return content, nil
}

// importAnalysis reads the packages of an import.
func (i *Intake) importAnalysis(ctx context.Context, r ImportRequest) (_ catalog.AnalysisResult, err error) {
	in, blob, err := i.cfg.Catalog.OpenImportContent(ctx, r.Account, r.Import, anchore.ImportPackages, r.Contents[anchore.ImportPackages])
	if err != nil {
		return catalog.AnalysisResult{}, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	of, summary, err := sbom.Inspect(in)
	if err == nil && of != "" && of != r.Digest {
		err = anchore.E(anchore.Invalid, "intake.Import", "the packages are those of image %.80s, not of %s", of, r.Digest)
	}
	return catalog.AnalysisResult{Report: blob, Summary: summary}, err
}
