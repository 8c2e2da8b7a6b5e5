package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// subscription is a record of GET /subscriptions.
type subscription struct {
	ID     string `json:"subscription_id"`
	Key    string `json:"subscription_key"`
	Type   string `json:"subscription_type"`
	Active bool   `json:"active"`
	User   string `json:"userId"`
}

// subscriptions returns the subscriptions of a key, by type.
func subscriptions(e *engine, key string) map[string]subscription {
	e.t.Helper()
	var list []subscription
	if status, raw := e.call(http.MethodGet, "/subscriptions?subscription_key="+key, nil, &list); status != http.StatusOK {
		e.t.Fatalf("GET /subscriptions: %d %s", status, raw)
	}
	byType := map[string]subscription{}
	for _, s := range list {
		byType[s.Type] = s
	}
	return byType
}

// subscriptionTypes returns the types of the subscriptions of a key, sorted.
func subscriptionTypes(e *engine, key string) []string {
	e.t.Helper()
	var types []string
	for t := range subscriptions(e, key) {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// cells returns the cells of a table that anchore-cli printed, line by line.
func cells(table string) [][]string {
	var rows [][]string
	for line := range strings.Lines(table) {
		var row []string
		for cell := range strings.SplitSeq(strings.TrimRight(line, " \n"), "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				row = append(row, cell)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// offline is an engine that asks no registry by itself, so that tests may name
// registries of the world.
const offline = "watch:\n  interval: 0\n"

func TestSeedManagingSubscriptions(t *testing.T) {
	t.Parallel()
	shared := startEngine(t, offline)

	t.Run("through the REST API", func(t *testing.T) {
		e := shared.in(t)
		var added []subscription
		body := map[string]any{"subscription_key": "docker.io/library/redis:7", "subscription_type": "tag_update", "active": false}
		if status, raw := e.call(http.MethodPost, "/subscriptions", body, &added); status != http.StatusOK || len(added) != 1 {
			t.Fatalf("POST: %d %s", status, raw)
		}
		path := "/subscriptions/" + added[0].ID
		if status, raw := e.call(http.MethodPut, path, map[string]any{"active": true}, nil); status != http.StatusOK {
			t.Errorf("PUT: %d %s", status, raw)
		}
		var got []subscription
		e.call(http.MethodGet, path, nil, &got)
		want := []subscription{{ID: added[0].ID, Key: "docker.io/library/redis:7", Type: "tag_update", Active: true, User: "admin"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("GET (-want +got):\n%s", diff)
		}
		if status, _ := e.call(http.MethodDelete, path, nil, nil); status != http.StatusConflict {
			t.Errorf("DELETE of an active subscription: %d, want 409", status)
		}
		e.call(http.MethodPut, path, map[string]any{"active": false}, nil)
		if status, raw := e.call(http.MethodDelete, path, nil, nil); status != http.StatusOK {
			t.Errorf("DELETE: %d %s", status, raw)
		}
		if status, _ := e.call(http.MethodGet, path, nil, nil); status != http.StatusNotFound {
			t.Errorf("GET after DELETE: %d, want 404", status)
		}
	})

	t.Run("through anchore-cli", func(t *testing.T) {
		e := shared.in(t)
		key := "docker.io/library/mysql:8"
		e.mustCLI("subscription", "add", "tag_update", key)
		id := subscriptions(e, key)["tag_update"].ID
		want := [][]string{
			{"Tag", "Subscription Type", "Active", "Subscription ID", "User ID"},
			{key, "tag_update", "True", id, "admin"},
		}
		if diff := cmp.Diff(want, cells(e.mustCLI("subscription", "get", id))); diff != "" {
			t.Errorf("subscription get (-want +got):\n%s", diff)
		}
		e.mustCLI("subscription", "deactivate", "tag_update", key)
		if got := e.mustCLI("subscription", "del", id); got != "Success\n" {
			t.Errorf("subscription del printed %q", got)
		}
		if r := e.cli("subscription", "get", id); r.Code != 1 || !strings.Contains(r.Stdout, "HTTP Code: 404") {
			t.Errorf("subscription get after del: exit code %d\n%s", r.Code, r.Stdout)
		}
	})

	t.Run("the types", func(t *testing.T) {
		e := shared.in(t)
		key := "docker.io/library/types:1"
		for _, kind := range []string{"tag_update", "policy_eval", "vuln_update", "analysis_update"} {
			e.mustCLI("subscription", "add", kind, key)
		}
		want := []string{"analysis_update", "policy_eval", "tag_update", "vuln_update"}
		if diff := cmp.Diff(want, subscriptionTypes(e, key)); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		r := e.cli("subscription", "add", "image_update", key)
		if r.Code != 1 || !strings.Contains(r.Stdout, "analysis_update, policy_eval, repo_update, tag_update, vuln_update") {
			t.Errorf("an unknown type: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	})
}

// seedList is the table of the subscription documentation.
const seedList = `Tag                                                            Subscription Type        Active        
docker.io/library/alpine:latest                                analysis_update          True          
docker.io/library/alpine:latest                                policy_eval              False         
docker.io/library/alpine:latest                                tag_update               True          
docker.io/library/alpine:latest                                vuln_update              False         
docker.io/library/centos:latest                                analysis_update          True          
docker.io/library/centos:latest                                policy_eval              False         
docker.io/library/centos:latest                                tag_update               True          
docker.io/library/centos:latest                                vuln_update              False  
`

func TestSeedListingSubscriptions(t *testing.T) {
	t.Parallel()

	t.Run("the table of the documentation", func(t *testing.T) {
		t.Parallel()
		e := startEngine(t, offline)
		for _, key := range []string{"docker.io/library/centos:latest", "docker.io/library/alpine:latest"} {
			for _, kind := range []string{"vuln_update", "tag_update", "policy_eval", "analysis_update"} {
				status, raw := e.call(http.MethodPost, "/subscriptions", map[string]any{
					"subscription_key": key, "subscription_type": kind, "active": kind == "tag_update" || kind == "analysis_update",
				}, nil)
				if status != http.StatusOK {
					t.Fatalf("POST /subscriptions: %d %s", status, raw)
				}
			}
		}
		got := e.mustCLI("subscription", "list")
		if diff := cmp.Diff(cells(seedList), cells(got)); diff != "" {
			t.Errorf("cells (-want +got):\n%s", diff)
		}
		for line := range strings.Lines(got) {
			if !strings.HasSuffix(line, "        \n") {
				t.Errorf("the line %q does not end in the eight blanks of its last cell", line)
			}
		}
	})

	reg := newRegistry(t)
	shared := startEngine(t, offline)

	t.Run("each tag's subscriptions with their state", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/list", "v1")
		reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		want := [][]string{
			{"Tag", "Subscription Type", "Active"},
			{ref, "analysis_update", "True"},
			{ref, "policy_eval", "False"},
			{ref, "tag_update", "True"},
			{ref, "vuln_update", "False"},
		}
		if diff := cmp.Diff(want, cells(e.mustCLI("subscription", "list"))); diff != "" {
			t.Errorf("subscription list (-want +got):\n%s", diff)
		}
	})

	t.Run("tied to the tag and not to the image", func(t *testing.T) {
		e := shared.in(t)
		ref := reg.ref("seed/tied", "v1")
		first := reg.push(t, ref, "a")
		e.mustCLI("image", "add", ref)
		before := subscriptions(e, ref)
		second := reg.push(t, ref, "b")
		e.mustCLI("image", "add", ref)
		if first == second {
			t.Fatal("the tag did not move")
		}
		if diff := cmp.Diff(before, subscriptions(e, ref)); diff != "" {
			t.Errorf("another image changed the tag's subscriptions (-before +after):\n%s", diff)
		}
		e.mustCLI("image", "del", first, "--force")
		if diff := cmp.Diff(before, subscriptions(e, ref)); diff != "" {
			t.Errorf("deleting an old image changed the tag's subscriptions (-before +after):\n%s", diff)
		}
	})
}

func TestSeedActivatingSubscriptions(t *testing.T) {
	t.Parallel()
	shared := startEngine(t, offline)

	t.Run("activate enables a type for a tag", func(t *testing.T) {
		e := shared.in(t)
		key := "docker.io/library/one:1"
		for _, kind := range []string{"vuln_update", "policy_eval"} {
			e.call(http.MethodPost, "/subscriptions", map[string]any{"subscription_key": key, "subscription_type": kind, "active": false}, nil)
		}
		if got := e.mustCLI("subscription", "activate", "vuln_update", key); got != "Success\n" {
			t.Errorf("subscription activate printed %q", got)
		}
		if got := subscriptions(e, key); !got["vuln_update"].Active || got["policy_eval"].Active {
			t.Errorf("after activating vuln_update: %+v", got)
		}
	})

	t.Run("type then key", func(t *testing.T) {
		e := shared.in(t)
		key := "docker.io/library/order:1"
		e.mustCLI("subscription", "add", "tag_update", key)
		if r := e.cli("subscription", "activate", key, "tag_update"); r.Code != 2 {
			t.Errorf("key then type: exit code %d\n%s", r.Code, r.Stdout)
		}
		if r := e.cli("subscription", "activate", "tag_update"); r.Code != 2 || !strings.Contains(r.Stderr, "Missing argument 'SUBSCRIPTION_KEY'.") {
			t.Errorf("without a key: exit code %d\n%s", r.Code, r.Stderr)
		}
	})

	t.Run("each of the four types", func(t *testing.T) {
		e := shared.in(t)
		key := "docker.io/library/four:1"
		for _, kind := range []string{"tag_update", "vuln_update", "policy_eval", "analysis_update"} {
			e.call(http.MethodPost, "/subscriptions", map[string]any{"subscription_key": key, "subscription_type": kind, "active": false}, nil)
			e.mustCLI("subscription", "activate", kind, key)
			if !subscriptions(e, key)[kind].Active {
				t.Errorf("%s is not active", kind)
			}
		}
	})

	t.Run("the key is the name of the tag", func(t *testing.T) {
		e := shared.in(t)
		full := "docker.io/library/ubuntu:latest"
		e.call(http.MethodPost, "/subscriptions", map[string]any{"subscription_key": full, "subscription_type": "tag_update", "active": false}, nil)
		for _, key := range []string{"docker.io/ubuntu:latest", "ubuntu", full} {
			e.mustCLI("subscription", "activate", "tag_update", key)
			if !subscriptions(e, full)["tag_update"].Active {
				t.Errorf("%s did not activate %s", key, full)
			}
			e.mustCLI("subscription", "deactivate", "tag_update", key)
		}
	})
}
