// Package run starts the parts of a program in order and stops them one by one in
// reverse, so that a part may rely on those before it until it has ended.
package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Part is something that runs until it is told to stop.
type Part struct {
	Name string
	// Grace is how long Run may take to return, once its context has ended, before the
	// next part is stopped. It goes on beside that one if it takes longer.
	Grace time.Duration
	// Run works until its context ends, and then returns nil, or what it could not
	// finish. Returning earlier, even nil, is a failure and stops the program.
	Run func(context.Context) error
}

// ErrEnded is the failure of a part that returned nil without being asked to stop.
var ErrEnded = errors.New("ended without being asked to")

// ErrGrace is the failure of a part that did not return before the drain was over.
var ErrGrace = errors.New("did not stop in time")

// started is a part that is running.
type started struct {
	Part
	stop context.CancelCauseFunc
	done chan struct{} // closed when Run has returned
	err  error         // valid once done is closed
}

// Run starts parts in order and returns when all have stopped: because ctx ended,
// or because one of them ended unasked. The last one is stopped first, and each
// only when the one after it has returned or used up its grace. All together have the
// time drain to stop: what has not returned then is left behind and reported. Each
// part is sure of its grace if the graces add up to no more than that. The contexts of
// the parts carry ctx's values but end only when their turn comes. The error joins what
// the parts returned, each under its name; nil after a clean stop.
func Run(ctx context.Context, drain time.Duration, parts []Part) error {
	ended := make(chan struct{}, len(parts)) // buffered: nobody reads after the first
	running := make([]*started, 0, len(parts))
	for _, p := range parts {
		running = append(running, start(ctx, p, ended))
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, s := range slices.Backward(running) {
		s.end(over, context.Cause(ctx))
	}
	var errs []error
	for _, s := range slices.Backward(running) {
		if err := s.result(over); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// start runs p under a context of its own, which does not end with ctx.
func start(ctx context.Context, p Part, ended chan<- struct{}) *started {
	own, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &started{Part: p, stop: stop, done: make(chan struct{})}
	go func() {
		err := p.Run(own)
		if err == nil && own.Err() == nil {
			err = ErrEnded
		}
		if own.Err() != nil && errors.Is(err, own.Err()) {
			err = nil // "context canceled" is the answer that was asked for
		}
		s.err = err
		close(s.done)
		ended <- struct{}{}
	}()
	return s
}

// end tells s to stop and waits for it, at most its grace and until over ends.
func (s *started) end(over context.Context, cause error) {
	s.stop(cause)
	grace := time.NewTimer(s.Grace)
	defer grace.Stop()
	select {
	case <-s.done:
	case <-grace.C:
	case <-over.Done():
	}
}

// result waits for s until over ends, and returns what came of it.
func (s *started) result(over context.Context) error {
	select {
	case <-s.done:
		return s.err
	case <-over.Done():
	}
	select {
	case <-s.done: // both were ready: having ended counts
		return s.err
	default:
		return ErrGrace
	}
}
