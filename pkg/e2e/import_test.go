package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImport takes what one engine found in an image to another one, which has no
// way to the registry: a separate network, or a pipeline that analyzes by itself.
func TestImport(t *testing.T) {
	t.Parallel()
	registry, hook := newRegistry(t), newReceiver(t)
	ref := registry.ref("team/app", "1.0")
	digest := registry.push(t, ref, "1")
	source := startEngine(t, "")
	source.mustCLI("image", "add", ref)
	source.mustCLI("image", "wait", "--interval", "1", ref)
	_, sbom := source.call(http.MethodGet, "/images/"+digest+"/sboms/native", nil, nil)
	file := filepath.Join(t.TempDir(), "sbom.json.gz")
	if err := os.WriteFile(file, sbom, 0o600); err != nil {
		t.Fatal(err)
	}
	want := source.mustCLI("image", "content", digest, "os")
	source.stop()
	asked := registry.requests(ref)

	e := startEngine(t, fmt.Sprintf("webhooks: {general: {url: '%s/<notification_type>/<userId>'}}", hook.URL))
	shown := e.mustCLI("image", "import", "--infile", file, "--tag", "docker.io/team/app:1.0", "--tag", "team/app:latest", "--noautosubscribe")
	for _, line := range []string{"Image Digest: " + digest, "Parent Digest: " + digest, "Analysis Status: analyzed", "Distro: debian", "Layer Count: 2", "Full Tag: docker.io/team/app:1.0", "Full Tag: docker.io/team/app:latest"} {
		if !strings.Contains(shown, line+"\n") {
			t.Errorf("image import shows no line %q:\n%s", line, shown)
		}
	}
	if got := e.mustCLI("image", "content", digest, "os"); got != want || !strings.Contains(got, "ocitest-app") {
		t.Errorf("content after the import:\n%s\nwant\n%s", got, want)
	}
	for _, d := range hook.wait(t, 2, "an analysis_update for each tag", func(d delivery) bool { return d.kind() == "analysis_update" }) {
		if d.payload().DigestAfter != digest {
			t.Errorf("told of %s, want %s", d.payload().DigestAfter, digest)
		}
	}
	if n := registry.requests(ref); n != asked {
		t.Errorf("the import made %d requests to the registry", n-asked)
	}
	status, spdx := e.call(http.MethodGet, "/images/"+digest+"/sboms/spdx", nil, nil)
	if status != http.StatusOK || !bytes.Contains(spdx, []byte("ocitest-app")) {
		t.Errorf("the imported document as SPDX: %d %.300s", status, spdx)
	}
	testFailedImport(t, e)
	testImportRoutes(t, e, digest)
}

// testFailedImport: what the engine refuses does not stay open there.
func testFailedImport(t *testing.T, e *engine) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bad.json")
	document := `{"artifacts":"x","source":{"type":"image","metadata":{"manifestDigest":"sha256:` + strings.Repeat("0", 64) + `","manifest":"e30=","config":"e30="}}}`
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := e.cli("image", "import", "--infile", file, "--tag", "team/app:bad"); r.Code != 1 {
		t.Errorf("image import of a bad document: %+v", r)
	}
	var list []struct{ Status string }
	var open, ended int
	e.call(http.MethodGet, "/imports/images", nil, &list)
	for _, operation := range list {
		switch operation.Status {
		case "pending":
			open++
		case "invalidated":
			ended++
		}
	}
	if open != 0 || ended != 1 {
		t.Errorf("after an import that failed %d are open and %d given up; want 0 and 1", open, ended)
	}
}

// testImportRoutes speaks as a client that hands documents in by itself.
func testImportRoutes(t *testing.T, e *engine, digest string) {
	t.Helper()
	var operation struct{ UUID, Status string }
	if status, raw := e.call(http.MethodPost, "/imports/images", nil, &operation); status != http.StatusOK || operation.Status != "pending" {
		t.Fatalf("POST /imports/images: %d %s", status, raw)
	}
	path := "/imports/images/" + operation.UUID
	var content struct{ Digest string }
	large := `{"artifacts":[` + strings.Repeat(`{"name":"a package of a large image"},`, 500_000) + `{}],"source":{}}` // more than other bodies may have
	if status, raw := e.callURL(http.MethodPost, e.url()+path+"/packages", strings.NewReader(large), &content); status != http.StatusOK || len(content.Digest) != 64 {
		t.Fatalf("POST %s/packages: %d %s", path, status, raw)
	}
	var list []struct{ Digest string }
	if e.call(http.MethodGet, path+"/packages", nil, &list); len(list) != 1 || list[0].Digest != content.Digest {
		t.Errorf("GET %s/packages = %+v", path, list)
	}
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{http.MethodPost, path + "/sources", "x", http.StatusNotFound, "its parts are packages, manifest"},
		{http.MethodGet, "/imports/images/none", nil, http.StatusNotFound, "Resource none not found"},
		{http.MethodPost, "/images", imported(operation.UUID, digest, content.Digest), http.StatusBadRequest, "not found for the operation id"},
		{http.MethodPost, "/images", map[string]any{"source": map[string]any{"import": map[string]any{"digest": digest}}}, http.StatusBadRequest, "contents"},
		{http.MethodDelete, path, nil, http.StatusOK, "invalidated"},
		{http.MethodPost, path + "/manifest", "x", http.StatusConflict, "is invalidated"},
		{http.MethodPost, "/images", imported(operation.UUID, digest, content.Digest), http.StatusConflict, "Must be in pending state"},
	} {
		if status, raw := e.call(tt.method, tt.path, tt.body, nil); status != tt.status || !bytes.Contains(raw, []byte(tt.says)) {
			t.Errorf("%s %s: %d %s; want %d with %q", tt.method, tt.path, status, raw, tt.status, tt.says)
		}
	}
}

// imported is the body of POST /images that completes an import, with one document
// as all parts.
func imported(operation, digest, content string) any {
	return map[string]any{"source": map[string]any{"import": map[string]any{
		"operation_uuid": operation, "digest": digest, "tags": []string{"team/app:2"},
		"contents": map[string]string{"packages": content, "manifest": content, "image_config": content},
	}}}
}
