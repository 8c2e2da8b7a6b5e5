package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// receiver is a webhook endpoint that keeps what it is sent.
type receiver struct {
	listener net.Listener
	server   *http.Server

	mu  sync.Mutex
	got []request
}

// request is one notification as it came.
type request struct {
	kind    string // the notification's type
	path    string
	body    string // indented, digests shortened
	summary string // one line
}

// newReceiver starts a receiver on a free loopback port.
func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(l) }() // ends with close
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() }

func (r *receiver) close() error { return r.server.Close() }

// ServeHTTP keeps one notification and says that it arrived.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return // the engine sends it again
	}
	var envelope struct {
		Data struct {
			Type    string `json:"notification_type"`
			Payload struct {
				Summary string `json:"summary"`
			} `json:"notification_payload"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, request{
		kind: envelope.Data.Type, path: req.URL.Path, body: readable(body), summary: envelope.Data.Payload.Summary,
	})
}

// wait polls for the nth notification of a type.
func (r *receiver) wait(ctx context.Context, kind string, n int) (found request, err error) {
	err = poll(ctx, func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		left := n
		for _, got := range r.got {
			if got.kind == kind {
				if left--; left == 0 {
					found = got
					return true, nil
				}
			}
		}
		return false, nil
	})
	return found, err
}

var digest = regexp.MustCompile(`(sha256(?::|%3A)[0-9a-f]{12})[0-9a-f]{52}`)

// readable indents a body and shortens its digests.
func readable(body []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return string(body)
	}
	return digest.ReplaceAllString(out.String(), "$1…")
}
