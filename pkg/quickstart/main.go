// Quickstart shows the engine at work: a registry, an engine, anchore-cli and a
// webhook receiver, all on this machine, all real. It needs the two programs that
// make build leaves in bin, no network, no fixed port and no rights.
//
// With QUICKSTART_IMAGE it follows an image of a public registry instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// longest is how long the tour may take, a slow public registry included.
const longest = 10 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "directory of engine and anchore-cli")
	flag.Parse()
	// SIGPIPE too: without it, "quickstart | head" would leave an engine behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, *bin)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
	case interrupted:
		fmt.Fprintln(os.Stderr, "\nInterrupted; everything was stopped and removed.")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run takes the tour and removes what it made, also when it fails.
func run(ctx context.Context, bin string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	t, err := newTour(os.Stdout, bin, os.Getenv("QUICKSTART_IMAGE"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return t.take(ctx)
}
