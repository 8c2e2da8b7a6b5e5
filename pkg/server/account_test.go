package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccountRoutes(t *testing.T) {
	f := newFixture(t, nil)
	made := f.call("admin", "POST", "/accounts", `{"name":"devteam","email":"dev@example.com"}`).object(200)
	dropTimes(t, made)
	if diff := cmp.Diff(map[string]any{"name": "devteam", "type": "user", "state": "enabled", "email": "dev@example.com"}, made); diff != "" {
		t.Errorf("POST /accounts (-want +got):\n%s", diff)
	}
	for body, message := range map[string]string{
		`{"name":"devteam"}`: "already exists", `{"name":"admin"}`: "Cannot use name admin", `{"name":"a b"}`: "cannot be the name", `{}`: "name",
		`{"name":"devteam2","type":"admin"}`: "type", `{"name":"devteam2","email":"not an email\n"}`: "it has a line break or another control character",
	} {
		f.call("admin", "POST", "/accounts", body).says(400, message)
	}
	all := f.call("admin", "GET", "/accounts", "").list(200)
	if diff := cmp.Diff([]any{"admin", "alice", "bob", "eve", "devteam"}, column(all, "name")); diff != "" {
		t.Errorf("GET /accounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"eve"}, column(f.call("admin", "GET", "/accounts?state=disabled", "").list(200), "name")); diff != "" {
		t.Errorf("disabled accounts (-want +got):\n%s", diff)
	}
	if got := f.call("alice", "GET", "/accounts/alice", "").object(200)["name"]; got != "alice" {
		t.Errorf("GET /accounts/alice as alice = %v", got)
	}
	f.call("admin", "GET", "/accounts/nobody", "").says(404, "not found")
}

func TestAccountState(t *testing.T) {
	f := newFixture(t, nil)
	if got := f.call("admin", "PUT", "/accounts/alice/state", `{"state":"disabled"}`).object(200)["state"]; got != "disabled" {
		t.Errorf("state = %v", got)
	}
	f.call("alice", "GET", "/images", "").says(403, "Account alice not enabled")
	f.call("admin", "PUT", "/accounts/alice/state", `{"state":"enabled"}`).is(200)
	f.call("alice", "GET", "/images", "").is(200)
	f.call("admin", "PUT", "/accounts/admin/state", `{"state":"disabled"}`).says(400, "Cannot disable the admin account")
	f.call("admin", "PUT", "/accounts/alice/state", `{"state":"deleting"}`).says(400, "state")
	f.call("admin", "PUT", "/accounts/nobody/state", `{"state":"disabled"}`).is(404)
}

func TestDeleteAccount(t *testing.T) {
	f := newFixture(t, nil)
	f.addImage("alice", "alpine")
	f.call("admin", "DELETE", "/accounts/alice", "").says(400, "Invalid account state change requested. Cannot go from state enabled to state deleting")
	f.call("admin", "DELETE", "/accounts/admin", "").says(400, "Account cannot be deleted")
	f.call("admin", "DELETE", "/accounts/nobody", "").is(404)
	f.call("admin", "PUT", "/accounts/alice/state", `{"state":"disabled"}`).is(200)
	if got := f.call("admin", "DELETE", "/accounts/alice", "").object(200)["state"]; got != "deleting" {
		t.Errorf("state = %v", got)
	}
	f.call("alice", "GET", "/user", "").is(401)
	f.call("admin", "GET", "/accounts/alice", "").is(404)
	f.call("admin", "POST", "/accounts", `{"name":"alice"}`).is(200)
	if got := f.call("admin", "GET", "/images", "", "X-Anchore-Account", "alice").list(200); len(got) != 0 {
		t.Errorf("the new alice has images: %v", got)
	}
}

func TestUserRoutes(t *testing.T) {
	f := newFixture(t, nil)
	made := f.call("alice", "POST", "/accounts/alice/users", `{"username":"ci-bot","password":"ci-bot-password"}`).object(200)
	dropTimes(t, made)
	if diff := cmp.Diff(map[string]any{"username": "ci-bot", "type": "native", "source": nil}, made); diff != "" {
		t.Errorf("POST users (-want +got):\n%s", diff)
	}
	if got := f.call("ci-bot", "GET", "/account", "").object(200)["name"]; got != "alice" {
		t.Errorf("the new user is in account %v", got)
	}
	for body, message := range map[string]string{
		`{"username":"ci-bot","password":"password"}`: "User already exists", `{"username":"bob","password":"password"}`: "User already exists",
		`{"username":"ci-bot2","password":"12345"}`: "6 to 128 characters", `{"username":"ci-bot2"}`: "password",
	} {
		f.call("alice", "POST", "/accounts/alice/users", body).says(400, message)
	}
	if diff := cmp.Diff([]any{"alice", "ci-bot"}, column(f.call("alice", "GET", "/accounts/alice/users", "").list(200), "username")); diff != "" {
		t.Errorf("GET users (-want +got):\n%s", diff)
	}
	f.call("admin", "GET", "/accounts/alice/users/ci-bot", "").is(200)
	f.call("admin", "GET", "/accounts/alice/users/bob", "").says(404, "User not found")
	f.call("alice", "DELETE", "/accounts/alice/users/alice", "").says(400, "alice")
	f.call("alice", "DELETE", "/accounts/alice/users/ci-bot", "").is(204)
	f.call("ci-bot", "GET", "/account", "").is(401)
	f.call("alice", "DELETE", "/accounts/alice/users/ci-bot", "").is(404)
}

func TestCredentials(t *testing.T) {
	f := newFixture(t, nil)
	f.call("alice", "GET", "/user", "").is(200) // this login is remembered
	list := f.call("alice", "GET", "/user/credentials", "").list(200)
	if diff := cmp.Diff([]any{"******"}, column(list, "value")); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	for body, message := range map[string]string{
		`{"type":"password","value":"12345"}`: "6 to 128 characters", `{"type":"token","value":"1234567"}`: "type", `{"type":"password"}`: "value",
	} {
		f.call("alice", "POST", "/user/credentials", body).says(400, message)
	}
	if got := f.call("alice", "POST", "/user/credentials", `{"type":"password","value":"another one"}`).object(200)["username"]; got != "alice" {
		t.Errorf("user = %v", got)
	}
	f.call("alice", "GET", "/user", "").is(401)
	f.call("", "GET", "/user", "", "Authorization", basic("alice", "another one")).is(200)

	f.call("admin", "POST", "/accounts/alice/users/alice/credentials", `{"type":"password","value":"alice-password"}`).is(200)
	f.call("alice", "DELETE", "/accounts/alice/users/alice/credentials?credential_type=password", "").says(400, "alice")
	f.call("admin", "DELETE", "/accounts/alice/users/alice/credentials?credential_type=password", "").is(204)
	f.call("alice", "GET", "/user", "").is(401)
	if got := f.call("admin", "GET", "/accounts/alice/users/alice/credentials", "").list(200); len(got) != 0 {
		t.Errorf("credentials after removal: %v", got)
	}
}
