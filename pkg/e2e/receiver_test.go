package e2e

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// receiver is a webhook endpoint that keeps what it is sent.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	got    []delivery
	answer func(delivery) reply
}

// delivery is one request that a receiver got, with the body read as the envelope
// that every notification has.
type delivery struct {
	At       time.Time
	Path     string
	Header   http.Header
	Raw      []byte
	Envelope envelope
}

type envelope struct {
	QueueID  string `json:"queueId"`
	UserID   string `json:"userId"`
	DataID   string `json:"dataId"`
	Tries    int64  `json:"tries"`
	MaxTries int64  `json:"max_tries"`
	Data     struct {
		User    string          `json:"notification_user"`
		Email   string          `json:"notification_user_email"`
		Type    string          `json:"notification_type"`
		Payload json.RawMessage `json:"notification_payload"`
	} `json:"data"`
}

// key is the tag that the notification is about.
func (d delivery) key() string { return d.payload().Key }

// kind is the notification's type.
func (d delivery) kind() string { return d.Envelope.Data.Type }

type payload struct {
	NotificationID string            `json:"notificationId"`
	UserID         string            `json:"userId"`
	Key            string            `json:"subscription_key"`
	Type           string            `json:"subscription_type"`
	LastEval       json.RawMessage   `json:"last_eval"`
	CurrEval       json.RawMessage   `json:"curr_eval"`
	Annotations    map[string]string `json:"annotations"`
	Summary        string            `json:"summary"`
	DigestBefore   string            `json:"digest_before"`
	DigestAfter    string            `json:"digest_after"`
	ImageURL       string            `json:"image_url"`
}

func (d delivery) payload() payload {
	var p payload
	_ = json.Unmarshal(d.Envelope.Data.Payload, &p) // the tests compare the fields
	return p
}

// reply is how a receiver answers. Drop closes the connection without an answer;
// Hang keeps it open until the sender gives up.
type reply struct {
	Status     int
	RetryAfter string
	Drop, Hang bool
}

var fine = reply{Status: http.StatusOK}

// newReceiver starts a receiver that answers 200.
func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{answer: func(delivery) reply { return fine }}
	r.Server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.Close)
	return r
}

// newTLSReceiver is newReceiver with a certificate that nobody has signed.
func newTLSReceiver(t testing.TB) *receiver { return newTLSReceiverWith(t, nil) }

// newTLSReceiverWith is newTLSReceiver with settings of TLS.
func newTLSReceiverWith(t testing.TB, settings *tls.Config) *receiver {
	t.Helper()
	r := &receiver{answer: func(delivery) reply { return fine }}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.receive))
	r.TLS = settings
	r.Config.ErrorLog = log.New(io.Discard, "", 0) // who refuses the certificate is expected
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

// caFile writes the certificate of a TLS receiver to a PEM file.
func (r *receiver) caFile(t testing.TB) string {
	t.Helper()
	return writePEM(t, "CERTIFICATE", r.Certificate().Raw)
}

// writePEM writes a file with one PEM block.
func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "block.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// answers sets how the receiver answers from now on.
func (r *receiver) answers(answer func(delivery) reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender died while it spoke
	}
	d := delivery{At: time.Now(), Path: req.URL.Path, Header: req.Header.Clone(), Raw: body}
	_ = json.Unmarshal(body, &d.Envelope)
	r.mu.Lock()
	r.got = append(r.got, d)
	answer := r.answer
	r.mu.Unlock()
	switch a := answer(d); {
	case a.Drop:
		panic(http.ErrAbortHandler)
	case a.Hang:
		<-req.Context().Done()
	default:
		if a.RetryAfter != "" {
			w.Header().Set("Retry-After", a.RetryAfter)
		}
		w.WriteHeader(a.Status)
	}
}

// deliveries returns what was received, in order, as far as keep selects it.
func (r *receiver) deliveries(keep func(delivery) bool) []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.got), func(d delivery) bool { return !keep(d) })
}

// of selects deliveries by type and key.
func of(kind, key string) func(delivery) bool {
	return func(d delivery) bool { return d.kind() == kind && d.key() == key }
}

// wait polls until at least n deliveries that keep selects have come.
func (r *receiver) wait(t testing.TB, n int, what string, keep func(delivery) bool) []delivery {
	t.Helper()
	var got []delivery
	waitFor(t, what, func() bool {
		got = r.deliveries(keep)
		return len(got) >= n
	})
	return got
}
