package catalog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/credential"
	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/seal"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sealed makes a world that can keep passwords.
func sealed(t testing.TB) setup {
	t.Helper()
	ring, err := seal.Open(filepath.Join(t.TempDir(), "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *catalog.Config) { cfg.Seal = ring }
}

var withoutTimes = cmpopts.IgnoreFields(anchore.Registry{}, "CreatedAt", "UpdatedAt")

// credentialFor is the user and password with which the account reads ref.
func (w *world) credentialFor(account, tag string) string {
	w.t.Helper()
	ref, err := anchore.ParseReference(tag)
	if err != nil {
		w.t.Fatal(err)
	}
	r, found, err := w.RegistryFor(w.t.Context(), account, ref)
	if err != nil {
		w.t.Fatalf("RegistryFor(%s, %s): %v", account, tag, err)
	}
	if !found {
		return ""
	}
	return r.User + ":" + r.Password.Reveal()
}

func (w *world) addRegistry(r anchore.Registry) anchore.Registry {
	w.t.Helper()
	stored, err := w.AddRegistry(w.t.Context(), r, nil)
	if err != nil {
		w.t.Fatalf("AddRegistry(%s): %v", r.Name, err)
	}
	return stored
}

func TestRegistryLife(t *testing.T) {
	w := newWorld(t, sealed(t))
	w.account("alice", anchore.UserAccount)
	ctx := t.Context()
	want := anchore.Registry{Account: "alice", Name: "docker.io", Title: "docker.io", Type: anchore.RegistryDocker, User: "u", Verify: true}
	got := w.addRegistry(anchore.Registry{Account: "alice", Name: "index.docker.io", User: "u", Password: "horse", Verify: true})
	if diff := cmp.Diff(want, got, withoutTimes); diff != "" {
		t.Errorf("AddRegistry (-want +got):\n%s", diff)
	}
	if _, err := w.AddRegistry(ctx, anchore.Registry{Account: "alice", Name: "docker.io", User: "u"}, nil); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("adding it again: %v, want conflict", err)
	}
	if got := w.credentialFor("alice", "alpine"); got != "u:horse" {
		t.Errorf("alice reads alpine as %q", got)
	}
	if got := w.credentialFor("admin", "alpine"); got != "" {
		t.Errorf("admin reads alpine as %q, with alice's credential", got)
	}
	updated, err := w.UpdateRegistry(ctx, "alice", "docker.io", catalog.RegistryUpdate{Password: new(anchore.Secret("mule")), Title: new("Hub")}, nil)
	want.Title = "Hub"
	if diff := cmp.Diff(want, updated, withoutTimes); diff != "" || err != nil {
		t.Errorf("UpdateRegistry: %v (-want +got):\n%s", err, diff)
	}
	if got := w.credentialFor("alice", "alpine"); got != "u:mule" {
		t.Errorf("after the change alice reads alpine as %q", got)
	}
	list, err := w.Registries(ctx, "alice")
	if diff := cmp.Diff([]anchore.Registry{want}, list, withoutTimes); diff != "" || err != nil {
		t.Errorf("Registries: %v (-want +got):\n%s", err, diff)
	}
	for range 2 { // also what is absent
		if err := w.DeleteRegistry(ctx, "alice", "docker.io"); err != nil {
			t.Errorf("DeleteRegistry: %v", err)
		}
	}
	if got := w.credentialFor("alice", "alpine"); got != "" {
		t.Errorf("after the deletion alice reads alpine as %q", got)
	}
	if _, err := w.UpdateRegistry(ctx, "alice", "docker.io", catalog.RegistryUpdate{}, nil); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("updating what is absent: %v", err)
	}
}

