package anchore

import "time"

// ArchivedImage is an analyzed image that an account keeps beside those it uses, so
// that it can be deleted from these and be brought back.
type ArchivedImage struct {
	Account     string
	Digest      string // of the image manifest
	TagDigest   string // of the index it was found in, or Digest
	Annotations map[string]string
	AnalyzedAt  time.Time
	ArchivedAt  time.Time
	Bytes       int64      // of the documents: analysis, manifest and configuration
	Tags        []ImageTag // that it had when it was archived; Current is not set
}

// ArchiveSummary is an account's archive as a whole.
type ArchiveSummary struct {
	Images    int
	Tags      int       // of all images
	Bytes     int64     // of the documents of all images
	UpdatedAt time.Time // when an image was archived last; zero if there is none
}
