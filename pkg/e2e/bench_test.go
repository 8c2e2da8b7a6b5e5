package e2e

import (
	"bytes"
	"strings"
	"testing"
)

// TestBenchRuns: the measurements run with the built programs. What they measure is not
// looked at here.
func TestBenchRuns(t *testing.T) {
	t.Parallel()
	cmd := besidePrograms(t.Context(), t, "bench", "-only", "hint")
	var page, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &page, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if !strings.Contains(page.String(), "| from the hint's request to the receiver's, p50 | ") {
		t.Errorf("page:\n%s", page.String())
	}
}
