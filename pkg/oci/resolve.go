package oci

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// manifestTypes are what we can read, and schema 1, which registries would else
// convert to or refuse without saying why.
var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
	string(types.DockerManifestSchema1Signed) + ";q=0.1", string(types.DockerManifestSchema1) + ";q=0.1",
}, ", ")

// maxNesting bounds indexes within indexes.
const maxNesting = 3

// Head returns the digest of the document that ref names now: its tag, or its
// digest if it has none. It is one HEAD request, which registries do not count as
// a pull; one that does not tell the digest is asked for the document itself.
func (c *Client) Head(ctx context.Context, account string, ref anchore.Reference) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	name := ref.Tag
	if name == "" {
		name = ref.Digest
	}
	r := request{Question: answer.Question{Op: "oci.Head", Ref: ref, Method: http.MethodHead, Path: "manifests/" + name}, account: account, accept: manifestTypes}
	res, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	digest := res.Header.Get("Docker-Content-Digest")
	_ = res.Body.Close()
	if anchore.IsDigest(digest) {
		return digest, nil
	}
	doc, err := c.manifest(ctx, r.Op, account, ref, name)
	if err != nil {
		return "", err
	}
	return doc.digest, nil
}

// Resolve asks what ref names, its digest if it has one and else its tag, and if
// that is an index, which image is for the platform. An image that is no part of an
// index is taken as it is. Raw documents are verified against their digests.
//
// Errors, beside those of Client: Invalid for what is no image, and with code
// OSARCH_MISMATCH if the index has none for the platform; the manifest returned
// with that error has Ref and TagDigest set.
func (c *Client) Resolve(ctx context.Context, account string, ref anchore.Reference, platform anchore.Platform) (anchore.Manifest, error) {
	const op = "oci.Resolve"
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.Timeout)
	defer cancel()
	if platform == (anchore.Platform{}) {
		platform = anchore.DefaultPlatform
	}
	name := ref.Digest
	if name == "" {
		name = ref.Tag
	}
	doc, err := c.manifest(ctx, op, account, ref, name)
	if err != nil {
		return anchore.Manifest{}, err
	}
	m := anchore.Manifest{Ref: ref, TagDigest: doc.digest}
	for depth := 0; doc.isIndex(); depth++ {
		if depth == maxNesting {
			return m, anchore.E(anchore.Invalid, op, "%s is an index within %d indexes; that is not supported", ref, maxNesting)
		}
		next, err := pick(op, ref, doc, platform)
		if err != nil {
			return m, err
		}
		if doc, err = c.manifest(ctx, op, account, ref, next.Digest.String()); err != nil {
			return m, lacking(op, ref, "manifest", next, err)
		}
	}
	return c.describe(ctx, account, m, doc)
}

// document is a manifest or an index as received.
type document struct {
	digest string
	kind   types.MediaType
	raw    []byte
}

func (d document) isIndex() bool { return d.kind.IsIndex() }

