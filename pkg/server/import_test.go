package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// TestImports hands an image in, document by document.
func TestImports(t *testing.T) {
	f := newFixture(t, nil)
	operation := f.call("alice", "POST", "/imports/images", "").object(200)
	id := operation["uuid"].(string)
	digest := "sha256:" + strings.Repeat("ab", 32)
	layer := `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":7,"digest":"` + digest + `"}`
	contents := map[string]string{}
	for part, document := range map[string]string{
		"packages":     report,
		"manifest":     `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"` + digest + `"},"layers":[` + layer + `]}`,
		"image_config": `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest + `"]}}`,
		"dockerfile":   "FROM scratch\n",
	} {
		got := f.call("alice", "POST", "/imports/images/"+id+"/"+part, document, "Content-Type", "text/plain; utf-8").object(200)
		contents[part] = got["digest"].(string)
		listed := f.call("alice", "GET", "/imports/images/"+id+"/"+part, "").list(200)
		if diff := cmp.Diff([]any{contents[part]}, column(listed, "digest")); diff != "" {
			t.Errorf("documents of %s (-want +got):\n%s", part, diff)
		}
	}
	body := `{"source":{"import":{"operation_uuid":"` + id + `","digest":"` + digest + `","tags":["team/app:1"],"contents":{"packages":"` + contents["packages"] +
		`","manifest":"` + contents["manifest"] + `","image_config":"` + contents["image_config"] + `","dockerfile":"` + contents["dockerfile"] + `"}}}}`
	f.call("bob", "POST", "/images", body).says(404, "Resource "+id+" not found")
	image := f.call("alice", "POST", "/images?autosubscribe=False", body).list(200)[0].(map[string]any)
	got := []any{image["imageDigest"], image["analysis_status"], image["annotations"], image["image_detail"].([]any)[0].(map[string]any)["fulltag"]}
	if diff := cmp.Diff([]any{digest, "analyzed", map[string]any{"anchore.system/import_operation_id": id}, "docker.io/team/app:1"}, got); diff != "" {
		t.Errorf("the image (-want +got):\n%s", diff)
	}
	content := f.call("alice", "GET", "/images/"+digest+"/content/os", "").object(200)["content"].([]any)
	if diff := cmp.Diff([]any{"musl"}, column(content, "package")); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	f.call("alice", "GET", "/images/"+digest+"/metadata/dockerfile", "").is(200)
	f.call("alice", "POST", "/images", body).says(409, "Invalid operation status")
	f.call("alice", "DELETE", "/imports/images/"+id, "").says(409, "is complete")
	if status := f.call("alice", "GET", "/imports/images/"+id, "").object(200)["status"]; status != "complete" {
		t.Errorf("the import is %v, want it complete", status)
	}
	active := f.call("alice", "GET", "/subscriptions/"+anchore.SubscriptionID("alice", "docker.io/team/app:1", anchore.TagUpdate), "").list(200)
	if diff := cmp.Diff([]any{false}, column(active, "active")); diff != "" {
		t.Errorf("tag_update is active (-want +got):\n%s", diff)
	}
}

func TestImportRefusals(t *testing.T) {
	f := newFixture(t, nil)
	id := f.call("alice", "POST", "/imports/images", "").object(200)["uuid"].(string)
	f.call("alice", "POST", "/imports/images/"+id+"/sources", "x").says(404, `no part "sources"`)
	f.call("alice", "GET", "/imports/images/"+id+"/sources", "").says(404, `no part "sources"`)
	f.call("alice", "POST", "/imports/images/"+id+"/packages", "").says(400, "no body")
	f.call("alice", "POST", "/images", `{"source":{"import":{"operation_uuid":"`+id+`"}}}`).says(400, "")
	if status := f.call("alice", "DELETE", "/imports/images/"+id, "").object(200)["status"]; status != "invalidated" {
		t.Errorf("the import is %v, want it invalidated", status)
	}
	f.call("alice", "POST", "/imports/images/"+id+"/packages", "x").says(409, "is invalidated")
	if list := f.call("alice", "GET", "/imports/images", "").list(200); len(list) != 1 {
		t.Errorf("GET /imports/images = %v, want the one", list)
	}
}
