package ocitest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/md5" // #nosec: dpkg's own checksum of files
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Spec describes an image. The zero value is a small Debian image for linux/amd64
// with dpkg, npm and Python packages.
type Spec struct {
	Version  string            // of the application and its packages; each has its own digest; default "1.0.0"
	Platform anchore.Platform  // default linux/amd64
	Revision string            // label org.opencontainers.image.revision
	Source   string            // label org.opencontainers.image.source
	Labels   map[string]string // further labels
	Files    map[string]string // further files in the last layer, by path without leading slash
	Padding  int               // bytes of incompressible content in a layer of their own
	Docker   bool              // Docker's media types instead of OCI's
	Foreign  bool              // a layer that is to be fetched from elsewhere, as old Windows images have
}

// Artifact is an image or an index that can be pushed.
type Artifact struct {
	Digest string // of its manifest
	Size   int64  // sum of the compressed sizes of the layers, in bytes; 0 for an index
	Raw    []byte // the manifest
	Config []byte // the configuration; nil for an index

	image v1.Image
	index v1.ImageIndex
}

// Image builds an image. It panics on a Spec that cannot be built, since a Spec
// is written by the programmer.
func Image(s Spec) Artifact {
	s.Version = cmp.Or(s.Version, "1.0.0")
	if s.Platform == (anchore.Platform{}) {
		s.Platform = anchore.DefaultPlatform
	}
	manifest, config, layer := types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	if s.Docker {
		manifest, config, layer = types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, manifest), config)
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if s.Revision != "" {
		labels["org.opencontainers.image.revision"] = s.Revision
	}
	if s.Source != "" {
		labels["org.opencontainers.image.source"] = s.Source
	}
	img = must(mutate.ConfigFile(img, &v1.ConfigFile{
		OS: s.Platform.OS, Architecture: s.Platform.Architecture, Variant: s.Platform.Variant,
		Created: v1.Time{Time: epoch}, Author: "ocitest", Config: v1.Config{Labels: labels, Cmd: []string{"/usr/bin/app"}},
		RootFS: v1.RootFS{Type: "layers"},
	}))
	layers := []map[string]string{systemFiles(s), applicationFiles(s)}
	if s.Padding > 0 {
		layers = append(layers, map[string]string{"opt/padding": padding(s)})
	}
	for i, files := range layers {
		img = must(mutate.Append(img, addendum(files, layer, fmt.Sprintf("COPY layer%d /", i))))
	}
	if s.Foreign {
		add := addendum(map[string]string{"foreign": "foreign"}, types.DockerForeignLayer, "foreign")
		add.URLs = []string{"http://127.0.0.1:1/layer"}
		img = must(mutate.Append(img, add))
	}
	return imageArtifact(img)
}

func imageArtifact(img v1.Image) Artifact {
	a := Artifact{image: img, Digest: must(img.Digest()).String(), Raw: must(img.RawManifest()), Config: must(img.RawConfigFile())}
	for _, l := range must(img.Manifest()).Layers {
		a.Size += l.Size
	}
	return a
}

// Index builds an OCI index of images, one for each platform.
func Index(images ...Artifact) Artifact {
	return index(types.OCIImageIndex, images)
}

// DockerList builds the same as Docker's manifest list.
func DockerList(images ...Artifact) Artifact {
	return index(types.DockerManifestList, images)
}

// Attested builds an index as BuildKit does: beside each image an attestation
// manifest of platform unknown/unknown. Another build has another digest around
// the same images.
func Attested(build string, images ...Artifact) Artifact {
	idx := index(types.OCIImageIndex, images).index
	for _, a := range images {
		layer := static.NewLayer([]byte(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","build":%q}`, build)), "application/vnd.in-toto+json")
		att := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
		att = must(mutate.Append(mutate.ConfigMediaType(att, types.OCIConfigJSON), mutate.Addendum{Layer: layer, MediaType: "application/vnd.in-toto+json"}))
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: att, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": a.Digest},
		}})
	}
	return indexArtifact(idx)
}

// Nested builds an index whose only entry is another index.
func Nested(inner Artifact) Artifact {
	return indexArtifact(mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: inner.index}))
}

func index(kind types.MediaType, images []Artifact) Artifact {
	idx := mutate.IndexMediaType(empty.Index, kind)
	for _, a := range images {
		cfg := must(a.image.ConfigFile())
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: a.image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: cfg.OS, Architecture: cfg.Architecture, Variant: cfg.Variant},
		}})
	}
	return indexArtifact(idx)
}

