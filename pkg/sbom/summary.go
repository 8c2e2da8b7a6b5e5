package sbom

import (
	"io"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Summary reads a document to its end and returns what it says of the image as a
// whole. It is the check of a new document: whatever Summary accepts, Content can
// read. Errors: Invalid for what is no syft document; those of r as they are.
func Summary(r io.Reader) (anchore.Summary, error) {
	var s anchore.Summary
	err := document{
		artifact: func(*artifact) error { s.Packages++; return nil },
		file:     func(*file) error { return nil },
		source:   func(in *source) { s.Size = in.Metadata.Size },
		distro: func(in *distro) {
			s.Distro, s.DistroVersion = in.ID, text(in.VersionID, in.Version)
		},
	}.read(r)
	if err != nil {
		return anchore.Summary{}, err
	}
	return s, nil
}
