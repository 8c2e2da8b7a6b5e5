package intake_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	base := t.TempDir()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(base, "db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	blobs, err := dir.New(dir.Config{Path: filepath.Join(base, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.New(catalog.Config{Store: s, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateAccount(t.Context(), anchore.Account{Name: "admin"}, "foobar"); err != nil {
		t.Fatal(err)
	}
	return c
}

func newIntake(t *testing.T, c *catalog.Catalog, cfg intake.Config) *intake.Intake {
	t.Helper()
	client, err := oci.New(oci.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cfg.Registry, cfg.Catalog = client, c
	in, err := intake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func mustRef(t *testing.T, s string) anchore.Reference {
	t.Helper()
	ref, err := anchore.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestAddByTagAndByDigest(t *testing.T) {
	srv, c := ocitest.Start(t), newCatalog(t)
	in := newIntake(t, c, intake.Config{})
	one, two := ocitest.Image(ocitest.Spec{Revision: "r1"}), ocitest.Image(ocitest.Spec{Version: "2"})
	ref := mustRef(t, srv.Push(t, "team/app:latest", one))
	img, err := in.Add(t.Context(), intake.Request{Account: "admin", Ref: ref, AutoSubscribe: true, Annotations: map[string]string{"k": "v"}})
	if err != nil || img.Digest != one.Digest || img.Revision != "r1" || img.Annotations["k"] != "v" || img.Status != anchore.NotAnalyzed {
		t.Fatalf("Add by tag = %+v, %v", img, err)
	}
	srv.Push(t, "team/app:other", two)
	pinned := ref
	pinned.Digest = two.Digest
	if img, err = in.Add(t.Context(), intake.Request{Account: "admin", Ref: pinned}); err != nil || img.Digest != two.Digest {
		t.Fatalf("Add by digest = %+v, %v", img, err)
	}
	tags, _, err := c.WatchedTags(t.Context(), "", 0)
	if err != nil || len(tags) != 1 || tags[0].Digest != one.Digest {
		t.Errorf("WatchedTags = %+v, %v; want %s: a digest never moves the tag", tags, err, one.Digest)
	}
}

func TestAddRefuses(t *testing.T) {
	big := ocitest.Image(ocitest.Spec{Padding: 3 << 20})
	arm := ocitest.Index(ocitest.Image(ocitest.Spec{Platform: anchore.Platform{OS: "linux", Architecture: "arm64"}}))
	none, half := 0.0, 0.5
	for _, tc := range []struct {
		name   string
		what   ocitest.Artifact
		tag    string
		max    *float64
		kind   anchore.Kind // Internal: taken
		code   string
		events int
		large  int // events of an image that is too large, after two attempts
	}{
		{name: "configured limit", what: big, kind: anchore.Invalid, large: 1},
		{name: "limit of the request", what: ocitest.Image(ocitest.Spec{Padding: 1 << 20}), max: &half, kind: anchore.Invalid, large: 2},
		{name: "no limit", what: big, max: &none},
		{name: "small", what: ocitest.Image(ocitest.Spec{})},
		{name: "no such tag", what: big, tag: "none", kind: anchore.NotFound, code: anchore.CodeImageNotFound, events: 1},
		{name: "no such platform", what: arm, kind: anchore.Invalid, code: anchore.CodePlatformMissing, events: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, c := ocitest.Start(t), newCatalog(t)
			ref := mustRef(t, srv.Push(t, "app:latest", tc.what))
			if tc.tag != "" {
				ref.Tag = tc.tag
			}
			in, request := newIntake(t, c, intake.Config{MaxSizeMB: 2}), intake.Request{Account: "admin", Ref: ref, MaxSizeMB: tc.max}
			_, err := in.Add(t.Context(), request)
			if tc.kind == anchore.Internal && err != nil || tc.kind != anchore.Internal && anchore.KindOf(err) != tc.kind {
				t.Fatalf("Add: %v, want kind %v", err, tc.kind)
			}
			var e *anchore.Error
			if tc.code != "" && (!errors.As(err, &e) || !cmp.Equal(e.Codes, []string{tc.code})) {
				t.Errorf("Add: %v, want code %s", err, tc.code)
			}
			events, _, err := c.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventRegistryLookupFailed)}, 1, 10)
			if err != nil || len(events) != tc.events {
				t.Errorf("%d events of a failed look-up, %v; want %d", len(events), err, tc.events)
			}
			if _, again := in.Add(t.Context(), request); anchore.KindOf(again) != tc.kind {
				t.Errorf("Add again: %v, want kind %v", again, tc.kind)
			}
			large, _, err := c.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventImageTooLarge)}, 1, 10)
			if err != nil || len(large) != tc.large {
				t.Errorf("%d events of a too large image, %v; want %d", len(large), err, tc.large)
			}
		})
	}
}

