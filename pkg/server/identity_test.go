package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
)

func TestAuthentication(t *testing.T) {
	f := newFixture(t, nil)
	for name, header := range map[string][]string{
		"none":           nil,
		"wrong password": {"Authorization", basic("alice", "wrong")},
		"empty password": {"Authorization", basic("alice", "")},
		"unknown user":   {"Authorization", basic("mallory", "alice-password")},
		"old client":     {"Authorization", basic("None", "None")},
		"another scheme": {"Authorization", "Bearer x"},
		"garbage":        {"Authorization", "Basic %%%"},
	} {
		a := f.call("", "GET", "/v1/images", "", header...).is(http.StatusUnauthorized)
		if got := string(a.body); got != "Unauthorized" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: body %q as %q, want the plain text", name, got, a.header.Get("Content-Type"))
		}
		if got := a.header.Get("WWW-Authenticate"); got != `basic realm="Authentication required"` {
			t.Errorf("%s: WWW-Authenticate = %q", name, got)
		}
	}
	f.call("alice", "GET", "/v1/images", "").is(200)
	f.call("eve", "GET", "/v1/images", "").says(403, "Not authorized. Account eve not enabled.")
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestAuthenticationComesBeforeEverythingElse(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range [][3]string{
		{"POST", "/images", "{"}, {"POST", "/subscriptions", `{"subscription_type":1}`}, {"GET", "/images?history=x", ""},
		{"PUT", "/images", ""}, {"GET", "/nonsense", ""}, {"POST", "/images", strings.Repeat("[", 1000)},
	} {
		f.call("", tt[0], tt[1], tt[2]).is(http.StatusUnauthorized)
	}
}

func TestActingForAnAccount(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		user, other string
		status      int
		account     string
	}{
		{"alice", "", 200, "alice"}, {"alice", "alice", 200, "alice"}, {"alice", "bob", 403, ""}, {"alice", "nobody", 403, ""},
		{"admin", "", 200, "admin"}, {"admin", "alice", 200, "alice"}, {"admin", "eve", 200, "eve"}, {"admin", "nobody", 404, ""},
	} {
		var header []string
		if tt.other != "" {
			header = []string{"x-anchore-account", tt.other}
		}
		a := f.call(tt.user, "GET", "/account", "", header...).is(tt.status)
		if tt.status == 200 && a.object(200)["name"] != tt.account {
			t.Errorf("%s acting for %q is in account %v, want %s", tt.user, tt.other, a.object(200)["name"], tt.account)
		}
	}
	f.call("admin", "POST", "/images", `{"tag":"alpine"}`, "X-Anchore-Account", "alice").is(200)
	if got := f.call("alice", "GET", "/images", "").list(200); len(got) != 1 {
		t.Errorf("alice has %d images, want the one that the administrator added", len(got))
	}
}

func TestAccountAndUser(t *testing.T) {
	f := newFixture(t, nil)
	admin := f.call("admin", "GET", "/account", "").object(200)
	dropTimes(t, admin)
	if diff := cmp.Diff(map[string]any{"name": "admin", "type": "admin", "state": "enabled", "email": "admin@myanchore"}, admin); diff != "" {
		t.Errorf("GET /account (-want +got):\n%s", diff)
	}
	user := f.call("alice", "GET", "/user", "").object(200)
	dropTimes(t, user)
	if diff := cmp.Diff(map[string]any{"username": "alice", "type": "native", "source": nil}, user); diff != "" {
		t.Errorf("GET /user (-want +got):\n%s", diff)
	}
}

