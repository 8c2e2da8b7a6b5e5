package session

import (
	"context"
	"time"
)

// ShortestPause keeps --interval 0 from asking the engine without end; in seconds.
const ShortestPause = 0.05

// Within is ctx until so many seconds after start, or ctx alone if timeout is
// negative: an engine that never answers must not outlast the user's patience.
func Within(ctx context.Context, timeout float64, start time.Time) (context.Context, context.CancelFunc) {
	if timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, start.Add(time.Duration(timeout*float64(time.Second))))
}

// Sleep waits for some seconds, or until ctx ends.
func Sleep(ctx context.Context, seconds float64) error {
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Await returns what read does, or the cause of ctx's end if that comes first: a read
// of a terminal or a pipe may never return. Nobody then waits for it any more, and it
// ends with the process.
func Await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
