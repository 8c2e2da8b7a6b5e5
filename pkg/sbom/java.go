package sbom

import (
	"bytes"
	"encoding/json"
	"strings"
)

// none is what the original prints for a Java version that an archive does not tell.
const none = "N/A"

// javaPackage is an entry of the content type java, with the original's keys.
// Versions that the archive does not tell are "N/A".
type javaPackage struct {
	CPEs                  []string          `json:"cpes"` // never null
	ImplementationVersion string            `json:"implementation-version"`
	Location              string            `json:"location"` // nested archives are joined by ":"
	MavenVersion          string            `json:"maven-version"`
	Metadata              map[string]string `json:"metadata"` // "pom.properties": its text; never null
	Origin                string            `json:"origin"`
	Package               string            `json:"package"`
	SpecificationVersion  string            `json:"specification-version"`
	Type                  string            `json:"type"` // JAVA-JAR, JAVA-WAR, …
	Version               string            `json:"version"`
}

func javaEntry(a *artifact) javaPackage {
	m := a.Metadata
	p := javaPackage{
		Package: a.Name, Location: m.VirtualPath, CPEs: cpes(a), Metadata: map[string]string{},
		MavenVersion: none,
	}
	if p.Location == "" && len(a.Locations) > 0 {
		p.Location = a.Locations[0].Path
	}
	p.Location = text(p.Location, unknown)
	p.Type = strings.ToUpper("java-" + text(extension(p.Location), "jar"))
	p.SpecificationVersion = text(m.Manifest.Main["Specification-Version"], none)
	p.ImplementationVersion = text(m.Manifest.Main["Implementation-Version"], none)
	p.Origin = text(m.Manifest.Main["Specification-Vendor"], m.Manifest.Main["Implementation-Vendor"], none)
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
	Main pairs
}

// read skips the sections of single classes, which are many in a signed archive.
func (m *javaManifest) read(dec *json.Decoder) error {
	return objectIfAny(dec, func(key string) error {
		if key != "main" {
			return skip(dec)
		}
		return lenient(dec.Decode(&m.Main))
	})
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
