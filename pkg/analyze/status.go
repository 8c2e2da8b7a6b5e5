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
	// LastTurn is when the workers that carry nothing out last began to look for work;
	// of several, the one for which that is longest ago. Zero if all carry something out.
	LastTurn time.Time
}

// lease is what a worker holds. Two may have one image: by two analyses of it, or by
// one whose lease the first has lost.
type lease struct {
	analysis string
	token    uint64
}

func leaseOf(job catalog.Job) lease { return lease{job.Analysis, job.Token} }

// running is an analysis under way.
type running struct {
	digest string // of the image
	began  time.Time
	anchore.Progress
}

// Progress returns how far the running analysis of an image has come, and whether
// one runs in this engine; of several, the one that began last.
func (w *Workers) Progress(digest string) (p anchore.Progress, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var began time.Time
	for _, r := range w.progress {
		if r.digest == digest && !r.began.Before(began) {
			p, began, ok = r.Progress, r.began, true
		}
	}
	return p, ok
}

// Status returns the workers' health.
func (w *Workers) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Running = len(w.progress)
	for _, at := range w.turns {
		if s.LastTurn.IsZero() || at.Before(s.LastTurn) {
			s.LastTurn = at
		}
	}
	return s
}

// report notes a step of a running analysis; what comes late is dropped.
func (w *Workers) report(job catalog.Job, p anchore.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, runs := w.progress[leaseOf(job)]; runs {
		r.Progress = p
		w.progress[leaseOf(job)] = r
	}
}

func (w *Workers) begun(job catalog.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress[leaseOf(job)] = running{digest: job.Digest, began: time.Now(), Progress: anchore.Progress{Step: anchore.Fetching}}
}

func (w *Workers) done(job catalog.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.progress, leaseOf(job))
}

// looks notes that a worker begins to look for work.
func (w *Workers) looks(no int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns[no] = time.Now()
}

// busy notes that a worker has found work: for how long it is silent now says nothing.
func (w *Workers) busy(no int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.turns, no)
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
