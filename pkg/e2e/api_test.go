package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSlowClientsAreCutOff opens connections on which no request becomes complete.
// The limit stands in docs/operations.md.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	const limit = 10 * time.Second
	e := startEngine(t, offline)
	silent, slow := hold(t, e.addr, "", ""), hold(t, e.addr, "GET /health HTTP/1.1\r\nHost: engine\r\nX-Slow: ", "x")
	for client, end := range map[string]<-chan cutOff{"silent": silent, "slow": slow} {
		select {
		case got := <-end:
			if got.after < limit-time.Second || got.after > 2*limit || strings.HasPrefix(got.answer, "HTTP/1.1 2") {
				t.Errorf("a %s client was cut off after %v with the answer %q, want none after %v", client, got.after, got.answer, limit)
			}
		case <-time.After(patience):
			t.Errorf("a %s client is connected after %v", client, patience)
		}
	}
	e.mustCLI("system", "status")
}

// cutOff is how a connection ended.
type cutOff struct {
	after  time.Duration
	answer string
}

// hold connects, sends a beginning and then little by little more, until the server
// ends the connection.
func hold(t testing.TB, address, beginning, more string) <-chan cutOff {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	begin, end := time.Now(), make(chan cutOff, 1)
	go func() {
		answer, _ := io.ReadAll(conn) // a reset is an end as well
		end <- cutOff{time.Since(begin), string(answer)}
	}()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for _, err := io.WriteString(conn, beginning); err == nil; _, err = io.WriteString(conn, more) {
			<-tick.C
		}
	}()
	return end
}

// TestBodiesBeyondTheLimits sends bodies that are too large or too deep.
func TestBodiesBeyondTheLimits(t *testing.T) {
	t.Parallel()
	e := startEngine(t, offline)
	const most, tooLarge, tooDeep = 10 << 20, "larger than 10485760 bytes", "more than 100 deep"
	for _, tt := range []struct {
		name    string
		body    io.Reader
		status  int
		message string
	}{
		{"too large", bytes.NewReader(make([]byte, most+1)), http.StatusRequestEntityTooLarge, tooLarge},
		{"too large, of unknown length", io.MultiReader(bytes.NewReader(make([]byte, most+1))), http.StatusRequestEntityTooLarge, tooLarge},
		{"too deep", strings.NewReader(`{"subscription_key":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"), http.StatusBadRequest, tooDeep},
		{"bottomless", strings.NewReader(strings.Repeat(`{"a":`, most/10)), http.StatusBadRequest, tooDeep},
	} {
		status, raw := e.callURL(http.MethodPost, e.url()+"/subscriptions", tt.body, nil)
		if status != tt.status || !strings.Contains(string(raw), tt.message) {
			t.Errorf("%s: %d %.300s", tt.name, status, raw)
		}
	}
	e.mustCLI("system", "status")
}
