package outbox

import (
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Endpoint is the stored state of one endpoint. It has a row once something
// happened to it.
type Endpoint struct {
	Name        string `cbor:"1,keyasint"`
	Held        int64  `cbor:"2,keyasint,omitempty"` // not 0: one delivery at a time is tried, from then on
	Paused      int64  `cbor:"3,keyasint,omitempty"` // not 0: since when nothing is sent, because it answered 410
	Failures    int    `cbor:"4,keyasint,omitempty"` // in a row; attempts that ran side by side count once
	LastFailure int64  `cbor:"5,keyasint,omitempty"`
	LastSuccess int64  `cbor:"6,keyasint,omitempty"`  // exact to successStep
	Status      int    `cbor:"7,keyasint,omitempty"`  // of the last failure
	Reason      string `cbor:"8,keyasint,omitempty"`  // of the last failure
	Told        int64  `cbor:"9,keyasint,omitempty"`  // when an event last told of a parked delivery
	Since       int64  `cbor:"10,keyasint,omitempty"` // when the first of Failures was
}

// Endpoints holds the endpoints' rows by name.
var Endpoints = table.Table[Endpoint]{
	Bucket: "endpoint",
	Key:    func(e *Endpoint) []byte { return endpointKey(e.Name) },
}

// FindEndpoint returns the state of the endpoint, and a copy of it to change; the
// first is nil if it has no row yet.
func FindEndpoint(tx store.Tx, name string) (old, next *Endpoint, err error) {
	old, err = Endpoints.Find(tx, endpointKey(name))
	if err != nil {
		return nil, nil, err
	}
	if old == nil {
		return nil, &Endpoint{Name: name}, nil
	}
	row := *old
	return old, &row, nil
}

// successStep is how exact LastSuccess is kept, so that a stream of successes does
// not write the row each time.
const successStep = time.Minute

// answered notes that the endpoint works, as an attempt that began at claimed has shown.
// It lifts a hold, unless that was placed after the attempt began.
func (e *Endpoint) answered(claimed int64) (recovered bool) {
	recovered = claimed >= e.LastFailure && (e.Held != 0 || e.Failures != 0)
	if recovered {
		e.Held, e.Failures, e.Since = 0, 0, 0
	}
	return recovered
}

// Refused notes that the endpoint works and does not take what an attempt that began at
// claimed has brought.
func (e *Endpoint) Refused(claimed int64, a Attempt) {
	e.answered(claimed)
	e.LastFailure, e.Status, e.Reason = table.Nanos(a.At), a.Status, a.Reason
}

// Succeeded notes that the endpoint took what an attempt that began at claimed has
// brought.
func (e *Endpoint) Succeeded(claimed, at int64) {
	if recovered := e.answered(claimed); recovered || at-e.LastSuccess >= int64(successStep) || at < e.LastSuccess { // the clock was set back
		e.LastSuccess = at
	}
}

// Failed notes that an attempt that began at claimed failed. Attempts that ran
// side by side are one failure in a row.
func (e *Endpoint) Failed(claimed int64, a Attempt) {
	if e.Failures == 0 {
		e.Since = table.Nanos(a.At)
	}
	if e.Failures == 0 || claimed >= e.LastFailure {
		e.Failures++
	}
	e.LastFailure, e.Status, e.Reason = table.Nanos(a.At), a.Status, a.Reason
}

// FailingSince is when the first of the failures in a row was, 0 if there are none.
// A row of an engine that did not note it gives the last one.
func (e *Endpoint) FailingSince() int64 {
	switch {
	case e.Failures == 0:
		return 0
	case e.Since == 0:
		return e.LastFailure
	}
	return e.Since
}

// Hold lets only one delivery at a time be tried, from the given time on. A later
// hold stays.
func (e *Endpoint) Hold(until time.Time) { e.Held = max(e.Held, table.Nanos(until)) }

// FitClock makes the row one that fits a clock which may have been set back since it
// was written: the hold is as long, and no failure is to come.
func (e *Endpoint) FitClock(now time.Time, longest time.Duration) {
	e.Held = table.FitClock(e.Held, e.LastFailure, now, longest)
	e.LastFailure = table.FitClock(e.LastFailure, e.LastFailure, now, longest)
	e.Since = min(e.Since, e.LastFailure)
}

// Stats is the work that an endpoint has.
type Stats struct {
	Pending   int       // deliveries that have not ended
	Parked    int       // deliveries given up
	More      bool      // the counts are lower bounds
	OldestDue time.Time // of the heads of its lanes, zero if none waits
}

// countPages is how many pages Count reads.
const countPages = 20

// Count reads the work of an endpoint in bounded scans.
func Count(tx store.Tx, name string) (Stats, error) {
	var s Stats
	var err error
	if s.Pending, s.More, err = count(tx, Deliveries.Bucket, endpointKey(name)); err != nil {
		return s, err
	}
	parked, more, err := count(tx, byParked, endpointKey(name))
	if err != nil {
		return s, err
	}
	s.Parked, s.More = parked, s.More || more
	_, s.OldestDue, err = Due(tx, name, time.Time{}, 0)
	return s, err
}

func count(tx store.Tx, b store.Bucket, prefix []byte) (n int, more bool, err error) {
	r := store.Range{Prefix: prefix, Limit: store.MaxPage}
	for range countPages {
		page, err := tx.Scan(b, r)
		n += len(page)
		if err != nil || len(page) < store.MaxPage {
			return n, false, err
		}
		r.Start = table.After(page[len(page)-1].Key)
	}
	return n, true, nil
}

// WithPending returns the names of the endpoints that have deliveries which have
// not ended, in alphabetical order.
func WithPending(tx store.Tx) (names []string, err error) { return withKeys(tx, Deliveries.Bucket) }

// WithParked returns the names of the endpoints that have parked deliveries, in
// alphabetical order.
func WithParked(tx store.Tx) (names []string, err error) { return withKeys(tx, byParked) }

// withKeys returns the endpoints that the keys of a bucket begin with.
func withKeys(tx store.Tx, b store.Bucket) (names []string, err error) {
	var start []byte
	for {
		page, err := tx.Scan(b, store.Range{Start: start, Limit: 1})
		if err != nil || len(page) == 0 {
			return names, err
		}
		name := table.ReadKey(page[0].Key).Text()
		names = append(names, name)
		key := endpointKey(name)
		key[len(key)-1]++ // past the NUL that ends the name: past all its keys
		start = key
	}
}

// First returns up to limit of the endpoint's deliveries that have not ended, lane
// by lane.
func First(tx store.Tx, name string, limit int) ([]*Pending, error) {
	return Deliveries.Scan(tx, store.Range{Prefix: endpointKey(name), Limit: limit})
}
