package sbom

import (
	"io"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Summary reads a document to its end and returns what it says of the image as a
// whole. It is the check of a new document: whatever Summary accepts, Content can
// read. Errors: Invalid for what is no syft document; those of r as they are.
func Summary(r io.Reader) (anchore.Summary, error) {
	_, s, err := Inspect(r)
	return s, err
}

// Inspect is Summary with the digest of the image's manifest, "" if the document
// does not tell it.
func Inspect(r io.Reader) (digest string, s anchore.Summary, err error) {
	err = document{
		artifact: func(*artifact) error { s.Packages++; return nil },
		file:     func(*file) error { return nil },
		source: func(in *source) {
			of := in.subject()
			digest, s.Size = of.Digest, of.Size
		},
		distro: func(in *distro) {
			s.Distro, s.DistroVersion = text(in.ID, in.Name), text(in.VersionID, in.Version)
		},
	}.read(r)
	if err != nil {
		return "", anchore.Summary{}, err
	}
	return digest, s, nil
}
