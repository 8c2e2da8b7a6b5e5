// Package syft makes a syft JSON document of an image in an OCI layout. It is the
// only importer of syft and stereoscope, and what it reads is untrusted: the
// engine runs it in a child process (ChildMain), without network or credentials.
package syft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/anchore/stereoscope/pkg/file"
	"github.com/anchore/stereoscope/pkg/image/oci"
	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/cataloging/filecataloging"
	syftfile "github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/format/syftjson"
	"github.com/anchore/syft/syft/source/stereoscopesource"
	_ "modernc.org/sqlite" // the driver by which the rpm cataloger reads rpmdb.sqlite

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/layers"
)

const op = "syft.analyze"

// analyze writes the document of the request's image to out. Temporary files go
// to $TMPDIR. Errors are an Invalid one for an image that cannot be read, with a
// message for the user; others are Unavailable (no space) or Internal.
func analyze(ctx context.Context, req sbom.ChildRequest, out io.Writer) error {
	if err := oneImage(req); err != nil {
		return err
	}
	// The explicit source: nothing looks for a docker daemon, a registry, or a
	// file of the image's name.
	img, err := oci.NewDirectoryProvider(file.NewTempDirGenerator("layers"), req.Layout).Provide(ctx)
	if err != nil {
		err := unreadable(err)
		if fault := layers.Fault(req.Layout, req.Digest); err.Kind == anchore.Invalid && fault != "" {
			err.Message += ": " + fault // what the library says names temporary files
		}
		return err
	}
	src := stereoscopesource.New(img, stereoscopesource.ImageConfig{Reference: req.Name})
	defer src.Close()
	doc, err := syft.CreateSBOM(ctx, src, config(req.Version))
	if err != nil {
		return unreadable(err)
	}
	if err := syftjson.NewFormatEncoder().Encode(out, *doc); err != nil {
		return anchore.E(anchore.Unavailable, op, "the document could not be written").Because(err)
	}
	return nil
}

// config catalogs what is installed, as syft does for images, and all files with
// their metadata and sha256. Executables are not taken apart: nothing reads that,
// and it is the slowest of the file catalogers. Syft looks things up in the
// network only where its configuration asks for it; ours does not.
func config(version string) *syft.CreateSBOMConfig {
	return syft.DefaultCreateSBOMConfig().
		WithTool("anchore-engine", version).
		WithParallelism(runtime.GOMAXPROCS(0)).
		WithFilesConfig(filecataloging.DefaultConfig().WithSelection(syftfile.AllFilesSelection)).
		WithCatalogerSelection(cataloging.NewSelectionRequest().WithRemovals("file-executable-cataloger", "file-content-cataloger"))
}

// oneImage checks that the layout holds the requested image and no other, since
// the provider takes the only one there is.
func oneImage(req sbom.ChildRequest) error {
	data, err := os.ReadFile(filepath.Join(req.Layout, "index.json"))
	if err != nil {
		return unreadable(err)
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return unreadable(err)
	}
	if len(index.Manifests) != 1 || req.Digest != "" && index.Manifests[0].Digest != req.Digest {
		return unreadable(fmt.Errorf("the layout does not hold %s alone", req.Digest))
	}
	return nil
}

// unreadable tells the disk's faults from the image's.
func unreadable(err error) *anchore.Error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return anchore.E(anchore.Unavailable, op, "no space is left for temporary files").Because(err)
	case errors.Is(err, syscall.EFBIG):
		return anchore.E(anchore.Invalid, op, "the image unpacks to more than the limit of temporary files").Because(err)
	}
	return anchore.E(anchore.Invalid, op, "the image could not be read").Because(err)
}
