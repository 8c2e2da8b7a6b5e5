// Package layers finds what is wrong with the layers of an image that could not be
// read, for the sentence that its user gets. What it reads is untrusted.
package layers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Fault says which layer of the image with the digest, in an OCI layout, is the first
// that cannot be unpacked, and why: "layer 2 of 3 (sha256:…) is no tar archive". It is
// "" if it finds no fault, or none that it knows. It unpacks the layers once, and keeps
// nothing of them.
func Fault(layout, digest string) string {
	var manifest struct {
		Layers []struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
		} `json:"layers"`
	}
	doc, err := os.ReadFile(blob(layout, digest))
	if err != nil || json.Unmarshal(doc, &manifest) != nil {
		return ""
	}
	for i, l := range manifest.Layers {
		fault, known := examine(blob(layout, l.Digest), l.MediaType)
		if !known {
			return "" // what is behind may be well or not: the first fault is not found
		}
		if fault != "" {
			return fmt.Sprintf("layer %d of %d (%.80s) %s", i+1, len(manifest.Layers), l.Digest, fault)
		}
	}
	return ""
}

func blob(layout, digest string) string {
	algorithm, hexadecimal, _ := strings.Cut(digest, ":")
	return filepath.Join(layout, "blobs", filepath.Base(algorithm), filepath.Base(hexadecimal))
}

// How layers that are compressed begin (RFC 1952 §2.3.1, RFC 8878 §3.1.1).
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// examine says what is wrong with a layer, "" if nothing is. It is not known if the
// layer cannot be looked into here.
func examine(path, mediaType string) (fault string, known bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	in := bufio.NewReader(f)
	begin, _ := in.Peek(len(zstdMagic)) // a shorter layer is none of these
	switch {
	case !strings.Contains(mediaType, "tar"), bytes.HasPrefix(begin, zstdMagic):
		return "", false
	case bytes.HasPrefix(begin, gzipMagic):
		return compressed(in)
	}
	fault, known = archive(in)
	if fault != "" && strings.HasSuffix(mediaType, "gzip") {
		fault = "is no gzip file, as its media type says that it is"
	}
	return fault, known
}

// compressed is examine for a gzip file.
func compressed(in io.Reader) (fault string, known bool) {
	unzip, err := gzip.NewReader(in)
	content := &remembering{r: unzip, err: err}
	if err == nil {
		fault, known = archive(content)
		_, _ = io.Copy(io.Discard, content) // what follows the archive is unpacked too
	}
	_, disk := errors.AsType[*os.PathError](content.err)
	switch {
	case content.err == nil:
		return fault, known
	case disk:
		return "", false
	case errors.Is(content.err, io.EOF), errors.Is(content.err, io.ErrUnexpectedEOF):
		return "is a gzip file that ends too early", true
	}
	return "is a damaged gzip file", true
}

// archive is examine for what should be a tar archive.
func archive(in io.Reader) (fault string, known bool) {
	source := &remembering{r: in}
	entries := tar.NewReader(source)
	for begun := false; ; {
		_, err := entries.Next()
		if err == nil {
			begun = true
			_, err = io.Copy(io.Discard, entries)
		}
		switch {
		case err == nil:
			continue
		case err == io.EOF:
			return "", true
		case source.err != nil:
			return "", false // it is not the archive's
		case errors.Is(err, io.ErrUnexpectedEOF) && begun:
			return "is a tar archive that ends too early", true
		case begun:
			return "is a damaged tar archive", true
		}
		return "is no tar archive", true
	}
}

// remembering keeps the error of a reader, which is not its end.
type remembering struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (m *remembering) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
