package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestArchive archives an image, deletes it, and brings it back.
func TestArchive(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	f.addImage("alice", "alpine")
	unknown, source := "sha256:"+strings.Repeat("ab", 32), `{"source":{"archive":{"digest":"`+m.Digest+`"}},"annotations":{"why":"audit"}}`
	add := func() []any {
		t.Helper()
		return f.call("alice", "POST", "/archives/images", `["`+m.Digest+`","`+unknown+`"]`).list(200)
	}
	if diff := cmp.Diff([]any{"error", "error"}, column(add(), "status")); diff != "" {
		t.Errorf("an image that is not analyzed, and none (-want +got):\n%s", diff)
	}
	empty := f.call("alice", "GET", "/archives", "").object(200)
	if diff := cmp.Diff(map[string]any{"images": map[string]any{"total_image_count": 0.0, "total_tag_count": 0.0, "total_data_bytes": 0.0, "last_updated": nil}}, empty); diff != "" {
		t.Errorf("GET /archives of an empty one (-want +got):\n%s", diff)
	}
	f.analyze()
	for _, detail := range []string{"Completed successfully", "Existing record found, archiving aborted"} {
		got := add()
		want := []any{
			map[string]any{"digest": m.Digest, "status": "archived", "detail": detail},
			map[string]any{"digest": unknown, "status": "error", "detail": "image " + unknown + " not found in DB"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("POST /archives/images (-want +got):\n%s", diff)
		}
	}
	f.call("alice", "POST", "/images", source).says(409, "Image already exists in system")
	f.call("alice", "DELETE", "/images/"+m.Digest+"?force=true", "").is(200)
	checkArchived(f, m.Digest, m.TagDigest)

	image := f.call("alice", "POST", "/images", source).list(200)[0].(map[string]any)
	got := []any{image["imageDigest"], image["analysis_status"], image["annotations"], image["image_detail"].([]any)[0].(map[string]any)["fulltag"]}
	if diff := cmp.Diff([]any{m.Digest, "analyzed", map[string]any{"why": "audit"}, "docker.io/library/alpine:latest"}, got); diff != "" {
		t.Errorf("the image (-want +got):\n%s", diff)
	}
	content := f.call("alice", "GET", "/images/"+m.Digest+"/content/os", "").object(200)["content"].([]any)
	if diff := cmp.Diff([]any{"musl"}, column(content, "package")); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if body := string(f.call("alice", "DELETE", "/archives/images/"+m.Digest+"?force=true", "").is(200).body); strings.TrimSpace(body) != "null" {
		t.Errorf("DELETE = %s, want null", body)
	}
	f.call("alice", "DELETE", "/archives/images/"+m.Digest, "").says(404, "Not found in archive")
	f.call("alice", "GET", "/archives/images/"+m.Digest, "").says(404, "Not found in archive")
	f.call("alice", "GET", "/images/"+m.Digest, "").is(200)
}

// checkArchived asks for the one image in alice's archive in all ways.
func checkArchived(f *fixture, digest, index string) {
	f.t.Helper()
	one := f.call("alice", "GET", "/archives/images/"+index, "").object(200)
	size := one["archive_size_bytes"]
	if diff := cmp.Diff([]any{one}, f.call("alice", "GET", "/archives/images?limit=1", "").list(200)); diff != "" {
		f.t.Errorf("GET /archives/images (-want +got):\n%s", diff)
	}
	sum := f.call("alice", "GET", "/archives", "").object(200)
	if diff := cmp.Diff(map[string]any{"images": map[string]any{"total_image_count": 1.0, "total_tag_count": 1.0, "total_data_bytes": size, "last_updated": one["created_at"]}}, sum); diff != "" {
		f.t.Errorf("GET /archives (-want +got):\n%s", diff)
	}
	tag := one["image_detail"].([]any)[0].(map[string]any)
	for _, record := range []map[string]any{one, tag} {
		for key := range record {
			if strings.HasSuffix(key, "_at") || key == "last_updated" {
				delete(record, key)
			}
		}
	}
	want := map[string]any{
		"imageDigest": digest, "parentDigest": index, "status": "archived", "annotations": map[string]any{}, "archive_size_bytes": float64(len(report) + len("{}") + len("{}")),
		"image_detail": []any{map[string]any{"pullstring": "docker.io/library/alpine:latest", "registry": "docker.io", "repository": "library/alpine", "tag": "latest"}},
	}
	if diff := cmp.Diff(want, one); diff != "" {
		f.t.Errorf("GET /archives/images/%s (-want +got):\n%s", index, diff)
	}
}

func TestArchiveRefusals(t *testing.T) {
	f := newFixture(t, nil)
	f.call("alice", "POST", "/archives/images", `[]`).says(400, "")
	f.call("alice", "POST", "/archives/images", `{"digest":"x"}`).says(400, "")
	f.call("alice", "POST", "/archives/images", `["x"`+strings.Repeat(`,"x"`, 100)+`]`).says(400, "")
	f.call("alice", "GET", "/archives/images?page=garbage!", "").is(400)
	f.call("alice", "POST", "/images", `{"source":{"archive":{"digest":"sha256:`+strings.Repeat("ab", 32)+`"}}}`).says(404, "Not found in archive")
}
