package analyze

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

// Converter writes syft documents in other formats, each in a child process as
// confined as an analysis: the library that does it is as large as the analyzer's,
// and what it reads was made of an image. One document is converted at a time, so
// that the memory stays bounded.
type Converter struct {
	child *Child
	dir   string
	turn  chan struct{}
}

// NewConverter makes a Converter that keeps its temporary files in dir, which is
// its own: what a killed engine left in it is removed.
func NewConverter(child *Child, dir string) (*Converter, error) {
	if child == nil || dir == "" {
		return nil, errors.New("analyze.NewConverter: child and dir are required")
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, anchore.E(anchore.Unavailable, "analyze.NewConverter", "the directory for temporary files cannot be emptied").Because(err)
	}
	return &Converter{child: child, dir: dir, turn: make(chan struct{}, 1)}, nil
}

// Convert writes document, in syft's JSON format, to out in one of sbom.Formats.
// out gets nothing unless the whole conversion succeeded; how long it takes that keeps
// nobody waiting. Errors: Invalid for another format or a document that cannot be read;
// Unavailable.
func (c *Converter) Convert(ctx context.Context, format string, document io.Reader, out io.Writer) error {
	converted, err := c.inTurn(ctx, format, document)
	if err != nil {
		return err
	}
	defer converted.Close()
	_, err = io.Copy(out, converted)
	return err
}

// inTurn waits until nothing else is converted, and converts. The file that it returns
// has no name any more: it is gone once it is closed.
func (c *Converter) inTurn(ctx context.Context, format string, document io.Reader) (*os.File, error) {
	const op = "analyze.Convert"
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, anchore.E(anchore.Unavailable, op, "the directory for temporary files cannot be written").Because(err)
	}
	work, err := os.MkdirTemp(c.dir, "convert-")
	if err != nil {
		return nil, anchore.E(anchore.Unavailable, op, "the directory for temporary files cannot be written").Because(err)
	}
	defer os.RemoveAll(work)
	layout := filepath.Join(work, "in")
	if err := writeInput(layout, document); err != nil {
		return nil, err
	}
	return c.child.answer(ctx, sbom.ChildRequest{Layout: layout, Convert: format}, work, "converted.json", nil)
}

// writeInput lays the document where a child expects it.
func writeInput(layout string, document io.Reader) (err error) {
	full := func(err error) error {
		return anchore.E(anchore.Unavailable, "analyze.Convert", "the document could not be laid out").Because(err)
	}
	if err := os.Mkdir(layout, 0o700); err != nil {
		return full(err)
	}
	f, err := os.OpenFile(filepath.Join(layout, sbom.ConvertFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return full(err)
	}
	if _, err := io.Copy(f, document); err != nil {
		return full(errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return full(err)
	}
	return nil
}
