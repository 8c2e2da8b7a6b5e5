package analyze

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

const (
	// maxTries bounds how often a job is tried whose failure is not the image's:
	// with the back-off, for about three hours.
	maxTries = 10
	// maxCrashes bounds it where the failure probably is the image's after all: its
	// child ends unexpectedly, or the engine does while the child runs.
	maxCrashes = 3
	// maxRemembered bounds the memory of failures, in jobs.
	maxRemembered = 10_000
	// limitedWait is the wait for a registry that limits us and does not say how long.
	limitedWait = time.Minute
)

// carryOut fetches the image, has it analyzed, and stores the document. Its
// temporary files are gone when it returns.
func (w *Workers) carryOut(ctx context.Context, job catalog.Job) (catalog.AnalysisResult, error) {
	const op = "analyze.carryOut"
	if job.Crashes >= maxCrashes {
		return catalog.AnalysisResult{}, anchore.E(anchore.Invalid, op, "the engine was stopped %d times while it analyzed this image", maxCrashes)
	}
	work, err := os.MkdirTemp(w.cfg.Dir, "job-")
	if err != nil {
		return catalog.AnalysisResult{}, anchore.E(anchore.Unavailable, op, "no temporary files can be written").Because(err)
	}
	defer os.RemoveAll(work)
	layout, name, err := w.fetch(ctx, job, work)
	if err != nil {
		return catalog.AnalysisResult{}, err
	}
	if err := w.cfg.Catalog.AnalysisBegun(ctx, job); anchore.KindOf(err) == anchore.Conflict {
		return catalog.AnalysisResult{}, err
	} else if err != nil {
		return catalog.AnalysisResult{}, anchore.E(anchore.Unavailable, op, "the start of the analysis cannot be recorded").Because(err)
	}
	w.report(job, anchore.Progress{Step: anchore.Cataloging})
	report, err := w.cfg.Analyzer.Analyze(ctx, sbom.Request{
		Layout: layout, Digest: job.Digest, Name: name, Work: work,
		Progress: func(s anchore.Step) { w.report(job, anchore.Progress{Step: s}) },
	})
	if err != nil {
		return catalog.AnalysisResult{}, err
	}
	w.report(job, anchore.Progress{Step: anchore.Storing})
	document, err := os.Open(report.Document)
	if err != nil {
		return catalog.AnalysisResult{}, anchore.E(anchore.Unavailable, op, "the document cannot be read").Because(err)
	}
	defer document.Close()
	digest, err := w.cfg.Blobs.Put(ctx, document)
	if err != nil {
		return catalog.AnalysisResult{}, anchore.E(anchore.Unavailable, op, "the result cannot be stored").Because(err)
	}
	return catalog.AnalysisResult{Report: digest, Summary: report.Summary}, nil
}

// fetch tries the job's sources one after the other, and returns the layout and
// the image's name. An account whose credentials are refused is told so and no
// longer waits. If all sources fail, the error is the most hopeful one: a limit
// that passes, then something to try again, then that the image is not there, then a
// refusal. It is a sourcesError if a later job may have other sources instead.
func (w *Workers) fetch(ctx context.Context, job catalog.Job, work string) (layout, name string, err error) {
	worst := anchore.E(anchore.NotFound, "analyze.fetch", "no account is left that may pull the image")
	fewer := false // sources than the job has
	for i, source := range job.Sources {
		ref := source.Ref
		ref.Digest = job.Digest
		layout = filepath.Join(work, "layout-"+strconv.Itoa(i))
		err := w.pull(ctx, job, source.Account, ref, layout)
		if err == nil {
			return layout, ref.RepositoryName() + "@" + job.Digest, nil
		}
		_ = os.RemoveAll(layout) // else what the next source needs may not fit
		if ctx.Err() != nil {
			return "", "", anchore.E(anchore.Unavailable, "analyze.fetch", "the analysis was stopped").Because(err)
		}
		if errors.Is(err, catalog.ErrNoAccount) {
			fewer = true
			continue // deleted meanwhile, which says nothing of the image
		}
		if kind := anchore.KindOf(err); kind == anchore.Unauthorized || kind == anchore.Forbidden {
			if err := w.cfg.Catalog.RefuseSource(ctx, job, source.Account, reason(err)); err != nil {
				return "", "", err
			}
			fewer = true
		}
		worst = hopeful(worst, err)
	}
	if fewer && hope(worst.Kind) <= 0 {
		return "", "", sourcesError{worst}
	}
	return "", "", worst
}

