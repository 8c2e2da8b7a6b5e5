package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/seal"
)

// keyFile is the file in the data directory with the key of stored secrets.
const keyFile = "key"

// newAlarms lists what is so wrong that an operator must be told. told is what
// earlier runs told of.
func (e *Engine) newAlarms(watched *alarm.Store, told []anchore.Trouble) (err error) {
	key := filepath.Join(e.cfg.DataDir, keyFile)
	conditions := []alarm.Condition{
		watched.Condition,
		alarm.KeyFile(key, func() error { _, err := seal.Existing(key); return err }),
		alarm.Failures(troubledAfter, func() (int, string, bool) {
			s := e.workers.Status()
			return s.Failures, s.LastError, !s.LastSuccess.IsZero()
		}),
	}
	if e.cfg.Alarms.MinFree > 0 {
		conditions = append(conditions, alarm.Disk(e.cfg.DataDir, e.cfg.Alarms.MinFree))
	}
	if e.cfg.Alarms.EndpointDead > 0 {
		conditions = append(conditions, alarm.Dead(e.cfg.Alarms.EndpointDead, e.endpointsFailing))
	}
	fatal := slices.DeleteFunc(slices.Clone(told), func(t anchore.Trouble) bool { return t.Level != anchore.Fatal })
	e.alarms, err = alarm.New(alarm.Config{
		Conditions: conditions, Raise: e.catalog.TroubleBegan, Record: e.catalog.TroubleSent, Over: e.troubleOver, Told: fatal, Direct: e.sendDirectly,
		Wake: watched.Failed(), Log: e.part("alarm"),
	})
	return err
}

// troubleOver records that a fatal trouble is over. No event tells of it.
func (e *Engine) troubleOver(ctx context.Context, kind anchore.EventType, resource string) error {
	_, err := e.catalog.TroubleEnded(ctx, kind, resource, anchore.Event{})
	return err
}

// endpointsFailing tells since when each endpoint takes nothing.
func (e *Engine) endpointsFailing(ctx context.Context) ([]alarm.Endpoint, error) {
	states, err := e.relay.Status(ctx)
	list := make([]alarm.Endpoint, 0, len(states))
	for _, s := range states {
		if s.Removed {
			continue
		}
		since := s.FailingSince
		if since.IsZero() {
			since = s.PausedAt
		}
		list = append(list, alarm.Endpoint{
			Name: s.Name, Waiting: s.Pending, Since: since, Failed: s.LastFailure.After(s.LastSuccess), Reason: s.Reason,
		})
	}
	return list, err
}

// sendDirectly sends a fatal event to error_event although it is not recorded. An
// engine without that endpoint has nobody to tell.
func (e *Engine) sendDirectly(ctx context.Context, event anchore.Event) error {
	now := time.Now().UTC()
	event.ID, event.At, event.Account = randomHex(), now, cmp.Or(event.Account, anchore.AdminAccount)
	id := randomHex()
	payload, err := json.Marshal(anchore.NewEventPayload(id, event, e.cfg.HostID, e.baseURL()))
	if err != nil {
		return err
	}
	err = e.relay.Direct(ctx, string(anchore.ErrorEvent), anchore.Notification{
		ID: id, Account: event.Account, Type: anchore.ErrorEvent, Key: event.Resource.ID,
		Summary: string(event.Type) + ": " + event.Message, Payload: payload, CreatedAt: now,
	})
	if anchore.KindOf(err) == anchore.NotFound {
		return nil
	}
	return err
}

// randomHex is 32 hexadecimal digits, as the ids of events are.
func randomHex() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}
