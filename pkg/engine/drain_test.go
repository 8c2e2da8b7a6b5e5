package engine

import (
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog"
)

// TestEachPartHasItsShareOfTheDrain: however many of the parts before it hang.
func TestEachPartHasItsShareOfTheDrain(t *testing.T) {
	var sum time.Duration
	for _, p := range (&Engine{catalog: &catalog.Catalog{}}).parts() {
		sum += p.Grace
	}
	if sum > drainTime {
		t.Errorf("the graces add up to %s, more than the drain's %s", sum, drainTime)
	}
}
