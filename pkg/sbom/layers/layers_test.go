package layers_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/sbom/layers"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
)

// archive is a tar archive with a file of noise, which does not compress.
func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	noise := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	if err := out.WriteHeader(&tar.Header{Name: "etc/noise", Mode: 0o644, Size: int64(len(noise))}); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(noise); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFault(t *testing.T) {
	files := archive(t)
	packed := zipped(t, files)
	flipped := slices.Clone(packed)
	flipped[len(flipped)-5] ^= 1 // of the sum at its end
	for _, tt := range []struct {
		name  string
		layer []byte
		want  string // "" for none
	}{
		{"good", packed, ""},
		{"not compressed", files, ""},
		{"empty archive", zipped(t, nil), ""},
		{"no gzip file", []byte(strings.Repeat("no gzip at all ", 100)), "is no gzip file, as its media type says that it is"},
		{"a few bytes", []byte("no"), "is no gzip file, as its media type says that it is"},
		{"half a gzip file", packed[:len(packed)/2], "is a gzip file that ends too early"},
		{"begin of a gzip file", packed[:5], "is a gzip file that ends too early"},
		{"a gzip file without its sum", packed[:len(packed)-4], "is a gzip file that ends too early"},
		{"altered gzip file", flipped, "is a damaged gzip file"},
		{"gzip file with something behind it", append(slices.Clone(packed), "and more of it"...), "is a damaged gzip file"},
		{"no archive", zipped(t, []byte(strings.Repeat("no tar at all ", 100))), "is no tar archive"},
		{"half an archive", zipped(t, files[:len(files)/2]), "is a tar archive that ends too early"},
		{"archive with something in it", zipped(t, append(slices.Clone(files[:len(files)-1024]), bytes.Repeat([]byte("x"), 512)...)), "is a damaged tar archive"},
		{"zstd", append([]byte{0x28, 0xb5, 0x2f, 0xfd}, files...), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout, digest := sbomtest.WriteBlobs(t, packed, tt.layer)
			want := tt.want
			if want != "" {
				want = fmt.Sprintf("layer 2 of 2 (sha256:%x) %s", sha256.Sum256(tt.layer), want)
			}
			if got := layers.Fault(layout, digest); got != want {
				t.Errorf("Fault() = %q, want %q", got, want)
			}
		})
	}
}

// TestFaultOfNoImage: there is nothing to say of what is not there.
func TestFaultOfNoImage(t *testing.T) {
	layout, digest := sbomtest.WriteBlobs(t, zipped(t, archive(t)))
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		if !strings.HasSuffix(blob, strings.TrimPrefix(digest, "sha256:")) {
			if err := os.Remove(blob); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, of := range []string{digest, "", "sha256:" + strings.Repeat("0", 64), "../..:..", "sha256"} {
		if got := layers.Fault(layout, of); got != "" {
			t.Errorf("Fault(%q) = %q, want none", of, got)
		}
	}
}

func FuzzFault(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, layer []byte) {
		layout, digest := sbomtest.WriteBlobs(t, layer)
		if got := layers.Fault(layout, digest); got != "" && !strings.HasPrefix(got, "layer 1 of 1 (sha256:") || strings.Contains(got, layout) {
			t.Errorf("Fault() = %q", got)
		}
	})
}
