package intake_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// handIn begins an import and hands the documents in.
func handIn(t *testing.T, c *catalog.Catalog, documents map[anchore.ImportPart][]byte) (id string, digests map[anchore.ImportPart]string) {
	t.Helper()
	imp, err := c.NewImport(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	digests = map[anchore.ImportPart]string{}
	for part, document := range documents {
		content, err := c.AddImportContent(t.Context(), "admin", imp.ID, part, bytes.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		digests[part] = content.Digest
	}
	return imp.ID, digests
}

func documents(image ocitest.Artifact, packages string) map[anchore.ImportPart][]byte {
	return map[anchore.ImportPart][]byte{
		anchore.ImportPackages: []byte(packages), anchore.ImportManifest: image.Raw, anchore.ImportImageConfig: image.Config,
	}
}

const somePackages = `{"artifacts":[{"name":"musl","type":"apk","licenses":["MIT"]}],"distro":{"name":"alpine","version":"3.19"},"source":{"type":"image","target":{"imageSize":7}}}`

func TestImport(t *testing.T) {
	image := ocitest.Image(ocitest.Spec{Revision: "r1", Platform: anchore.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}})
	c := newCatalog(t)
	all := documents(image, somePackages)
	all[anchore.ImportDockerfile], all[anchore.ImportParentManifest] = []byte("FROM scratch"), []byte("{}")
	id, digests := handIn(t, c, all)
	parent := "sha256:" + strings.Repeat("ab", 32)
	got, err := newIntake(t, c, intake.Config{MaxSizeMB: 0.0001}).Import(t.Context(), intake.ImportRequest{
		Account: "admin", Import: id, Tags: []anchore.Reference{mustRef(t, "alpine:3")}, Digest: image.Digest, ParentDigest: parent,
		Contents: digests, AutoSubscribe: true, Annotations: map[string]string{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "analyzed linux/arm64/v8 r1 alpine 3.19 1 7 RlJPTSBzY3JhdGNo " + parent + " " + image.Digest + " docker.io/library/alpine:3 v " + id
	if s := fmt.Sprint(got.Status, " ", got.Platform, " ", got.Revision, " ", got.Content.Distro, " ", got.Content.DistroVersion, " ", got.Content.Packages, " ", got.Content.Size, " ",
		got.Dockerfile, " ", got.TagDigest, " ", got.Digest, " ", got.Tags[0].Ref.FullTag(), " ", got.Annotations["k"], " ", got.Annotations["anchore.system/import_operation_id"]); s != want {
		t.Errorf("Import = %s, want %s", s, want)
	}
}

// TestImportRefuses: what is refused leaves the import as it was, to be corrected.
func TestImportRefuses(t *testing.T) {
	one, two := ocitest.Image(ocitest.Spec{}), ocitest.Image(ocitest.Spec{Padding: 1})
	for _, tc := range []struct {
		name      string
		documents map[anchore.ImportPart][]byte
		change    func(*intake.ImportRequest)
		kind      anchore.Kind
		says      string
	}{
		{name: "no syft document", documents: documents(one, `{"packages":[]}`), kind: anchore.Invalid, says: "no syft document"},
		{name: "packages of another image", documents: documents(one, `{"artifacts":[],"source":{"metadata":{"manifestDigest":"sha256:0"}}}`), kind: anchore.Invalid, says: "are those of image sha256:0"},
		{name: "no manifest", documents: documents(ocitest.Artifact{Raw: []byte("x"), Config: one.Config}, somePackages), kind: anchore.Invalid, says: "not a JSON document"},
		{name: "an index", documents: documents(ocitest.Artifact{Raw: ocitest.Index(one).Raw, Config: one.Config}, somePackages), kind: anchore.Invalid, says: "is not a container image"},
		{name: "configuration of another image", documents: documents(ocitest.Artifact{Raw: one.Raw, Config: two.Config}, somePackages), kind: anchore.Invalid, says: "not of one image"},
		{name: "configuration in UTF-16", documents: documents(ocitest.Artifact{Raw: one.Raw, Config: []byte("\xff\xfe{}")}, somePackages), kind: anchore.Invalid, says: "no text in UTF-8"},
		{name: "document that was not handed in", change: func(r *intake.ImportRequest) { r.Contents[anchore.ImportManifest] = strings.Repeat("ab", 32) }, kind: anchore.Invalid, says: "not found for the operation id"},
		{name: "document of another part", change: func(r *intake.ImportRequest) {
			r.Contents[anchore.ImportManifest] = r.Contents[anchore.ImportImageConfig]
		}, kind: anchore.Invalid, says: "not found for the operation id"},
		{name: "missing part", change: func(r *intake.ImportRequest) { delete(r.Contents, anchore.ImportPackages) }, kind: anchore.Invalid, says: "lacks"},
		{name: "no tag", change: func(r *intake.ImportRequest) { r.Tags = nil }, kind: anchore.Invalid, says: "1 to 20 tags"},
		{name: "digest as tag", change: func(r *intake.ImportRequest) { r.Tags[0].Digest = one.Digest }, kind: anchore.Invalid, says: "is not a tag"},
		{name: "no digest", change: func(r *intake.ImportRequest) { r.Digest = "sha256:x" }, kind: anchore.Invalid, says: `"sha256:x" is not a digest`},
		{name: "no image id", change: func(r *intake.ImportRequest) { r.ImageID = "x" }, kind: anchore.Invalid, says: "is not an image id"},
		{name: "no such import", change: func(r *intake.ImportRequest) { r.Import = "none" }, kind: anchore.NotFound, says: "Resource none not found"},
		{name: "another account", change: func(r *intake.ImportRequest) { r.Account = "other" }, kind: anchore.NotFound, says: "Resource"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCatalog(t)
			if err := c.CreateAccount(t.Context(), anchore.Account{Name: "other"}, "foobar"); err != nil {
				t.Fatal(err)
			}
			if tc.documents == nil {
				tc.documents = documents(one, somePackages)
			}
			id, digests := handIn(t, c, tc.documents)
			request := intake.ImportRequest{Account: "admin", Import: id, Tags: []anchore.Reference{mustRef(t, "alpine:3")}, Digest: one.Digest, Contents: maps.Clone(digests)}
			if tc.change != nil {
				tc.change(&request)
			}
			_, err := newIntake(t, c, intake.Config{}).Import(t.Context(), request)
			if anchore.KindOf(err) != tc.kind || !strings.Contains(anchore.MessageOf(err), tc.says) {
				t.Errorf("Import: %v, want %v with %q", err, tc.kind, tc.says)
			}
			if images, _, err := c.Images(t.Context(), "admin", catalog.ImageFilter{}, "", 0); err != nil || len(images) != 0 {
				t.Errorf("Images = %+v, %v; want none", images, err)
			}
			if imp, err := c.Import(t.Context(), "admin", id); err != nil || imp.Status != anchore.ImportPending {
				t.Errorf("Import(%s) = %+v, %v; want it pending", id, imp, err)
			}
		})
	}
}
