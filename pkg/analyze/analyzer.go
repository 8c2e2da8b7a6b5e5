// Package analyze takes images from the queue of analyses, fetches their layers,
// has them analyzed by a child process, and gives the outcome to the catalog.
// What is in an image is untrusted: whatever a child does, the engine lives and
// the image gets a status and a reason.
package analyze

import (
	"context"

	"github.com/anchore/anchore-engine/pkg/sbom"
)

// Analyzer makes a syft JSON document of an image in an OCI layout. The layout is
// only read. Everything it writes is in the request's Work, and nothing runs or
// writes there once Analyze has returned, so the caller may remove it. It is safe
// for concurrent use. The suite is sbom/sbomtest.
//
// Errors have a message that tells the user why, in one sentence without paths.
// Invalid: the image cannot be analyzed, now or later (it is malformed, or needs
// more memory, time or space than allowed). Unavailable: something else was in
// the way, which another time may not be; also when ctx ended. Internal: the
// analysis crashed, or gave no readable document.
type Analyzer interface {
	Analyze(ctx context.Context, req sbom.Request) (sbom.Report, error)
}
