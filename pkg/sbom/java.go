package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// none is what the original prints for a Java version that an archive does not tell.
const none = "N/A"

// javaPackage is an entry of the content type java, with the original's keys.
// Versions that the archive does not tell are "N/A".
type javaPackage struct {
	Package               string            `json:"package"`
	Type                  string            `json:"type"`     // JAVA-JAR, JAVA-WAR, …
	Location              string            `json:"location"` // nested archives are joined by ":"
	SpecificationVersion  string            `json:"specification-version"`
	ImplementationVersion string            `json:"implementation-version"`
	MavenVersion          string            `json:"maven-version"`
	Version               string            `json:"version"`
	Origin                string            `json:"origin"`
	Metadata              map[string]string `json:"metadata"` // "pom.properties": its text; never null
	CPEs                  []string          `json:"cpes"`     // never null
}

// javaPackages returns the Java archives, sorted by name, version and location.
// Errors as for Content.
func javaPackages(r io.Reader) ([]javaPackage, error) {
	wanted, err := selector(javaContent)
	if err != nil {
		return nil, err
	}
	entries := []javaPackage{}
	err = document{artifact: func(a *artifact) error {
		if wanted(a.Type) {
			entries = append(entries, javaEntry(a))
		}
		return nil
	}}.read(r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b javaPackage) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Location, b.Location))
	})
	return entries, nil
}

func javaEntry(a *artifact) javaPackage {
	m := a.decode()
	p := javaPackage{
		Package: a.Name, Location: m.VirtualPath, CPEs: cpes(a), Metadata: map[string]string{},
		SpecificationVersion: none, ImplementationVersion: none, MavenVersion: none, Origin: none,
	}
	if p.Location == "" && len(a.Locations) > 0 {
		p.Location = a.Locations[0].Path
	}
	p.Location = text(p.Location, unknown)
	p.Type = strings.ToUpper("java-" + text(extension(p.Location), "jar"))
	if m.Manifest != nil {
		p.SpecificationVersion = text(m.Manifest.Main["Specification-Version"], none)
		p.ImplementationVersion = text(m.Manifest.Main["Implementation-Version"], none)
		p.Origin = text(m.Manifest.Main["Specification-Vendor"], m.Manifest.Main["Implementation-Vendor"], none)
	}
	if pom := m.PomProperties; pom != nil {
		p.MavenVersion = text(pom.Version, none)
		p.Origin = text(pom.GroupID, p.Origin)
		p.Metadata["pom.properties"] = "groupId=" + pom.GroupID + "\nartifactId=" + pom.ArtifactID + "\nversion=" + pom.Version + "\n"
	}
	p.Version = p.MavenVersion
	if p.Version == none {
		p.Version = text(a.Version, none)
	}
	return p
}

type pomProperties struct {
	GroupID    string `json:"groupId"`
	ArtifactID string `json:"artifactId"`
	Version    string `json:"version"`
}

type javaManifest struct {
	Main pairs `json:"main"`
}

// pairs reads a list of {"key", "value"}, or, in older documents, an object.
type pairs map[string]string

func (p *pairs) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return json.Unmarshal(data, (*map[string]string)(p))
	}
	var list []struct{ Key, Value string }
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*p = pairs{}
	for _, kv := range list {
		(*p)[kv.Key] = kv.Value
	}
	return nil
}
