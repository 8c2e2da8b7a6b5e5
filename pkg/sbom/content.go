package sbom

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// unknown stands where the original prints a text that a package does not tell.
const unknown = "Unknown"

// contentType is one type of content: the packages whose syft type is listed.
type contentType struct {
	name  string
	types []string // of syft; nil with a name of its own for files
}

// contentTypes is in the original's order, and then what this engine adds. The
// last one takes the packages that no other does, so that nothing is hidden.
func contentTypes() []contentType {
	return []contentType{
		{osContent, []string{"rpm", "deb", "apk", "msrc-kb", "alpm", "portage"}},
		{filesContent, nil},
		{"npm", []string{"npm"}},
		{"gem", []string{"gem"}},
		{"python", []string{"python"}},
		{javaContent, []string{"java-archive", "jenkins-plugin", "graalvm-native-image"}},
		{"binary", []string{"binary"}},
		{"go", []string{"go-module"}},
		{"nuget", []string{"dotnet"}},
		{"php", []string{"php-composer", "php-pecl", "php-pear"}},
		{"rust", []string{"rust-crate"}},
		{otherContent, nil},
	}
}

const (
	osContent    = "os"
	filesContent = "files"
	javaContent  = "java"
	otherContent = "other"
)

// ContentTypes returns the types that Content knows: the original's, in its
// order, then those it had not. The original's "malware" is missing: no scanner
// has run, and an empty list would say that nothing was found.
func ContentTypes() []string {
	var names []string
	for _, t := range contentTypes() {
		names = append(names, t.name)
	}
	return names
}

// Content returns the entries of one content type, sorted by name, version and
// location, each as the JSON of a Package, of a File for files, or of an object with
// more of the original's keys for java; the keys are in alphabetical order. The list
// is never nil, so that it encodes as one. Errors: Invalid for a type that
// ContentTypes does not name and for what is no syft document; those of r as they are.
func Content(r io.Reader, ctype string) ([]json.RawMessage, error) {
	if !slices.Contains(ContentTypes(), ctype) {
		return nil, anchore.E(anchore.Invalid, "sbom.Content", "%q is not a content type; use one of %s", ctype, strings.Join(ContentTypes(), ", "))
	}
	var list entries
	wanted := document{artifact: list.packages(ctype)}
	if ctype == filesContent {
		wanted = document{file: list.addFile}
	}
	if err := wanted.read(r); err != nil {
		return nil, err
	}
	return list.sorted(), nil
}

// selector tells which of syft's package types belong to a content type.
func selector(ctype string) func(syftType string) bool {
	known := map[string]string{}
	for _, t := range contentTypes() {
		for _, s := range t.types {
			known[s] = t.name
		}
	}
	return func(syftType string) bool { return cmp.Or(known[syftType], otherContent) == ctype }
}

// Package is an entry of every content type but files and java, with the
// original's keys.
type Package struct {
	CPEs      []string `json:"cpes"`               // never null
	License   string   `json:"license"`            // all of Licenses joined by blanks, or "Unknown"
	Licenses  []string `json:"licenses"`           // never null
	Location  string   `json:"location,omitempty"` // a path in the image; os packages have none
	Origin    string   `json:"origin"`             // the vendor, maintainer or author, or "Unknown"
	Package   string   `json:"package"`
	Size      string   `json:"size,omitempty"` // os alone: bytes installed, in decimal digits
	SourcePkg string   `json:"sourcepkg,omitempty"`
	Type      string   `json:"type"` // rpm, dpkg, APKG, NPM, GEM, PYTHON, …
	Version   string   `json:"version"`
}

// File is an entry of the content type files, as a container sees it, with the
// original's keys.
type File struct {
	Filename string  `json:"filename"`
	GID      int     `json:"gid"`
	LinkDest *string `json:"linkdest"` // null for what is no link
	Mode     string  `json:"mode"`     // five octal digits: "00644"
	SHA256   *string `json:"sha256"`   // hexadecimal digits; null if it was not computed
	Size     int64   `json:"size"`     // in bytes
	Type     string  `json:"type"`     // file, dir, slink, dev, or UNKNOWN
	UID      int     `json:"uid"`
}

func fileEntry(f *file) File {
	m := f.Metadata
	entry := File{Filename: f.Location.Path, Type: fileType(m.Type), Size: m.Size, Mode: fileMode(m.Mode), UID: m.UID, GID: m.GID}
	if m.LinkDest != "" {
		entry.LinkDest = &m.LinkDest
	}
	for _, d := range f.Digests {
		if d.Algorithm == "sha256" {
			entry.SHA256 = &d.Value
		}
	}
	return entry
}

// fileMode turns syft's mode, the octal digits of a Go file mode, into those of a
// Unix one: permissions, set-user-ID, set-group-ID and sticky bit (inode(7)).
func fileMode(digits int) string {
	n, err := strconv.ParseUint(strconv.Itoa(digits), 8, 32)
	if err != nil {
		return "00000" // no octal number: the mode is not known
	}
	mode := fs.FileMode(n)
	bits := mode.Perm()
	for i, special := range []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if mode&special != 0 {
			bits |= 0o1000 << i
		}
	}
	return fmt.Sprintf("%05o", uint32(bits))
}

func fileType(syft string) string {
	switch syft {
	case "RegularFile", "HardLink":
		return "file"
	case "Directory":
		return "dir"
	case "SymbolicLink":
		return "slink"
	case "BlockDevice", "CharacterDevice":
		return "dev"
	}
	return "UNKNOWN"
}
