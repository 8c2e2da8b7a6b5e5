package catalog

import (
	"context"
	"time"
)

// SweepBlobs is sweepBlobs with the caller's grace.
func SweepBlobs(c *Catalog, ctx context.Context, grace time.Duration) error {
	return c.sweepBlobs(ctx, grace)
}
