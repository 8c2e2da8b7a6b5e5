package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestDescribe(t *testing.T) {
	cause := errors.New("open /data/engine.db: read-only file system")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("no"), "no"},
		{anchore.E(anchore.Invalid, "op", "a flag is wrong").Because(cause), "a flag is wrong"},
		{fmt.Errorf("start: %w", anchore.E(anchore.Conflict, "op", "in use by another engine").Because(cause)), "in use by another engine"},
		{anchore.E(anchore.Unavailable, "op", "the store is full"), "the store is full"},
		{anchore.E(anchore.Unavailable, "op", "the data directory cannot be read or written; the engine's log has the cause").Because(cause),
			"the data directory cannot be read or written: open /data/engine.db: read-only file system"},
		{anchore.E(anchore.Internal, "op", "the index is wrong").Because(cause), "the index is wrong: open /data/engine.db: read-only file system"},
	} {
		if got := describe(tt.err); got != tt.want {
			t.Errorf("describe(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
