package ocitest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// Fault changes the answer to the requests that it matches.
type Fault struct {
	Method string // "" for any
	Path   string // part of the path, "" for any
	Times  int    // how often; 0 is until it is removed

	Delay  time.Duration // before the answer
	Status int           // instead of the real answer; 0 keeps that
	Header http.Header   // added to the answer
	Body   string        // with Status
	Drop   string        // a header that the real answer loses
	Cut    bool          // half of the real body, then the connection ends
	Flip   bool          // the real body with its last byte changed
	used   int
	gone   bool
}

// Inject adds a fault; the returned function removes it. Of several that match,
// the oldest decides.
func (r *Registry) Inject(f Fault) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &f
	r.faults = append(r.faults, p)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.gone = true
	}
}

// TooMany is a 429 that asks to come back after d, in seconds.
func TooMany(d time.Duration) Fault {
	return Fault{
		Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {strconv.Itoa(int(d / time.Second))}},
		Body:   `{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}`,
	}
}

// TooManyUntil is a 429 that asks to come back at a date (RFC 9110 §10.2.3).
func TooManyUntil(at time.Time) Fault {
	f := TooMany(0)
	f.Header = http.Header{"Retry-After": {at.UTC().Format(http.TimeFormat)}}
	return f
}

// fault finds the fault for a request; the caller holds mu.
func (r *Registry) fault(req *http.Request) Fault {
	for _, f := range r.faults {
		if f.gone || f.Times > 0 && f.used >= f.Times ||
			f.Method != "" && f.Method != req.Method || !strings.Contains(req.URL.Path, f.Path) {
			continue
		}
		f.used++
		return *f
	}
	return Fault{}
}

func (f Fault) answer(w http.ResponseWriter, req *http.Request, next http.Handler) {
	if f.Status != 0 {
		copyHeader(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body)) // the client may be gone
		return
	}
	if f.Header == nil && f.Drop == "" && !f.Cut && !f.Flip {
		next.ServeHTTP(w, req)
		return
	}
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, req)
	copyHeader(w.Header(), rec.Header())
	copyHeader(w.Header(), f.Header)
	if f.Drop != "" {
		w.Header().Del(f.Drop)
	}
	body := rec.Body.Bytes()
	if f.Flip && len(body) > 0 {
		body[len(body)-1] ^= 1
	}
	if !f.Cut {
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body[:len(body)/2])
	panic(http.ErrAbortHandler) // the only way to end a connection in the middle
}

func copyHeader(to, from http.Header) {
	for k, v := range from {
		to[k] = v
	}
}