func TestTheSizeErrorHasTheOriginalsDetail(t *testing.T) {
	srv, c := ocitest.Start(t), newCatalog(t)
	big := ocitest.Image(ocitest.Spec{Padding: 3 << 20})
	ref := mustRef(t, srv.Push(t, "app:latest", big))
	_, err := newIntake(t, c, intake.Config{MaxSizeMB: 2}).Add(t.Context(), intake.Request{Account: "admin", Ref: ref})
	var e *anchore.Error
	if !errors.As(err, &e) || e.Message != "Image size is too large based on max size specified in the configuration" {
		t.Fatalf("Add: %v", err)
	}
	want := map[string]any{"requested_image_compressed_size_mb": 3.0, "max_compressed_image_size_mb": 2.0}
	if diff := cmp.Diff(want, e.Detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
}

func TestLook(t *testing.T) {
	srv, c := ocitest.Start(t), newCatalog(t)
	ref := mustRef(t, srv.Push(t, "app:latest", ocitest.Image(ocitest.Spec{})))
	strict, lax := newIntake(t, c, intake.Config{MaxSizeMB: 1}), newIntake(t, c, intake.Config{MaxSizeMB: 5})
	if _, err := strict.Add(t.Context(), intake.Request{Account: "admin", Ref: ref, AutoSubscribe: true}); err != nil {
		t.Fatal(err)
	}
	watched := func() catalog.WatchedTag {
		t.Helper()
		tags, _, err := c.WatchedTags(t.Context(), "", 0)
		if err != nil || len(tags) != 1 {
			t.Fatalf("WatchedTags = %v, %v", tags, err)
		}
		return tags[0]
	}
	big := ocitest.Image(ocitest.Spec{Padding: 2 << 20})
	srv.Push(t, "app:latest", big)
	for range 3 {
		refused, err := strict.Look(t.Context(), watched(), big.Digest, "watcher")
		if err != nil || refused.Reason != catalog.RefusedSize || refused.TagDigest != big.Digest || refused.Message == "" {
			t.Fatalf("Look at a too large image = %+v, %v", refused, err)
		}
	}
	if n := srv.Requests("GET", "/manifests/"+"latest"); n != 2 {
		t.Errorf("%d pulls, want one to add and one to refuse", n)
	}
	if w := watched(); w.Refusal.Reason != catalog.RefusedSize || w.Digest == big.Digest {
		t.Errorf("watched tag %+v, want a refusal and the old digest", w)
	}
	// A raised limit lets the next look take it.
	if refused, err := lax.Look(t.Context(), watched(), big.Digest, "watcher"); err != nil || refused.Reason != "" || watched().Digest != big.Digest {
		t.Fatalf("Look under a raised limit = %+v, %v; recorded %s", refused, err, watched().Digest)
	}
	arm := ocitest.Index(ocitest.Image(ocitest.Spec{Platform: anchore.Platform{OS: "linux", Architecture: "arm64"}}))
	srv.Push(t, "app:latest", arm)
	srv.Reset()
	for range 3 {
		if refused, err := lax.Look(t.Context(), watched(), arm.Digest, "watcher"); err != nil || refused.Reason != catalog.RefusedPlatform {
			t.Fatalf("Look at an image without the platform = %+v, %v", refused, err)
		}
	}
	events, _, err := c.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventPlatformMissing)}, 1, 10)
	if n := srv.Requests("GET", ""); err != nil || len(events) != 1 || n != 1 {
		t.Errorf("missing platform: %d events, %d pulls, %v; want one of each", len(events), n, err)
	}
}
