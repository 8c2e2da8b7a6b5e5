package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNearest(t *testing.T) {
	keys := []string{"docker.io/library/node:20", "docker.io/library/alpine:latest", "docker.io/library/alpine:3.19"}
	if diff := cmp.Diff([]string{keys[1]}, Nearest("docker.io/library/alpine:latst", keys, 1)); diff != "" {
		t.Errorf("Nearest (-want +got):\n%s", diff)
	}
	if got := Nearest("zzz", keys, 3); len(got) != 0 {
		t.Errorf("Nearest(zzz) = %v", got)
	}
}
