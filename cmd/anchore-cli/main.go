// Command anchore-cli drives an engine from the command line.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/anchore/anchore-engine/pkg/cli"
)

var version, commit string // set by the linker: -X main.version=…

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:govet // until the process ends
	os.Exit(cli.Main(ctx, cli.Config{Args: os.Args[1:], Environ: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: version, Commit: commit}))
}