// TestUpdatesOfOneCredentialThatOverlap: what happens to the credential while a change
// of it is tried out is not undone by the change.
func TestUpdatesOfOneCredentialThatOverlap(t *testing.T) {
	update := func(w *world, u catalog.RegistryUpdate, verify catalog.VerifyRegistry) error {
		return second(w.UpdateRegistry(t.Context(), "admin", "quay.io", u, verify))
	}
	tests := map[string]struct {
		meanwhile func(*world) error
		kind      anchore.Kind
		want      string
	}{
		"another password": {func(w *world) error {
			return update(w, catalog.RegistryUpdate{Password: new(anchore.Secret("new"))}, nil)
		}, anchore.Conflict, "u:new"},
		"the same once more": {func(w *world) error {
			return update(w, catalog.RegistryUpdate{}, nil)
		}, anchore.Conflict, "u:old"},
		"deleted": {func(w *world) error { return w.DeleteRegistry(t.Context(), "admin", "quay.io") }, anchore.NotFound, ""},
		"deleted and added": {func(w *world) error {
			if err := w.DeleteRegistry(t.Context(), "admin", "quay.io"); err != nil {
				return err
			}
			return second(w.AddRegistry(t.Context(), anchore.Registry{Account: "admin", Name: "quay.io", User: "v", Password: "p"}, nil))
		}, anchore.Conflict, "v:p"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // all of it at one instant
				w := newWorld(t, sealed(t))
				w.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "old"})
				err := update(w, catalog.RegistryUpdate{Title: new("Quay")}, func(context.Context, anchore.Registry) error { return test.meanwhile(w) })
				if anchore.KindOf(err) != test.kind {
					t.Errorf("UpdateRegistry = %v, want %v", err, test.kind)
				}
				diff(t, "the credential", test.want, w.credentialFor("admin", "quay.io/a"))
			})
		})
	}
	w := newWorld(t, sealed(t))
	r := w.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "old"})
	err := update(w, catalog.RegistryUpdate{Password: new(anchore.Secret("new"))}, func(ctx context.Context, _ anchore.Registry) error {
		return second(w.RegistryRefused(ctx, r, "the login is refused")) // this is no change of it
	})
	if err != nil {
		t.Errorf("UpdateRegistry of a login that is refused meanwhile: %v", err)
	}
	diff(t, "the credential", "u:new", w.credentialFor("admin", "quay.io/a"))
}

func TestRegistryRefusals(t *testing.T) {
	w := newWorld(t, sealed(t))
	ctx := t.Context()
	good := anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "p"}
	for name, spoil := range map[string]func(*anchore.Registry){
		"no name": func(r *anchore.Registry) { r.Name = "" }, "URL": func(r *anchore.Registry) { r.Name = "https://quay.io" },
		"type": func(r *anchore.Registry) { r.Type = "x" }, "colon": func(r *anchore.Registry) { r.User = "a:b" },
		"line": func(r *anchore.Registry) { r.User = "a\nb" }, "password alone": func(r *anchore.Registry) { r.User = "" },
		"long password": func(r *anchore.Registry) { r.Password = anchore.Secret(bytes.Repeat([]byte("x"), 1<<16)) },
	} {
		r := good
		spoil(&r)
		if _, err := w.AddRegistry(ctx, r, nil); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	refused := errors.New("no")
	if _, err := w.AddRegistry(ctx, good, func(context.Context, anchore.Registry) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("AddRegistry that does not verify: %v", err)
	}
	if list, err := w.Registries(ctx, "admin"); len(list) != 0 || err != nil {
		t.Errorf("what was refused is stored: %v, %v", list, err)
	}
	w.addRegistry(good)
	tried := anchore.Registry{}
	_, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{User: new("v")}, func(_ context.Context, r anchore.Registry) error {
		tried = r
		return refused
	})
	if !errors.Is(err, refused) || tried.User != "v" || tried.Password != "p" {
		t.Errorf("UpdateRegistry tried %s:%s, %v", tried.User, tried.Password.Reveal(), err)
	}
	if _, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{Name: "ghcr.io"}, nil); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("renaming: %v, want conflict", err)
	}
	if got := w.credentialFor("admin", "quay.io/a/b"); got != "u:p" {
		t.Errorf("the credential is %q", got)
	}
}

