package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOriginalClient checks what the original command line, version 0.9.4, needs
// in each answer to print it properly, and the forms in which it asks.
func TestOriginalClient(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	shared := startEngine(t, offline)
	ref := reg.ref("original/app", "v1")
	digest := reg.push(t, ref, "a")
	shared.mustCLI("image", "add", ref, "--annotation", "owner=platform")
	shared.mustCLI("image", "wait", ref, "--interval", "0.1", "--timeout", "90")
	shared.mustCLI("analysis-archive", "images", "add", digest)
	var all []subscription
	shared.call(http.MethodGet, "/subscriptions", nil, &all)
	id := all[0].ID

	image := []string{
		"[].imageDigest string", "[].analysis_status string", "[].image_type string", "[].analyzed_at string",
		"[].image_detail[].fulltag string", "[].image_detail[].created_at string", "[].image_detail[].registry string",
		"[].image_detail[].repo string", "[].image_detail[].tag string", "[].image_detail[].imageId string",
		"[].image_content.metadata.dockerfile_mode string", "[].image_content.metadata.distro string",
		"[].image_content.metadata.distro_version string", "[].image_content.metadata.image_size number",
		"[].image_content.metadata.arch string", "[].image_content.metadata.layer_count number", "[].annotations object",
	}
	subscription := []string{
		"[].subscription_key string", "[].subscription_type string", "[].active bool", "[].subscription_id string", "[].userId string",
	}
	archived := []string{
		"[].imageDigest string", "[].analyzed_at string", "[].created_at string", "[].status string", "[].archive_size_bytes number", "[].image_detail[].pullstring string",
	}
	service := []string{"[].servicename string", "[].status bool", "[].service_detail.up bool"}
	for _, tt := range []struct {
		what, path string
		body       any // with one, the method is PUT
		needs      []string
	}{
		{"start-up check", "", nil, nil},
		{"start-up check with a slash", "/", nil, nil},
		{"subscription list", "/subscriptions", nil, subscription},
		{"subscription get", "/subscriptions/" + id, nil, subscription},
		{"subscription activate: look-up", "/subscriptions?subscription_key=" + strings.ReplaceAll(ref, "/", "%2F") + "&subscription_type=policy_eval", nil, subscription},
		{"subscription activate: change", "/subscriptions/" + id, map[string]any{"active": true, "subscription_key": all[0].Key, "subscription_type": all[0].Type}, subscription},
		{"image list", "/images", nil, image},
		{"image get by tag", "/images?fulltag=" + ref + "&history=false", nil, image},
		{"image get by digest", "/images/" + digest + "?history=false", nil, image},
		{"image get by escaped digest", "/images/" + strings.Replace(digest, ":", "%3A", 1), nil, image},
		{"image content", "/images/" + digest + "/content", nil, []string{"[] string"}},
		{"image content os", "/images/" + digest + "/content/os", nil, []string{"content[].package string", "content[].version string", "content[].licenses[] string"}},
		{"image content files", "/images/" + digest + "/content/files", nil, []string{"content[].filename string", "content[].size number"}},
		{"image content npm", "/images/" + digest + "/content/npm", nil, []string{"content[].package string", "content[].version string", "content[].location string"}},
		{"image content python", "/images/" + digest + "/content/python", nil, []string{"content[].package string", "content[].version string", "content[].location string"}},
		{"analysis-archive images list", "/archives/images", nil, archived},
		{"analysis-archive images get", "/archives/images/" + digest, nil, []string{"imageDigest string", "image_detail[].pullstring string"}},
		{"event list", "/events", nil, []string{
			"results[].generated_uuid string", "results[].event.timestamp string", "results[].event.level string", "results[].event.type string",
			"results[].event.resource object", "results[].event.source.servicename string", "results[].event.source.hostid string",
			"next_page bool", "page number",
		}},
		{"system status", "/system", nil, []string{
			"service_states[].servicename string", "service_states[].hostid string", "service_states[].base_url string",
			"service_states[].status bool", "service_states[].service_detail.version string", "service_states[].service_detail.db_version string",
			"service_states[].service_detail.up bool",
		}},
		{"system services", "/system/services", nil, service},
		{"account whoami: account", "/account", nil, []string{"name string", "type string", "state string"}},
		{"account whoami: user", "/user", nil, []string{"username string"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			method := http.MethodGet
			if tt.body != nil {
				method = http.MethodPut
			}
			var doc any
			status, raw := shared.in(t).call(method, tt.path, tt.body, &doc)
			if status < 200 || status > 298 {
				t.Fatalf("%s %s: %d %s", method, tt.path, status, raw)
			}
			for _, need := range tt.needs {
				path, kind, _ := strings.Cut(need, " ")
				if path == "[]" {
					path = "[]."
				}
				if err := has(doc, strings.Split(strings.TrimSuffix(path, "."), "."), kind); err != nil {
					t.Errorf("%s: %s: %v in %.600s", tt.path, need, err, raw)
				}
			}
		})
	}

	t.Run("the API version", func(t *testing.T) {
		for _, url := range []string{shared.url() + "/swagger.json", "http://" + shared.addr + "/swagger.json"} {
			var doc struct{ Info struct{ Version string } }
			shared.in(t).callURL(http.MethodGet, url, nil, &doc)
			if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(doc.Info.Version) {
				t.Errorf("%s has the version %q", url, doc.Info.Version)
			}
		}
	})

	t.Run("the five services", func(t *testing.T) {
		var doc struct {
			States []struct{ Servicename string } `json:"service_states"`
		}
		shared.in(t).call(http.MethodGet, "/system", nil, &doc)
		var names []string
		for _, s := range doc.States {
			names = append(names, s.Servicename)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "analyzer apiext catalog policy_engine simplequeue" {
			t.Errorf("services %s", got)
		}
	})

	t.Run("booleans in capitals", func(t *testing.T) {
		status, raw := shared.in(t).call(http.MethodPost, "/images?autosubscribe=False", map[string]string{"tag": ref}, nil)
		if status != http.StatusOK {
			t.Errorf("POST /images?autosubscribe=False: %d %s", status, raw)
		}
	})

	t.Run("errors", func(t *testing.T) {
		for path, want := range map[string]int{"/subscriptions/nope": 404, "/images/sha256:nope": 400, "/subscriptions?subscription_type=nope": 400} {
			var doc any
			status, raw := shared.in(t).call(http.MethodGet, path, nil, &doc)
			if status < 400 {
				t.Errorf("%s: %d, want a failure like %d", path, status, want)
			}
			for _, need := range [][2]string{{"message", "string"}, {"httpcode", "number"}, {"detail", "object"}} {
				if err := has(doc, []string{need[0]}, need[1]); err != nil {
					t.Errorf("%s: %v in %s", path, err, raw)
				}
			}
		}
	})
}

// has checks that doc has at path a value of the kind, in every element where the
// path passes through a list ("name[]"), and at least one element in each list.
func has(doc any, path []string, kind string) error {
	if len(path) == 0 || len(path) == 1 && path[0] == "" {
		if got := kindOf(doc); got != kind {
			return fmt.Errorf("a %s instead of a %s", got, kind)
		}
		return nil
	}
	name, isList := strings.CutSuffix(path[0], "[]")
	if name != "" {
		object, ok := doc.(map[string]any)
		if !ok {
			return fmt.Errorf("a %s has no %s", kindOf(doc), name)
		}
		if doc, ok = object[name]; !ok {
			return fmt.Errorf("no %s", name)
		}
	}
	if !isList {
		return has(doc, path[1:], kind)
	}
	list, ok := doc.([]any)
	if !ok || len(list) == 0 {
		return fmt.Errorf("%s is no list with elements", path[0])
	}
	for _, element := range list {
		if err := has(element, path[1:], kind); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case float64, json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "object"
}
