package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store"
)

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	if _, err := w.AddAccount(t.Context(), "devteam", "dev@example.com"); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]anchore.Kind{
		"devteam": anchore.Conflict, "admin": anchore.Invalid, "anchore-system": anchore.Invalid, "ab": anchore.Invalid, "a b c": anchore.Invalid, "-abc": anchore.Invalid,
		strings.Repeat("a", 129): anchore.Invalid,
	} {
		if _, err := w.AddAccount(t.Context(), name, ""); anchore.KindOf(err) != kind {
			t.Errorf("AddAccount(%q) = %v, want %v", name, err, kind)
		}
	}
	if err := w.SetAccountState(t.Context(), "devteam", anchore.AccountDisabled); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]anchore.Kind{"admin": anchore.Invalid, "nobody": anchore.NotFound} {
		if err := w.SetAccountState(t.Context(), name, anchore.AccountDisabled); anchore.KindOf(err) != kind {
			t.Errorf("SetAccountState(%s) = %v, want %v", name, err, kind)
		}
	}
	if err := w.SetAccountState(t.Context(), "devteam", anchore.AccountDeleting); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("SetAccountState(deleting) = %v", err)
	}
	for state, want := range map[anchore.AccountState][]string{"": {"admin", "devteam"}, anchore.AccountEnabled: {"admin"}, anchore.AccountDisabled: {"devteam"}} {
		list, err := w.Accounts(t.Context(), state)
		var names []string
		for _, a := range list {
			names = append(names, a.Name)
		}
		diff(t, "accounts "+string(state), want, names)
		if err != nil {
			t.Error(err)
		}
	}
}

func TestUsers(t *testing.T) {
	w := newWorld(t)
	w.account("alice", anchore.UserAccount)
	if _, err := w.AddUser(t.Context(), "alice", "ci-bot", "secret1"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		account, user, password string
		kind                    anchore.Kind
	}{
		{"alice", "ci-bot", "secret1", anchore.Conflict}, {"admin", "ci-bot", "secret1", anchore.Conflict}, {"nobody", "ci-bot2", "secret1", anchore.NotFound},
		{"alice", "x", "secret1", anchore.Invalid}, {"alice", "ci-bot2", "12345", anchore.Invalid}, {"alice", "ci-bot2", strings.Repeat("x", 129), anchore.Invalid},
	} {
		if _, err := w.AddUser(t.Context(), tt.account, tt.user, anchore.Secret(tt.password)); anchore.KindOf(err) != tt.kind {
			t.Errorf("AddUser(%s, %s) = %v, want %v", tt.account, tt.user, err, tt.kind)
		}
	}
	users, err := w.Users(t.Context(), "alice")
	if err != nil || len(users) != 2 || users[0].Name != "alice" || users[1].Name != "ci-bot" || users[1].Password.IsZero() {
		t.Errorf("Users() = %+v, %v", users, err)
	}
	for _, account := range []string{"admin", "nobody"} {
		if _, err := w.AccountUser(t.Context(), account, "ci-bot"); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("AccountUser(%s, ci-bot) = %v, want not found", account, err)
		}
		if err := w.DeleteUser(t.Context(), account, "ci-bot"); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("DeleteUser(%s, ci-bot) = %v, want not found", account, err)
		}
	}
	if err := w.DeleteUser(t.Context(), "admin", "admin"); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("DeleteUser(admin) = %v", err)
	}
	if err := w.DeleteUser(t.Context(), "alice", "ci-bot"); err != nil {
		t.Error(err)
	}
	if _, err := w.Authenticate(t.Context(), "ci-bot", "secret1"); anchore.KindOf(err) != anchore.Unauthorized {
		t.Errorf("a deleted user logs in: %v", err)
	}
}

// TestPasswordChangeEndsRememberedLogins: the old password was right a moment ago.
func TestPasswordChangeEndsRememberedLogins(t *testing.T) {
	w := newWorld(t)
	login := func(password string) anchore.Kind {
		_, err := w.Authenticate(t.Context(), "admin", anchore.Secret(password))
		if err == nil {
			return -1
		}
		return anchore.KindOf(err)
	}
	for range 2 { // the second one from the cache
		if login("foobar") != -1 {
			t.Fatal("the password is not accepted")
		}
	}
	if _, err := w.SetPassword(t.Context(), "admin", "admin", "barfoo"); err != nil {
		t.Fatal(err)
	}
	if got := login("foobar"); got != anchore.Unauthorized {
		t.Errorf("the old password: %v", got)
	}
	if got := login("barfoo"); got != -1 {
		t.Errorf("the new password: %v", got)
	}
	if err := w.RemovePassword(t.Context(), "admin", "admin"); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"barfoo", ""} {
		if got := login(password); got != anchore.Unauthorized {
			t.Errorf("without a password, %q: %v", password, got)
		}
	}
}

