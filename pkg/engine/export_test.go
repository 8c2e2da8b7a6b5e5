package engine

import "github.com/anchore/anchore-engine/pkg/catalog"

// Catalog is the engine's, for what the API has no request for.
func (e *Engine) Catalog() *catalog.Catalog { return e.catalog }
