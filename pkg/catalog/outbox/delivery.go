package outbox

import (
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Pending is a stored delivery that has not ended.
type Pending struct {
	Endpoint     string `cbor:"1,keyasint"`
	Account      uint32 `cbor:"2,keyasint"`
	Subscription []byte `cbor:"3,keyasint"`
	Cause        []byte `cbor:"4,keyasint"`
	Created      int64  `cbor:"5,keyasint"`
	Due          int64  `cbor:"6,keyasint,omitempty"` // from when it may be claimed; 0 behind the head of its lane
	Token        uint64 `cbor:"7,keyasint,omitempty"` // number of the newest lease
	Leased       bool   `cbor:"8,keyasint,omitempty"` // Due is the end of the lease
	Claimed      int64  `cbor:"9,keyasint,omitempty"` // when the lease began
	Attempts     int    `cbor:"10,keyasint,omitempty"`
	Tried        int64  `cbor:"11,keyasint,omitempty"` // when the last attempt ended
	Status       int    `cbor:"12,keyasint,omitempty"` // HTTP status of the last attempt, 0 for no response
	Reason       string `cbor:"13,keyasint,omitempty"` // of the last attempt
}

// ByDue is the index of the heads of the lanes by (endpoint, time from which it may
// be claimed).
const ByDue store.Bucket = "delivery_due"

// Deliveries holds the deliveries that have not ended, lane by lane.
var Deliveries = table.Table[Pending]{
	Bucket: "delivery",
	Key:    func(d *Pending) []byte { return append(laneKey(d), d.Cause...) },
	Indexes: []table.Index[Pending]{{Bucket: ByDue, Keys: func(d *Pending) [][]byte {
		if d.Due == 0 {
			return nil
		}
		return [][]byte{headKey(d)}
	}}},
}

// headKey is the key in ByDue of the head of a lane.
func headKey(d *Pending) table.Key {
	key := dueKey(d.Endpoint, d.Due).Uint32(d.Account)
	return append(append(key, d.Subscription...), d.Cause...)
}

// laneKey is the start of the keys of a lane.
func laneKey(d *Pending) table.Key {
	return append(endpointKey(d.Endpoint).Uint32(d.Account), d.Subscription...)
}

func endpointKey(endpoint string) table.Key { return table.Key{}.Text(endpoint) }

func dueKey(endpoint string, due int64) table.Key { return endpointKey(endpoint).Uint64(uint64(due)) }

// State is how a delivery ended, or that it has not.
type State string

const (
	Waiting   State = "pending"
	Delivered State = "delivered"
	Parked    State = "parked" // given up; Reason says why
)

// Ended is a stored delivery that has ended.
type Ended struct {
	Endpoint     string `cbor:"1,keyasint"`
	Account      uint32 `cbor:"2,keyasint"`
	Subscription []byte `cbor:"3,keyasint"`
	Cause        []byte `cbor:"4,keyasint"`
	State        State  `cbor:"5,keyasint"`
	At           int64  `cbor:"6,keyasint"` // when it ended
	Attempts     int    `cbor:"7,keyasint,omitempty"`
	Status       int    `cbor:"8,keyasint,omitempty"`
	Reason       string `cbor:"9,keyasint,omitempty"`
	Tried        int64  `cbor:"10,keyasint,omitempty"`
	Created      int64  `cbor:"11,keyasint"`
}

// byParked is the index of parked deliveries by (endpoint, newest first).
const byParked store.Bucket = "delivery_parked"

// Done holds the deliveries that ended, under their notification.
var Done = table.Table[Ended]{
	Bucket: "delivery_done",
	Key: func(d *Ended) []byte {
		return notificationKey(d.Account, d.Cause, d.Subscription).Text(d.Endpoint)
	},
	Indexes: []table.Index[Ended]{{Bucket: byParked, Keys: func(d *Ended) [][]byte {
		if d.State != Parked {
			return nil
		}
		key := endpointKey(d.Endpoint).Descending(d.At).Uint32(d.Account)
		return [][]byte{append(append(key, d.Subscription...), d.Cause...)}
	}}},
}

// Due returns up to limit heads of the endpoint's lanes that are due at now, the
// longest due first, and when the next one after those is due, zero if none waits.
func Due(tx store.Tx, endpoint string, now time.Time, limit int) (due []*Pending, next time.Time, err error) {
	heads, err := Deliveries.By(tx, ByDue, store.Range{Prefix: endpointKey(endpoint), Limit: limit + 1})
	if err != nil {
		return nil, time.Time{}, err
	}
	for i, d := range heads {
		if i == limit || d.Due > table.Nanos(now) {
			return due, table.Time(d.Due), nil
		}
		due = append(due, d)
	}
	return due, time.Time{}, nil
}

// Late reads a page of up to limit heads of the endpoint's lanes that are due after
// now, the soonest first. It returns those that nobody holds, and the cursor of the
// next page, nil after the last.
func Late(tx store.Tx, endpoint string, now time.Time, from Cursor, limit int) (late []*Pending, next Cursor, err error) {
	if from == nil {
		from = Cursor(dueKey(endpoint, table.Nanos(now)+1))
	}
	page, err := Deliveries.By(tx, ByDue, store.Range{Prefix: endpointKey(endpoint), Start: from, Limit: limit})
	if err != nil {
		return nil, nil, err
	}
	for _, d := range page {
		if !d.Leased {
			late = append(late, d)
		}
	}
	if len(page) == limit {
		next = table.After(headKey(page[limit-1]))
	}
	return late, next, nil
}

// Hasten makes a delivery that Late returned at now due earlier, unless somebody took
// it or it ended since. It touches 4 keys.
func Hasten(tx store.Tx, late *Pending, now time.Time, due int64) error {
	d, err := Deliveries.Find(tx, Deliveries.Key(late))
	if err != nil || d == nil || d.Leased || d.Due <= due {
		return err
	}
	next := *d
	next.Due, next.Tried = due, min(d.Tried, table.Nanos(now)) // no attempt is to come
	return Deliveries.Replace(tx, d, &next)
}

// FitClock returns when a delivery that nobody holds is due by a clock that may have
// been set back since: one that was never tried waits for nothing.
func (d *Pending) FitClock(now time.Time, longest time.Duration) int64 {
	decided := d.Tried
	if decided == 0 {
		decided = d.Due
	}
	return table.FitClock(d.Due, decided, now, longest)
}

// Claim gives a delivery to the caller until the lease ends. It touches 3 keys.
func Claim(tx store.Tx, d *Pending, now time.Time, lease time.Duration) (*Pending, error) {
	next := *d
	next.Token++
	next.Attempts++
	next.Leased, next.Claimed, next.Due = true, table.Nanos(now), table.Nanos(now.Add(lease))
	return &next, Deliveries.Replace(tx, d, &next)
}

// EndLease makes the delivery with the key due at once if somebody holds it.
func EndLease(tx store.Tx, key []byte, now int64) error {
	d, err := Deliveries.Find(tx, key)
	if err != nil || d == nil || !d.Leased || d.Due <= now {
		return err
	}
	next := *d
	next.Due = now
	return Deliveries.Replace(tx, d, &next)
}

// Held returns the delivery if the caller still holds the lease numbered token.
// Errors: Conflict if not.
func Held(tx store.Tx, key []byte, token uint64) (*Pending, error) {
	d, err := Deliveries.Find(tx, key)
	if err != nil {
		return nil, err
	}
	if d == nil || !d.Leased || d.Token != token {
		return nil, anchore.E(anchore.Conflict, "outbox.Held", "the lease on the delivery was lost")
	}
	return d, nil
}

// Attempt is what came of one attempt to deliver.
type Attempt struct {
	At     time.Time // when it ended
	Status int       // HTTP status, 0 for no response
	Reason string    // one line, "" if it was delivered
}

// Again makes a claimed delivery due again at the given time.
func Again(tx store.Tx, d *Pending, a Attempt, due time.Time) error {
	next := *d
	next.Leased, next.Due = false, table.Nanos(due)
	next.Tried, next.Status, next.Reason = table.Nanos(a.At), a.Status, a.Reason
	return Deliveries.Replace(tx, d, &next)
}

// Release gives a lease back as if the attempt had not been.
func Release(tx store.Tx, d *Pending, now time.Time) error {
	next := *d
	next.Attempts--
	next.Leased, next.Due = false, table.Nanos(now)
	return Deliveries.Replace(tx, d, &next)
}

// End moves a delivery to its notification's history, delivered or parked, and
// makes the next one in its lane the head if this was. It touches 8 keys.
func End(tx store.Tx, d *Pending, s State, a Attempt) error {
	if err := Deliveries.Delete(tx, d); err != nil {
		return err
	}
	done := &Ended{
		Endpoint: d.Endpoint, Account: d.Account, Subscription: d.Subscription, Cause: d.Cause, State: s, At: table.Nanos(a.At),
		Attempts: d.Attempts, Status: a.Status, Reason: a.Reason, Tried: d.Tried, Created: d.Created,
	}
	if d.Leased { // this attempt is its last
		done.Tried = done.At
	}
	if err := Done.Insert(tx, done); err != nil || d.Due == 0 {
		return err
	}
	first, err := Deliveries.Scan(tx, store.Range{Prefix: laneKey(d), Limit: 1})
	if err != nil || len(first) == 0 {
		return err
	}
	head := *first[0]
	head.Due = table.Nanos(a.At)
	return Deliveries.Replace(tx, first[0], &head)
}

// Delivery is how far the delivery of a notification to one endpoint is.
type Delivery struct {
	Endpoint  string
	State     State
	Attempts  int
	Status    int       // HTTP status of the last attempt, 0 for no response
	Reason    string    // why the last attempt failed, or why it was parked
	NextAt    time.Time // while pending: when it is due, zero behind another one of its lane
	TriedAt   time.Time // when the last attempt ended, or zero
	EndedAt   time.Time // zero while pending
	CreatedAt time.Time
}

// Of returns the deliveries of a notification, by endpoint.
func Of(tx store.Tx, n *Row) ([]Delivery, error) {
	ended, err := Done.Scan(tx, store.Range{Prefix: Notifications.Key(n)})
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*Ended, len(ended))
	for _, d := range ended {
		byName[d.Endpoint] = d
	}
	list := make([]Delivery, 0, len(n.Endpoints))
	for _, endpoint := range n.Endpoints {
		if d := byName[endpoint]; d != nil {
			list = append(list, Delivery{
				Endpoint: endpoint, State: d.State, Attempts: d.Attempts, Status: d.Status, Reason: d.Reason,
				TriedAt: table.Time(d.Tried), EndedAt: table.Time(d.At), CreatedAt: table.Time(d.Created),
			})
			continue
		}
		d, err := Deliveries.Get(tx, Deliveries.Key(&Pending{Endpoint: endpoint, Account: n.Account, Subscription: n.Subscription, Cause: n.Cause}))
		if err != nil {
			return nil, err
		}
		list = append(list, Delivery{
			Endpoint: endpoint, State: Waiting, Attempts: d.Attempts, Status: d.Status, Reason: d.Reason,
			NextAt: table.Time(d.Due), TriedAt: table.Time(d.Tried), CreatedAt: table.Time(d.Created),
		})
	}
	return list, nil
}

// Notification returns the notification that a delivery belongs to.
func (d *Pending) Notification(tx store.Tx) (*Row, error) {
	return Notifications.Get(tx, notificationKey(d.Account, d.Cause, d.Subscription))
}