func indexArtifact(idx v1.ImageIndex) Artifact {
	return Artifact{index: idx, Digest: must(idx.Digest()).String(), Raw: must(idx.RawManifest())}
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// systemFiles is what Debian's dpkg leaves: deb-control(5), dpkg-query(1).
func systemFiles(s Spec) map[string]string {
	files := map[string]string{
		"etc/os-release":     "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
		"etc/debian_version": "12.5\n",
	}
	var status strings.Builder
	for _, p := range []struct{ name, version, license, depends string }{
		{"base-files", "12.4+deb12u5", "GPL-2+", ""},
		{"libc6", "2.36-9+deb12u4", "LGPL-2.1+", "base-files"},
		{"ocitest-app", s.Version, "Apache-2.0", "libc6 (>= 2.36)"},
	} {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: utils\nInstalled-Size: 10\nMaintainer: Nobody <nobody@example.test>\nArchitecture: %s\nVersion: %s\n", p.name, s.Platform.Architecture, p.version)
		if p.depends != "" {
			fmt.Fprintf(&status, "Depends: %s\n", p.depends)
		}
		fmt.Fprintf(&status, "Description: package %s of a test image\n\n", p.name)
		doc := "usr/share/doc/" + p.name + "/copyright"
		files[doc] = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: nobody\nLicense: " + p.license + "\n"
		files["var/lib/dpkg/info/"+p.name+".list"] = "/.\n/" + doc + "\n"
		files["var/lib/dpkg/info/"+p.name+".md5sums"] = fmt.Sprintf("%x  %s\n", md5.Sum([]byte(files[doc])), doc)
	}
	files["var/lib/dpkg/status"] = status.String()
	return files
}

// applicationFiles are an npm and a Python package and a program.
func applicationFiles(s Spec) map[string]string {
	dist := "usr/lib/python3/dist-packages/ocitest_py-" + s.Version + ".dist-info/"
	files := map[string]string{
		"usr/bin/app": "#!/bin/sh\necho " + s.Version + "\n",
		"usr/lib/node_modules/ocitest-npm/package.json":        fmt.Sprintf("{\"name\":\"ocitest-npm\",\"version\":%q,\"license\":\"MIT\",\"description\":\"npm package of a test image\",\"author\":\"nobody\"}\n", s.Version),
		"usr/lib/node_modules/ocitest-npm/index.js":            "module.exports = 1\n",
		"usr/lib/python3/dist-packages/ocitest_py/__init__.py": "__version__ = " + fmt.Sprintf("%q", s.Version) + "\n",
		dist + "METADATA":      "Metadata-Version: 2.1\nName: ocitest-py\nVersion: " + s.Version + "\nSummary: Python package of a test image\nAuthor: nobody\nLicense: BSD-3-Clause\n",
		dist + "RECORD":        "ocitest_py/__init__.py,,\nocitest_py-" + s.Version + ".dist-info/METADATA,,\nocitest_py-" + s.Version + ".dist-info/RECORD,,\n",
		dist + "WHEEL":         "Wheel-Version: 1.0\nGenerator: ocitest\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		dist + "top_level.txt": "ocitest_py\n",
	}
	maps.Copy(files, s.Files)
	return files
}

func padding(s Spec) string {
	seed := [32]byte{}
	copy(seed[:], s.Version+s.Platform.String())
	b := make([]byte, s.Padding)
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return string(b)
}

func addendum(files map[string]string, kind types.MediaType, by string) mutate.Addendum {
	raw := layerTar(files)
	layer := must(tarLayer(raw, kind))
	return mutate.Addendum{Layer: layer, MediaType: kind, History: v1.History{Author: "ocitest", CreatedBy: by, Created: v1.Time{Time: epoch}}}
}

// layerTar writes the files and their directories in order, owned by root, at one
// time, so that the same files are the same bytes.
func layerTar(files map[string]string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for i, c := range path {
			if dir := path[:i+1]; c == '/' && !seen[dir] {
				seen[dir] = true
				check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch}))
			}
		}
		mode := int64(0o644)
		if strings.Contains(path, "bin/") {
			mode = 0o755
		}
		check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(files[path])), ModTime: epoch}))
		_ = must(w.Write([]byte(files[path])))
	}
	check(w.Close())
	return buf.Bytes()
}

func compress(raw []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_ = must(w.Write(raw))
	check(w.Close())
	return buf.Bytes()
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