// fill gives an account something of everything.
func (w *world) fill(name string) {
	w.t.Helper()
	for _, tag := range []string{"alpine:1", "alpine:2", "alpine:3"} {
		w.add(name, tag, tag)
	}
	w.analyze()
	w.look(name, "alpine:1", "moved")
	w.told(name)
	if _, err := w.AddUser(w.t.Context(), name, name+"-bot", "password"); err != nil {
		w.t.Fatal(err)
	}
}

func TestDeleteAccount(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"alice", "robert"} {
		w.account(name, anchore.UserAccount)
		w.fill(name)
	}
	for name, kind := range map[string]anchore.Kind{"admin": anchore.Invalid, "alice": anchore.Invalid, "nobody": anchore.NotFound} {
		if err := w.DeleteAccount(t.Context(), name); anchore.KindOf(err) != kind {
			t.Errorf("DeleteAccount(%s) = %v, want %v", name, err, kind)
		}
	}
	if err := w.SetAccountState(t.Context(), "alice", anchore.AccountDisabled); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteAccount(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Account(t.Context(), "alice"); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("Account(alice) = %v, want not found", err)
	}
	for _, user := range []string{"alice", "alice-bot"} {
		if _, err := w.User(t.Context(), user); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("User(%s) = %v, want not found", user, err)
		}
	}
	diff(t, "subscriptions of robert", 12, len(w.subscriptions("robert")))
	images, _, err := w.Images(t.Context(), "robert", catalog.ImageFilter{}, "", 0)
	if err != nil || len(images) != 4 {
		t.Errorf("robert has %d images, %v; want 4", len(images), err)
	}
	// The name is free, and nothing of before comes back.
	w.account("alice", anchore.UserAccount)
	diff(t, "subscriptions of the new alice", []string(nil), w.subscriptions("alice"))
	diff(t, "events of the new alice", []string(nil), w.events("alice"))
	if images, _, err := w.Images(t.Context(), "alice", catalog.ImageFilter{State: "all"}, "", 0); err != nil || len(images) != 0 {
		t.Errorf("the new alice has %d images, %v", len(images), err)
	}
	// What happened before is still told.
	if sent := w.sent("general"); len(sent) == 0 {
		t.Error("nothing is delivered any more")
	}
}

// TestDeletionSparesTheUserOfAnotherAccount: a user of the account goes, and another
// account gets one of that name, while the account is deleted.
func TestDeletionSparesTheUserOfAnotherAccount(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"alice", "robert"} {
		w.account(name, anchore.UserAccount)
	}
	if err := w.SetAccountState(t.Context(), "alice", anchore.AccountDisabled); err != nil {
		t.Fatal(err)
	}
	w.store.wrote = func() { // the account is marked; its users were read when the next one begins
		w.store.wrote = nil
		w.store.next = func() {
			if err := w.DeleteUser(t.Context(), "alice", "alice"); err != nil {
				t.Error(err)
			}
			if _, err := w.AddUser(t.Context(), "robert", "alice", "password"); err != nil {
				t.Error(err)
			}
		}
	}
	if err := w.DeleteAccount(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if u, err := w.User(t.Context(), "alice"); err != nil || u.Account != "robert" {
		t.Errorf("User(alice) is of %q, %v; want of robert", u.Account, err)
	}
}

