package sbom

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// The types of Metadata.
const (
	manifestMetadata   = "manifest"
	historyMetadata    = "docker_history"
	dockerfileMetadata = "dockerfile"
)

// Metadata returns one of MetadataTypes as the API shows it, in base64: the
// manifest as it was received, the history as JSON, or the Dockerfile, given in
// base64; "" lets it be guessed from the history. Errors: Invalid for another type
// or documents that cannot be read.
func Metadata(kind string, manifest, config []byte, dockerfile string) (string, error) {
	const op = "sbom.Metadata"
	switch kind {
	case manifestMetadata:
		return encode(manifest), nil
	case historyMetadata:
		steps, err := history(manifest, config)
		if err != nil {
			return "", err
		}
		doc, err := json.Marshal(steps)
		return encode(doc), err
	case dockerfileMetadata:
		if dockerfile != "" {
			given, err := base64.StdEncoding.DecodeString(dockerfile)
			if err != nil {
				return "", anchore.E(anchore.Invalid, op, "the stored Dockerfile is not base64").Because(err)
			}
			return encode(given), nil
		}
		steps, err := history(manifest, config)
		return encode([]byte(guessDockerfile(steps))), err
	}
	return "", anchore.E(anchore.Invalid, op, "unknown metadata type %.40q; use one of %s", kind, strings.Join(MetadataTypes(), ", "))
}

// guessDockerfile writes the steps of an image's history as the instructions that
// could have made them. It begins with an empty image: where the base image ended
// is not recorded.
func guessDockerfile(steps []historyEntry) string {
	var out strings.Builder
	out.WriteString("FROM scratch\n")
	for _, s := range steps {
		if line := instruction(s.CreatedBy); line != "" {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// instruction is the Dockerfile's line for what a step says it was created by: in
// docker's form "/bin/sh -c #(nop)  CMD …", or in BuildKit's "RUN … # buildkit".
func instruction(by string) string {
	by = strings.Join(strings.Fields(strings.TrimSuffix(by, "# buildkit")), " ")
	command, shell := strings.CutPrefix(by, "/bin/sh -c ")
	if nop, is := strings.CutPrefix(command, "#(nop) "); shell && is {
		return strings.TrimSpace(nop)
	}
	if shell {
		return "RUN " + command
	}
	if rest, is := strings.CutPrefix(by, "RUN /bin/sh -c "); is {
		return "RUN " + rest
	}
	return by
}
