package sbom

import "github.com/anchore/anchore-engine/pkg/anchore"

// Request asks for the analysis of one image that lies in a directory.
type Request struct {
	Layout string // directory of an OCI layout that holds the image alone; only read
	Digest string // of the image manifest in it
	Name   string // how the document names the image, e.g. docker.io/library/alpine
	Work   string // existing directory for temporary files and the document; the caller removes it
	// Progress is told each step as it begins, from any goroutine; it may be nil.
	Progress func(anchore.Step)
}

// Report is the outcome of an analysis.
type Report struct {
	Document string // path of the syft JSON document, in the request's Work
	Summary  anchore.Summary
}

// ChildRequest is what an analysis child reads from its standard input, as one
// line of JSON. The input then stays open for as long as the child's parent
// lives: its end tells the child to end. The document goes to the standard
// output, Notes to the standard error.
type ChildRequest struct {
	Layout string `json:"layout"` // absolute paths
	Temp   string `json:"temp"`
	Digest string `json:"digest"`
	Name   string `json:"name"`
	Memory int64  `json:"memory"` // limit of the data segment in bytes, 0 for none
	Disk   int64  `json:"disk"`   // limit of the temporary files in bytes, 0 for none
	// Version is the engine's, as documents name their maker.
	Version string `json:"version,omitempty"`
	// Convert asks, instead of an analysis, for the syft document that lies in Layout
	// under the name ConvertFile, in one of the formats that Formats names.
	Convert string `json:"convert,omitempty"`
}

// ConvertFile is the name of the document that a child is to convert.
const ConvertFile = "document.json"

// The formats that a child converts a syft document to, in JSON.
const (
	SPDX      = "spdx"      // SPDX 2.3
	CycloneDX = "cyclonedx" // CycloneDX 1.6
)

// Formats returns the formats that a syft document can be converted to.
func Formats() []string { return []string{SPDX, CycloneDX} }

// Note is a line of JSON on an analysis child's standard error: a step that
// begins, or why the analysis failed. Other lines there are a crash's.
type Note struct {
	Step   anchore.Step `json:"step,omitempty"`
	Files  bool         `json:"files,omitempty"`  // with a step: the kernel keeps the child from all other files
	Failed string       `json:"failed,omitempty"` // one sentence for the user
	Again  bool         `json:"again,omitempty"`  // the failure is not the image's: another time it may succeed
	Cause  string       `json:"cause,omitempty"`  // for the log
}