// TestNotificationsOfADeletedAccountNameIt: also those that an older engine wrote,
// which did not keep the account's name.
func TestNotificationsOfADeletedAccountNameIt(t *testing.T) {
	for _, older := range []bool{false, true} {
		w := newWorld(t)
		w.account("alice", anchore.UserAccount)
		w.add("alice", "alpine", "A")
		w.look("alice", "alpine", "B")
		w.told("alice")
		if older {
			w.forgetNames()
		}
		if err := w.SetAccountState(t.Context(), "alice", anchore.AccountDisabled); err != nil {
			t.Fatal(err)
		}
		if err := w.DeleteAccount(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		w.account("robert", anchore.UserAccount)
		short := func(d string) string { return d[:len("sha256:")+12] }
		diff(t, "sent", []string{fmt.Sprintf("tag_update alice %s moved from %s to %s", alpine, short(digest("A")), short(digest("B")))}, w.sent("general"))
	}
}

// TestWhatHappenedBeforeADeletionIsTold: the fan-out serves the causes only after the
// deletion was asked for, or at the same time, or a crash comes in between.
func TestWhatHappenedBeforeADeletionIsTold(t *testing.T) {
	const moved, analyzed = "tag_update " + alpine + " A→B", "analysis_update " + alpine
	tests := map[string]func(*world){
		"after it": func(w *world) {
			if err := w.DeleteAccount(w.t.Context(), "alice"); err != nil {
				w.t.Fatal(err)
			}
		},
		"at the same time": func(w *world) {
			ctx, stop := context.WithCancel(w.t.Context())
			var fanOut sync.WaitGroup
			fanOut.Go(func() {
				if err := w.RunFanOut(ctx); err != nil {
					w.t.Error(err)
				}
			})
			if err := w.DeleteAccount(ctx, "alice"); err != nil {
				w.t.Fatal(err)
			}
			stop()
			fanOut.Wait()
		},
		"after a crash": func(w *world) {
			w.store.failAfter(2)
			if err := w.DeleteAccount(w.t.Context(), "alice"); err == nil {
				w.t.Fatal("the deletion was not interrupted")
			}
			w.store.failAfter(0)
			if err := w.Sweep(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		},
	}
	for name, remove := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.account("alice", anchore.UserAccount)
			w.add("alice", "alpine", "A")
			w.look("alice", "alpine", "B")
			w.add("admin", "alpine", "B")
			w.analyze()
			if err := w.SetAccountState(t.Context(), "alice", anchore.AccountDisabled); err != nil {
				t.Fatal(err)
			}
			remove(w)
			if _, err := w.Account(t.Context(), "alice"); anchore.KindOf(err) != anchore.NotFound {
				t.Errorf("Account(alice) = %v, want not found", err)
			}
			diff(t, "notifications of admin", []string{analyzed + " B analyzing→analyzed"}, w.told("admin"))
			got := w.told("alice")
			slices.Sort(got)
			diff(t, "notifications of alice", []string{analyzed + " A analyzing→analyzed", analyzed + " B analyzing→analyzed", moved}, got)
			diff(t, "deliveries", 4, len(w.sent("general")))
		})
	}
}

// TestDeletionWaitsForACauseThatCannotBeServed: what is behind it in the queue would
// not be told any more.
func TestDeletionWaitsForACauseThatCannotBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"alice", "robert"} {
			w.account(name, anchore.UserAccount)
			if err := w.SetAccountState(t.Context(), name, anchore.AccountDisabled); err != nil {
				t.Fatal(err)
			}
		}
		id := cause.NewID(1, 1) // older than any other
		if err := w.store.Update(t.Context(), func(tx store.Tx) error {
			return cause.Table.Insert(tx, &cause.Row{ID: id[:], Kind: "of a later version", At: 1})
		}); err != nil {
			t.Fatal(err)
		}
		w.add("alice", "alpine", "A")
		w.look("alice", "alpine", "B")
		if err := w.DeleteAccount(t.Context(), "robert"); err != nil {
			t.Errorf("DeleteAccount of one that no cause concerns: %v", err)
		}
		if err := w.DeleteAccount(t.Context(), "alice"); err == nil {
			t.Error("the deletion of alice did not wait")
		}
		if a, err := w.Account(t.Context(), "alice"); err != nil || a.State != anchore.AccountDeleting {
			t.Errorf("Account(alice) = %v, %v; want deleting", a.State, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.RunFanOut(ctx) }()
		time.Sleep(2 * time.Minute) // it is set aside
		stop()
		if err := errors.Join(<-ended, w.Sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Account(t.Context(), "alice"); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("Account(alice) = %v, want not found", err)
		}
		diff(t, "notifications of alice", []string{"tag_update " + alpine + " A→B"}, w.notifications("alice"))
	})
}

// forgetNames makes the notifications those of an engine that did not keep the names
// of their accounts.
func (w *world) forgetNames() {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		rows, err := outbox.Notifications.Scan(tx, store.Range{Limit: 10})
		for _, row := range rows {
			next := *row
			next.Name = ""
			if err := outbox.Notifications.Replace(tx, row, &next); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestSweepFinishesTheDeletionOfAnAccount: the context ends where a crash would.
func TestSweepFinishesTheDeletionOfAnAccount(t *testing.T) {
	w := newWorld(t)
	w.account("alice", anchore.UserAccount)
	w.fill("alice")
	if err := w.SetAccountState(t.Context(), "alice", anchore.AccountDisabled); err != nil {
		t.Fatal(err)
	}
	w.store.failAfter(5)
	if err := w.DeleteAccount(t.Context(), "alice"); err == nil {
		t.Fatal("the deletion was not interrupted")
	}
	w.store.failAfter(0)
	a, err := w.Account(t.Context(), "alice")
	if err != nil || a.State != anchore.AccountDeleting {
		t.Fatalf("Account(alice) = %v, %v; want deleting", a.State, err)
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Account(t.Context(), "alice"); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("Account(alice) after the sweep = %v, want not found", err)
	}
	before := w.store.writes.Load()
	if err := w.Sweep(t.Context()); err != nil || w.store.writes.Load() != before {
		t.Errorf("a sweep with nothing to do: %v, %d writes", err, w.store.writes.Load()-before)
	}
}
