// Package notify delivers notifications: it takes what is due from the outbox,
// hands it to a channel, and decides by the outcome what happens next. It does not
// know what the types of notifications mean.
package notify

import (
	"context"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Channel hands one message to one endpoint. It keeps no state between messages,
// is safe for concurrent use, and makes one attempt within ctx's deadline:
// attempts, order and delay are the relay's. The same Message may come again after
// a crash; its ID lets a receiver drop repeats. An Outcome has a result, the least
// wait from Retry-After or 0, the HTTP status or 0 if no response came, and one
// line of reason without credentials, path or query of the endpoint. Send returns
// soon after ctx ends, whatever the endpoint does.
type Channel interface {
	Send(ctx context.Context, to Endpoint, m Message) Outcome
}

// Message is one notification in one attempt to deliver it.
type Message struct {
	anchore.Notification           // its ID is the same in all attempts
	Email                string    // of the account, "" for none
	Attempt              int       // 1 for the first
	TriedAt              time.Time // when the attempt before ended, zero for the first
	Until                time.Time // when the last attempt will be made
	URLType              string    // stands for the type in the endpoint's URL; "" is the type itself
}

// Result is what an attempt means for the message and its endpoint.
type Result int

const (
	Retry     Result = iota // not delivered; another attempt may succeed
	Delivered               // the receiver has it
	Refused                 // the receiver will never take this message
	Gone                    // the endpoint is gone for good: nothing more is to be sent there
)

func (r Result) String() string {
	switch r {
	case Delivered:
		return "delivered"
	case Refused:
		return "refused"
	case Gone:
		return "gone"
	default:
		return "retry"
	}
}

// Outcome is what came of one attempt.
type Outcome struct {
	Result Result
	After  time.Duration // the least wait the endpoint asks for, 0 for none
	Status int           // HTTP status, 0 if no response came
	Reason string        // one line without credentials, "" if delivered
}

// General is the endpoint that receives the notifications of every type.
const General = "general"

// Endpoint is where notifications go, as configured. The zero value of each field
// but Name and URL is fine.
type Endpoint struct {
	Name string // General, or the type of the notifications it receives
	// URL has the scheme http or https. <notification_type> and <userId> in its path
	// and query stand for the notification's type and account. Its path, query and
	// user are secrets: tokens live there.
	URL          anchore.Secret
	User         string                    // of basic authentication
	Password     anchore.Secret            // of basic authentication
	BearerToken  anchore.Secret            // sent instead of user and password if set
	Secret       anchore.Secret            // signs each request: "whsec_" and base64, or any text; "" signs none
	Headers      map[string]anchore.Secret // sent with each request
	Insecure     bool                      // accept any TLS certificate
	CAFile       string                    // PEM certificates trusted beside the system's
	CertFile     string                    // PEM client certificate, with KeyFile
	KeyFile      string
	Proxy        anchore.Secret // URL; "" follows the environment (HTTPS_PROXY, …)
	MaxPerSecond float64        // attempts; 0 is no limit
	Timeout      time.Duration  // of one attempt; 0 is 10 s
	RetryFor     time.Duration  // from a notification's creation to its last attempt; 0 is 72 hours, negative tries once
	Keys         []string       // the configuration keys that made it, for operators
}

// Route returns a function that names the endpoints for the notifications of a
// type: general, and the one called as the type, each on its own. Those of fatal
// events go to error_event alone.
func Route(endpoints []Endpoint) func(anchore.SubscriptionType) []string {
	names := make(map[string]bool, len(endpoints))
	for _, e := range endpoints {
		names[e.Name] = true
	}
	return func(t anchore.SubscriptionType) []string {
		var to []string
		if names[General] && t != anchore.ErrorEvent {
			to = append(to, General)
		}
		if names[string(t)] && string(t) != General {
			to = append(to, string(t))
		}
		return to
	}
}
