package server

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// repositoryID is the subscription_id of alice's watch of alpine's repository.
func repositoryID() string {
	return anchore.SubscriptionID("alice", "docker.io/library/alpine", anchore.RepoUpdate)
}

// value is the object in the text of subscription_value.
func value(t *testing.T, record any) map[string]any {
	t.Helper()
	text, _ := record.(map[string]any)["subscription_value"].(string)
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("subscription_value %q: %v", text, err)
	}
	return v
}

func TestRepositoryDryRun(t *testing.T) {
	f := newFixture(t, nil)
	list := f.call("alice", "POST", "/v1/repositories?repository=alpine&autosubscribe=True&dryrun=True&max_tags=2", "").list(200)
	got := list[0].(map[string]any)
	want := map[string]any{
		"add": []any{"latest", "2.0"}, "autosubscribe": true, "lookuptag": "latest", "matching": 5.0, "max_tags": 2.0,
		"repotags": []any{"1.0", "1.1", "2.0", "edge", "latest"}, "tagcount": 5.0,
	}
	if diff := cmp.Diff(want, value(t, got)); diff != "" {
		t.Errorf("subscription_value (-want +got):\n%s", diff)
	}
	delete(got, "subscription_value")
	wantRecord := map[string]any{
		"active": false, "record_state_key": "active", "record_state_val": nil, "subscription_id": repositoryID(),
		"subscription_key": "docker.io/library/alpine", "subscription_type": "repo_update", "userId": "alice",
	}
	if diff := cmp.Diff(wantRecord, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if got := f.call("alice", "GET", "/subscriptions", "").list(200); len(got) != 0 {
		t.Errorf("a dry run stored %v", got)
	}
}

func TestRepositoryAdd(t *testing.T) {
	f := newFixture(t, nil)
	first := f.call("alice", "POST", "/repositories?repository=docker.io/alpine&tags="+url.QueryEscape("1.*,^2"), "").list(200)[0].(map[string]any)
	if first["active"] != true || first["created_at"] == nil || first["last_updated"] == nil {
		t.Errorf("POST /repositories = %v, want an active record with its times", first)
	}
	if diff := cmp.Diff([]any{"2.0", "1.1", "1.0"}, value(t, first)["add"]); diff != "" {
		t.Errorf("add (-want +got):\n%s", diff)
	}
	stored := f.call("alice", "GET", "/subscriptions?subscription_type=repo_update", "").list(200)
	want := map[string]any{"autosubscribe": false, "lookuptag": "latest", "max_tags": 50.0, "tags": []any{"1.*", "^2"}, "tagcount": 0.0}
	if diff := cmp.Diff(want, value(t, stored[0])); diff != "" {
		t.Errorf("the stored value (-want +got):\n%s", diff)
	}

	path := "/subscriptions/" + repositoryID()
	f.call("alice", "PUT", path, `{"active":false}`).is(200)
	again := f.call("alice", "POST", "/repositories?repository=alpine&autosubscribe=true&all=true", "").list(200)[0].(map[string]any)
	if got := value(t, again); again["active"] != false || got["autosubscribe"] != true || got["max_tags"] != 0.0 || got["tags"] != nil {
		t.Errorf("POST of a watch that was switched off = %v, want it off and as asked for", again)
	}
	if got := f.call("bob", "GET", "/subscriptions", "").list(200); len(got) != 0 {
		t.Errorf("bob sees %v", got)
	}
	f.call("bob", "GET", path, "").is(404)
	f.call("alice", "DELETE", path, "").is(200)
}

func TestRepositoryRefusals(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		query   string
		status  int
		message string
	}{
		{"", 400, "repository"},
		{"repository=", 400, "repository"},
		{"repository=UPPER/%20", 400, "is not a repository"},
		{"repository=alpine:3", 400, "tag"},
		{"repository=alpine&autosubscribe=maybe", 400, "autosubscribe"},
		{"repository=alpine&max_tags=-1", 400, "max_tags"},
		{"repository=alpine&tags=%5B", 400, "is not a pattern for tags"},
		{"repository=alpine&tags=%3E%3D", 400, "is not a range of versions"},
		{"repository=alpine&lookuptag=bad%20tag!", 400, `"bad tag!" is not a tag`},
		{"repository=team/missing", 404, "no tags could be added from input regrepo (docker.io/team/missing): repository name not known"},
	} {
		f.call("alice", "POST", "/repositories?"+tt.query, "").says(tt.status, tt.message)
	}
	if got := f.call("alice", "GET", "/subscriptions", "").list(200); len(got) != 0 {
		t.Errorf("a refused request stored %v", got)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct{ in, want []string }{
		{nil, nil}, {[]string{"", ","}, nil},
		{[]string{"a, b", "c"}, []string{"a", "b", "c"}},
		{[]string{"3.*,>=1.2, <2"}, []string{"3.*", ">=1.2, <2"}},
	} {
		if diff := cmp.Diff(tt.want, patterns(tt.in)); diff != "" {
			t.Errorf("patterns(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}
