package anchore

import (
	"slices"
	"strings"
	"time"
)

// Import is an operation in which a client hands in what is known of an image: it
// was analyzed elsewhere, and the engine need not be able to pull it.
type Import struct {
	Account   string
	ID        string // 32 hexadecimal digits
	Status    ImportStatus
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time // what is not complete by then is thrown away
	Contents  []ImportContent
}

// ImportStatus is how far an import has come.
type ImportStatus string

const (
	ImportPending     ImportStatus = "pending"     // takes documents
	ImportComplete    ImportStatus = "complete"    // its image was added
	ImportInvalidated ImportStatus = "invalidated" // its owner gave it up
	ImportExpired     ImportStatus = "expired"     // nobody completed it in time
)

// ImportContent is a document that was handed in.
type ImportContent struct {
	Part      ImportPart
	Digest    string // 64 hexadecimal digits: SHA-256 of the document
	CreatedAt time.Time
}

// ImportPart is what a document of an import tells of the image.
type ImportPart string

const (
	ImportPackages       ImportPart = "packages"        // a syft JSON document
	ImportManifest       ImportPart = "manifest"        // the image manifest
	ImportImageConfig    ImportPart = "image_config"    // the image configuration
	ImportParentManifest ImportPart = "parent_manifest" // the index that the image is in
	ImportDockerfile     ImportPart = "dockerfile"
)

// ImportParts returns all parts: those that an image cannot be imported without,
// then those that may be left out.
func ImportParts() (required, optional []ImportPart) {
	return []ImportPart{ImportPackages, ImportManifest, ImportImageConfig}, []ImportPart{ImportParentManifest, ImportDockerfile}
}

// ParseImportPart reads the name of a part. Errors: NotFound, since the name is a
// segment of a path.
func ParseImportPart(s string) (ImportPart, error) {
	required, optional := ImportParts()
	all := slices.Concat(required, optional)
	if slices.Contains(all, ImportPart(s)) {
		return ImportPart(s), nil
	}
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, string(p))
	}
	return "", E(NotFound, "anchore.ParseImportPart", "an import has no part %.40q; its parts are %s", s, strings.Join(names, ", "))
}
