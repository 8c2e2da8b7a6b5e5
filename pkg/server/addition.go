package server

import (
	"encoding/base64"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/intake"
)

const addImageOp = "server.AddImage"

// addition reads the body of POST /images in any of the original's forms: a tag,
// a tag and a digest, or a source that says which of them it is.
func addition(body api.ImageRequest) (intake.Request, error) {
	notes, err := annotations(body.Annotations)
	if err != nil {
		return intake.Request{}, err
	}
	var add intake.Request
	tag, digest := given(body.Tag), given(body.Digest)
	switch {
	case body.Source != nil && (tag != "" || digest != "" || given(body.Dockerfile) != ""):
		err = anchore.E(anchore.Invalid, addImageOp, "Cannot use both source property and tag, digest, or dockerfile property at top level")
	case body.Source != nil:
		add, err = fromSource(*body.Source)
	case tag == "" && digest == "":
		err = anchore.E(anchore.Invalid, addImageOp, `Must include either "tag", "tag" and "digest", or "source" property in body`)
	case tag == "":
		err = &anchore.Error{
			Kind: anchore.Invalid, Op: addImageOp, Message: "Could not validate request due to error",
			Detail: map[string]any{"validation_error": "a digest needs a tag, in whose history it is kept"},
		}
	case digest == "":
		add, err = byTag(tag, body.Dockerfile)
	default:
		add, err = byDigest(tag, digest, body.CreatedAt, body.Dockerfile)
	}
	add.Annotations = notes
	add.MaxSizeMB = body.MaxCompressedImageSizeMb
	if err == nil && given(body.Platform) != "" {
		add.Platform, err = anchore.ParsePlatform(*body.Platform)
	}
	return add, err
}

func fromSource(source api.ImageSource) (intake.Request, error) {
	kinds := 0
	for _, there := range []bool{source.Tag != nil, source.Digest != nil, source.Archive != nil, source.Import != nil} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return intake.Request{}, anchore.E(anchore.Invalid, addImageOp, `"source" must have exactly one of "tag" and "digest"`)
	case source.Archive != nil, source.Import != nil:
		return intake.Request{}, anchore.E(anchore.Invalid, addImageOp, `images cannot be added from an archive or an import in this version; give "tag" or "digest"`)
	case source.Tag != nil:
		return byTag(source.Tag.Pullstring, source.Tag.Dockerfile)
	}
	d := source.Digest
	return byDigest(d.Tag, d.Pullstring, d.CreationTimestampOverride, d.Dockerfile)
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
			return intake.Request{}, anchore.E(anchore.Invalid, addImageOp, "the digest is of repository %s, the tag of %s; they must be of one", full.RepositoryName(), ref.RepositoryName())
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
		Kind: anchore.Invalid, Op: addImageOp, Message: message, Detail: map[string]any{"invalid_value": value},
	}
}

// creationTime reads the original's forms: whole seconds, or a fraction after a
// point or a colon; UTC only.
func creationTime(s *string) (time.Time, error) {
	if given(s) == "" {
		return time.Time{}, nil
	}
	text := *s
	if i := len("2006-01-02T15:04:05"); len(text) > i && text[i] == ':' {
		text = text[:i] + "." + text[i+1:]
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999Z", text)
	if err != nil {
		return t, &anchore.Error{
			Kind: anchore.Invalid, Op: addImageOp, Message: "Invalid formatted date", Err: err,
			Detail: map[string]any{"invalid_value": *s, "expected": "YYYY-MM-DDTHH:MM:SSZ"},
		}
	}
	return t, nil
}

func base64Text(s *string) (string, error) {
	if _, err := base64.StdEncoding.DecodeString(given(s)); err != nil {
		return "", anchore.E(anchore.Invalid, addImageOp, `"dockerfile" must be the Dockerfile in base64`).Because(err)
	}
	return given(s), nil
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
			return nil, anchore.E(anchore.Invalid, addImageOp, "annotation %q must be a text", name)
		}
	}
	return notes, nil
}
