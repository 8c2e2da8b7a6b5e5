package server

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// alpineImage is what madeUp makes of alpine.
func alpineImage(t *testing.T) anchore.Manifest {
	t.Helper()
	ref, err := anchore.ParseReference(alpine)
	if err != nil {
		t.Fatal(err)
	}
	return madeUp(ref)
}

func TestImageRecord(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	before := f.addImage("alice", "alpine")
	f.analyze()
	after := f.call("alice", "GET", "/v1/images/"+m.Digest, "").list(200)[0].(map[string]any)

	null := map[string]any{"arch": nil, "distro": nil, "distro_version": nil, "dockerfile_mode": nil, "image_size": nil, "layer_count": nil}
	found := map[string]any{
		"arch": "amd64", "distro": "alpine", "distro_version": "3.13.5", "dockerfile_mode": "Guessed", "image_size": 5857280.0, "layer_count": 2.0,
	}
	for _, tt := range []struct {
		record   map[string]any
		status   string
		metadata map[string]any
	}{{before, "not_analyzed", null}, {after, "analyzed", found}} {
		want := map[string]any{
			"imageDigest": m.Digest, "parentDigest": m.TagDigest, "userId": "alice", "image_type": "docker",
			"analysis_status": tt.status, "image_status": "active", "platform": "linux/amd64", "annotations": map[string]any{},
			"image_content": map[string]any{"metadata": tt.metadata},
			"image_detail": []any{map[string]any{
				"registry": "docker.io", "repo": "library/alpine", "tag": "latest", "fulltag": alpine,
				"fulldigest": "docker.io/library/alpine@" + m.Digest, "imageDigest": m.Digest, "digest": m.Digest,
				"imageId": m.ImageID, "userId": "alice", "dockerfile": nil, "current": true,
			}},
		}
		if (tt.record["analyzed_at"] == nil) != (tt.status == "not_analyzed") {
			t.Errorf("%s: analyzed_at = %v", tt.status, tt.record["analyzed_at"])
		}
		dropTimes(t, tt.record)
		dropTimes(t, tt.record["image_detail"].([]any)[0].(map[string]any))
		if diff := cmp.Diff(want, tt.record); diff != "" {
			t.Errorf("%s image (-want +got):\n%s", tt.status, diff)
		}
	}
}

// dropTimes removes the times of a record after checking their form.
func dropTimes(t *testing.T, record map[string]any) {
	t.Helper()
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	for _, name := range []string{"created_at", "last_updated", "analyzed_at", "tag_detected_at"} {
		if value, ok := record[name].(string); ok && !form.MatchString(value) {
			t.Errorf("%s = %q, want the form 2021-06-01T12:00:00Z", name, value)
		}
		delete(record, name)
	}
}

