package anchore

import (
	"encoding/json"
	"time"
)

// Notification is one thing that one subscription is told. It exists from the
// transaction that changed the state, whether or not an endpoint is configured.
type Notification struct {
	ID             string // a UUID derived from the cause and the subscription: stable over retries and re-runs
	Account        string
	Type           SubscriptionType
	SubscriptionID string
	Key            string          // the subscription's key
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
	ImageURL     string `json:"image_url,omitempty"`     // the image in this engine's API; a path if public_url is not configured
}
