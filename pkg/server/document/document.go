// Package document answers with the documents about an image: lists of what it
// contains, the analyzer's own in several formats, and what the registry gave. Which
// image is meant, and whether the caller may see it, is package server's.
package document

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// Source has the documents of an account's images.
type Source interface {
	// Report opens the syft JSON document of an analyzed image.
	Report(ctx context.Context, account, digest string) (io.ReadCloser, error)
	// Manifest and ImageConfig open what the registry gave.
	Manifest(ctx context.Context, account, digest string) (io.ReadCloser, error)
	ImageConfig(ctx context.Context, account, digest string) (io.ReadCloser, error)
}

// Convert writes a syft document to out in one of sbom.Formats, or returns an error
// without having written.
type Convert func(ctx context.Context, format string, document io.Reader, out io.Writer) error

// atOnce is how many lists of content are made and sent at a time. One is in memory
// until its client has it, up to a few times the size of the document.
const atOnce = 2

// Documents answers requests for documents. It may be used from many goroutines.
type Documents struct {
	*rest.Responder
	source  Source
	convert Convert
	turns   chan struct{}
}

// New builds Documents. Convert may be nil: then nothing is converted.
func New(responder *rest.Responder, source Source, convert Convert) *Documents {
	return &Documents{Responder: responder, source: source, convert: convert, turns: make(chan struct{}, atOnce)}
}

// Content answers with what an image contains, of one of sbom.ContentTypes. Where
// enough others are being answered it waits for its turn, as long as its client does.
func (d *Documents) Content(w http.ResponseWriter, r *http.Request, account, digest, ctype string) {
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-r.Context().Done():
		d.Fail(w, r, r.Context().Err())
		return
	}
	rest.AllowAnswer(w) // the turn ends with it, whatever the client does
	entries, err := d.entries(r.Context(), account, digest, ctype)
	if err != nil {
		d.Fail(w, r, err)
		return
	}
	list := d.ListIn(w, r, "content", map[string]string{"content_type": ctype, "imageDigest": digest})
	for i := range entries {
		if err := list.Add(&entries[i]); err != nil {
			list.Fail(err)
			return
		}
		entries[i] = nil // the memory is free for others while a slow client takes the rest
	}
	list.End()
}

func (d *Documents) entries(ctx context.Context, account, digest, ctype string) ([]json.RawMessage, error) {
	report, err := d.source.Report(ctx, account, digest)
	if err != nil {
		return nil, err
	}
	entries, err := sbom.Content(report, ctype)
	return entries, errors.Join(err, report.Close())
}

// Native answers with the analyzer's own document, compressed.
func (d *Documents) Native(w http.ResponseWriter, r *http.Request, account, digest string) {
	report, err := d.source.Report(r.Context(), account, digest)
	if err != nil {
		d.Fail(w, r, err)
		return
	}
	defer func() { _ = report.Close() }() // it was only read
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", `attachment; filename="sbom.json.gz"`)
	zip := gzip.NewWriter(w)
	if _, err := io.Copy(zip, report); err != nil {
		d.Abort(r, err)
	}
	_ = zip.Close() // the client is gone if this fails
}

// Converted answers with the analyzer's document in one of sbom.Formats, as the media
// type.
func (d *Documents) Converted(w http.ResponseWriter, r *http.Request, account, digest, format, media string) {
	report, err := d.source.Report(r.Context(), account, digest)
	if err != nil {
		d.Fail(w, r, err)
		return
	}
	defer func() { _ = report.Close() }() // it was only read
	if d.convert == nil {
		d.Fail(w, r, anchore.E(anchore.Unavailable, "document.Converted", "this engine runs without the part that converts documents"))
		return
	}
	out := d.File(w, r, media, "sbom."+format+".json")
	out.End(d.convert(r.Context(), format, report, out))
}

// Metadata answers with one of sbom.MetadataTypes about an image.
func (d *Documents) Metadata(w http.ResponseWriter, r *http.Request, account string, img anchore.Image, kind string) {
	manifest, err := read(r.Context(), d.source.Manifest, account, img.Digest)
	if err != nil {
		d.Fail(w, r, err)
		return
	}
	config, err := read(r.Context(), d.source.ImageConfig, account, img.Digest)
	if err != nil {
		d.Fail(w, r, err)
		return
	}
	text, err := sbom.Metadata(kind, manifest, config, img.Dockerfile)
	d.Send(w, r, api.Metadata{ImageDigest: img.Digest, MetadataType: kind, Metadata: text}, err)
}

func read(ctx context.Context, open func(ctx context.Context, account, digest string) (io.ReadCloser, error), account, digest string) ([]byte, error) {
	in, err := open(ctx, account, digest)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(in)
	return raw, errors.Join(err, in.Close())
}