func TestImageIsFoundByEachOfItsNames(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	f.addImage("alice", "alpine")
	escaped := strings.Replace(m.Digest, ":", "%3A", 1)
	for _, path := range []string{
		"/images/" + m.Digest, "/v1/images/" + escaped, "/images/" + escaped + "/", "/v1/images/" + m.TagDigest,
		"/images/by_id/" + m.ImageID, "/v1/images/by_id/" + escaped,
		"/images", "/images/?fulltag=alpine", "/images?fulltag=docker.io%2Flibrary%2Falpine%3Alatest&history=false",
		"/images?fulltag=docker.io/library/alpine:latest&history=True&image_status=all", "/images?analysis_status=not_analyzed",
	} {
		list := f.call("alice", "GET", path, `{"tag":"ignored"}`).list(200)
		if diff := cmp.Diff([]any{m.Digest}, column(list, "imageDigest")); diff != "" {
			t.Errorf("GET %s (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{"/images?analysis_status=analyzed", "/images?image_status=deleting"} {
		if got := f.call("alice", "GET", path, "").list(200); len(got) != 0 {
			t.Errorf("GET %s = %v, want none", path, got)
		}
	}
	for path, message := range map[string]string{
		"/images/sha256:12": "not found in DB", "/images/by_id/12": "not found in DB", "/images?fulltag=busybox": "image data not found in DB",
	} {
		f.call("alice", "GET", path, "").says(404, message)
	}
	f.call("alice", "GET", "/images?analysis_status=done", "").says(400, "analysis_status")
	f.call("alice", "GET", "/images?history=perhaps", "").says(400, "history")
}

func TestImagePages(t *testing.T) {
	f := newFixture(t, nil)
	for _, tag := range []string{"a:1", "a:2", "a:3"} {
		f.addImage("alice", tag)
	}
	all := f.call("alice", "GET", "/images", "").list(200)
	first := f.call("alice", "GET", "/images?limit=2", "")
	rest := f.call("alice", "GET", "/images?limit=2&page="+first.header.Get("X-Next-Page"), "")
	if diff := cmp.Diff(all, append(first.list(200), rest.list(200)...)); diff != "" {
		t.Errorf("pages (-all +paged):\n%s", diff)
	}
	if len(all) != 3 || rest.header.Get("X-Next-Page") != "" {
		t.Errorf("%d images, next page %q; want 3 and none", len(all), rest.header.Get("X-Next-Page"))
	}
}

func TestAddImage(t *testing.T) {
	f := newFixture(t, nil)
	digest := "sha256:" + strings.Repeat("ab", 32)
	added := f.call("alice", "POST", "/images?autosubscribe=False", `{"tag":"alpine","annotations":{"team":"a"},"dockerfile":"RlJPTSB4"}`).list(200)[0].(map[string]any)
	if diff := cmp.Diff(map[string]any{"team": "a"}, added["annotations"]); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	subs := f.call("alice", "GET", "/subscriptions", "").list(200)
	if diff := cmp.Diff([]any{true, false, false, false}, column(subs, "active")); diff != "" {
		t.Errorf("autosubscribe=False (-want +got):\n%s", diff)
	}
	byDigest := f.call("alice", "POST", "/images", `{"tag":"alpine","digest":"`+digest+`","created_at":"2021-06-01T00:00:00Z"}`).list(200)
	if diff := cmp.Diff([]any{digest}, column(byDigest, "imageDigest")); diff != "" {
		t.Errorf("by digest (-want +got):\n%s", diff)
	}
	history := f.call("alice", "GET", "/images?fulltag=alpine&history=true", "").list(200)
	if diff := cmp.Diff([]any{alpineImage(t).Digest, digest}, column(history, "imageDigest")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	f.call("alice", "POST", "/images", `{"tag":"alpine","dockerfile":"RlJPTSB4"}`).says(400, "Cannot specify dockerfile")
	f.call("alice", "POST", "/images?force=TRUE", `{"tag":"alpine","dockerfile":"RlJPTSB4"}`).is(200)

	refused := f.call("alice", "POST", "/images", `{"tag":"alpine:missing"}`)
	refused.says(400, "cannot fetch image digest/manifest from registry: registry docker.io does not have it")
	if diff := cmp.Diff(map[string]any{"error_codes": []any{"REGISTRY_IMAGE_NOT_FOUND"}, "raw_exception_message": "registry docker.io does not have it"}, refused.object(400)["detail"]); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
	if bytes.Contains(refused.body, []byte("10.0.0.1")) {
		t.Errorf("the answer shows the cause:\n%s", refused.body)
	}
	limited := f.call("alice", "POST", "/images", `{"tag":"alpine:limited"}`)
	limited.says(429, "cannot fetch image digest/manifest from registry: registry docker.io allows no more requests for now")
	if codes := limited.object(429)["detail"].(map[string]any)["error_codes"]; !cmp.Equal(codes, []any{"REGISTRY_NOT_ACCESSIBLE"}) || limited.header.Get("Retry-After") != "60" {
		t.Errorf("limited: codes %v, Retry-After %q", codes, limited.header.Get("Retry-After"))
	}
	f.call("alice", "POST", "/images", `{"source":{"archive":{"digest":"x"}}}`).says(400, "digest")
	f.call("alice", "POST", "/images", `{}`).says(400, "Must include either")
}

func TestDeleteImage(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	for i, path := range []string{"/images/" + m.Digest, "/images/by_id/" + m.ImageID} {
		f.addImage("alice", "alpine")
		want := map[string]any{"digest": m.Digest, "status": "delete_failed", "detail": "cannot delete image that is the latest of its tags, and has active subscription"}
		if i == 0 {
			if diff := cmp.Diff(want, f.call("alice", "DELETE", path, "").object(200)); diff != "" {
				t.Errorf("DELETE %s (-want +got):\n%s", path, diff)
			}
		}
		want = map[string]any{"digest": m.Digest, "status": "deleting", "detail": nil}
		if diff := cmp.Diff(want, f.call("alice", "DELETE", path+"?force=True", "").object(200)); diff != "" {
			t.Errorf("DELETE %s with force (-want +got):\n%s", path, diff)
		}
		f.call("alice", "GET", "/images/"+m.Digest, "").is(404)
	}
	if got := f.call("alice", "DELETE", "/images/by_id/12", "").object(200)["status"]; got != "not_found" {
		t.Errorf("DELETE of an unknown id = %v, want not_found", got)
	}
	f.addImage("alice", "alpine")
	many := f.call("alice", "DELETE", "/images?imageDigests="+m.Digest+",sha256:12&force=true", "").list(200)
	if diff := cmp.Diff([]any{"deleting", "not_found"}, column(many, "status")); diff != "" {
		t.Errorf("DELETE of many (-want +got):\n%s", diff)
	}
	f.call("alice", "DELETE", "/images", "").says(400, "imageDigests")
}

func TestImageContent(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	f.addImage("alice", "alpine")
	paths := []string{"/images/" + m.Digest, "/images/by_id/" + m.ImageID}
	for _, path := range paths {
		f.call("alice", "GET", path+"/content/os", "").says(404, "image is not analyzed - analysis_status: not_analyzed")
	}
	f.analyze()
	for _, path := range paths {
		types := decoded[[]string](f.call("alice", "GET", path+"/content", "").is(200))
		if len(types) == 0 || types[0] != "os" {
			t.Errorf("GET %s/content = %v, want os first", path, types)
		}
		got := f.call("alice", "GET", path+"/content/os", "").object(200)
		if got["imageDigest"] != m.Digest || got["content_type"] != "os" {
			t.Errorf("GET %s/content/os = %v", path, got)
		}
		if diff := cmp.Diff([]any{"musl"}, column(got["content"].([]any), "package")); diff != "" {
			t.Errorf("GET %s/content/os (-want +got):\n%s", path, diff)
		}
		f.call("alice", "GET", path+"/content/npm", "").is(200)
		f.call("alice", "GET", path+"/content/nonsense", "").says(400, "is not a content type")
	}
	f.call("alice", "GET", "/images/sha256:12/content", "").is(404)

	native := f.call("alice", "GET", "/images/"+m.Digest+"/sboms/native", "").is(200)
	zip, err := gzip.NewReader(bytes.NewReader(native.body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(zip)
	if err != nil || string(got) != report {
		t.Errorf("native SBOM = %.80q…, %v; want the report", got, err)
	}
}

func TestImageProgress(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		cfg.Progress = func(string) (anchore.Progress, bool) {
			return anchore.Progress{Step: anchore.Fetching, Done: 5, Total: 9}, true
		}
	})
	if got := f.addImage("alice", "alpine")["analysis_progress"]; got != nil {
		t.Errorf("progress before the analysis = %v, want none", got)
	}
	if _, ok, _, err := f.catalog.ClaimAnalysis(t.Context(), 1<<40); err != nil || !ok {
		t.Fatalf("ClaimAnalysis() = %v, %v", ok, err)
	}
	got := f.call("alice", "GET", "/images", "").list(200)
	want := []any{map[string]any{"step": "fetching layers", "done": 5.0, "total": 9.0}}
	if diff := cmp.Diff(want, column(got, "analysis_progress")); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// TestCreationTimes: the place in the history of a tag that a client gives.
func TestCreationTimes(t *testing.T) {
	f := newFixture(t, nil)
	for i, at := range []string{"1678-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2261-12-31T23:59:59Z"} {
		digest := fmt.Sprintf("sha256:%064x", i)
		list := f.call("alice", "POST", "/images", `{"tag":"alpine","digest":"`+digest+`","created_at":"`+at+`"}`).list(200)
		detail := list[0].(map[string]any)["image_detail"].([]any)[0].(map[string]any)
		if detail["created_at"] != at {
			t.Errorf("created_at %s became %v", at, detail["created_at"])
		}
	}
	f.call("alice", "POST", "/images", `{"tag":"alpine","digest":"sha256:`+strings.Repeat("0", 64)+`","created_at":"9999-01-01T00:00:00Z"}`).
		says(400, "must be from 1678-01-01T00:00:00Z to 2261-12-31T23:59:59Z")
}
