package sbom

import (
	"cmp"
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

// Content returns the entries of one content type, sorted: a []Package, or a list
// with the original's other keys for java, or a []File for files; never nil, so that
// it encodes as a list. Errors: Invalid for a type that ContentTypes does not name and for what
// is no syft document; those of r as they are.
func Content(r io.Reader, ctype string) (any, error) {
	switch ctype {
	case filesContent:
		return Files(r)
	case javaContent:
		return javaPackages(r)
	}
	return Packages(r, ctype)
}

// Package is an entry of every content type but files and java, with the
// original's keys.
type Package struct {
	Package   string   `json:"package"`
	Version   string   `json:"version"`
	Type      string   `json:"type"`           // rpm, dpkg, APKG, NPM, GEM, PYTHON, …
	Size      string   `json:"size,omitempty"` // os alone: bytes installed, in decimal digits
	Origin    string   `json:"origin"`         // the vendor, maintainer or author, or "Unknown"
	License   string   `json:"license"`        // all of Licenses joined by blanks, or "Unknown"
	Licenses  []string `json:"licenses"`       // never null
	SourcePkg string   `json:"sourcepkg,omitempty"`
	Location  string   `json:"location,omitempty"` // a path in the image; os packages have none
	CPEs      []string `json:"cpes"`               // never null
}

// Packages returns the packages of one content type, sorted by name, version and
// location. Errors as for Content.
func Packages(r io.Reader, ctype string) ([]Package, error) {
	wanted, err := selector(ctype)
	if err != nil {
		return nil, err
	}
	entries := []Package{}
	err = document{artifact: func(a *artifact) error {
		switch {
		case !wanted(a.Type):
		case ctype == osContent:
			entries = append(entries, osPackage(a))
		default:
			entries = append(entries, languagePackage(a))
		}
		return nil
	}}.read(r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Location, b.Location), cmp.Compare(a.Type, b.Type))
	})
	return entries, nil
}

// selector tells which of syft's package types belong to a content type.
func selector(ctype string) (func(syftType string) bool, error) {
	known := map[string]string{}
	for _, t := range contentTypes() {
		for _, s := range t.types {
			known[s] = t.name
		}
	}
	if !slices.Contains(ContentTypes(), ctype) || ctype == filesContent {
		return nil, anchore.E(anchore.Invalid, "sbom.Content", "%q is not a content type; use one of %s", ctype, strings.Join(ContentTypes(), ", "))
	}
	return func(syftType string) bool { return cmp.Or(known[syftType], otherContent) == ctype }, nil
}

// File is an entry of the content type files, with the original's keys.
type File struct {
	Filename string  `json:"filename"`
	Type     string  `json:"type"` // file, dir, slink, dev, or UNKNOWN
	Size     int64   `json:"size"` // in bytes
	Mode     string  `json:"mode"` // five octal digits: "00644"
	UID      int     `json:"uid"`
	GID      int     `json:"gid"`
	SHA256   *string `json:"sha256"`   // hexadecimal digits; null if it was not computed
	LinkDest *string `json:"linkdest"` // null for what is no link
}

// Files returns the files of the image as a container sees them, sorted by name.
// Errors as for Content.
func Files(r io.Reader) ([]File, error) {
	entries := []File{}
	err := document{file: func(f *file) error {
		if f.Metadata != nil {
			entries = append(entries, fileEntry(f))
		}
		return nil
	}}.read(r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b File) int { return cmp.Compare(a.Filename, b.Filename) })
	return entries, nil
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
