package sbom

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"
)

// metadata holds what the entries need of syft's package metadata, over all
// types. A key whose type differs from one kind of package to the next is read
// by its own function.
type metadata struct {
	// dpkg, apk, rpm
	Source        string `json:"source"`
	SourceVersion string `json:"sourceVersion"`
	Maintainer    string `json:"maintainer"`
	InstalledSize int64  `json:"installedSize"`
	OriginPackage string `json:"originPackage"`
	Version       string `json:"version"`
	Release       string `json:"release"`
	SourceRPM     string `json:"sourceRpm"`
	Vendor        string `json:"vendor"`
	Size          int64  `json:"size"`
	// npm, python
	Author       string `json:"author"`
	AuthorEmail  string `json:"authorEmail"`
	SitePackages string `json:"sitePackagesRootPath"`
	// gem
	Authors []string `json:"authors"`
	// java
	VirtualPath   string         `json:"virtualPath"`
	Manifest      *javaManifest  `json:"manifest"`
	PomProperties *pomProperties `json:"pomProperties"`
}

// decode reads the metadata as far as it has the expected types: a document of a
// later syft may differ in a detail, which is then left out.
func (a *artifact) decode() metadata {
	var m metadata
	if len(a.Metadata) > 0 {
		_ = json.Unmarshal(a.Metadata, &m)
	}
	return m
}

func osPackage(a *artifact) Package {
	m := a.decode()
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
	m := a.decode()
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
