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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(cli.Main(ctx, cli.Config{Args: os.Args[1:], Environ: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: version, Commit: commit}))
}
