package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	engineTags    = 2500 // with four subscriptions each
	engineMany    = 25_000
	engineStarts  = 7
	engineRest    = 15 * time.Second // until an engine with nothing to do counts as idle
	maxStart      = 300 * time.Millisecond
	maxIdleMemory = 110 << 20
)

// measureEngine measures how the built engine starts and what it takes.
func measureEngine(ctx context.Context, dir string, bin binaries) (section, error) {
	registry, err := oneImage()
	if err != nil {
		return section{}, err
	}
	defer registry.Close()
	few, err := rest(ctx, bin.engine, filepath.Join(dir, "few"), hostOf(registry), engineTags)
	if err != nil {
		return section{}, err
	}
	many, err := rest(ctx, bin.engine, filepath.Join(dir, "many"), hostOf(registry), engineMany)
	if err != nil {
		return section{}, err
	}
	size, err := os.Stat(bin.engine)
	if err != nil {
		return section{}, err
	}
	return section{
		title: "The engine's start, memory and disk",
		results: []result{
			{what: fmt.Sprintf("from exec to /health, %d subscriptions", 4*engineTags), figure: few.starts.String(), goal: "< " + maxStart.String(), met: few.starts.median() < maxStart},
			{what: fmt.Sprintf("the same, %d subscriptions", 4*engineMany), figure: many.starts.String()},
			bounded(fmt.Sprintf("anonymous memory, idle, %d watched tags", engineTags), few.idle),
			bounded("the same after an analysis", few.analyzed),
			bounded(fmt.Sprintf("idle, %d watched tags", engineMany), many.idle),
			bounded("the same after an analysis", many.analyzed),
			{what: fmt.Sprintf("right after it listed all %d subscriptions", 4*engineMany), figure: mib(many.listed)},
			{what: "greatest resident memory of engine and analysis, a small image", figure: mib(few.peak)},
			{what: "from `image add` to analyzed, a small image", figure: short(few.analysis)},
			{what: fmt.Sprintf("engine.db with %d subscriptions", 4*engineMany), figure: mib(many.disk)},
			{what: "size of the stripped program", figure: fmt.Sprintf("%.1f MB", float64(size.Size())/1e6)},
		},
		notes: fmt.Sprintf(`
The program that is released, %d starts on a data directory with four subscriptions
for each tag of a registry on loopback. Anonymous memory is RssAnon of
/proc/PID/status, %s after the start and %s after an image was analyzed;
the engine watches its tags meanwhile. An analysis runs in a process of its own, whose
memory is gone when it ends; the image has a few packages only, so that this is the
least that one takes.`, engineStarts, engineRest, engineRest),
	}, nil
}

// atRest is what an engine with nothing to do takes.
type atRest struct {
	starts                       sample
	idle, analyzed, listed, peak int64 // bytes
	analysis                     time.Duration
	disk                         int64 // bytes of engine.db
}

// rest starts engines on a new data directory and looks at the last one.
func rest(ctx context.Context, program, dir, registry string, tags int) (r atRest, err error) {
	data := filepath.Join(dir, "data")
	if err := seedEngine(ctx, data, tagNames(registry, tags)); err != nil {
		return r, err
	}
	for range engineStarts - 1 {
		p, err := startEngine(ctx, program, data, "")
		if err != nil {
			return r, err
		}
		r.starts = append(r.starts, p.ready)
		if err := p.stop(); err != nil {
			return r, err
		}
	}
	p, err := startEngine(ctx, program, data, "")
	if err != nil {
		return r, err
	}
	r.starts = append(r.starts, p.ready)
	err = r.memory(ctx, p, registry+"/"+otherTag)
	if err = errors.Join(err, p.stop()); err != nil {
		return r, err
	}
	r.peak = maxResident(p)
	info, err := os.Stat(filepath.Join(data, "engine.db"))
	if err == nil {
		r.disk = info.Size()
	}
	return r, err
}

func (r *atRest) memory(ctx context.Context, p *process, tag string) (err error) {
	if err := sleep(ctx, engineRest); err != nil {
		return err
	}
	if r.idle, err = p.anonymous(); err != nil {
		return err
	}
	start := time.Now()
	if err := p.analyze(ctx, tag); err != nil {
		return err
	}
	r.analysis = time.Since(start)
	if err := sleep(ctx, engineRest); err != nil {
		return err
	}
	if r.analyzed, err = p.anonymous(); err != nil {
		return err
	}
	if err := p.call(ctx, http.MethodGet, "/subscriptions", nil, nil); err != nil {
		return err
	}
	r.listed, err = p.anonymous()
	return err
}

// maxResident is the greatest resident memory, in bytes, that an ended process or a
// child that it waited for had (getrusage(2)).
func maxResident(p *process) int64 {
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}

func bounded(what string, bytes int64) result {
	return result{what: what, figure: mib(bytes), goal: "≤ " + mib(maxIdleMemory), met: bytes <= maxIdleMemory}
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
