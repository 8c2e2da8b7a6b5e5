package alarm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Store passes everything on to the store below and notes when that does not
// serve: not when a transaction's own function fails, which is its caller's affair.
type Store struct {
	store.Store
	wake chan struct{}

	mu    sync.Mutex
	err   error // of the last transaction, nil if it was served
	since time.Time
	told  bool // by Condition, since err
}

// WatchStore returns a Store above s.
func WatchStore(s store.Store) *Store {
	return &Store{Store: s, wake: make(chan struct{}, 1)}
}

// Failed hints that the store has begun to fail.
func (s *Store) Failed() <-chan struct{} { return s.wake }

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	var own error
	wrote := false
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		w := &noting{Tx: tx}
		own = fn(w)
		wrote = w.wrote
		return own
	})
	switch {
	case err == nil && wrote:
		s.note(nil)
	case fails(err, own) && ctx.Err() == nil && !errors.Is(err, store.ErrTooLarge):
		s.note(err)
	}
	return err
}

// noting notes whether a transaction writes: one that does not is served also by a
// store that takes no changes.
type noting struct {
	store.Tx
	wrote bool
}

func (n *noting) Put(b store.Bucket, key, value []byte) error {
	n.wrote = true
	return n.Tx.Put(b, key, value)
}

func (n *noting) Delete(b store.Bucket, key []byte) error {
	n.wrote = true
	return n.Tx.Delete(b, key)
}

// View implements store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	var own error
	err := s.Store.View(ctx, func(tx store.Tx) error {
		own = fn(tx)
		return own
	})
	if fails(err, own) && ctx.Err() == nil {
		s.note(err)
	}
	return err
}

// fails reports whether a transaction ended with an error of the store. What it says
// inside the transaction comes back as an error of the transaction's own function.
func fails(err, own error) bool {
	return err != nil && own == nil || errors.Is(err, store.ErrFailing)
}

func (s *Store) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.since = time.Now()
		select {
		case s.wake <- struct{}{}:
		default: // somebody is told already
		}
	}
	s.err, s.told = err, s.told && err != nil
}

// probeTime bounds the change by which Condition finds out whether the store works again.
const probeTime = 5 * time.Second

// probe makes a change that nobody reads, if Condition has told that the store fails: an
// engine with nothing to do would not find out that it works again.
func (s *Store) probe(ctx context.Context) {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	if !told {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_ = s.Update(ctx, func(tx store.Tx) error { // what it finds is noted
		return tx.Put("alarm_probe", []byte("at"), []byte(time.Now().UTC().Format(time.RFC3339Nano)))
	})
}

// Condition says that the store takes no changes, until it takes one.
func (s *Store) Condition(ctx context.Context, _ Standing) []anchore.Event {
	s.probe(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	s.told = true
	return []anchore.Event{{
		Type: anchore.EventStoreFailing, Service: "catalog", Message: "The store does not take changes",
		Resource: anchore.Resource{Type: "service", ID: "catalog"},
		Details:  map[string]any{"msg": anchore.MessageOf(s.err), "since": s.since.UTC().Format(time.RFC3339)},
	}}
}
