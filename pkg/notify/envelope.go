package notify

import (
	"encoding/json"
	"time"
)

// envelope is the body of a webhook request: the original's, key for key. Its
// times are seconds since 1970.
type envelope struct {
	QueueID        string  `json:"queueId"`
	UserID         string  `json:"userId"`
	DataID         string  `json:"dataId"`
	CreatedAt      int64   `json:"created_at"`
	LastUpdated    int64   `json:"last_updated"`
	RecordStateKey string  `json:"record_state_key"`
	RecordStateVal *string `json:"record_state_val"`
	Tries          int64   `json:"tries"`     // when the attempt before ended, 0 in the first
	MaxTries       int64   `json:"max_tries"` // when the last attempt will be made
	Data           data    `json:"data"`
}

type data struct {
	User    string          `json:"notification_user"`
	Email   *string         `json:"notification_user_email"`
	Type    string          `json:"notification_type"`
	Payload json.RawMessage `json:"notification_payload"`
}

func newEnvelope(m Message) envelope {
	e := envelope{
		QueueID: string(m.Type), UserID: m.Account, DataID: m.ID,
		CreatedAt: m.CreatedAt.Unix(), LastUpdated: m.CreatedAt.Unix(), RecordStateKey: "active",
		MaxTries: seconds(m.Until),
		Data:     data{User: m.Account, Type: string(m.Type), Payload: m.Payload},
	}
	if !m.TriedAt.IsZero() {
		e.Tries, e.LastUpdated = m.TriedAt.Unix(), m.TriedAt.Unix()
	}
	if m.Email != "" {
		e.Data.Email = &m.Email
	}
	return e
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