func TestLoginFailureIsToldOnce(t *testing.T) {
	w := newWorld(t, sealed(t))
	ctx := t.Context()
	w.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "p"})
	ref := manifest("quay.io/a/b:1", "x").Ref
	refuse := func() bool {
		t.Helper()
		r, _, err := w.RegistryFor(ctx, "admin", ref)
		if err != nil {
			t.Fatal(err)
		}
		first, err := w.RegistryRefused(ctx, r, "401")
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	stale, _, err := w.RegistryFor(ctx, "admin", ref)
	if err != nil {
		t.Fatal(err)
	}
	if !refuse() || refuse() || refuse() {
		t.Error("the first refusal, and no other, is news")
	}
	r, _, err := w.RegistryFor(ctx, "admin", ref)
	if err := errors.Join(err, w.RegistryAccepted(ctx, r)); err != nil || !refuse() {
		t.Errorf("a refusal after it was accepted is no news: %v", err)
	}
	if _, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{Password: new(anchore.Secret("q"))}, nil); err != nil {
		t.Fatal(err)
	}
	if first, err := w.RegistryRefused(ctx, stale, "401"); first || err != nil {
		t.Errorf("a refusal of the password before is news: %v", err)
	}
	if !refuse() {
		t.Error("a refusal of the new password is no news")
	}
	events, _, err := w.Events(ctx, "admin", catalog.EventFilter{Type: string(anchore.EventRegistryLoginFailed)}, 1, 10)
	if len(events) != 3 || err != nil {
		t.Fatalf("%d events, %v; want 3", len(events), err)
	}
	want := anchore.Event{
		Account: "admin", Type: anchore.EventRegistryLoginFailed, Level: anchore.Failure, Service: "catalog",
		Message: "Registry does not accept the credential", Resource: anchore.Resource{Type: "registry", ID: "quay.io"},
		Details: map[string]any{"msg": "401", "registry_user": "u"},
	}
	if diff := cmp.Diff(want, events[0], cmpopts.IgnoreFields(anchore.Event{}, "ID", "At")); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestSettledSources: a registry without mirrors is the source of its tags, also once it
// has some again.
func TestSettledSources(t *testing.T) {
	w := newWorld(t)
	w.account("alice", anchore.UserAccount)
	set := map[string]string{
		"docker.io/library/alpine:latest": "mirror.test/docker", "quay.io/team/app:1": "mirror.test/quay", "quay.io/team/app": "mirror.test/quay", "quay.io/team/app:2": "quay.io",
	}
	want := map[string]string{
		"docker.io/library/alpine:latest": "mirror.test/docker", "quay.io/team/app:1": "quay.io", "quay.io/team/app": "quay.io", "quay.io/team/app:2": "quay.io",
	}
	parse := func(key string) anchore.Reference {
		ref, err := anchore.ParseReference(key)
		if err != nil {
			t.Fatal(err)
		}
		if ref.FullTag() != key {
			ref.Tag = "" // a repository
		}
		return ref
	}
	for key, source := range set {
		if err := w.SetTagSource(t.Context(), "alice", parse(key), source); err != nil {
			t.Fatal(err)
		}
	}
	for _, writes := range []int64{1, 0} {
		before := w.store.writes.Load()
		if err := w.SettleSources(t.Context(), func(registry string) bool { return registry == "docker.io" }); err != nil {
			t.Fatal(err)
		}
		diff(t, "writes", writes, w.store.writes.Load()-before)
	}
	got := map[string]string{}
	for key := range set {
		source, err := w.TagSource(t.Context(), "alice", parse(key))
		if err != nil {
			t.Fatal(err)
		}
		got[key] = source
	}
	diff(t, "sources", want, got)
}

func TestTagSource(t *testing.T) {
	w := newWorld(t)
	ref := manifest("alpine", "x").Ref
	if got, err := w.TagSource(t.Context(), "admin", ref); got != "" || err != nil {
		t.Errorf("TagSource before = %q, %v", got, err)
	}
	for _, source := range []string{"mirror.test", "docker.io"} {
		if err := w.SetTagSource(t.Context(), "admin", ref, source); err != nil {
			t.Fatal(err)
		}
		if got, err := w.TagSource(t.Context(), "admin", ref); got != source || err != nil {
			t.Errorf("TagSource = %q, %v; want %q", got, err, source)
		}
	}
}

// TestPasswordsAreNotInTheStore reads all rows: what is stored gives no password
// away, and no other row's password can be put in its place.
func TestPasswordsAreNotInTheStore(t *testing.T) {
	s, blobs := openStores(t)
	w := worldOn(t, s, blobs, sealed(t))
	w.account("alice", anchore.UserAccount)
	w.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "admin", Password: "correct-horse"})
	w.addRegistry(anchore.Registry{Account: "alice", Name: "quay.io", User: "alice", Password: "other-mule"})
	var rows []*registry.Row
	err := table.Pages(t.Context(), s, registry.Table.Bucket, nil, func(e store.Entry) error {
		if bytes.Contains(e.Value, []byte("horse")) || bytes.Contains(e.Value, []byte("mule")) {
			t.Errorf("a password is in the row %q", e.Value)
		}
		row := &registry.Row{}
		rows = append(rows, row)
		return table.Decode(e.Value, row)
	})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	swapped := *rows[1]
	swapped.Sealed = rows[0].Sealed
	if err := s.Update(t.Context(), func(tx store.Tx) error { return registry.Table.Replace(tx, rows[1], &swapped) }); err != nil {
		t.Fatal(err)
	}
	fresh := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = w.config.Seal })
	if _, _, err := fresh.RegistryFor(t.Context(), "alice", manifest("quay.io/a", "x").Ref); anchore.KindOf(err) != anchore.Forbidden {
		t.Errorf("alice got admin's password: %v", err)
	}
}

