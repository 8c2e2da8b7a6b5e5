// Package notifytest is the suite that every notify.Channel over HTTP passes.
package notifytest

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
)

// Secrets that an endpoint is configured with; no reason may show them.
const (
	pathToken = "path-token-4f1c"
	query     = "key=query-token-9d2e"
	user      = "watcher"
	password  = "hunter2-correct-horse"
)

// patience is the deadline of attempts that must run into it; prompt is how long
// any other may take.
const (
	patience = 300 * time.Millisecond
	prompt   = 5 * time.Second
)

// Run runs the suite. newChannel makes a channel that sends to the endpoint.
func Run(t *testing.T, newChannel func(t *testing.T, e notify.Endpoint) notify.Channel) {
	for name, test := range map[string]func(*testing.T, func(*testing.T, notify.Endpoint) notify.Channel){
		"statuses":     testStatuses,
		"retry after":  testRetryAfter,
		"slow":         testSlow,
		"hanging":      testHanging,
		"resetting":    testResetting,
		"refusing":     testRefusing,
		"no http":      testNoHTTP,
		"redirecting":  testRedirecting,
		"endless body": testEndlessBody,
		"concurrent":   testConcurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, newChannel) })
	}
}

// Message is a notification as the relay hands it to a channel.
func Message() notify.Message {
	return notify.Message{
		Notification: anchore.Notification{
			ID: "5c3f2f1e-8d0e-8b5a-9c70-000000000001", Account: "admin", Type: anchore.TagUpdate,
			SubscriptionID: "f0aaf0ff0a75644cb6a5915907d4a5c3", Key: "docker.io/library/alpine:latest",
			Summary: "moved", Payload: []byte(`{"summary":"moved"}`), CreatedAt: time.Unix(1622548800, 0),
		},
		Attempt: 1, Until: time.Unix(1622548800, 0).Add(72 * time.Hour),
	}
}

type maker = func(*testing.T, notify.Endpoint) notify.Channel

// endpoint is one at a server's address, full of secrets.
func endpoint(address string) notify.Endpoint {
	return notify.Endpoint{
		Name: notify.General, URL: anchore.Secret(address + "/" + pathToken + "/<notification_type>/<userId>?" + query), User: user, Password: password,
		Headers: map[string]anchore.Secret{"X-Token": "header-token-77aa"},
	}
}

func serve(t *testing.T, h http.HandlerFunc) notify.Endpoint {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return endpoint(server.URL)
}

// send makes one attempt within the deadline and checks what holds of any outcome.
func send(t *testing.T, newChannel maker, e notify.Endpoint, deadline time.Duration) notify.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began := time.Now()
	o := newChannel(t, e).Send(ctx, e, Message())
	if took := time.Since(began); took > min(deadline, prompt)+2*time.Second {
		t.Errorf("Send took %v with a deadline of %v", took, deadline)
	}
	check(t, o)
	return o
}

func check(t *testing.T, o notify.Outcome) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	for _, secret := range []string{pathToken, query, "query-token-9d2e", password, basic, "header-token-77aa"} {
		if strings.Contains(o.Reason, secret) {
			t.Errorf("the reason shows a secret: %q", o.Reason)
		}
	}
	if strings.ContainsAny(o.Reason, "\r\n\x00\x1b") {
		t.Errorf("the reason is not one plain line: %q", o.Reason)
	}
	if (o.Result == notify.Delivered) != (o.Reason == "") {
		t.Errorf("result %v with the reason %q", o.Result, o.Reason)
	}
	if o.After < 0 {
		t.Errorf("After is %v", o.After)
	}
}

func testStatuses(t *testing.T, newChannel maker) {
	var status atomic.Int64
	e := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(int(status.Load())) })
	for _, tt := range []struct {
		status int
		want   notify.Result
	}{
		{200, notify.Delivered}, {201, notify.Delivered}, {202, notify.Delivered}, {204, notify.Delivered}, {299, notify.Delivered},
		{400, notify.Refused}, {413, notify.Refused}, {415, notify.Refused}, {422, notify.Refused}, {410, notify.Gone},
		{304, notify.Retry}, {401, notify.Retry}, {403, notify.Retry}, {404, notify.Retry}, {408, notify.Retry}, {409, notify.Retry},
		{425, notify.Retry}, {429, notify.Retry}, {500, notify.Retry}, {502, notify.Retry}, {503, notify.Retry}, {599, notify.Retry},
	} {
		status.Store(int64(tt.status))
		o := send(t, newChannel, e, prompt)
		if o.Result != tt.want || o.Status != tt.status {
			t.Errorf("status %d: got %+v; want %v", tt.status, o, tt.want)
		}
	}
}