// sourcesError says that none of a job's sources gives the image, and that not all of
// them are sources any more: there is room for other accounts that wait for it.
type sourcesError struct{ why *anchore.Error }

func (e sourcesError) Error() string { return e.why.Error() }
func (e sourcesError) Unwrap() error { return e.why }

// hopeful returns the one of two failures that is likelier to pass; of two limits,
// the one that passes sooner.
func hopeful(old *anchore.Error, err error) *anchore.Error {
	next := anchore.E(anchore.KindOf(err), "analyze.fetch", "%s", reason(err)).Because(err)
	next.After = anchore.AfterOf(err)
	switch a, b := hope(old.Kind), hope(next.Kind); {
	case b > a, b == a && next.Kind == anchore.Limited && next.After < old.After:
		return next
	case old.Err == nil: // the first real one explains more than that none is left
		return next
	}
	return old
}

func hope(k anchore.Kind) int {
	switch k {
	case anchore.Limited:
		return 2
	case anchore.Unavailable, anchore.Internal:
		return 1
	case anchore.Unauthorized, anchore.Forbidden:
		return -1 // those who are left have another reason
	}
	return 0
}

// settle tells the catalog of a failure: back into the queue, or the end.
func (w *Workers) settle(ctx context.Context, log *slog.Logger, job catalog.Job, err error) (outcome string, _ error) {
	end := func(why string) (again bool, err error) { return false, w.cfg.Catalog.FailAnalysis(ctx, job, why) }
	if all := (sourcesError{}); errors.As(err, &all) {
		err, end = all.why, func(why string) (bool, error) { return w.cfg.Catalog.FailSources(ctx, job, why) }
	}
	why := reason(err)
	said := []any{"reason", why}
	if more := cause(err); more != "" {
		said = append(said, "cause", more)
	}
	wait, again := w.next(job, err)
	if again {
		log.Warn("analysis postponed", append(said, "wait", wait.Round(time.Second))...)
		if anchore.KindOf(err) != anchore.Limited {
			w.failed("analysis of "+job.Digest, err)
		}
		return postponed, w.cfg.Catalog.PostponeAnalysis(ctx, job, time.Now().Add(wait), why)
	}
	again, err = end(why)
	if again {
		log.Info("analysis released, to be tried with the credentials of other accounts", said...)
		return released, err
	}
	log.Warn("analysis failed", said...)
	w.forget(job)
	return failed, err
}

// next decides whether a failed job is tried again, and after how long. A limit
// of the registry never ends in a failure; what is the image's fault always does.
func (w *Workers) next(job catalog.Job, err error) (wait time.Duration, again bool) {
	kind := anchore.KindOf(err)
	if kind == anchore.Limited {
		return cmp.Or(anchore.AfterOf(err), limitedWait), true
	}
	if kind != anchore.Unavailable && kind != anchore.Internal {
		return 0, false
	}
	w.mu.Lock()
	if len(w.tries) >= maxRemembered {
		clear(w.tries)
	}
	w.tries[job.Analysis]++
	n := w.tries[job.Analysis]
	w.mu.Unlock()
	if n >= maxTries || kind == anchore.Internal && n >= maxCrashes {
		return 0, false
	}
	return max(jittered(n), anchore.AfterOf(err)), true
}

// cause is what the errors behind a failure say beside its reason, "" if that is all.
func cause(err error) string {
	why := reason(err)
	var more []string
	for err != nil {
		text, next := err.Error(), error(nil)
		if e, ok := err.(*anchore.Error); ok {
			text, next = e.Message, e.Err
		}
		// The child's cause, being text, is "package.Function: why: more".
		if _, rest, ok := strings.Cut(": "+text+": ", ": "+why+": "); ok {
			text = strings.TrimSuffix(rest, ": ")
		}
		if text != "" {
			more = append(more, text)
		}
		err = next
	}
	return strings.Join(slices.Compact(more), ": ")
}

// reason is the sentence that the image's status shows. Unlike anchore.MessageOf
// it shows what an analyzer says of a crash, which holds no internals.
func reason(err error) string {
	var e *anchore.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the registry did not answer in time"
	}
	return "the analysis failed; the engine's log has the cause"
}
