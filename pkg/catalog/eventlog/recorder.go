package eventlog

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/event"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Config says what is told of events, and what notifications of them hold.
type Config struct {
	// Endpoints names the endpoints that receive notifications of a type.
	Endpoints func(anchore.SubscriptionType) []string
	// EventLog says whether events of a level become event_log notifications.
	EventLog func(anchore.Level) bool
	HostID   string // of this engine
	BaseURL  string // where it answers
}

// Recorder writes events inside the transactions of the changes they tell of.
type Recorder struct{ cfg Config }

// NewRecorder builds a Recorder. Both functions of cfg are required.
func NewRecorder(cfg Config) *Recorder { return &Recorder{cfg: cfg} }

// Record writes the nth event of a change, and the notifications that tell of it:
// one event is either recorded and told, or neither. It touches 3 keys, and up to
// 10 for each type of notification that has two endpoints.
func (r *Recorder) Record(tx store.Tx, acct *account.Row, st change.Stamp, n int, e anchore.Event) error {
	if e.Level == anchore.Fatal {
		if err := r.announce(tx, acct, st, n, identified(e, acct, st, n), anchore.ErrorEvent); err != nil {
			return err
		}
	}
	return r.recordSent(tx, acct, st, n, e)
}

// recordSent is Record for an event that error_event was told of, or need not be.
func (r *Recorder) recordSent(tx store.Tx, acct *account.Row, st change.Stamp, n int, e anchore.Event) error {
	e = identified(e, acct, st, n)
	if err := event.Add(tx, acct.No, e); err != nil {
		return err
	}
	if e.Type.ToldBySubscription() || !r.cfg.EventLog(e.Level) {
		return nil
	}
	return r.announce(tx, acct, st, n, e, anchore.EventLog)
}

// identified is the nth event of a change.
func identified(e anchore.Event, acct *account.Row, st change.Stamp, n int) anchore.Event {
	e.ID, e.At, e.Account = st.EventID(n), st.Now, acct.Name
	return e
}

// announce writes the notification of an event, if an endpoint takes its type.
func (r *Recorder) announce(tx store.Tx, acct *account.Row, st change.Stamp, n int, e anchore.Event, t anchore.SubscriptionType) error {
	to := r.listeners(e, t)
	if len(to) == 0 {
		return nil
	}
	// A lane for each thing that events are about: what happens to it is told in
	// order, and one event that is refused again and again holds up no other thing.
	lane := anchore.SubscriptionID(acct.Name, e.Resource.Type+" "+e.Resource.ID, t)
	causeID := cause.NewID(st.Nanos, st.Random+uint64(n))
	note := anchore.Notification{
		ID: outbox.NotificationID(causeID, lane), Account: acct.Name, Type: t, SubscriptionID: lane, Key: e.Resource.ID,
		Summary: fmt.Sprintf("%s: %s", e.Type, e.Message), CreatedAt: st.Now,
	}
	payload, err := json.Marshal(anchore.NewEventPayload(note.ID, e, r.cfg.HostID, r.cfg.BaseURL))
	if err != nil {
		return fmt.Errorf("eventlog.Record: payload: %w", err)
	}
	note.Payload = payload
	return outbox.Put(tx, acct.No, causeID, note, to)
}

// listeners are the endpoints that are told of an event. An endpoint is never told
// that it does not work: that would add to what it cannot take.
func (r *Recorder) listeners(e anchore.Event, t anchore.SubscriptionType) []string {
	to := r.cfg.Endpoints(t)
	if e.Resource.Type != "webhook" {
		return to
	}
	return slices.DeleteFunc(slices.Clone(to), func(name string) bool { return name == e.Resource.ID })
}
