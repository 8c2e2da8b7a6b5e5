package image

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

type waitOptions struct {
	app               *session.App
	timeout, interval float64 // seconds; a negative timeout waits for ever
}

func newWaitCmd(a *session.App) *cobra.Command {
	opts := waitOptions{app: a}
	cmd := session.NewLeaf(a, "wait INPUT_IMAGE", "Wait until an image is analyzed",
		"Ends with exit code 1 if the analysis failed, 2 if time is up.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.Complete(a.Tags)
	session.Timeout(cmd.Flags(), &opts.timeout)
	session.Interval(cmd.Flags(), &opts.interval)
	return cmd
}

func (o waitOptions) run(ctx context.Context, name string) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	bar := newProgress(o.app)
	defer bar.end()
	start := time.Now()
	for o.timeout < 0 || time.Since(start).Seconds() < o.timeout {
		look, cancel := session.Within(ctx, o.timeout, start)
		got, err := lookUp(look, c, name, false)
		cancel()
		if look.Err() == context.DeadlineExceeded {
			break
		}
		if f := session.AsFailure(err); f != nil && f.Status == http.StatusNotFound {
			return notThere(name)
		}
		if err != nil {
			return err
		}
		list := render.Items(got.Value)
		if len(list) == 0 {
			return notThere(name)
		}
		status := render.Text(render.At(list[0], "analysis_status"))
		if status == "analyzed" || status == "analysis_failed" {
			bar.end()
			if err := Show(o.app, got.Value); err != nil || status == "analyzed" {
				return err
			}
			return session.ExitSilently(1)
		}
		if err := o.pause(ctx, bar, list[0], status, start); err != nil {
			return err
		}
	}
	return session.Failf("Timed-out waiting for analysis status to reach terminal state (analyzed or analysis_failed)").
		Hint("the analysis goes on: 'anchore-cli image get %s' shows how far it is, a longer --timeout waits for it", name)
}

func notThere(name string) error {
	f := session.Failf("Requested image not found in system")
	if digestName.MatchString(name) || imageIDName.MatchString(name) || strings.Contains(name, "@") {
		return f.Hint("'anchore-cli image list --full' shows the digests and ids that there are")
	}
	return f.Hint("add it first: anchore-cli image add %s", name)
}

// pause says how things are and sleeps, not longer than there is time left. The
// lines on standard output are the original's, but only where it is read as text,
// and not by a person who sees the progress beside them.
func (o waitOptions) pause(ctx context.Context, bar *progress, image any, status string, start time.Time) error {
	left := o.timeout - time.Since(start).Seconds()
	if o.app.Historical() && o.app.ForPeople() && !o.app.Alone() {
		line := fmt.Sprintf("Status: %s\nWaiting %s seconds for next retry.", render.Clean(status, false), render.Float(o.interval))
		if o.timeout > 0 {
			line += fmt.Sprintf(" Total timeout remaining: %d", int(left))
		}
		bar.clear()
		fmt.Fprintln(o.app.Out, line)
		o.app.Out.Flush()
	}
	bar.show(status, image)
	wait := max(o.interval, session.ShortestPause)
	if o.timeout >= 0 {
		wait = max(0, min(wait, left))
	}
	return session.Sleep(ctx, wait)
}

// progress shows an analysis on standard error: a line that is drawn over on a
// terminal, a line for each change elsewhere.
type progress struct {
	app   *session.App
	live  bool
	last  string
	drawn bool
}

func newProgress(a *session.App) *progress {
	return &progress{app: a, live: a.Redrawable()}
}

func (p *progress) show(status string, image any) {
	text := analysisState(image)
	if text == "" {
		text = "Analysis: " + status
	}
	text = render.Clean(text, false)
	if !p.live {
		if text != p.last {
			fmt.Fprintln(p.app.Err, text)
		}
		p.last = text
		return
	}
	p.clear()
	fmt.Fprint(p.app.Err, liveLine(text, share(image), p.app.Columns()))
	p.drawn = true
}

// liveLine is text with a bar before it, in at most so many columns: what wraps
// cannot be drawn over. Share is from 0 to 1, below 0 for no bar.
func liveLine(text string, share float64, columns int) string {
	const shortest, longest = 10, 30
	runes := []rune(text)
	if room := min(longest, columns-len(runes)-len("[] ")); share >= 0 && room >= shortest {
		full := int(share * float64(room))
		return "[" + strings.Repeat("#", full) + strings.Repeat(" ", room-full) + "] " + text
	}
	return string(runes[:max(0, min(len(runes), columns))])
}

// share is the part of the layers that is here, from 0 to 1; all of them are once
// another step has begun. It is -1 where no analysis runs.
func share(image any) float64 {
	progress := render.At(image, "analysis_progress")
	done, total := number(render.At(progress, "done")), number(render.At(progress, "total"))
	switch {
	case progress == nil:
		return -1
	case total > 0:
		return max(0, min(1, done/total))
	case render.At(progress, "step") == string(anchore.Fetching):
		return 0
	}
	return 1
}

// clear removes the drawn line, so that another may take its place.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.app.Err, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) end() { p.clear() }
