package bolt

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/anchore/anchore-engine/pkg/store"
)

// How much shares one commit at most, so that the first of a group does not wait
// for an endless stream of others.
const (
	maxGroup      = 256
	maxGroupBytes = 8 << 20
)

// errUnfinished is what a group is told whose leader did not reach the end of the
// commit, and what a function ends with that neither returned nor failed.
var errUnfinished = errors.New("bolt: the commit did not finish")

// call is one Update that waits for the write transaction.
type call struct {
	fn   func(store.Tx) error
	turn chan *bbolt.Tx // buffered: run in this transaction; nil: lead the next one
	ran  chan struct{}  // closed when fn ended, in whatever way
	done chan error     // buffered: how the commit ended

	tx  *tx   // valid once ran is closed
	err error // of fn; valid once ran is closed
}

// Update runs fn and commits what it wrote; see store.Store.
//
// One caller at a time leads: it opens the write transaction, runs its own fn, then
// lets those who came meanwhile run theirs, one after another, in the same
// transaction and each in its own goroutine, and commits for all. Who finds no
// leader leads at once, so a lone write waits for nobody; who comes while another
// commits is in the next group. What a function writes is collected beside the
// transaction and applied when it has succeeded, so that one which fails or panics
// leaves no trace and costs the others nothing.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{fn: fn, turn: make(chan *bbolt.Tx, 1), ran: make(chan struct{}), done: make(chan error, 1), err: errUnfinished}
	leads, err := s.enter(c)
	if err != nil {
		return err
	}
	if leads {
		return s.lead(fn)
	}
	var b *bbolt.Tx
	select {
	case b = <-c.turn:
	case <-ctx.Done():
		if s.leave(c) {
			return ctx.Err()
		}
		b = <-c.turn // it was called in the same moment
	}
	if b == nil {
		return s.lead(fn)
	}
	return c.follow(b, s.name)
}

// enter makes the caller the leader if there is none, else puts it in the queue.
func (s *Store) enter(c *call) (leads bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false, unavailable("bolt.Update", berrors.ErrDatabaseNotOpen)
	case s.leading:
		s.queue = append(s.queue, c)
		return false, nil
	}
	s.leading = true
	return true, nil
}

// leave takes c out of the queue. It is false if c was called already.
func (s *Store) leave(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, c)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// next takes the oldest call from the queue, nil if nobody waits.
func (s *Store) next() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pop()
}

func (s *Store) pop() *call {
	if len(s.queue) == 0 {
		return nil
	}
	c := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	return c
}

// handOver makes the oldest waiting call the leader, or leaves none.
func (s *Store) handOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.pop(); c != nil {
		c.turn <- nil
		return
	}
	s.leading = false
	s.idle.Broadcast()
}

// lead runs fn in a new transaction and, if it wrote, the group that waits. The
// deferred calls also run when fn panics or ends its goroutine; nobody has joined
// by then. An fn that fails, or writes nothing, has seen committed rows only and
// returns at once.
func (s *Store) lead(fn func(store.Tx) error) error {
	defer s.handOver()
	b, err := s.begin("bolt.Update")
	if err != nil {
		return err
	}
	defer s.rollback(b)
	own := newTx(b, s.name, true)
	if err := own.run(fn); err != nil || len(own.writes) == 0 {
		return err
	}
	return s.commit(b, own)
}

// commit applies what the leader wrote, lets those who wait join, commits, and
// tells them. A follower's own error is held back until then as well: it may have
// been decided by rows that the commit did not save.
func (s *Store) commit(b *bbolt.Tx, own *tx) error {
	var group []*call
	result := error(unavailable("bolt.Update", errUnfinished))
	defer func() { // also if the commit panics: nobody may wait for ever
		for _, c := range group {
			c.done <- result
		}
	}()
	err := own.apply()
	wrote, bytes := uint64(1), own.bytes
	for err == nil && len(group) < maxGroup && bytes < maxGroupBytes {
		c := s.next()
		if c == nil {
			break
		}
		group = append(group, c)
		c.turn <- b
		<-c.ran
		if c.err == nil && len(c.tx.writes) > 0 {
			err = c.tx.apply()
			bytes += c.tx.bytes
			wrote++
		}
	}
	if err == nil {
		err = s.save("bolt.Update", b)
	}
	if err != nil {
		result = err
		return result
	}
	s.commits.Add(1)
	s.updates.Add(wrote)
	result = nil
	return nil
}

// follow runs fn in the leader's transaction and waits for the leader's commit. A
// panic goes on in the caller's own goroutine, with its stack; the leader sees
// only that fn did not succeed.
func (c *call) follow(b *bbolt.Tx, file string) error {
	func() {
		defer close(c.ran)
		c.tx = newTx(b, file, true)
		c.err = c.tx.run(c.fn)
	}()
	if err := <-c.done; err != nil {
		return err
	}
	return c.err
}
