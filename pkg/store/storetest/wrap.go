package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/anchore/anchore-engine/pkg/store"
)

// ErrCrashed is what a Crash returns from its last cut on.
var ErrCrashed = errors.New("storetest: the process has died")

var errAgain = errors.New("storetest: lost the race, run again")

// Rerun runs every Update function twice and rolls the first run back, as a
// backend that lost a commit race does. A suite that passes under it has no
// function with effects outside its transaction.
type Rerun struct{ store.Store }

// Update runs fn, forgets what it did, and runs it again.
func (s Rerun) Update(ctx context.Context, fn func(store.Tx) error) error {
	_ = s.Store.Update(ctx, func(tx store.Tx) error { _ = fn(tx); return errAgain })
	return s.Store.Update(ctx, fn)
}

// Crash is a Store whose process dies at its nth cut. Every Update has two cuts:
// before it (work done so far is lost) and after its commit (durable, but the
// caller never learns so). A test runs its script for n = 1, 2, 3…, each time on a
// fresh directory, reopens the directory with the plain store and checks it, until
// the script outlives n.
//
// View and Update of a dead store return ErrCrashed; Close still closes, so that
// the directory can be opened again.
type Crash struct {
	store.Store
	kill context.CancelFunc
	left atomic.Int64
}

// NewCrash returns a Store that dies at cut n, counted from 1. It then calls kill,
// which stops what the dead process was running.
func NewCrash(s store.Store, n int, kill context.CancelFunc) *Crash {
	c := &Crash{Store: s, kill: kill}
	c.left.Store(int64(n))
	return c
}

// Dead says whether the cut was reached.
func (c *Crash) Dead() bool { return c.left.Load() <= 0 }

func (c *Crash) cut(err error) error {
	if err == nil && c.left.Add(-1) <= 0 {
		c.kill()
		return ErrCrashed
	}
	return err
}

// View runs fn while the process lives.
func (c *Crash) View(ctx context.Context, fn func(store.Tx) error) error {
	if c.Dead() {
		return ErrCrashed
	}
	return c.Store.View(ctx, fn)
}

// Update runs fn between two cuts.
func (c *Crash) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := c.cut(nil); err != nil {
		return err
	}
	return c.cut(c.Store.Update(ctx, fn))
}
