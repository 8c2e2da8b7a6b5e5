package sbomtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Layer is the content of one layer: file names without a leading slash.
type Layer map[string]string

// Debian is an image in which three dpkg packages, an npm and a Python package
// are to be found.
func Debian() []Layer {
	return []Layer{
		{
			"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\n",
			"var/lib/dpkg/status": dpkg("bash", "5.2.15-2+b2", "bash (5.2.15-2)") + dpkg("libc6", "2.36-9+deb12u4", "glibc") +
				dpkg("zlib1g", "1:1.2.13.dfsg-1", "zlib"),
			"bin/bash":                           "#!/bin/true\n",
			"usr/share/doc/bash/copyright":       copyright("GPL-3+"),
			"usr/share/doc/zlib1g/copyright":     copyright("Zlib"),
			"var/lib/dpkg/info/bash.list":        "/.\n/bin\n/bin/bash\n",
			"var/lib/dpkg/info/bash.md5sums":     "5d41402abc4b2a76b9719d911017c592  bin/bash\n",
			"var/lib/dpkg/info/bash.conffiles":   "",
			"usr/share/doc/libc6/copyright":      copyright("LGPL-2.1"),
			"var/lib/dpkg/info/libc6:amd64.list": "/.\n",
		},
		{
			"usr/lib/node_modules/left-pad/package.json":                       `{"name":"left-pad","version":"1.3.0","author":"A. Zer <az@example.test>","license":"WTFPL"}`,
			"usr/lib/python3/dist-packages/requests-2.31.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\nAuthor: K. Reitz\nAuthor-email: me@example.test\nLicense: Apache 2.0\n\n",
			"usr/lib/python3/dist-packages/requests-2.31.0.dist-info/RECORD":   "requests/__init__.py,,\n",
		},
	}
}

func copyright(license string) string {
	return "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: somebody\nLicense: " + license + "\n"
}

func dpkg(name, version, source string) string {
	return "Package: " + name + "\nStatus: install ok installed\nPriority: required\nSection: base\nInstalled-Size: 7164\n" +
		"Maintainer: Team <team@example.test>\nArchitecture: amd64\nSource: " + source + "\nVersion: " + version +
		"\nDescription: a package\n a longer text\n\n"
}

// WriteLayout writes an OCI layout (image-layout.md of the OCI image specification)
// of one linux/amd64 image into a new directory, and returns that and the digest
// of the image manifest.
func WriteLayout(t testing.TB, layers ...Layer) (dir, digest string) {
	t.Helper()
	var writers []func(io.Writer)
	for _, l := range layers {
		writers = append(writers, func(w io.Writer) { writeTar(t, w, l) })
	}
	return WriteTars(t, writers...)
}

// WriteTars is WriteLayout for layers that are written as tar streams.
func WriteTars(t testing.TB, layers ...func(io.Writer)) (dir, digest string) {
	t.Helper()
	var diffIDs []string
	var blobs [][]byte
	for _, layer := range layers {
		var packed bytes.Buffer
		zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		layer(io.MultiWriter(zip, sum))
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		diffIDs = append(diffIDs, "sha256:"+hex.EncodeToString(sum.Sum(nil)))
		blobs = append(blobs, packed.Bytes())
	}
	return writeImage(t, blobs, diffIDs)
}

// WriteBlobs is WriteTars for layers as a registry would have them, which need be
// neither gzip files nor archives.
func WriteBlobs(t testing.TB, layers ...[]byte) (dir, digest string) {
	t.Helper()
	var diffIDs []string
	for _, layer := range layers {
		sum := sha256.Sum256(layer)
		diffIDs = append(diffIDs, "sha256:"+hex.EncodeToString(sum[:]))
	}
	return writeImage(t, layers, diffIDs)
}

func writeImage(t testing.TB, layers [][]byte, diffIDs []string) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	put := func(mediaType string, data []byte) descriptor {
		sum := sha256.Sum256(data)
		name := hex.EncodeToString(sum[:])
		write(t, filepath.Join(dir, "blobs/sha256", name), data)
		return descriptor{mediaType, "sha256:" + name, len(data)}
	}
	var blobs []descriptor
	for _, layer := range layers {
		blobs = append(blobs, put("application/vnd.oci.image.layer.v1.tar+gzip", layer))
	}
	config := put("application/vnd.oci.image.config.v1+json", encode(t, map[string]any{
		"os": "linux", "architecture": "amd64", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	}))
	manifest := put("application/vnd.oci.image.manifest.v1+json", encode(t, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": blobs,
	}))
	write(t, filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	write(t, filepath.Join(dir, "index.json"), encode(t, map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}}))
	return dir, manifest.Digest
}

func writeTar(t testing.TB, w io.Writer, l Layer) {
	t.Helper()
	out := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(l[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, l[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
