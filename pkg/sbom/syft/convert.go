package syft

import (
	"io"
	"os"
	"path/filepath"

	"github.com/anchore/syft/syft/format/cyclonedxjson"
	"github.com/anchore/syft/syft/format/spdxjson"
	"github.com/anchore/syft/syft/format/syftjson"
	"github.com/anchore/syft/syft/sbom"

	"github.com/anchore/anchore-engine/pkg/anchore"
	ours "github.com/anchore/anchore-engine/pkg/sbom"
)

// convert writes the request's syft document to out in another format.
func convert(req ours.ChildRequest, out io.Writer) error {
	encoder, err := encoderOf(req.Convert)
	if err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(req.Layout, ours.ConvertFile))
	if err != nil {
		return anchore.E(anchore.Unavailable, "syft.convert", "the document could not be read").Because(err)
	}
	defer in.Close()
	doc, _, _, err := syftjson.NewFormatDecoder().Decode(in)
	if err != nil {
		return anchore.E(anchore.Invalid, "syft.convert", "the stored document could not be read").Because(err)
	}
	if err := encoder.Encode(out, *doc); err != nil {
		return anchore.E(anchore.Unavailable, "syft.convert", "the document could not be written").Because(err)
	}
	return nil
}

// encoderOf returns the encoder of a format. Errors: Invalid.
func encoderOf(format string) (sbom.FormatEncoder, error) {
	switch format {
	case ours.SPDX:
		return spdxjson.NewFormatEncoderWithConfig(spdxjson.DefaultEncoderConfig())
	case ours.CycloneDX:
		return cyclonedxjson.NewFormatEncoderWithConfig(cyclonedxjson.DefaultEncoderConfig())
	}
	return nil, anchore.E(anchore.Invalid, "syft.convert", "documents are not converted to %q", format)
}
