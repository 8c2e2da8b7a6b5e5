package oci

import (
	"strconv"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// TestTroublesAreBounded: what works is not kept, and of what fails not more than so
// much.
func TestTroublesAreBounded(t *testing.T) {
	s := troubles{tags: map[tagKey]trouble{}, health: map[source]*health{}}
	down := anchore.E(anchore.Unavailable, "test", "down")
	for i := range maxTroubles {
		s.left(tagKey{"admin", strconv.Itoa(i)}, "mirror.test", down, time.Now())
	}
	s.left(tagKey{"admin", "0"}, "mirror.test", down, time.Now())
	if n := len(s.tags); n != maxTroubles {
		t.Errorf("%d tags are kept, want %d", n, maxTroubles)
	}
	s.left(tagKey{"admin", "0"}, "mirror.test", nil, time.Now())
	if n := len(s.tags); n != maxTroubles-1 {
		t.Errorf("after one answered %d tags are kept, want %d", n, maxTroubles-1)
	}
	for _, tag := range []string{"0", "new"} {
		s.left(tagKey{"admin", tag}, "mirror.test", down, time.Now())
	}
	if n := len(s.tags); n != 1 {
		t.Errorf("after one more than the bound %d tags are kept, want that one", n)
	}
}
