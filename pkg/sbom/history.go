package sbom

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// MetadataTypes returns the documents about an image that derive from what the
// registry gave: manifest, docker_history and dockerfile.
func MetadataTypes() []string { return []string{manifestMetadata, historyMetadata, dockerfileMetadata} }

// base64Line is where the original breaks its base64 (RFC 2045 §6.8).
const base64Line = 76

// encode is the base64 of a document as the API shows it: lines of 76 characters,
// each ended by a line feed; "" for nothing.
func encode(doc []byte) string {
	in := base64.StdEncoding.EncodeToString(doc)
	var out strings.Builder
	for len(in) > 0 {
		n := min(base64Line, len(in))
		out.WriteString(in[:n] + "\n")
		in = in[n:]
	}
	return out.String()
}

// historyEntry is one step of an image's history, with the original's keys.
type historyEntry struct {
	ID        string   `json:"Id"` // the layer's digest, or "<missing>" for a step that made none
	Created   string   `json:"Created"`
	CreatedBy string   `json:"CreatedBy"`
	Comment   string   `json:"Comment"`
	Size      int64    `json:"Size"` // of the layer, compressed, in bytes
	Tags      []string `json:"Tags"` // always empty
}

// history joins the history of an image's configuration with the layers of its
// manifest, first step first (OCI image specification, config.md). Steps beyond
// the manifest's layers are "<missing>". Errors: Invalid.
func history(manifest, config []byte) ([]historyEntry, error) {
	var m struct {
		Layers []struct {
			Digest string `json:"digest"`
			Size   int64  `json:"size"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, anchore.E(anchore.Invalid, "sbom.history", "the image manifest is no JSON object").Because(err)
	}
	var c struct {
		History []struct {
			Created    string `json:"created"`
			CreatedBy  string `json:"created_by"`
			Comment    string `json:"comment"`
			EmptyLayer bool   `json:"empty_layer"`
		} `json:"history"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, anchore.E(anchore.Invalid, "sbom.history", "the image configuration is no JSON object").Because(err)
	}
	steps := []historyEntry{}
	next := 0
	for _, h := range c.History {
		step := historyEntry{ID: "<missing>", Created: h.Created, CreatedBy: h.CreatedBy, Comment: h.Comment, Tags: []string{}}
		if !h.EmptyLayer && next < len(m.Layers) {
			step.ID, step.Size = m.Layers[next].Digest, m.Layers[next].Size
			next++
		}
		steps = append(steps, step)
	}
	return steps, nil
}
