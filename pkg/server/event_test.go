package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func (f *fixture) raise(e anchore.Event) {
	f.t.Helper()
	if err := f.catalog.Raise(f.t.Context(), e); err != nil {
		f.t.Fatal(err)
	}
}

func TestEvents(t *testing.T) {
	f := newFixture(t, nil)
	f.raise(anchore.Event{Account: "alice", Type: anchore.EventAnalysisFailed, Level: anchore.Failure, Message: "Failed to analyze image",
		Details: map[string]any{"msg": "why"}, Resource: anchore.Resource{Type: "image_tag", ID: alpine}, Service: "analyzer"})
	f.raise(anchore.Event{Account: "alice", Type: anchore.EventRegistryDown, Level: anchore.Info, Message: "m", Resource: anchore.Resource{Type: "registry"}, Service: "catalog"})
	page := f.call("alice", "GET", "/v1/events", "").object(200)
	results := page["results"].([]any)
	if len(results) != 2 || page["item_count"] != 2.0 || page["page"] != 1.0 || page["next_page"] != false {
		t.Fatalf("GET /events = %v", page)
	}
	first := results[1].(map[string]any)
	if at, form := first["created_at"].(string), regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`); !form.MatchString(at) {
		t.Errorf("created_at = %q, want six digits of fraction", at)
	}
	want := map[string]any{
		"type": "user.image.analysis.failed", "level": "error", "message": "Failed to analyze image", "details": map[string]any{"msg": "why"},
		"timestamp": first["created_at"],
		"resource":  map[string]any{"user_id": "alice", "id": alpine, "type": "image_tag"},
		"source":    map[string]any{"servicename": "analyzer", "hostid": "anchore-quickstart", "base_url": "http://engine:8228", "request_id": nil},
	}
	if diff := cmp.Diff(want, first["event"]); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	path := "/events/" + first["generated_uuid"].(string)
	if diff := cmp.Diff(first, f.call("alice", "GET", path, "").object(200)); diff != "" {
		t.Errorf("GET %s (-listed +got):\n%s", path, diff)
	}
	if got := f.call("alice", "DELETE", path, "").is(200).body; len(got) != 0 {
		t.Errorf("DELETE answers %q, want nothing", got)
	}
	f.call("alice", "GET", path, "").says(404, "Event not found")
	f.call("alice", "DELETE", path, "").says(404, "Event not found")
	ids := decoded[[]string](f.call("alice", "DELETE", "/events", "").is(200))
	if diff := cmp.Diff([]string{results[0].(map[string]any)["generated_uuid"].(string)}, ids); diff != "" {
		t.Errorf("DELETE /events (-want +got):\n%s", diff)
	}
	if got := string(f.call("alice", "DELETE", "/events", "").is(200).body); got != "[]\n" {
		t.Errorf("DELETE of none answers %q, want []", got)
	}
}

func TestEventFilters(t *testing.T) {
	f := newFixture(t, nil)
	for i := range 3 {
		f.raise(anchore.Event{Account: "alice", Type: anchore.EventTagMoved, Level: anchore.Info, Message: fmt.Sprint(i),
			Resource: anchore.Resource{Type: "image_tag", ID: alpine}, Service: "catalog"})
	}
	f.raise(anchore.Event{Account: "alice", Type: anchore.EventAnalysisFailed, Level: anchore.Failure, Message: "x",
		Resource: anchore.Resource{Type: "image_digest", ID: "d"}, Service: "analyzer"})
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.DateOnly)
	for query, want := range map[string]int{
		"": 4, "level=ERROR": 1, "level=info": 3, "level=none": 0,
		"event_type=user.image.tag.updated": 3, "event_type=user.image.*": 4, "event_type=user.image": 0, "event_type=*failed": 1,
		"source_servicename=analyzer": 1, "source_hostid=anchore-quickstart": 4, "source_hostid=other": 0,
		"resource_type=image_tag": 3, "resource_id=d": 1,
		"before=" + tomorrow: 4, "since=" + tomorrow: 0, "since=2300-01-01": 0, "before=2300-01-01": 4, "before=0001-01-01": 0, "since=2020-01-01T00:00:00Z&before=" + tomorrow: 4,
		"limit=3": 3, "limit=3&page=2": 1, "limit=3&page=3": 0,
	} {
		page := f.call("alice", "GET", "/events?"+query, "").object(200)
		if page["item_count"] != float64(want) || len(page["results"].([]any)) != want {
			t.Errorf("GET /events?%s has %v events, want %d", query, page["item_count"], want)
		}
		if more := query == "limit=3"; page["next_page"] != more {
			t.Errorf("GET /events?%s: next_page = %v, want %v", query, page["next_page"], more)
		}
	}
	for query, message := range map[string]string{
		"page=0": "page must be a valid integer greater than 0", "page=99999999999": "page", "page=x": "page",
		"limit=0": "limit must be valid integer between 1 and 1000", "limit=1001": "limit must be valid integer between 1 and 1000",
		"since=yesterday":                                       "Invalid value for since query parameter, must be valid datetime string",
		"since=2021-01-02&before=2021-01-01":                    "since must be smaller than before timestamp",
		"since=2021-01-02T00:00:00Z&before=2021-01-01T00:00:00": "since must be smaller than before timestamp",
		"event_type=A":                                          "event_type",
	} {
		f.call("alice", "GET", "/events?"+query, "").says(400, message)
	}
}

// TestUnreadableQueryDeletesNothing: a filter that is dropped leaves all events.
func TestUnreadableQueryDeletesNothing(t *testing.T) {
	f := newFixture(t, nil)
	f.raise(anchore.Event{Account: "alice", Type: anchore.EventTagMoved, Level: anchore.Info, Message: "m",
		Resource: anchore.Resource{Type: "image_tag", ID: alpine}, Service: "catalog"})
	for _, query := range []string{"before=%zz", "before=2000-01-01;level=info", "level=none&since=%", "%zz"} {
		for _, method := range []string{"DELETE", "GET"} {
			f.call("alice", method, "/v1/events?"+query, "").says(400, "cannot be read")
		}
	}
	for _, query := range []string{"since=", "level", "level=", "before=&since=", "level=info&level="} {
		for _, method := range []string{"DELETE", "GET"} {
			f.call("alice", method, "/v1/events?"+query, "").says(400, "empty; leave it out, or give it a value")
		}
	}
	for _, path := range []string{"/v1/events/", "/events/?level=info"} {
		f.call("alice", "DELETE", path, "").says(400, "the path has no id after its last slash")
		f.call("alice", "GET", path, "").is(200)
	}
	for _, query := range []string{"befor=2000-01-01", "event_type=user.image.analysis.failed", "level=info&page=1"} {
		f.call("alice", "DELETE", "/v1/events?"+query, "").says(400, "the filters are since, before and level")
	}
	if page := f.call("alice", "GET", "/events?resource_id="+strings.ReplaceAll(alpine, "/", "%2F"), "").object(200); page["item_count"] != float64(1) {
		t.Errorf("%v events are left, want 1", page["item_count"])
	}
}
