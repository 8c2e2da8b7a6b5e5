package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

type imageWaitOptions struct {
	app               *app
	timeout, interval float64 // seconds; a negative timeout waits for ever
}

func newImageWaitCmd(a *app) *cobra.Command {
	opts := imageWaitOptions{app: a}
	cmd := newLeaf(a, "wait INPUT_IMAGE", "Wait until an image is analyzed",
		"Ends with exit code 1 if the analysis failed, 2 if time is up.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.tags)
	cmd.Flags().Float64Var(&opts.timeout, "timeout", -1, "seconds to wait; -1 for as long as it takes")
	cmd.Flags().Float64Var(&opts.interval, "interval", 5, "seconds between two looks")
	return cmd
}

func (o imageWaitOptions) run(ctx context.Context, name string) error {
	c, err := o.app.client()
	if err != nil {
		return err
	}
	bar := newProgress(o.app)
	defer bar.end()
	start := time.Now()
	for o.timeout < 0 || time.Since(start).Seconds() < o.timeout {
		look, cancel := within(ctx, o.timeout, start)
		got, err := c.lookUp(look, name, false)
		cancel()
		if look.Err() == context.DeadlineExceeded {
			break
		}
		if f := asFailure(err); f != nil && f.status == http.StatusNotFound {
			return failf("Requested image not found in system").hint("add it first: anchore-cli image add %s", name)
		}
		if err != nil {
			return err
		}
		list := render.Items(got.value)
		if len(list) == 0 {
			return failf("Requested image not found in system")
		}
		status := render.Text(render.At(list[0], "analysis_status"))
		if status == "analyzed" || status == "analysis_failed" {
			bar.end()
			if err := o.app.showImages(got.value); err != nil || status == "analyzed" {
				return err
			}
			return exitSilently(1)
		}
		if err := o.pause(ctx, bar, list[0], status, start); err != nil {
			return err
		}
	}
	return failf("Timed-out waiting for analysis status to reach terminal state (analyzed or analysis_failed)")
}

// pause says how things are and sleeps, not longer than there is time left. The
// lines on standard output are the original's, but only where it is read as text.
func (o imageWaitOptions) pause(ctx context.Context, bar *progress, image any, status string, start time.Time) error {
	left := o.timeout - time.Since(start).Seconds()
	if o.app.set.output == tableOutput && !o.app.set.json {
		line := fmt.Sprintf("Status: %s\nWaiting %s seconds for next retry.", render.Clean(status, false), render.Float(o.interval))
		if o.timeout > 0 {
			line += fmt.Sprintf(" Total timeout remaining: %d", int(left))
		}
		bar.clear()
		fmt.Fprintln(o.app.out, line)
		o.app.out.Flush()
	}
	bar.show(status, image)
	wait := max(o.interval, shortestPause)
	if o.timeout >= 0 {
		wait = max(0, min(wait, left))
	}
	return sleep(ctx, wait)
}

// within is ctx until so many seconds after start, or ctx alone if timeout is
// negative: an engine that never answers must not outlast the user's patience.
func within(ctx context.Context, timeout float64, start time.Time) (context.Context, context.CancelFunc) {
	if timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, start.Add(time.Duration(timeout*float64(time.Second))))
}

// shortestPause keeps --interval 0 from asking the engine without end.
const shortestPause = 0.05

// sleep waits for some seconds, or until ctx ends.
func sleep(ctx context.Context, seconds float64) error {
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// progress shows an analysis on standard error: a line that is drawn over on a
// terminal, a line for each change elsewhere.
type progress struct {
	app   *app
	live  bool
	last  string
	drawn bool
}

func newProgress(a *app) *progress {
	return &progress{app: a, live: isTerminal(a.err) && a.env("TERM") != "dumb"}
}

func (p *progress) show(status string, image any) {
	text := analysisState(image)
	if text == "" {
		text = "Analysis: " + status
	}
	text = render.Clean(text, false)
	if !p.live {
		if text != p.last {
			fmt.Fprintln(p.app.err, text)
		}
		p.last = text
		return
	}
	if share := fetched(image); share >= 0 {
		const width = 30
		full := int(share * width)
		text = "[" + strings.Repeat("#", full) + strings.Repeat(" ", width-full) + "] " + text
	}
	p.clear()
	fmt.Fprint(p.app.err, text)
	p.drawn = true
}

// fetched is the part of the layers that is here, from 0 to 1; -1 if unknown.
func fetched(image any) float64 {
	done, total := megabytes(render.At(image, "analysis_progress", "done")), megabytes(render.At(image, "analysis_progress", "total"))
	if total <= 0 || done < 0 {
		return -1
	}
	return min(1, done/total)
}

// clear removes the drawn line, so that another may take its place.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.app.err, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) end() { p.clear() }
