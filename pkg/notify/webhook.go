package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WebhookConfig is what a Webhook is built from.
type WebhookConfig struct {
	Endpoints []Endpoint
	BaseURL   string            // where clients reach the engine, for samples
	UserAgent string            // "" is "anchore-engine"
	Transport http.RoundTripper // nil connects to each endpoint as it is configured
}

// Webhook is the Channel that POSTs to HTTP endpoints. Any 2xx delivers; 400, 413,
// 415 and 422 refuse the message; 410 ends the endpoint; everything else, and no
// answer at all, is to be tried again. Redirects are not followed.
type Webhook struct {
	targets   map[string]*target
	userAgent string
	baseURL   string
}

// target is an endpoint made ready to be sent to.
type target struct {
	Endpoint
	client *http.Client
	key    []byte // signs; nil for none
	scrub  func(string) string
}

// NewWebhook builds the channel. Errors: Invalid, naming the endpoint and the key
// of its configuration.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	w := &Webhook{targets: make(map[string]*target, len(cfg.Endpoints)), userAgent: cfg.UserAgent, baseURL: cfg.BaseURL}
	if w.userAgent == "" {
		w.userAgent = "anchore-engine"
	}
	for _, e := range cfg.Endpoints {
		t, err := newTarget(e, cfg.Transport)
		if err != nil {
			return nil, err
		}
		w.targets[e.Name] = t
	}
	return w, nil
}

func newTarget(e Endpoint, transport http.RoundTripper) (*target, error) {
	u, err := parseURL(e)
	if err != nil {
		return nil, err
	}
	if err := checkHeaders(e); err != nil {
		return nil, err
	}
	t := &target{Endpoint: e, scrub: scrubber(e, u)}
	if e.Secret != "" {
		if t.key, err = signingKey(e.Secret); err != nil {
			return nil, err
		}
	}
	if transport == nil {
		if transport, err = newTransport(e); err != nil {
			return nil, err
		}
	}
	t.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

// Close closes idle connections.
func (w *Webhook) Close() {
	for _, t := range w.targets {
		t.client.CloseIdleConnections()
	}
}

// Send makes one attempt.
func (w *Webhook) Send(ctx context.Context, to Endpoint, m Message) Outcome {
	t := w.targets[to.Name]
	if t == nil {
		return Outcome{Result: Retry, Reason: "no endpoint of this name is configured"}
	}
	o, _, _ := w.send(ctx, t, m)
	return o
}

// send makes one attempt. Beside the outcome it returns the TLS connection, nil if
// there was none, and why no response came.
func (w *Webhook) send(ctx context.Context, t *target, m Message) (Outcome, *tls.ConnectionState, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := w.request(ctx, t, m)
	if err != nil {
		return Outcome{Result: Refused, Reason: reasonOf(err, t.scrub)}, nil, err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return Outcome{Result: Retry, Reason: reasonOf(err, t.scrub)}, nil, err
	}
	defer drain(resp.Body, cancel)
	return outcomeOf(resp, time.Now()), resp.TLS, nil
}

func (w *Webhook) request(ctx context.Context, t *target, m Message) (*http.Request, error) {
	body, err := json.Marshal(newEnvelope(m))
	if err != nil {
		return nil, fmt.Errorf("the notification is not JSON: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, expand(t.URL.Reveal(), m), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", w.userAgent)
	for name, value := range t.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value.Reveal()
			continue
		}
		req.Header.Set(name, value.Reveal())
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", m.ID)
	switch {
	case t.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+t.BearerToken.Reveal())
	case t.User != "" || t.Password != "":
		req.SetBasicAuth(t.User, t.Password.Reveal())
	}
	if t.key != nil {
		now := time.Now()
		req.Header.Set("webhook-id", m.ID)
		req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("webhook-signature", signature(t.key, m.ID, now, body))
	}
	return req, nil
}

const (
	drainBytes = 4 << 10
	drainTime  = 200 * time.Millisecond
)

// drain reads what is left of a short body, so that the connection can be used
// again, but neither much nor for long: the outcome is known without it.
func drain(body io.ReadCloser, cancel context.CancelFunc) {
	late := time.AfterFunc(drainTime, cancel)
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	late.Stop()
	_ = body.Close()
}

// outcomeOf maps a response to an outcome.
func outcomeOf(resp *http.Response, now time.Time) Outcome {
	o := Outcome{Result: Retry, Status: resp.StatusCode}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		o.Result = Delivered
		return o
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge,
		code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		o.Result = Refused
	case code == http.StatusGone:
		o.Result = Gone
	default:
		o.After = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	o.Reason = strings.TrimSpace("answered " + strconv.Itoa(o.Status) + " " + http.StatusText(o.Status))
	if o.Status >= 300 && o.Status < 400 {
		o.Reason += "; redirects are not followed"
	}
	return o
}

// maxRetryAfter keeps an absurd Retry-After in the range of a Duration.
const maxRetryAfter = 365 * 24 * time.Hour

// retryAfter reads the header of that name, seconds or a date (RFC 9110 §10.2.3),
// as a wait from now on. What cannot be read, or is past, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if digits(value) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n > int64(maxRetryAfter/time.Second) { // digits alone fail only by being too many
			return maxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

var _ Channel = (*Webhook)(nil)
