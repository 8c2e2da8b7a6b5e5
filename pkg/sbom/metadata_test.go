package sbom_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

const (
	smallManifest = `{"schemaVersion": 2, "layers":[{"digest":"sha256:a","size":7}]}`
	smallConfig   = `{"history":[
		{"created":"2021-01-01T00:00:00Z","created_by":"/bin/sh -c #(nop) ADD file:1 in / "},
		{"created_by":"/bin/sh -c #(nop)  CMD [\"/bin/sh\"]","empty_layer":true},
		{"created_by":"/bin/sh -c apk add  curl"},
		{"created_by":"RUN /bin/sh -c make # buildkit"},
		{"created_by":"COPY a b # buildkit","empty_layer":true},
		{"created_by":""}]}`
)

func decode(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMetadata(t *testing.T) {
	const given = "RlJPTSBhCg==" // "FROM a\n"
	for _, tt := range []struct{ kind, dockerfile, want string }{
		{"manifest", "", smallManifest},
		{"dockerfile", given, "FROM a\n"},
		{"dockerfile", "", "FROM scratch\nADD file:1 in /\nCMD [\"/bin/sh\"]\nRUN apk add curl\nRUN make\nCOPY a b\n"},
	} {
		got, err := sbom.Metadata(tt.kind, []byte(smallManifest), []byte(smallConfig), tt.dockerfile)
		if err != nil {
			t.Errorf("Metadata(%s): %v", tt.kind, err)
			continue
		}
		if diff := cmp.Diff(tt.want, decode(t, got)); diff != "" {
			t.Errorf("Metadata(%s) (-want +got):\n%s", tt.kind, diff)
		}
	}
	history, err := sbom.Metadata("docker_history", []byte(smallManifest), []byte(smallConfig), "")
	var steps []struct {
		ID   string `json:"Id"`
		Size int64
	}
	if err != nil || json.Unmarshal([]byte(decode(t, history)), &steps) != nil || len(steps) != 6 || steps[0].ID != "sha256:a" || steps[0].Size != 7 {
		t.Errorf("Metadata(docker_history) = %+v, %v", steps, err)
	}
	for _, kind := range []string{"", "layers"} {
		if _, err := sbom.Metadata(kind, nil, nil, ""); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Metadata(%q) = %v, want invalid", kind, err)
		}
	}
	for _, kind := range sbom.MetadataTypes() {
		if _, err := sbom.Metadata(kind, []byte(smallManifest), []byte(smallConfig), ""); err != nil {
			t.Errorf("Metadata(%s): %v", kind, err)
		}
	}
}