func testRetryAfter(t *testing.T, newChannel maker) {
	var header atomic.Value
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", header.Load().(string))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for _, tt := range []struct {
		header   string
		min, max time.Duration
	}{
		{"120", 2 * time.Minute, 2 * time.Minute},
		{"0", 0, 0}, {"-5", 0, 0}, {"soon", 0, 0}, {"", 0, 0},
		{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, time.Hour},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		{"99999999999999999999", 72 * time.Hour, 1 << 62},
	} {
		header.Store(tt.header)
		if o := send(t, newChannel, e, prompt); o.After < tt.min || o.After > tt.max {
			t.Errorf("Retry-After %q: After = %v; want %v to %v", tt.header, o.After, tt.min, tt.max)
		}
	}
}

func testSlow(t *testing.T, newChannel maker) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(patience) // a slow receiver is what is tested
		w.WriteHeader(http.StatusOK)
	})
	if o := send(t, newChannel, e, prompt); o.Result != notify.Delivered {
		t.Errorf("a slow receiver within the deadline: %+v", o)
	}
}

func testHanging(t *testing.T, newChannel maker) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client go
		<-r.Context().Done()
	})
	if o := send(t, newChannel, e, patience); o.Result != notify.Retry || o.Status != 0 {
		t.Errorf("a hanging receiver: %+v; want retry without a status", o)
	}
}

// accept listens and hands each connection to fn.
func accept(t *testing.T, fn func(net.Conn)) notify.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fn(conn)
		}
	}()
	return endpoint("http://" + l.Addr().String())
}

func testResetting(t *testing.T, newChannel maker) {
	e := accept(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0) // close with a reset
		_ = conn.Close()
	})
	if o := send(t, newChannel, e, prompt); o.Result != notify.Retry || o.Status != 0 {
		t.Errorf("a resetting receiver: %+v; want retry without a status", o)
	}
}

func testRefusing(t *testing.T, newChannel maker) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := endpoint("http://" + l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if o := send(t, newChannel, e, prompt); o.Result != notify.Retry || o.Status != 0 {
		t.Errorf("nobody listens: %+v; want retry without a status", o)
	}
}

// testNoHTTP has a receiver that answers with the request itself, so that its
// secrets come back inside the client's error.
func testNoHTTP(t *testing.T, newChannel maker) {
	e := accept(t, func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		request := make([]byte, 4096)
		n, err := conn.Read(request)
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("\x1b[31m" + strings.ReplaceAll(string(request[:n]), "\r\n", " ") + "\r\n\r\n"))
	})
	if o := send(t, newChannel, e, prompt); o.Result != notify.Retry || o.Status != 0 {
		t.Errorf("no HTTP: %+v; want retry without a status", o)
	}
}

func testRedirecting(t *testing.T, newChannel maker) {
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
		})
		if o := send(t, newChannel, e, prompt); o.Result != notify.Retry || o.Status != status || followed.Load() {
			t.Errorf("status %d: %+v, followed: %v; want retry and not followed", status, o, followed.Load())
		}
	}
}

func testEndlessBody(t *testing.T, newChannel maker) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		line := []byte(strings.Repeat("x", 1024))
		for r.Context().Err() == nil {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	if o := send(t, newChannel, e, prompt); o.Result != notify.Delivered || o.Status != http.StatusAccepted {
		t.Errorf("2xx with an endless body: %+v; want delivered", o)
	}
	e = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(100))
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done() // promised, never sent
	})
	began := time.Now()
	if o := send(t, newChannel, e, 30*time.Second); o.Result != notify.Delivered || time.Since(began) > prompt {
		t.Errorf("2xx with a body that does not come: %+v after %v; want delivered at once", o, time.Since(began))
	}
}

func testConcurrent(t *testing.T, newChannel maker) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	channel := newChannel(t, e)
	outcomes := make(chan notify.Outcome)
	for range 8 {
		go func() { outcomes <- channel.Send(t.Context(), e, Message()) }()
	}
	for range 8 {
		if o := <-outcomes; o.Result != notify.Delivered {
			t.Errorf("one of several at once: %+v", o)
		}
	}
}
