package oci

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
	"github.com/anchore/anchore-engine/pkg/oci/challenge"
)

// everywhere is a network in which each host answers, and counts what is closed.
type everywhere struct{ closed int }

func (e *everywhere) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func (e *everywhere) CloseIdleConnections() { e.closed++ }

// Users name hosts; what is kept for them is bounded, and not taken from under a
// request that runs.
func TestHostsAreBounded(t *testing.T) {
	network := &everywhere{}
	c, err := New(Config{Transport: network})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host string) *http.Response {
		t.Helper()
		res, err := c.ask(t.Context(), request{Question: answer.Question{Op: "test", Method: http.MethodGet, Ref: anchore.Reference{Registry: host, Repository: "app"}, Path: "manifests/latest"}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	crowd := func(name string) {
		t.Helper()
		for i := range 2 * maxHosts {
			_ = ask(fmt.Sprintf("%s%d.test", name, i)).Body.Close()
			if len(c.hosts) > maxHosts {
				t.Fatalf("%d hosts are kept, want %d at most", len(c.hosts), maxHosts)
			}
		}
	}
	runs := ask("runs.test")
	kept := c.hosts["runs.test"]
	crowd("a")
	if kept == nil || c.hosts["runs.test"] != kept {
		t.Error("a host with a running request was dropped")
	}
	if network.closed < maxHosts-1 {
		t.Errorf("the idle connections of %d hosts were closed, want %d or more", network.closed, maxHosts-1)
	}
	_ = runs.Body.Close()
	_ = runs.Body.Close() // counts once
	crowd("b")
	if c.hosts["runs.test"] != nil {
		t.Error("a host whose request has ended is still kept")
	}
	_ = ask("runs.test").Body.Close()
}

// Users name registries and credentials; how each wants to be asked, and the logins
// that were made, are bounded too. What is known stays known when it is said again.
func TestCredentialsAreBounded(t *testing.T) {
	c, err := New(Config{Transport: &everywhere{}})
	if err != nil {
		t.Fatal(err)
	}
	wants := way{scheme: challenge.Basic}
	for i := range 3 * maxHosts {
		key := loginKey{fmt.Sprintf("r%d.test", i), Credential{Username: "user"}}
		if !c.auth.remember(key, wants) || c.auth.remember(key, wants) {
			t.Fatal("what a registry wants is news the first time, and only then")
		}
		if _, known := c.auth.ways[key]; !known || len(c.auth.ways) != i%maxHosts+1 {
			t.Fatalf("%d ways in are kept after %d, the last one among them: %t", len(c.auth.ways), i+1, known)
		}
		if made := c.logins.of(key); made != c.logins.of(key) || len(c.logins.known) != i%maxHosts+1 {
			t.Fatalf("%d logins are kept after %d", len(c.logins.known), i+1)
		}
	}
}
