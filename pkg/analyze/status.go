package analyze

import (
	"fmt"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// Status is the workers' health, for the system's status.
type Status struct {
	Running     int       // analyses under way
	Failures    int       // turns in a row that did not succeed; an image that cannot be analyzed is no failure
	LastError   string    // of the last failure, for the user
	LastSuccess time.Time // zero before the first
	LastTurn    time.Time // when a worker last looked for work
}

// Progress returns how far the running analysis of an image has come, and whether
// one runs in this engine.
func (w *Workers) Progress(digest string) (anchore.Progress, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.progress[digest]
	return p, ok
}

// Status returns the workers' health.
func (w *Workers) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Running = len(w.progress)
	return s
}

// report notes a step of a running analysis; what comes late is dropped.
func (w *Workers) report(digest string, p anchore.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, runs := w.progress[digest]; runs {
		w.progress[digest] = p
	}
}

func (w *Workers) begun(digest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress[digest] = anchore.Progress{Step: anchore.Fetching}
}

func (w *Workers) done(digest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.progress, digest)
}

func (w *Workers) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.LastTurn = time.Now()
}

func (w *Workers) success(job catalog.Job) {
	w.forget(job)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Failures, w.status.LastError, w.status.LastSuccess = 0, "", time.Now()
	w.told = false
}

func (w *Workers) forget(job catalog.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tries, job.Analysis)
}

// failed counts a turn that did not succeed, and that the log tells of otherwise.
func (w *Workers) failed(what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Failures++
	w.status.LastError = fmt.Sprintf("%s: %s", what, reason(err))
}

// failure counts a turn that did not succeed, and logs the first one since the last
// success.
func (w *Workers) failure(what string, err error) {
	w.failed(what, err)
	w.mu.Lock()
	told := w.told
	w.told = true
	w.mu.Unlock()
	if !told {
		w.cfg.Logger.Error("the analysis worker has trouble", "doing", what, "error", err)
	}
}
