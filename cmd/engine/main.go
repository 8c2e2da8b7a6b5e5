// Command engine is Anchore Engine: it watches image tags in registries, analyzes
// the images, and tells webhooks what changed.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/anchore/anchore-engine/pkg/analyze"
	"github.com/anchore/anchore-engine/pkg/sbom/syft"
)

var version, commit string // set by the linker: -X main.version=…

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == analyze.AnalyzeChild { // no configuration, no store
		return syft.ChildMain(os.Stdin, os.Stdout, os.Stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return execute(ctx, os.Args[1:])
}
