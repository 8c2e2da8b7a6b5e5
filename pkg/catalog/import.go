package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/store"
)

// ImportedImage is an image that its owner hands in with its analysis.
type ImportedImage struct {
	Account  string
	Import   string              // id of the operation that its documents were handed in with
	Tags     []anchore.Reference // that it is to be known under, each with its tag; one at least
	Manifest anchore.Manifest    // its Ref is not used
	Analysis AnalysisResult      // its Report is the document of the operation
	Addition
}

// AddImported completes an import: it records the image under its tags, as AddDigest
// does, with the analysis that was handed in. The analysis is the account's own. An
// image that has one keeps it, unless it failed or Force is set, and its Dockerfile.
//
// A tag is one transaction, and the last one completes the import, so that after
// a crash in between it can be called again: what was done is not done again. Errors: those of imports.Pending, and
// as SawTag.
func (c *Catalog) AddImported(ctx context.Context, i ImportedImage) (anchore.Image, error) {
	if len(i.Tags) == 0 {
		return anchore.Image{}, errors.New("catalog.AddImported: no tag")
	}
	in, err := c.arrive(ctx, i.Manifest, &i.Addition)
	if err != nil {
		return anchore.Image{}, err
	}
	in.why, in.known = "image import", &known{AnalysisResult: i.Analysis, made: in.Now}
	in.newAnalysisRef = i.analysisRef()
	return c.addUnderEach(ctx, i.Account, in, i.Tags, func(tx store.Tx, acct *account.Row, in arrival, n int) error {
		operation, err := imports.Pending(tx, acct.No, i.Import, in.Now)
		if err != nil {
			return err
		}
		if err := c.addUnder(tx, acct, in); err != nil || n < len(i.Tags)-1 {
			return err
		}
		return imports.Complete(tx, operation, in.Now)
	})
}

// analysisRef is the id of the image's analysis: one for each import and document, so
// that a request that is sent again finds what the first one did.
func (i ImportedImage) analysisRef() string {
	sum := sha256.Sum256([]byte(i.Import + " " + string(i.Analysis.Report)))
	return i.Manifest.Digest + "." + hex.EncodeToString(sum[:8])
}
