package image

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompressedFile(t *testing.T) {
	plain := []byte(`{"source":{"metadata":{"manifestDigest":"sha256:a","manifest":"bQ==","config":"Yw==","tags":["t"]}}}`)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := parseAnalyzed(packed.Bytes())
	want := analyzed{packages: plain, manifest: []byte("m"), config: []byte("c"), digest: "sha256:a", tags: []string{"t"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(analyzed{})); diff != "" || err != nil {
		t.Errorf("parseAnalyzed: %v (-want +got):\n%s", err, diff)
	}
	if _, err := parseAnalyzed(packed.Bytes()[:packed.Len()-4]); err == nil {
		t.Error("parseAnalyzed takes a gzip file that was cut off")
	}
}

// FuzzAnalyzed: whatever is accepted is enough to import an image, and is handed in
// as it was.
func FuzzAnalyzed(f *testing.F) {
	f.Add([]byte(`{"source":{"metadata":{"manifestDigest":"sha256:a","manifest":"bQ==","config":"Yw=="}}}`))
	f.Add([]byte(`[{"source":{"target":{"manifestDigest":"sha256:a","manifest":"bQ==","config":"Yw==","tags":["a:b"]}}}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(gzipMagic))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := parseAnalyzed(file)
		if err != nil {
			return
		}
		if got.digest == "" || len(got.manifest) == 0 || len(got.config) == 0 {
			t.Errorf("parseAnalyzed(%q) = %+v", file, got)
		}
		if again, err := parseAnalyzed(got.packages); err != nil || again.digest != got.digest {
			t.Errorf("what would be handed in, %q, reads as %+v, %v", got.packages, again, err)
		}
	})
}
