package analyze

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
)

// TestASlowClientHoldsNoTurn: who waits for a conversion does not wait for the clients
// of others to take theirs.
func TestASlowClientHoldsNoTurn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	c, err := NewConverter(newChild(t, string(sbomtest.None)), dir)
	if err != nil {
		t.Fatal(err)
	}
	takes, slow := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- c.Convert(t.Context(), sbom.SPDX, strings.NewReader("{}"), slow)
		_ = slow.Close()
	}()
	begin := make([]byte, 1)
	if _, err := io.ReadFull(takes, begin); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Convert(ctx, sbom.SPDX, strings.NewReader("{}"), io.Discard); err != nil {
		t.Errorf("while a slow client takes another document: %v", err)
	}
	rest, err := io.ReadAll(takes)
	if err != nil || string(begin)+string(rest) != document+"\n" {
		t.Errorf("the slow client got %q, %v", string(begin)+string(rest), err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the slow client's conversion: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
