package catalog

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/event"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
)

// record writes the nth event of a change, and the notifications that tell of it:
// one event is either recorded and told, or neither. It touches 3 keys, and up to
// 10 for each type of notification that has two endpoints.
func (c *Catalog) record(tx store.Tx, acct *account.Row, st stamp, n int, e anchore.Event) error {
	e.ID, e.At, e.Account = st.eventID(n), st.now, acct.Name
	if err := event.Add(tx, acct.No, e); err != nil {
		return err
	}
	if e.Level == anchore.Fatal {
		if err := c.announce(tx, acct, st, n, e, anchore.ErrorEvent); err != nil {
			return err
		}
	}
	if e.Type.ToldBySubscription() || !c.eventLog(e.Level) {
		return nil
	}
	return c.announce(tx, acct, st, n, e, anchore.EventLog)
}

// announce writes the notification of an event, if an endpoint takes its type.
func (c *Catalog) announce(tx store.Tx, acct *account.Row, st stamp, n int, e anchore.Event, t anchore.SubscriptionType) error {
	to := c.listeners(e, t)
	if len(to) == 0 {
		return nil
	}
	// A lane for each thing that events are about: what happens to it is told in
	// order, and one event that is refused again and again holds up no other thing.
	lane := anchore.SubscriptionID(acct.Name, e.Resource.Type+" "+e.Resource.ID, t)
	causeID := cause.NewID(st.nanos, st.random+uint64(n))
	note := anchore.Notification{
		ID: notificationID(causeID, lane), Account: acct.Name, Type: t, SubscriptionID: lane, Key: e.Resource.ID,
		Summary: fmt.Sprintf("%s: %s", e.Type, e.Message), CreatedAt: st.now,
	}
	payload, err := json.Marshal(anchore.NewEventPayload(note.ID, e, c.hostID, c.baseURL))
	if err != nil {
		return fmt.Errorf("catalog.announce: payload: %w", err)
	}
	note.Payload = payload
	return outbox.Put(tx, acct.No, causeID, note, to)
}

// listeners are the endpoints that are told of an event. An endpoint is never told
// that it does not work: that would add to what it cannot take.
func (c *Catalog) listeners(e anchore.Event, t anchore.SubscriptionType) []string {
	to := c.endpoints(t)
	if e.Resource.Type != "webhook" {
		return to
	}
	return slices.DeleteFunc(slices.Clone(to), func(name string) bool { return name == e.Resource.ID })
}
