package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnconfigured(t *testing.T) {
	environ := []string{
		"HOME=/home/me", "ANCHORE_WEBHOOK_DESTINATION_URL=https://real.example.com", "ANCHORE_ENV_FILE=/etc/anchore.env",
		"PATH=/bin", "ANCHORE_CLI_USER=me", "ANCHORE=", "MY_ANCHORE_X=1", "HTTPS_PROXY=http://proxy:3128",
	}
	want := []string{"HOME=/home/me", "PATH=/bin", "MY_ANCHORE_X=1", "HTTPS_PROXY=http://proxy:3128"}
	if diff := cmp.Diff(want, unconfigured(environ)); diff != "" {
		t.Errorf("unconfigured() (-want +got):\n%s", diff)
	}
}
