package server

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

const alpine = "docker.io/library/alpine:latest"

// id is the subscription_id of alice's subscription to alpine.
func id(t anchore.SubscriptionType) string { return anchore.SubscriptionID("alice", alpine, t) }

func TestSubscriptionLifeCycle(t *testing.T) {
	f := newFixture(t, nil)
	body := `{"subscription_key":"alpine","subscription_type":"tag_update","unknown":1}`
	created := f.call("alice", "POST", "/subscriptions", body).list(200)[0].(map[string]any)
	now := time.Now().Unix()
	for _, name := range []string{"created_at", "last_updated"} {
		if at := int64(created[name].(float64)); at > now || at < now-60 {
			t.Errorf("%s = %d, want about %d", name, at, now)
		}
		delete(created, name)
	}
	want := map[string]any{
		"subscription_id": id(anchore.TagUpdate), "subscription_key": alpine, "subscription_type": "tag_update",
		"subscription_value": nil, "active": false, "userId": "alice",
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("POST /subscriptions (-want +got):\n%s", diff)
	}

	again := f.call("alice", "POST", "/subscriptions", `{"subscription_key":"docker.io/alpine","subscription_type":"tag_update","active":true}`).list(200)
	if diff := cmp.Diff([]any{false}, column(again, "active")); diff != "" {
		t.Errorf("POST of an existing one changed it (-want +got):\n%s", diff)
	}

	path := "/subscriptions/" + id(anchore.TagUpdate)
	on := f.call("alice", "PUT", path, `{"active":true,"subscription_key":"alpine:latest","subscription_type":"tag_update"}`).list(200)
	if diff := cmp.Diff([]any{true}, column(on, "active")); diff != "" {
		t.Errorf("PUT active (-want +got):\n%s", diff)
	}
	f.call("alice", "DELETE", path, "").says(409, "deactivate it first")
	for body, want := range map[string]any{ // what is absent stays, null takes it away
		`{"active":false,"subscription_value":"{\"k\":1}"}`: `{"k":1}`, `{"active":false,"subscription_value":null}`: nil,
	} {
		for _, then := range []string{body, `{"active":false}`} {
			if got := column(f.call("alice", "PUT", path, then).list(200), "subscription_value"); !cmp.Equal(got, []any{want}) {
				t.Errorf("PUT %s after %s: value %v, want %v", then, body, got, want)
			}
		}
	}
	if got := string(f.call("alice", "DELETE", path, "").is(200).body); got != "true\n" {
		t.Errorf("DELETE answers %q, want true", got)
	}
	f.call("alice", "GET", path, "").says(404, id(anchore.TagUpdate))
	f.call("alice", "PUT", path, `{"active":true}`).is(404)
	f.call("alice", "DELETE", path, "").is(404)
}

func TestSubscriptionRefusals(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "alpine")
	path := "/subscriptions/" + id(anchore.TagUpdate)
	f.call("alice", "POST", "/subscriptions", `{"subscription_key":"alpine","subscription_type":"repo_update"}`).is(200)
	watch := "/subscriptions/" + repositoryID()
	for _, tt := range []struct {
		method, path, body string
		message            string
	}{
		{"POST", "/subscriptions", `{"subscription_key":"alpine","subscription_type":"bad_update"}`, "bad_update is not a supported subscription type; use one of analysis_update, policy_eval"},
		{"POST", "/subscriptions", `{"subscription_key":"alpine@sha256:12","subscription_type":"tag_update"}`, "is not a digest"},
		{"POST", "/subscriptions", `{"subscription_key":"alpine","subscription_type":"policy_eval","subscription_value":"[]"}`, "subscription_value must be a JSON object"},
		{"POST", "/subscriptions", `{"subscription_key":"a/d","subscription_type":"repo_update","subscription_value":"{\"tags\":[\"[\"]}"}`, `"[" is not a pattern for tags; give one such as 3.*`},
		{"POST", "/subscriptions", `{"subscription_key":"a/d","subscription_type":"repo_update","subscription_value":"{\"lookuptag\":\"bad tag!\"}"}`, `"bad tag!" is not a tag`},
		{"POST", "/subscriptions", `{"subscription_key":"a/d","subscription_type":"repo_update","subscription_value":"{\"tags\":1}"}`, `"tags" a list of texts`},
		{"PUT", watch, `{"subscription_value":"{\"tags\":[\">=\"]}"}`, `">=" is not a range of versions; give one such as`},
		{"PUT", watch, `{"subscription_value":"{"}`, "subscription_value of a repo_update"},
		{"POST", "/subscriptions", `{"subscription_type":"tag_update"}`, "subscription_key"},
		{"POST", "/subscriptions", `{"subscription_key":1,"subscription_type":"tag_update"}`, "subscription_key"},
		{"POST", "/subscriptions", `{"subscription_key":"alpine","subscription_type":"tag_update","active":"yes"}`, "active"},
		{"GET", "/subscriptions?subscription_type=bad_update", "", "is not a supported subscription type"},
		{"GET", "/subscriptions?subscription_key=UPPER/%20", "", "is not a repository"},
		{"GET", "/subscriptions?limit=0", "", "limit"},
		{"GET", "/subscriptions?limit=x", "", "limit"},
		{"GET", "/subscriptions?limit=5&page=!", "", "X-Next-Page"},
		{"GET", "/subscriptions?limit=5&page=AAAA", "", "X-Next-Page"},
		{"PUT", path, `{"active":true,"subscription_key":"busybox"}`, "cannot change"},
		{"PUT", path, `{"active":true,"subscription_type":"vuln_update"}`, "cannot change"},
		{"PUT", path, `{"active":"true"}`, "active"},
		{"PUT", path, `[]`, "request body"},
	} {
		f.call("alice", tt.method, tt.path, tt.body).says(400, tt.message)
	}
}

