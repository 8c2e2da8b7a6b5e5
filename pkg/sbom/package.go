package sbom

import (
	"encoding/json"
	"errors"
	"path"
	"strconv"
	"strings"
)

// metadata holds what the entries need of syft's package metadata, over all
// types. A key whose type differs from one kind of package to the next is read
// by its own function.
type metadata struct {
	// dpkg, apk, rpm
	Source        string
	SourceVersion string
	Maintainer    string
	InstalledSize int64
	OriginPackage string
	Version       string
	Release       string
	SourceRPM     string
	Vendor        string
	Size          int64
	// npm, python
	Author       string
	AuthorEmail  string
	SitePackages string
	// gem
	Authors []string
	// java
	VirtualPath   string
	Manifest      javaManifest
	PomProperties *pomProperties
}

// field is where a key of the metadata is read to, nil for one that no entry needs.
func (m *metadata) field(key string) any {
	switch key {
	case "source":
		return &m.Source
	case "sourceVersion":
		return &m.SourceVersion
	case "maintainer":
		return &m.Maintainer
	case "installedSize":
		return &m.InstalledSize
	case "originPackage":
		return &m.OriginPackage
	case "version":
		return &m.Version
	case "release":
		return &m.Release
	case "sourceRpm":
		return &m.SourceRPM
	case "vendor":
		return &m.Vendor
	case "size":
		return &m.Size
	case "author":
		return &m.Author
	case "authorEmail":
		return &m.AuthorEmail
	case "sitePackagesRootPath":
		return &m.SitePackages
	case "authors":
		return &m.Authors
	case "virtualPath":
		return &m.VirtualPath
	case "manifest":
		return &m.Manifest
	case "pomProperties":
		return &m.PomProperties
	}
	return nil
}

// read reads the metadata as far as it has the expected types: a document of a
// later syft may differ in a detail, which is then left out. What the entries do not
// need is skipped; the files of a package may be many.
func (m *metadata) read(dec *json.Decoder) error {
	return objectIfAny(dec, func(key string) error {
		field := m.field(key)
		if field == nil {
			return skip(dec)
		}
		return lenient(decode(dec, field))
	})
}

// objectIfAny is object for a value that may be of another type, which it skips.
func objectIfAny(dec *json.Decoder, fn func(key string) error) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return skipFrom(dec, t)
	}
	return members(dec, fn)
}

// lenient forgives what decoding says of a value of another type. It has read all of
// the value then.
func lenient(err error) error {
	if _, other := errors.AsType[*json.UnmarshalTypeError](err); other {
		return nil
	}
	return err
}

func osPackage(a *artifact) Package {
	m := a.Metadata
	p := common(a)
	p.Type = a.Type
	switch a.Type {
	case "rpm":
		p.Origin = text(m.Vendor, unknown)
		p.Size = strconv.FormatInt(m.Size, 10)
		p.SourcePkg = text(m.SourceRPM, "N/A")
		if m.Version != "" && m.Release != "" {
			p.Version = m.Version + "-" + m.Release // without the epoch, as in the original
		}
	case "deb":
		p.Type = "dpkg"
		p.Origin = text(m.Maintainer, unknown)
		p.Size = strconv.FormatInt(m.InstalledSize*1024, 10) // dpkg counts in KiB
		p.SourcePkg = text(m.Source, a.Name) + "-" + text(m.SourceVersion, a.Version)
	case "apk":
		p.Type = "APKG"
		p.Origin = text(m.Maintainer, unknown)
		p.Size = strconv.FormatInt(m.InstalledSize, 10)
		p.SourcePkg = text(m.OriginPackage, a.Name)
	case "msrc-kb":
		p.Type = "kb"
		p.Size, p.SourcePkg = "0", "N/A"
	default:
		p.Size, p.SourcePkg = strconv.FormatInt(m.Size, 10), a.Name
	}
	return p
}

func languagePackage(a *artifact) Package {
	m := a.Metadata
	p := common(a)
	p.Type = strings.ToUpper(strings.TrimSuffix(a.Type, "-module"))
	if len(a.Locations) > 0 {
		p.Location = a.Locations[0].Path
	}
	switch a.Type {
	case "npm":
		p.Origin = text(m.Author, unknown)
	case "gem":
		p.Origin = text(strings.Join(m.Authors, ","), unknown)
	case "python":
		author, mail := strings.TrimSpace(m.Author), strings.TrimSpace(m.AuthorEmail)
		if mail != "" {
			author = strings.TrimSpace(author + " <" + mail + ">")
		}
		p.Origin = text(author, unknown)
		p.Location = text(m.SitePackages, p.Location) // the directory, as the original's users compare it
	}
	p.Location = text(p.Location, unknown)
	return p
}

// common fills in what all packages have in the same place.
func common(a *artifact) Package {
	licenses := []string{}
	for _, l := range a.Licenses {
		// What has no name is known by the hash of its text, which tells a reader nothing.
		if name := text(l.Value, l.SPDX); name != "" && !strings.HasPrefix(name, "sha256:") {
			licenses = append(licenses, name)
		}
	}
	return Package{
		Package:  a.Name,
		Version:  a.Version,
		Origin:   unknown,
		License:  text(strings.Join(licenses, " "), unknown),
		Licenses: licenses,
		CPEs:     cpes(a),
	}
}

func cpes(a *artifact) []string {
	names := []string{}
	for _, c := range a.CPEs {
		names = append(names, c.CPE)
	}
	return names
}

// extension of a Java archive's outermost or nested file: "a.war:lib/b.jar" is a jar.
func extension(virtualPath string) string {
	return strings.TrimPrefix(path.Ext(virtualPath), ".")
}