// TestAccountsAreApart asks as bob for each thing of alice's by its name, on every
// route of the document: those that name no thing stand in the list of others.
func TestAccountsAreApart(t *testing.T) {
	f := newFixture(t, nil)
	m := alpineImage(t)
	f.addImage("alice", "alpine")
	f.analyze()
	f.raise(anchore.Event{Account: "alice", Type: anchore.EventTagMoved, Level: anchore.Info, Message: "m", Resource: anchore.Resource{Type: "image_tag"}})
	event := f.call("alice", "GET", "/events", "").object(200)["results"].([]any)[0].(map[string]any)["generated_uuid"].(string)

	operation := f.call("alice", "POST", "/imports/images", "").object(200)["uuid"].(string)
	f.call("alice", "POST", "/archives/images", `["`+m.Digest+`"]`).is(200)
	names := strings.NewReplacer("{subscriptionId}", id(anchore.TagUpdate), "{imageDigest}", m.Digest, "{imageId}", m.ImageID,
		"{ctype}", "os", "{mtype}", "manifest", "{eventId}", event,
		"{accountname}", "alice", "{username}", "alice", "{webhook_type}", "general", "{registry}", "quay.io", "{operation_id}", operation, "{part}", "packages")
	f.call("alice", "POST", "/registries?validate=false", `{"registry":"quay.io","registry_user":"u","registry_pass":"p"}`).is(200)
	bodies := map[string]string{
		"POST /accounts": `{"name":"other"}`, "PUT /accounts/{accountname}/state": `{"state":"disabled"}`,
		"POST /accounts/{accountname}/users":                        `{"username":"mallory","password":"password"}`,
		"POST /accounts/{accountname}/users/{username}/credentials": `{"type":"password","value":"password"}`,
		"PUT /registries/{registry}":                                `{"registry_user":"bob"}`, "PUT /subscriptions/{subscriptionId}": `{"active":false}`,
		"POST /imports/images/{operation_id}/{part}": "{}", "POST /archives/images": `["` + m.Digest + `"]`}
	answers := map[string]string{ // where bob's answer is not 404
		"GET /registries": "[]", "DELETE /registries/{registry}": "true",
		"GET /imports/images": "[]", "GET /archives/images": "[]", "GET /archives": `"total_image_count": 0`, "POST /archives/images": `"error"`,
		"GET /subscriptions": "[]", "GET /images": "[]", "GET /summaries/imagetags": "[]", "DELETE /events": "[]", "GET /events": `"item_count": 0`,
		"DELETE /images/{imageDigest}": `"not_found"`, "DELETE /images/by_id/{imageId}": `"not_found"`,
	}
	others := []string{ // about the engine, or about what the request itself brings
		"GET /account", "GET /user", "GET /status", "GET /system", "GET /system/services", "GET /system/services/{servicename}",
		"GET /system/services/{servicename}/{hostid}", "DELETE /system/services/{servicename}/{hostid}", "POST /system/hints", "POST /registries", "POST /images", "POST /repositories", "POST /subscriptions", "DELETE /images",
		"GET /system/error_codes", "GET /event_types", "GET /user/credentials", "POST /user/credentials",
		"POST /imports/images",
	}
	before := f.call("alice", "GET", "/images", "").body
	for route, public := range operations(t) {
		if public || slices.Contains(others, route) {
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		if path = names.Replace(path); method == "DELETE" && strings.HasSuffix(path, "/credentials") {
			path += "?credential_type=password"
		}
		a := f.call("bob", method, path, bodies[route])
		if want := answers[route]; want != "" {
			if a.is(200); !strings.Contains(string(a.body), want) {
				t.Errorf("%s as bob = %s, want %s", route, a.body, want)
			}
			continue
		}
		if forbidden(route) {
			if a.says(http.StatusForbidden, "Not authorized"); strings.Contains(string(a.body), "not found") {
				t.Errorf("%s as bob tells what there is: %s", route, a.body)
			}
			continue
		}
		if a.status != http.StatusNotFound {
			t.Errorf("%s as bob = %d, want 404\n%s", route, a.status, a.body)
		}
	}
	many := f.call("bob", "DELETE", "/images?force=true&imageDigests="+m.Digest, "").list(200)
	if diff := cmp.Diff([]any{"not_found"}, column(many, "status")); diff != "" {
		t.Errorf("DELETE /images as bob (-want +got):\n%s", diff)
	}
	if after := f.call("alice", "GET", "/images", "").body; string(after) != string(before) {
		t.Errorf("bob changed what alice sees:\n%s", cmp.Diff(string(before), string(after)))
	}
	f.call("bob", "POST", "/images", `{"source":{"archive":{"digest":"`+m.Digest+`"}}}`).says(404, "Not found in archive")
	f.call("alice", "GET", "/archives/images/"+m.Digest, "").is(200)
	f.call("alice", "GET", "/events/"+event, "").is(200)
	if got := column(f.call("alice", "GET", "/registries/quay.io", "").list(200), "registry_user"); !cmp.Equal(got, []any{"u"}) {
		t.Errorf("bob changed alice's registry: %v", got)
	}
	f.call("alice", "GET", "/subscriptions/"+id(anchore.TagUpdate), "").is(200)
}

// forbidden reports whether a route is for administrators, or for the users of the
// account that its path names.
func forbidden(route string) bool {
	return strings.Contains(route, " /accounts") || strings.Contains(route, " /system/webhooks")
}

// operations are those of the document, as in "GET /images": whether they are open
// to everybody.
func operations(t *testing.T) map[string]bool {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	public := map[string]bool{}
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			public[method+" "+path] = op.Security != nil && len(*op.Security) == 0
		}
	}
	return public
}
