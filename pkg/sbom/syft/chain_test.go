package syft_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/analyze"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// From a registry through the catalog's queue and a real child to the content
// that the API shows.
func TestFromRegistryToContent(t *testing.T) {
	registry := ocitest.Start(t)
	image := ocitest.Image(ocitest.Spec{})
	ref, err := anchore.ParseReference(registry.Push(t, "team/app:1", image))
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	db, err := bolt.Open(bolt.Config{Path: filepath.Join(data, "engine.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	blobs, err := dir.New(dir.Config{Path: filepath.Join(data, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.New(catalog.Config{Store: db, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.CreateAccount(t.Context(), anchore.Account{Name: "admin", Type: anchore.AdminType}, "foobar"); err != nil {
		t.Fatal(err)
	}
	_, err = cat.SawTag(t.Context(), catalog.Sighting{Account: "admin", Cause: "image add", Add: &catalog.Addition{}, Manifest: anchore.Manifest{
		Ref: ref, TagDigest: image.Digest, Digest: image.Digest, ImageID: image.Digest[7:], Platform: anchore.DefaultPlatform, Raw: image.Raw, Config: []byte("{}"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := oci.New(oci.Config{LayerCache: filepath.Join(data, "layers")})
	if err != nil {
		t.Fatal(err)
	}
	analyses := filepath.Join(data, "analyses")
	workers, err := analyze.New(analyze.Config{Catalog: cat, Fetcher: client, Analyzer: newChild(t, sbomtest.None), Blobs: blobs, Dir: analyses})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- workers.Run(ctx) }()
	img := awaitAnalysis(t, cat, image.Digest)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if img.Status != anchore.Analyzed || img.Content.Distro != "debian" {
		t.Fatalf("the image is %s (%s), %+v", img.Status, img.Reason, img.Content)
	}
	for _, ctype := range []string{"os", "npm", "python"} {
		report, err := cat.Report(t.Context(), "admin", image.Digest)
		if err != nil {
			t.Fatal(err)
		}
		packages, err := sbom.Content(report, ctype)
		if err != nil || len(packages) == 0 {
			t.Errorf("content %s has %d packages, %v", ctype, len(packages), err)
		}
		report.Close()
	}
	left, err := os.ReadDir(analyses)
	if diff := cmp.Diff(0, len(left)); diff != "" || err != nil {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func awaitAnalysis(t *testing.T, cat *catalog.Catalog, digest string) anchore.Image {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
		img, err := cat.Image(t.Context(), "admin", digest)
		if err != nil {
			t.Fatal(err)
		}
		if img.Status == anchore.Analyzed || img.Status == anchore.AnalysisFailed {
			return img
		}
	}
	t.Fatal("the image was not analyzed within a minute")
	return anchore.Image{}
}
