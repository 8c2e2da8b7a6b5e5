package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every page is looked at while events arrive, and each event that was there at the
// first look is shown once, in its place.
func TestEventListAllWhileEventsArrive(t *testing.T) {
	const form = "2006-01-02T15:04:05.000000Z"
	type event struct {
		ID string
		At time.Time // the engine's are finer than the microseconds that it shows
	}
	start := time.Date(2024, 3, 5, 12, 0, 0, 999_999_500, time.UTC)
	var events []event // the newest first
	arrive := func(n int) {
		for range n {
			k := len(events)
			events = slices.Insert(events, 0, event{strconv.Itoa(k), start.Add(time.Duration(k) * 400 * time.Nanosecond)})
		}
	}
	arrive(7)
	var queries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		page := max(1, number(r.FormValue("page")))
		matching := slices.DeleteFunc(slices.Clone(events), func(e event) bool {
			before, err := time.Parse(form, r.FormValue("before"))
			return err == nil && !e.At.Before(before)
		})
		from, to := min(len(matching), 2*(page-1)), min(len(matching), 2*page)
		results := []any{}
		for _, e := range matching[from:to] {
			results = append(results, map[string]any{"generated_uuid": e.ID, "event": map[string]any{"timestamp": e.At.Format(form)}})
		}
		json.NewEncoder(w).Encode(map[string]any{"results": results, "next_page": to < len(matching), "page": page})
		arrive(1)
	}))
	defer server.Close()
	code, out, talk := run(t, server.URL+"/v1", nil, "--json", "event", "list", "--all")
	var answer struct {
		Results []struct {
			ID string `json:"generated_uuid"`
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); code != 0 || err != nil {
		t.Fatalf("code %d, %v, %q %q", code, err, out, talk)
	}
	var got []string
	for _, e := range answer.Results {
		got = append(got, e.ID)
	}
	seen := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return number(id) > 6 }) // what arrived meanwhile may be there or not
	if diff := cmp.Diff([]string{"6", "5", "4", "3", "2", "1", "0"}, seen); diff != "" {
		t.Errorf("events %v (-want +got):\n%s", got, diff)
	}
	if queries[0] != "" || !strings.Contains(queries[1], "before=") {
		t.Errorf("queries %q", queries)
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