// manifest fetches a document by tag or digest. Its digest is what was asked for,
// or what the registry says if its content agrees, or that of its content.
func (c *Client) manifest(ctx context.Context, op, account string, ref anchore.Reference, name string) (document, error) {
	r := request{Question: answer.Question{Op: op, Ref: ref, Method: http.MethodGet, Path: "manifests/" + name}, account: account, accept: manifestTypes}
	res, err := c.do(ctx, r)
	if err != nil {
		return document{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := r.Read(ctx, res, maxManifest)
	if err != nil {
		return document{}, err
	}
	want := name
	if !anchore.IsDigest(name) {
		want = res.Header.Get("Docker-Content-Digest")
	}
	if !anchore.IsDigest(want) {
		want = "sha256:"
	}
	doc := document{digest: digestOf(want, raw), raw: raw}
	if len(want) > len("sha256:") && doc.digest != want {
		return document{}, wrongContent(r, want)
	}
	doc.kind, err = kindOf(r, res.Header.Get("Content-Type"), raw)
	return doc, err
}

func wrongContent(r request, want string) error {
	return anchore.E(anchore.Unavailable, r.Op, "registry %s answered with content that is not %s; it was cut or altered on its way", r.Ref.Registry, want).WithCodes(anchore.CodeNotAccessible)
}

// digestOf hashes raw with the algorithm of the digest like.
func digestOf(like string, raw []byte) string {
	if strings.HasPrefix(like, "sha512:") {
		sum := sha512.Sum512(raw)
		return "sha512:" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// kindOf decides what a document is: by its own mediaType, else by the header,
// else by what it has. A document that claims to be both kinds is refused, so that
// nobody reads it as the other (image-spec, GHSA-77vh-xpmg-72qh).
func kindOf(r request, header string, raw []byte) (types.MediaType, error) {
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
		Config        json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", anchore.E(anchore.Invalid, r.Op, "the manifest of %s is not a JSON document", r.Ref).WithCodes(anchore.CodeManifestUnreadable).Because(err)
	}
	header, _, _ = strings.Cut(header, ";")
	kind := types.MediaType(strings.TrimSpace(header))
	if doc.MediaType != "" {
		kind = types.MediaType(doc.MediaType)
	}
	switch {
	case doc.SchemaVersion == 1 || kind.IsSchema1():
		return "", anchore.E(anchore.Invalid, r.Op, "%s has a schema 1 manifest, which is no longer supported; push the image again with a current tool", r.Ref).WithCodes(anchore.CodeNotSupported)
	case doc.Manifests != nil && (doc.Layers != nil || doc.Config != nil):
		return "", anchore.E(anchore.Invalid, r.Op, "the manifest of %s is an image and an index at once", r.Ref).WithCodes(anchore.CodeManifestUnreadable)
	case kind.IsIndex() && doc.Manifests != nil, kind.IsImage() && doc.Config != nil:
		return kind, nil
	case doc.Manifests != nil:
		return types.OCIImageIndex, nil
	case doc.Config != nil:
		return types.OCIManifestSchema1, nil
	}
	return "", anchore.E(anchore.Invalid, r.Op, "%s is neither an image nor an index of images (%q)", r.Ref, string(kind)).WithCodes(anchore.CodeManifestUnreadable)
}

// pick chooses the index's entry for the platform; attestations are not images.
func pick(op string, ref anchore.Reference, doc document, want anchore.Platform) (v1.Descriptor, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(doc.raw, &index); err != nil {
		return v1.Descriptor{}, anchore.E(anchore.Invalid, op, "the index of %s cannot be read", ref).WithCodes(anchore.CodeManifestUnreadable).Because(err)
	}
	var images, nested []v1.Descriptor
	have := []string{} // an empty list where there is none: the API shows it
	for _, d := range index.Manifests {
		p := d.Platform
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "" || p != nil && p.OS == "unknown":
		case d.MediaType.IsIndex() && p == nil:
			nested = append(nested, d)
		case d.MediaType.IsImage() || d.MediaType.IsIndex():
			images = append(images, d)
			if p != nil {
				have = append(have, platformOf(*p).String())
			}
		}
	}
	for _, d := range images {
		if d.Platform != nil && matches(platformOf(*d.Platform), want) {
			return d, nil
		}
	}
	// Without a platform there is nothing to choose by, unless there is one only.
	if len(images) == 1 && images[0].Platform == nil {
		return images[0], nil
	}
	if len(images) == 0 && len(nested) == 1 {
		return nested[0], nil
	}
	e := anchore.E(anchore.Invalid, op, "%s has no image for %s; it has %s", ref, want, listOf(have)).WithCodes(anchore.CodePlatformMissing)
	e.Detail = map[string]any{"platform": want.String(), "available_platforms": have}
	return v1.Descriptor{}, e
}

func listOf(have []string) string {
	if len(have) == 0 {
		return "none"
	}
	slices.Sort(have)
	return strings.Join(slices.Compact(have), ", ")
}

func platformOf(p v1.Platform) anchore.Platform {
	return anchore.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// matches compares platforms; arm64 is arm64/v8, and no variant wanted is any.
func matches(have, want anchore.Platform) bool {
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return false
	}
	if want.Architecture == "arm64" {
		if have.Variant == "" {
			have.Variant = "v8"
		}
		if want.Variant == "" {
			want.Variant = "v8"
		}
	}
	return want.Variant == "" || want.Variant == have.Variant
}

// describe fetches the image's configuration and fills in the manifest.
func (c *Client) describe(ctx context.Context, account string, m anchore.Manifest, doc document) (anchore.Manifest, error) {
	const op = "oci.Resolve"
	parsed, err := parseImage(op, m.Ref, doc)
	if err != nil {
		return m, err
	}
	config, err := c.blob(ctx, op, account, m.Ref, parsed.Config)
	if err != nil {
		return m, err
	}
	_, err = fill(op, &m, doc, parsed, config)
	return m, err
}

// fill fills in a manifest from its documents, and returns the configuration.
func fill(op string, m *anchore.Manifest, doc document, parsed v1.Manifest, config []byte) (cfg v1.ConfigFile, err error) {
	for _, l := range parsed.Layers {
		m.Size += l.Size
	}
	m.Digest, m.Raw, m.Layers = doc.digest, doc.raw, len(parsed.Layers)
	m.ImageID, m.Config = parsed.Config.Digest.Hex, config
	if err := json.Unmarshal(config, &cfg); err != nil {
		return cfg, anchore.E(anchore.Invalid, op, "the configuration of %s cannot be read", m.Ref).WithCodes(anchore.CodeManifestUnreadable).Because(err)
	}
	m.Platform = anchore.Platform{OS: cfg.OS, Architecture: cfg.Architecture, Variant: cfg.Variant}
	m.Labels = cfg.Config.Labels
	return cfg, nil
}

// ReadImage reads an image manifest and its configuration that did not come from a
// registry. Their text may have been formatted anew on the way, so neither is
// compared with a digest: the Digest and TagDigest of the result are those of
// manifest as it is, for a caller who knows no better. ref is for messages. Errors:
// Invalid for what is no image, or if the two are not of one image.
func ReadImage(ref anchore.Reference, manifest, config []byte) (anchore.Manifest, error) {
	const op = "oci.ReadImage"
	kind, err := kindOf(request{Question: answer.Question{Op: op, Ref: ref}}, "", manifest)
	if err != nil {
		return anchore.Manifest{}, err
	}
	doc := document{digest: digestOf("sha256:", manifest), kind: kind, raw: manifest}
	parsed, err := parseImage(op, ref, doc)
	if err != nil {
		return anchore.Manifest{}, err
	}
	m := anchore.Manifest{Ref: ref, TagDigest: doc.digest}
	cfg, err := fill(op, &m, doc, parsed, config)
	if err == nil && len(cfg.RootFS.DiffIDs) != len(parsed.Layers) {
		err = anchore.E(anchore.Invalid, op, "manifest and configuration of %s are not of one image: the one has %d layers, the other %d", ref, len(parsed.Layers), len(cfg.RootFS.DiffIDs)).WithCodes(anchore.CodeManifestUnreadable)
	}
	return m, err
}

// parseImage reads an image manifest and refuses what is none: charts, signatures
// and other artifacts are manifests too.
func parseImage(op string, ref anchore.Reference, doc document) (v1.Manifest, error) {
	var m v1.Manifest
	if err := json.Unmarshal(doc.raw, &m); err != nil {
		return m, anchore.E(anchore.Invalid, op, "the manifest of %s cannot be read", ref).WithCodes(anchore.CodeManifestUnreadable).Because(err)
	}
	if k := m.Config.MediaType; k != types.OCIConfigJSON && k != types.DockerConfigJSON {
		return m, anchore.E(anchore.Invalid, op, "%s is not a container image: its configuration is %q", ref, string(k)).WithCodes(anchore.CodeManifestUnreadable)
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if !anchore.IsDigest(d.Digest.String()) || d.Size < 0 {
			return m, anchore.E(anchore.Invalid, op, "the manifest of %s has the digest %.80q of size %d", ref, d.Digest.String(), d.Size).WithCodes(anchore.CodeManifestUnreadable)
		}
	}
	return m, nil
}

// lacking is the error for a part of ref's image that could not be had. That the
// registry does not have it is no sign that ref is gone: who deletes a tag leaves no
// manifest that names the part.
func lacking(op string, ref anchore.Reference, part string, d v1.Descriptor, err error) error {
	if !slices.Contains(anchore.CodesOf(err), anchore.CodeImageNotFound) {
		return err
	}
	return anchore.E(anchore.Invalid, op, "registry %s lacks the %s %s of %s; push the image again", ref.Registry, part, d.Digest, ref).WithCodes(anchore.CodeManifestUnreadable).Because(err)
}

// blob fetches the configuration of ref's image into memory and verifies it.
func (c *Client) blob(ctx context.Context, op, account string, ref anchore.Reference, d v1.Descriptor) ([]byte, error) {
	if d.Size > maxConfig {
		return nil, anchore.E(anchore.Invalid, op, "the configuration of %s has %d bytes; at most %d are supported", ref, d.Size, maxConfig)
	}
	r := request{Question: answer.Question{Op: op, Ref: ref, Method: http.MethodGet, Path: "blobs/" + d.Digest.String()}, account: account}
	res, err := c.do(ctx, r)
	if err != nil {
		return nil, lacking(op, ref, "configuration", d, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := r.Read(ctx, res, maxConfig)
	if err != nil {
		return nil, err
	}
	if digestOf(d.Digest.String(), raw) != d.Digest.String() {
		return nil, wrongContent(r, fmt.Sprint(d.Digest))
	}
	return raw, nil
}
