package anchore

import (
	"encoding/json"
	"strings"
	"time"
)

// AnalysisStatus is how far the analysis of an image has come.
type AnalysisStatus string

const (
	NotAnalyzed    AnalysisStatus = "not_analyzed" // waiting for a worker
	Analyzing      AnalysisStatus = "analyzing"
	Analyzed       AnalysisStatus = "analyzed"
	AnalysisFailed AnalysisStatus = "analysis_failed" // Image.Reason says why
)

// ImageStatus is whether an image is in use.
type ImageStatus string

const (
	ImageActive   ImageStatus = "active"
	ImageDeleting ImageStatus = "deleting"
)

// Limits of what users keep with an image: notifications hold its annotations several
// times.
const (
	MaxAnnotations = 16 << 10  // bytes of all annotations of an image, as JSON
	MaxDockerfile  = 256 << 10 // bytes of a Dockerfile, not as base64
)

// AnnotationBytes is how many bytes annotations have as JSON.
func AnnotationBytes(notes map[string]string) int {
	raw, _ := json.Marshal(notes) // of texts, it cannot fail
	return len(raw)
}

// CheckAnnotations refuses annotations that exceed MaxAnnotations, unless they are no
// larger than before, the bytes that they had: more may be stored from a version that
// had no limit, and can be removed bit by bit. Errors: Invalid.
func CheckAnnotations(notes map[string]string, before int) error {
	if n := AnnotationBytes(notes); n > max(MaxAnnotations, before) {
		return E(Invalid, "anchore.CheckAnnotations", "the annotations of an image may have %d bytes as JSON in all, these have %d; give fewer or shorter ones", MaxAnnotations, n)
	}
	return nil
}

// Platform is an operating system and processor architecture in the terms of the
// OCI image specification ("linux", "arm64", "v8").
type Platform struct {
	OS           string
	Architecture string
	Variant      string // "" for any
}

// DefaultPlatform is what a multi-platform tag is resolved to on every host, so
// that an engine's architecture does not change what its users are told.
var DefaultPlatform = Platform{OS: "linux", Architecture: "amd64"}

// ParsePlatform reads "os/architecture[/variant]". Errors: Invalid.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" || len(parts) == 3 && parts[2] == "" {
		return Platform{}, E(Invalid, "anchore.ParsePlatform", "%q is not a platform; expected os/architecture[/variant], e.g. linux/amd64", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// String is the form that ParsePlatform reads, "" for the zero value.
func (p Platform) String() string {
	if p == (Platform{}) {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Manifest is what a registry says about one reference at one time: the result
// of resolving a tag, or a digest, for one platform.
type Manifest struct {
	Ref       Reference         // what was asked for, with its tag if it has one
	TagDigest string            // digest of the document the reference names itself: an index, or the manifest
	Digest    string            // digest of the platform's image manifest; equal to TagDigest if that is no index
	ImageID   string            // hexadecimal digits of the configuration's digest
	Platform  Platform          // of the image, as its configuration says
	Size      int64             // sum of the layers' compressed sizes, in bytes
	Layers    int               // number of layers
	Labels    map[string]string // the configuration's labels, e.g. org.opencontainers.image.revision
	Raw       []byte            // the image manifest as received
	Config    []byte            // the image configuration as received
}

// Image is an account's record of one image digest.
type Image struct {
	Account     string
	Digest      string // of the image manifest
	TagDigest   string // of the index it was found in, or Digest ("parentDigest" in the API)
	ID          string // hexadecimal digits of the configuration's digest
	Platform    Platform
	Size        int64 // compressed, in bytes
	Layers      int
	Annotations map[string]string
	Dockerfile  string // base64 as received, "" if none was given
	Revision    string // label org.opencontainers.image.revision, "" if it has none
	Source      string // label org.opencontainers.image.source

	Status     AnalysisStatus
	Reason     string    // why the analysis failed, or why it waits
	RetryAt    time.Time // when a postponed analysis is taken up again, or zero
	State      ImageStatus
	CreatedAt  time.Time
	UpdatedAt  time.Time
	AnalyzedAt time.Time // zero before
	Content    Summary   // zero before the analysis
	Tags       []ImageTag
}

// FoundIn makes the index that the image is shown with that of the first of its tags
// that matches, if it was in one: an image may be in several.
func (img *Image) FoundIn(matches func(ImageTag) bool) {
	for _, tag := range img.Tags {
		if tag.TagDigest != "" && matches(tag) {
			img.TagDigest = tag.TagDigest
			return
		}
	}
}

// ImageTag is one tag that names, or named, an image.
type ImageTag struct {
	Ref        Reference // with its tag
	Current    bool      // the tag names this image now, as last seen
	TagDigest  string    // of the index that the tag named when it named the image last; "" for none
	CreatedAt  time.Time
	UpdatedAt  time.Time
	DetectedAt time.Time // when the tag was last seen to move to this image
}

// Summary is what an analysis found out about an image as a whole.
type Summary struct {
	Distro        string // os-release ID, "" if there is none
	DistroVersion string
	Size          int64 // of the files in all layers, uncompressed, in bytes
	Packages      int
}

// Progress is how far a running analysis has come.
type Progress struct {
	Step  Step
	Done  int64 // bytes fetched, while Step is Fetching
	Total int64
}

// Step is a part of an analysis.
type Step string

const (
	Fetching   Step = "fetching layers"
	Cataloging Step = "cataloging"
	Storing    Step = "storing"
)
