// Package addition reads the bodies of POST /images, in all of the original's forms.
package addition

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

const op = "addition.Read"

// Addition is what a body asks for: one of its fields is set. The account and what
// the query says are for the caller to fill in.
type Addition struct {
	Pull    *intake.Request       // an image that the registry is asked for
	Import  *intake.ImportRequest // an image that was handed in
	Restore *Restoration          // an image of the archive
}

// Restoration asks for an archived image to be brought back.
type Restoration struct {
	Digest      string
	Annotations map[string]string // added to those that it has; the value "null" deletes a key
}

// Read reads a body. Errors: Invalid.
func Read(body api.ImageRequest) (Addition, error) {
	notes, err := annotations(body.Annotations)
	if err == nil {
		err = oneForm(body)
	}
	switch {
	case err != nil:
		return Addition{}, err
	case body.Source != nil && body.Source.Import != nil:
		add, err := imported(*body.Source.Import)
		add.Annotations = notes
		return Addition{Import: &add}, err
	case body.Source != nil && body.Source.Archive != nil:
		return Addition{Restore: &Restoration{Digest: body.Source.Archive.Digest, Annotations: notes}}, nil
	}
	add, err := pulled(body)
	add.Annotations = notes
	add.MaxSizeMB = body.MaxCompressedImageSizeMb
	if err == nil && rest.Given(body.Platform) != "" {
		add.Platform, err = anchore.ParsePlatform(*body.Platform)
	}
	return Addition{Pull: &add}, err
}

// oneForm refuses a body that does not name its image, or names it in two ways.
func oneForm(body api.ImageRequest) error {
	tag, digest := rest.Given(body.Tag), rest.Given(body.Digest)
	switch {
	case body.Source != nil && (tag != "" || digest != "" || rest.Given(body.Dockerfile) != ""):
		return anchore.E(anchore.Invalid, op, "Cannot use both source property and tag, digest, or dockerfile property at top level")
	case body.Source != nil && kinds(*body.Source) != 1:
		return anchore.E(anchore.Invalid, op, `"source" must have exactly one of "tag", "digest", "archive" and "import"`)
	case body.Source != nil:
		return nil
	case tag == "" && digest == "":
		return anchore.E(anchore.Invalid, op, `Must include either "tag", "tag" and "digest", or "source" property in body`)
	case tag == "":
		return &anchore.Error{
			Kind: anchore.Invalid, Op: op, Message: "Could not validate request due to error",
			Detail: map[string]any{"validation_error": "a digest needs a tag, in whose history it is kept"},
		}
	}
	return nil
}

// kinds counts what a source has.
func kinds(source api.ImageSource) (n int) {
	for _, there := range []bool{source.Tag != nil, source.Digest != nil, source.Archive != nil, source.Import != nil} {
		if there {
			n++
		}
	}
	return n
}

// pulled reads a body that names an image of a registry.
func pulled(body api.ImageRequest) (intake.Request, error) {
	source := body.Source
	switch {
	case source != nil && source.Tag != nil:
		return byTag(source.Tag.Pullstring, source.Tag.Dockerfile)
	case source != nil:
		d := source.Digest
		return byDigest(d.Tag, d.Pullstring, d.CreationTimestampOverride, d.Dockerfile)
	case rest.Given(body.Digest) == "":
		return byTag(*body.Tag, body.Dockerfile)
	}
	return byDigest(*body.Tag, *body.Digest, body.CreatedAt, body.Dockerfile)
}

// imported reads a source that names the documents of an import.
func imported(source api.ImportSource) (intake.ImportRequest, error) {
	c := source.Contents
	add := intake.ImportRequest{
		Import: source.OperationUUID, Digest: source.Digest, ParentDigest: rest.Given(source.ParentDigest),
		ImageID: strings.TrimPrefix(rest.Given(source.LocalImageID), "sha256:"),
		Contents: map[anchore.ImportPart]string{
			anchore.ImportPackages: c.Packages, anchore.ImportManifest: c.Manifest, anchore.ImportImageConfig: c.ImageConfig,
			anchore.ImportParentManifest: rest.Given(c.ParentManifest), anchore.ImportDockerfile: rest.Given(c.Dockerfile),
		},
	}
	for _, tag := range source.Tags {
		ref, err := tagReference(tag)
		if err != nil {
			return add, err
		}
		add.Tags = append(add.Tags, ref)
	}
	return add, nil
}

