package image

import (
	"strings"
	"testing"
)

func TestFilesThatAreNoResult(t *testing.T) {
	for file, want := range map[string]string{
		"7":                            "it is a number, and no object",
		`{"source":7}`:                 "source is of another type (number)",
		`{"source":{"metadata":"x"}}`:  "source.metadata is of another type (string)",
		"":                             "it is no JSON, or not all of it",
		`{"source":{"metadata":{}}`:    "it is no JSON, or not all of it",
		`[{"source":{"metadata":[]}}]`: "source.metadata is of another type (array)",
	} {
		_, err := parseAnalyzed([]byte(file))
		if err == nil || !strings.Contains(err.Error(), "not a result of syft of an image, in its JSON format: "+want) {
			t.Errorf("parseAnalyzed(%s) = %v, want %q", file, err, want)
		}
	}
}