func TestSubscriptionList(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "busybox")
	f.addImage("alice", "alpine")
	f.call("alice", "POST", "/subscriptions", `{"subscription_key":"alpine","subscription_type":"repo_update","active":true}`).is(200)

	all := f.call("alice", "GET", "/v1/subscriptions/", "").list(200)
	wantTypes := []any{
		"repo_update", "analysis_update", "policy_eval", "tag_update", "vuln_update",
		"analysis_update", "policy_eval", "tag_update", "vuln_update",
	}
	if diff := cmp.Diff(wantTypes, column(all, "subscription_type")); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{true, true, false, true, false, true, false, true, false}, column(all, "active")); diff != "" {
		t.Errorf("active (-want +got):\n%s", diff)
	}
	filtered := f.call("alice", "GET", "/subscriptions?subscription_type=tag_update&subscription_key="+url.QueryEscape("docker.io/alpine"), "").list(200)
	if diff := cmp.Diff([]any{id(anchore.TagUpdate)}, column(filtered, "subscription_id")); diff != "" {
		t.Errorf("filtered (-want +got):\n%s", diff)
	}
	f.call("alice", "DELETE", "/subscriptions/"+all[0].(map[string]any)["subscription_id"].(string), "").is(200) // repo_update goes as it is
	if got := string(f.call("bob", "GET", "/subscriptions", "").is(200).body); got != "[]\n" {
		t.Errorf("bob's list is %q, want []", got)
	}

	var paged []any
	path := "/subscriptions?limit=3"
	for pages := 0; path != ""; pages++ {
		page := f.call("alice", "GET", path, "")
		paged = append(paged, page.list(200)...)
		path = ""
		if next := page.header.Get("X-Next-Page"); next != "" {
			path = "/subscriptions?limit=3&page=" + next
		}
		if pages > 3 {
			t.Fatal("paging does not end")
		}
	}
	if diff := cmp.Diff(all[1:], paged); diff != "" {
		t.Errorf("pages (-all +paged):\n%s", diff)
	}
}

func TestSubscriptionByTheIDOfTheShortForm(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "alpine")
	old := anchore.SubscriptionID("alice", "docker.io/alpine:latest", anchore.TagUpdate)
	got := f.call("alice", "GET", "/subscriptions/"+old, "").list(200)
	if diff := cmp.Diff([]any{alpine}, column(got, "subscription_key")); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
}

func TestSubscriptionDetail(t *testing.T) {
	looked := time.Unix(1700000000, 0)
	f := newFixture(t, func(cfg *Config) {
		cfg.Looks = func(_ context.Context, account string) (func(anchore.Subscription) Look, error) {
			return func(s anchore.Subscription) Look {
				if s.Type != anchore.TagUpdate || account != "alice" {
					return Look{}
				}
				return Look{Last: looked, Next: looked.Add(time.Minute), Error: "no answer"}
			}, nil
		}
	})
	f.addImage("alice", "alpine")
	if got := f.call("alice", "GET", "/subscriptions/"+id(anchore.TagUpdate), "").list(200); column(got, "status")[0] != nil {
		t.Errorf("status is shown without being asked for: %v", got)
	}
	got := f.call("alice", "GET", "/subscriptions?detail=True", "").list(200)
	want := map[string]any{"last_look": 1700000000.0, "last_change": nil, "next_look": 1700000060.0, "last_error": "no answer"}
	none := map[string]any{"last_look": nil, "last_change": nil, "next_look": nil, "last_error": nil}
	if diff := cmp.Diff([]any{none, none, want, none}, column(got, "status")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