func byTag(tag string, dockerfile *string) (intake.Request, error) {
	ref, err := tagReference(tag)
	if err != nil {
		return intake.Request{}, err
	}
	file, err := base64Text(dockerfile)
	return intake.Request{Ref: ref, Dockerfile: file}, err
}

func tagReference(tag string) (anchore.Reference, error) {
	ref, err := anchore.ParseReference(tag)
	if err == nil && ref.Digest != "" {
		err = wrongPullString("Must have tag-based pull string", tag)
	}
	return ref, err
}

// byDigest reads a digest, alone or after its repository, that belongs to the
// history of a tag of that repository.
func byDigest(tag, digest string, created, dockerfile *string) (intake.Request, error) {
	ref, err := tagReference(tag)
	if err != nil {
		return intake.Request{}, err
	}
	ref.Digest = digest
	if !anchore.IsDigest(digest) {
		full, err := anchore.ParseReference(digest)
		switch {
		case err != nil:
			return intake.Request{}, err
		case full.Digest == "":
			return intake.Request{}, wrongPullString("Must have digest-based pull string", digest)
		case full.RepositoryName() != ref.RepositoryName():
			return intake.Request{}, anchore.E(anchore.Invalid, op, "the digest is of repository %s, the tag of %s; they must be of one", full.RepositoryName(), ref.RepositoryName())
		}
		ref.Digest = full.Digest
	}
	at, err := creationTime(created)
	if err != nil {
		return intake.Request{}, err
	}
	file, err := base64Text(dockerfile)
	return intake.Request{Ref: ref, CreatedAt: at, Dockerfile: file}, err
}

func wrongPullString(message, value string) error {
	return &anchore.Error{
		Kind: anchore.Invalid, Op: op, Message: message, Detail: map[string]any{"invalid_value": value},
	}
}

// creationTime reads the original's forms: whole seconds, or a fraction after a
// point or a colon; UTC only. Errors: Invalid, also for a time that a history cannot
// hold.
func creationTime(s *string) (time.Time, error) {
	if rest.Given(s) == "" {
		return time.Time{}, nil
	}
	text := *s
	if i := len("2006-01-02T15:04:05"); len(text) > i && text[i] == ':' {
		text = text[:i] + "." + text[i+1:]
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999Z", text)
	if err != nil {
		return t, &anchore.Error{
			Kind: anchore.Invalid, Op: op, Message: "Invalid formatted date", Err: err,
			Detail: map[string]any{"invalid_value": *s, "expected": "YYYY-MM-DDTHH:MM:SSZ"},
		}
	}
	earliest, end := newYear(firstYear), newYear(endYear)
	switch {
	case t.Before(earliest) || !t.Before(end):
		return t, &anchore.Error{
			Kind: anchore.Invalid, Op: op, Message: "the time of creation must be from " + rest.RecordTime(earliest) + " to " + rest.RecordTime(end.Add(-time.Second)),
			Detail: map[string]any{"invalid_value": *s},
		}
	case t.Equal(time.Unix(0, 0)):
		t = t.Add(1) // a row has no other word for a time that is not known
	}
	return t, nil
}

// The years that can be told apart in the history of a tag, which counts nanoseconds in
// 64 bits: from firstYear to before endYear.
const (
	firstYear = 1678
	endYear   = 2262
)

func newYear(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func base64Text(s *string) (string, error) {
	file, err := base64.StdEncoding.DecodeString(rest.Given(s))
	if err != nil {
		return "", anchore.E(anchore.Invalid, op, `"dockerfile" must be the Dockerfile in base64`).Because(err)
	}
	if len(file) > anchore.MaxDockerfile {
		return "", anchore.E(anchore.Invalid, op, `"dockerfile" may have %d bytes before base64, this one has %d`, anchore.MaxDockerfile, len(file))
	}
	return rest.Given(s), nil
}

// annotations are texts; null stands for the text "null", which removes one.
func annotations(given *map[string]any) (map[string]string, error) {
	if given == nil {
		return nil, nil
	}
	notes := map[string]string{}
	for name, value := range *given {
		switch v := value.(type) {
		case string:
			notes[name] = v
		case nil:
			notes[name] = "null"
		default:
			return nil, anchore.E(anchore.Invalid, op, "annotation %q must be a text", name)
		}
	}
	return notes, anchore.CheckAnnotations(notes, 0)
}
