package server

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

func TestImageTags(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "alpine")
	m := alpineImage(t)
	list := f.call("alice", "GET", "/summaries/imagetags", "").list(200)
	if len(list) != 1 {
		t.Fatalf("%d tags, want 1", len(list))
	}
	got := list[0].(map[string]any)
	for _, key := range []string{"created_at", "tag_detected_at"} {
		if at, ok := got[key].(float64); !ok || at < 1e9 {
			t.Errorf("%s = %v, want seconds", key, got[key])
		}
		delete(got, key)
	}
	want := map[string]any{
		"imageDigest": m.Digest, "parentDigest": m.TagDigest, "imageId": m.ImageID, "fulltag": alpine,
		"analysis_status": "not_analyzed", "image_status": "active", "analyzed_at": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tag (-want +got):\n%s", diff)
	}
	f.analyze()
	if at := f.call("alice", "GET", "/summaries/imagetags?image_status=all", "").list(200)[0].(map[string]any)["analyzed_at"]; at == nil {
		t.Error("analyzed_at is null after the analysis")
	}
	for query, n := range map[string]int{"deleting": 0, "active": 1, "active,deleting": 1} {
		if got := f.call("alice", "GET", "/summaries/imagetags?image_status="+query, "").list(200); len(got) != n {
			t.Errorf("image_status=%s has %d tags, want %d", query, len(got), n)
		}
	}
	f.call("alice", "GET", "/summaries/imagetags?image_status=nonsense", "").says(400, "image_status")
}

func TestErrorCodesAndEventTypes(t *testing.T) {
	f := newFixture(t, nil)
	codes := column(f.call("bob", "GET", "/system/error_codes", "").list(200), "name")
	if len(codes) != len(anchore.Codes()) || !slices.Contains(codes, any("OSARCH_MISMATCH")) {
		t.Errorf("codes = %v", codes)
	}
	categories := f.call("bob", "GET", "/event_types", "").list(200)
	if diff := cmp.Diff([]any{"system", "user"}, column(categories, "name")); diff != "" {
		t.Errorf("categories (-want +got):\n%s", diff)
	}
	found := 0
	for _, c := range categories {
		groups := c.(map[string]any)["subcategories"].([]any)
		for _, g := range groups {
			found += len(g.(map[string]any)["events"].([]any))
		}
	}
	if want := len(anchore.EventKinds()); found != want {
		t.Errorf("%d types of events, want %d", found, want)
	}
}

func TestImageMetadata(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "alpine")
	path := "/images/" + alpineImage(t).Digest + "/metadata"
	if got := decoded[[]string](f.call("alice", "GET", path, "").is(200)); !cmp.Equal(got, sbom.MetadataTypes()) {
		t.Errorf("types = %v", got)
	}
	got := f.call("alice", "GET", path+"/manifest", "").object(200)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(got["metadata"].(string)))
	if err != nil || string(raw) != "{}" || got["metadata_type"] != "manifest" || got["imageDigest"] != alpineImage(t).Digest {
		t.Errorf("manifest = %v (%q, %v)", got, raw, err)
	}
	f.call("alice", "GET", path+"/dockerfile", "").is(200)
	f.call("alice", "GET", path+"/docker_history", "").is(200)
	f.call("alice", "GET", path+"/layers", "").says(400, "use one of manifest, docker_history, dockerfile")
}

func TestConvertedDocuments(t *testing.T) {
	fails := false
	f := newFixture(t, func(cfg *Config) {
		cfg.Convert = func(_ context.Context, format string, in io.Reader, out io.Writer) error {
			if fails {
				return anchore.E(anchore.Unavailable, "test", "no space").Because(errors.New("disk"))
			}
			document, err := io.ReadAll(in)
			if err != nil || !strings.Contains(string(document), `"musl"`) {
				t.Errorf("document %.40q, %v", document, err)
			}
			_, err = io.WriteString(out, `{"format":"`+format+`"}`)
			return err
		}
	})
	f.addImage("alice", "alpine")
	path := "/images/" + alpineImage(t).Digest + "/sboms/"
	f.call("alice", "GET", path+"spdx", "").says(404, "not analyzed")
	f.analyze()
	for format, media := range map[string]string{"spdx": "application/spdx+json", "cyclonedx": "application/vnd.cyclonedx+json"} {
		a := f.call("alice", "GET", path+format, "").is(200)
		if a.header.Get("Content-Type") != media || string(a.body) != `{"format":"`+format+`"}` {
			t.Errorf("%s: %q as %q", format, a.body, a.header.Get("Content-Type"))
		}
	}
	fails = true
	f.call("alice", "GET", path+"spdx", "").says(503, "no space")
}