// otherKey is a ring with the ids of the key file at path, whose keys are others.
func otherKey(t *testing.T, path string) *seal.Ring {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	id, _, _ := strings.Cut(lines[len(lines)-1], " ")
	other := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(other, []byte(id+" "+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Open(other, []string{id})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// TestPasswordThatCannotBeDecrypted: it keeps nothing from working but what needs
// it, and a new one mends that.
func TestPasswordThatCannotBeDecrypted(t *testing.T) {
	s, blobs := openStores(t)
	path := filepath.Join(t.TempDir(), "key")
	ring, err := seal.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	old := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = ring })
	old.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "horse", Verify: true})
	old.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io/other/*", User: "u", Password: "horse"})
	w := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = otherKey(t, path) })
	ctx := t.Context()

	if got := w.credentialFor("admin", "ghcr.io/a"); got != "" {
		t.Errorf("a registry without a credential is read as %q", got)
	}
	_, _, err = w.RegistryFor(ctx, "admin", manifest("quay.io/a", "x").Ref)
	if anchore.KindOf(err) != anchore.Forbidden || !errors.Is(err, anchore.ErrNotAsked) ||
		!strings.Contains(anchore.MessageOf(err), "quay.io cannot be decrypted; set it again with anchore-cli registry update quay.io") {
		t.Errorf("RegistryFor: %v; want what to do", err)
	}
	want := anchore.Registry{Account: "admin", Name: "quay.io", Title: "quay.io", Type: anchore.RegistryDocker, User: "u", Verify: true}
	got, err := w.Registry(ctx, "admin", "quay.io")
	if diff := cmp.Diff(want, got, withoutTimes); diff != "" || err != nil {
		t.Errorf("Registry: %v (-want +got):\n%s", err, diff)
	}
	if list, err := w.Registries(ctx, "admin"); len(list) != 2 || err != nil {
		t.Errorf("Registries = %v, %v; want 2", list, err)
	}
	if _, err := w.AddRegistry(ctx, want, nil); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("adding it again: %v, want conflict", err)
	}
	if _, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{Title: new("Quay")}, nil); anchore.KindOf(err) != anchore.Forbidden {
		t.Errorf("an update without a password: %v, want forbidden", err)
	}
	if _, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{Password: new(anchore.Secret("mule"))}, nil); err != nil {
		t.Errorf("an update with a password: %v", err)
	}
	if got := w.credentialFor("admin", "quay.io/a"); got != "u:mule" {
		t.Errorf("after the update the credential is %q", got)
	}
	if err := w.DeleteRegistry(ctx, "admin", "quay.io/other/*"); err != nil {
		t.Errorf("DeleteRegistry: %v", err)
	}
}

// TestLostPasswords: what was under a key that is gone is dropped, and said so where
// it would be used; all else stays.
func TestLostPasswords(t *testing.T) {
	s, blobs := openStores(t)
	ring, err := seal.Open(filepath.Join(t.TempDir(), "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	old := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = ring })
	old.account("alice", anchore.UserAccount)
	const many = 60
	var want []credential.Lost
	for i := range many {
		name := fmt.Sprintf("r%02d.test", i)
		old.addRegistry(anchore.Registry{Account: "admin", Name: name, User: "u", Password: "horse"})
		want = append(want, credential.Lost{Account: "admin", Registry: name})
	}
	old.addRegistry(anchore.Registry{Account: "alice", Name: "quay.io", User: "u", Password: "horse"})
	old.addRegistry(anchore.Registry{Account: "alice", Name: "open.test"}) // without a login
	want = append(want, credential.Lost{Account: "alice", Registry: "quay.io"})
	if n, err := credential.Drop(t.Context(), s, ring); n != 0 || err != nil {
		t.Fatalf("Drop with the key = %d, %v; want nothing dropped", n, err)
	}
	fresh, err := seal.Open(filepath.Join(t.TempDir(), "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = fresh })
	w.addRegistry(anchore.Registry{Account: "admin", Name: "new.test", User: "u", Password: "mule"})
	lost, err := credential.Unreadable(t.Context(), s, fresh)
	if diff := cmp.Diff(want, lost); diff != "" || err != nil {
		t.Fatalf("Unreadable: %v (-want +got):\n%s", err, diff)
	}
	crash := storetest.NewCrash(s, 4, func() {})
	if _, err := credential.Drop(t.Context(), crash, fresh); err == nil {
		t.Fatal("Drop outlived the crash")
	}
	if n, err := credential.Drop(t.Context(), storetest.Rerun{Store: s}, fresh); n == 0 || n >= many || err != nil {
		t.Errorf("Drop = %d, %v; want the rest of %d", n, err, many+1)
	}
	used, err := credential.SealsInUse(t.Context(), s)
	if diff := cmp.Diff([]string{fresh.Current()}, used); diff != "" || err != nil {
		t.Errorf("keys in use: %v (-want +got):\n%s", err, diff)
	}
	if n, err := credential.Reseal(t.Context(), s, fresh); n > 1 || err != nil { // that without a login has a seal
		t.Errorf("Reseal = %d, %v", n, err)
	}
	w = worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = fresh })
	_, _, err = w.RegistryFor(t.Context(), "alice", manifest("quay.io/a", "x").Ref)
	if anchore.KindOf(err) != anchore.Forbidden || !strings.Contains(anchore.MessageOf(err), "registry quay.io was lost with the key; set it with anchore-cli registry update quay.io u -") {
		t.Errorf("RegistryFor: %v; want what to do", err)
	}
	if got := w.credentialFor("alice", "open.test/a"); got != ":" {
		t.Errorf("the record without a login is %q", got)
	}
	if got := w.credentialFor("admin", "new.test/a"); got != "u:mule" {
		t.Errorf("the password under the new key is %q", got)
	}
	if _, err := w.UpdateRegistry(t.Context(), "alice", "quay.io", catalog.RegistryUpdate{Password: new(anchore.Secret("ox"))}, nil); err != nil {
		t.Errorf("UpdateRegistry: %v", err)
	}
	if got := w.credentialFor("alice", "quay.io/a"); got != "u:ox" {
		t.Errorf("after the update the credential is %q", got)
	}
}

func TestReseal(t *testing.T) {
	s, blobs := openStores(t)
	path := filepath.Join(t.TempDir(), "key")
	old, err := seal.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = old })
	const many = 60
	for i := range many {
		w.addRegistry(anchore.Registry{Account: "admin", Name: fmt.Sprintf("r%d.test", i), User: "u", Password: anchore.Secret(fmt.Sprint("p", i))})
	}
	// The first attempt dies in the middle.
	ring, err := seal.Renew(path)
	if err != nil {
		t.Fatal(err)
	}
	crash := storetest.NewCrash(s, 4, func() {})
	if _, err := credential.Reseal(t.Context(), crash, ring); err == nil {
		t.Fatal("Reseal outlived the crash")
	}
	if used, err := credential.SealsInUse(t.Context(), s); len(used) != 2 || err != nil {
		t.Fatalf("after the crash keys %v are in use, %v; want both", used, err)
	}
	if ring, err = seal.Renew(path); err != nil {
		t.Fatal(err)
	}
	n, err := credential.Reseal(t.Context(), storetest.Rerun{Store: s}, ring)
	if n == 0 || n == many || err != nil {
		t.Errorf("Reseal = %d, %v; want the rest of %d", n, err, many)
	}
	if err := seal.Retire(path); err != nil {
		t.Fatal(err)
	}
	used, err := credential.SealsInUse(t.Context(), s)
	if diff := cmp.Diff([]string{ring.Current()}, used); diff != "" || err != nil {
		t.Fatalf("keys in use: %v (-want +got):\n%s", err, diff)
	}
	last, err := seal.Open(path, used)
	if err != nil {
		t.Fatal(err)
	}
	fresh := worldOn(t, s, blobs, func(c *catalog.Config) { c.Seal = last })
	for i := range many {
		if got, want := fresh.credentialFor("admin", fmt.Sprintf("r%d.test/a", i)), fmt.Sprint("u:p", i); got != want {
			t.Errorf("registry %d has %q, want %q", i, got, want)
		}
	}
}

// TestCredentialsAreNeverStale changes a password while others look it up: who
// looks after the change sees it.
func TestCredentialsAreNeverStale(t *testing.T) {
	w := newWorld(t, sealed(t))
	w.addRegistry(anchore.Registry{Account: "admin", Name: "quay.io", User: "u", Password: "p"})
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			ref := manifest("quay.io/a", "x").Ref
			for ctx.Err() == nil {
				if _, _, err := w.RegistryFor(ctx, "admin", ref); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		password := anchore.Secret(fmt.Sprint("p", i))
		if _, err := w.UpdateRegistry(ctx, "admin", "quay.io", catalog.RegistryUpdate{Password: &password}, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := w.credentialFor("admin", "quay.io/a"), "u:"+password.Reveal(); got != want {
			t.Errorf("after the change the credential is %q, want %q", got, want)
		}
	}
	cancel()
	readers.Wait()
}

// TestANewAccountReadsRegistriesAnonymously: an account that has the name of one that
// was deleted has nothing of it, also if somebody looked up the credential at any
// moment of the deletion.
func TestANewAccountReadsRegistriesAnonymously(t *testing.T) {
	for name, looks := range map[string]func(write int64) bool{
		"before the deletion": func(int64) bool { return false }, "at each step": func(int64) bool { return true },
		"at its first step": func(n int64) bool { return n == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sealed(t))
			ref := manifest("quay.io/a", "x").Ref
			add := func() {
				t.Helper()
				if _, err := w.AddAccount(t.Context(), "team", ""); err != nil {
					t.Fatal(err)
				}
			}
			add()
			w.addRegistry(anchore.Registry{Account: "team", Name: "quay.io", User: "u", Password: "horse"})
			w.add("team", "quay.io/a", "A")
			diff(t, "team reads as", "u:horse", w.credentialFor("team", "quay.io/a"))
			if err := w.SetAccountState(t.Context(), "team", anchore.AccountDisabled); err != nil {
				t.Fatal(err)
			}
			before := w.store.writes.Load()
			w.store.wrote = func() {
				if looks(w.store.writes.Load() - before) {
					_, _, err := w.RegistryFor(t.Context(), "team", ref)
					if err != nil && anchore.KindOf(err) != anchore.NotFound {
						t.Error(err)
					}
				}
			}
			if err := w.DeleteAccount(t.Context(), "team"); err != nil {
				t.Fatal(err)
			}
			w.store.wrote = nil
			if _, _, err := w.RegistryFor(t.Context(), "team", ref); anchore.KindOf(err) != anchore.NotFound {
				t.Errorf("RegistryFor of a deleted account = %v, want not found", err)
			}
			add()
			diff(t, "the new team reads as", "", w.credentialFor("team", "quay.io/a"))
			w.addRegistry(anchore.Registry{Account: "team", Name: "quay.io", User: "v", Password: "mule"})
			diff(t, "the new team reads as", "v:mule", w.credentialFor("team", "quay.io/a"))
		})
	}
}

// TestCredentialsOfAnAccountThatIsMadeAnew looks them up all the time while the
// account is deleted and made again.
func TestCredentialsOfAnAccountThatIsMadeAnew(t *testing.T) {
	w := newWorld(t, sealed(t))
	ctx, cancel := context.WithCancel(t.Context())
	ref := manifest("quay.io/a", "x").Ref
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, _, err := w.RegistryFor(ctx, "team", ref)
				if err != nil && anchore.KindOf(err) != anchore.NotFound && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 10 {
		if _, err := w.AddAccount(ctx, "team", ""); err != nil {
			t.Fatal(err)
		}
		diff(t, "the new team reads as", "", w.credentialFor("team", "quay.io/a"))
		w.addRegistry(anchore.Registry{Account: "team", Name: "quay.io", User: "u", Password: anchore.Secret(fmt.Sprint("p", i))})
		diff(t, "team reads as", fmt.Sprint("u:p", i), w.credentialFor("team", "quay.io/a"))
		if err := w.SetAccountState(ctx, "team", anchore.AccountDisabled); err != nil {
			t.Fatal(err)
		}
		if err := w.DeleteAccount(ctx, "team"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	readers.Wait()
}
