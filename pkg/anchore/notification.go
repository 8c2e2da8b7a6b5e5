package anchore

import (
	"encoding/json"
	"time"
)

// The types of notifications that no subscription asks for: events, sent because
// the configuration says so. They have an endpoint of the same name.
const (
	ErrorEvent SubscriptionType = "error_event" // a fatal event; goes to no other endpoint
	EventLog   SubscriptionType = "event_log"   // an event of a configured level
)

// Notification is one thing that one subscription, or an operator, is told. It
// exists from the transaction that changed the state. One of a subscription exists
// whether or not an endpoint is configured.
type Notification struct {
	ID             string // a UUID derived from the cause and the subscription: stable over retries and re-runs
	Account        string
	Type           SubscriptionType
	SubscriptionID string          // of an event: derived from what the event is about
	Key            string          // the subscription's key; of an event what it is about
	Summary        string          // one line for a person
	Payload        json.RawMessage // the type's payload: notification_payload in the webhook body
	CreatedAt      time.Time
}

// TagUpdatePayload is the payload of a tag_update notification. The keys without
// a comment are the original's.
type TagUpdatePayload struct {
	NotificationID   string            `json:"notificationId"`
	UserID           string            `json:"userId"`
	SubscriptionKey  string            `json:"subscription_key"`
	SubscriptionType SubscriptionType  `json:"subscription_type"`
	LastEval         []string          `json:"last_eval"` // the digest recorded before, in a list
	CurrEval         []string          `json:"curr_eval"` // the digest the tag names now, in a list
	Annotations      map[string]string `json:"annotations"`
	Context
}

// AnalysisUpdatePayload is the payload of an analysis_update notification.
type AnalysisUpdatePayload struct {
	NotificationID   string            `json:"notificationId"`
	UserID           string            `json:"userId"`
	SubscriptionKey  string            `json:"subscription_key"`
	SubscriptionType SubscriptionType  `json:"subscription_type"`
	LastEval         AnalysisEval      `json:"last_eval"`
	CurrEval         AnalysisEval      `json:"curr_eval"`
	Annotations      map[string]string `json:"annotations"`
	Context
}

// AnalysisEval is the state of an image's analysis before or after a change.
type AnalysisEval struct {
	ImageDigest    string            `json:"imageDigest"`
	AnalysisStatus AnalysisStatus    `json:"analysis_status"`
	Annotations    map[string]string `json:"annotations"`
}

// EventPayload is the payload of an error_event or event_log notification: the
// event as GET /events/{id} shows it.
type EventPayload struct {
	NotificationID string      `json:"notificationId"`
	UserID         string      `json:"userId"`
	ID             string      `json:"generated_uuid"`
	CreatedAt      string      `json:"created_at"`
	Event          EventRecord `json:"event"`
}

// EventRecord is the shape of an event outside of the engine, the original's.
type EventRecord struct {
	Type      EventType      `json:"type"`
	Level     Level          `json:"level"`
	Message   string         `json:"message"`
	Details   map[string]any `json:"details"` // never null
	Timestamp string         `json:"timestamp"`
	Resource  EventResource  `json:"resource"`
	Source    EventSource    `json:"source"`
}

// EventResource is what an event is about.
type EventResource struct {
	UserID string  `json:"user_id"`
	Type   string  `json:"type"`
	ID     *string `json:"id"` // null for none
}

// EventSource is what raised an event.
type EventSource struct {
	Service   string  `json:"servicename"`
	HostID    string  `json:"hostid"`
	BaseURL   string  `json:"base_url"`
	RequestID *string `json:"request_id"` // always null
}

// eventTime is the original's form of an event's time.
const eventTime = "2006-01-02T15:04:05.000000Z"

// NewEventPayload is the payload that tells of e, raised by the engine that is
// called hostID and answers at baseURL.
func NewEventPayload(notificationID string, e Event, hostID, baseURL string) EventPayload {
	at := e.At.UTC().Format(eventTime)
	p := EventPayload{
		NotificationID: notificationID, UserID: e.Account, ID: e.ID, CreatedAt: at,
		Event: EventRecord{
			Type: e.Type, Level: e.Level, Message: e.Message, Details: e.Details, Timestamp: at,
			Resource: EventResource{UserID: e.Account, Type: e.Resource.Type},
			Source:   EventSource{Service: e.Service, HostID: hostID, BaseURL: baseURL},
		},
	}
	if p.Event.Details == nil {
		p.Event.Details = map[string]any{}
	}
	if e.Resource.ID != "" {
		p.Event.Resource.ID = &e.Resource.ID
	}
	return p
}

// Context is what this engine adds to the original's payloads so that a receiver
// can act without asking back.
type Context struct {
	Summary      string `json:"summary"`                 // one line for a person
	Cause        string `json:"cause"`                   // why now: "watcher", "hint", "image add", "analysis", …
	DigestBefore string `json:"digest_before,omitempty"` // the tag's image before, if there was one
	DigestAfter  string `json:"digest_after,omitempty"`  // the tag's image now
	Platform     string `json:"platform,omitempty"`      // os/architecture[/variant]
	Revision     string `json:"revision,omitempty"`      // label org.opencontainers.image.revision
	Source       string `json:"source,omitempty"`        // label org.opencontainers.image.source
	ImageURL     string `json:"image_url,omitempty"`     // the image in this engine's API
}
