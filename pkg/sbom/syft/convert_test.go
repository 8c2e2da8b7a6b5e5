package syft_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/analyze"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
)

func newConverter(t *testing.T, f sbomtest.Fault) (*analyze.Converter, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "work")
	c, err := analyze.NewConverter(newChild(t, f), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func TestConvert(t *testing.T) {
	c, dir := newConverter(t, sbomtest.None)
	layout, digest := sbomtest.WriteLayout(t, sbomtest.Debian()...)
	report, err := newChild(t, sbomtest.None).Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Name: "example.test/a", Work: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(report.Document)
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Artifacts []struct{ Name string }
	}
	if err := json.Unmarshal(document, &stored); err != nil || len(stored.Artifacts) == 0 {
		t.Fatalf("the analysis: %v, %d packages", err, len(stored.Artifacts))
	}
	for format, want := range map[string][3]string{
		sbom.SPDX:      {"spdxVersion", "SPDX-2.3", "packages"},
		sbom.CycloneDX: {"bomFormat", "CycloneDX", "components"},
	} {
		var out bytes.Buffer
		if err := c.Convert(t.Context(), format, bytes.NewReader(document), &out); err != nil {
			t.Errorf("Convert(%s): %v", format, err)
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("Convert(%s) gives no JSON: %v", format, err)
		}
		if got[want[0]] != want[1] {
			t.Errorf("Convert(%s): %s is %v, want %s", format, want[0], got[want[0]], want[1])
		}
		names := map[any]bool{}
		packages, _ := got[want[2]].([]any)
		for _, p := range packages {
			names[p.(map[string]any)["name"]] = true
		}
		for _, a := range stored.Artifacts {
			if !names[a.Name] {
				t.Errorf("Convert(%s): package %s is missing", format, a.Name)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestConvertRefuses(t *testing.T) {
	c, _ := newConverter(t, sbomtest.None)
	for _, tt := range []struct{ format, document string }{
		{"xml", "{}"}, {sbom.SPDX, "not JSON"}, {sbom.CycloneDX, ""},
	} {
		if err := c.Convert(t.Context(), tt.format, strings.NewReader(tt.document), io.Discard); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Convert(%s, %q) = %v, want invalid", tt.format, tt.document, err)
		}
	}
	crashing, _ := newConverter(t, sbomtest.Crash)
	var out bytes.Buffer
	if err := crashing.Convert(t.Context(), sbom.SPDX, strings.NewReader("{}"), &out); err == nil || out.Len() > 0 {
		t.Errorf("a child that crashes: %v, %d bytes", err, out.Len())
	}
}
