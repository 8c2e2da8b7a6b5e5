package ocitest

import (
	"bytes"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is a tar and its compressed form, both in memory.
type layer struct {
	raw, packed    []byte
	digest, diffID v1.Hash
	kind           types.MediaType
}

func tarLayer(raw []byte, kind types.MediaType) (*layer, error) {
	l := &layer{raw: raw, packed: compress(raw), kind: kind}
	var err error
	if l.digest, _, err = v1.SHA256(bytes.NewReader(l.packed)); err != nil {
		return nil, err
	}
	l.diffID, _, err = v1.SHA256(bytes.NewReader(raw))
	return l, err
}

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return int64(len(l.packed)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.kind, nil }
func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.packed)), nil
}
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.raw)), nil
}
