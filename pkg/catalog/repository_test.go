package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/repository"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

func repositoryRef(name string) anchore.Reference {
	ref, err := anchore.ParseRepository(name)
	if err != nil {
		panic(err)
	}
	return ref
}

// watchRepository is what a repo add does once it knows which tags to pass over.
func (w *world) watchRepository(account, name string, want anchore.RepositoryWatch, pass ...string) catalog.WatchedRepository {
	w.t.Helper()
	repo, _, _, err := w.WatchRepository(w.t.Context(), account, repositoryRef(name), want)
	if err == nil {
		err = w.TakeFirstList(w.t.Context(), repo, pass)
	}
	if err != nil {
		w.t.Fatalf("watching %s: %v", name, err)
	}
	return repo
}

// watched are the repositories that the watcher is given, as "account repository".
func (w *world) watched() (list []catalog.WatchedRepository, names []string) {
	w.t.Helper()
	for after := ""; ; {
		page, next, err := w.WatchedRepositories(w.t.Context(), after, 2)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, repo := range page {
			list, names = append(list, repo), append(names, repo.Account+" "+repo.Ref.RepositoryName())
		}
		if after = next; after == "" {
			return list, names
		}
	}
}

// settled are the tags that the watch has done with, and those that it tries again.
func (w *world) settled(repo catalog.WatchedRepository) (done, again []string) {
	w.t.Helper()
	tags, err := w.RepositoryTags(w.t.Context(), repo)
	if err != nil {
		w.t.Fatal(err)
	}
	for tag, next := range tags {
		if next.IsZero() {
			done = append(done, tag)
			continue
		}
		again = append(again, tag)
	}
	slices.Sort(done)
	slices.Sort(again)
	return done, again
}

func (w *world) repositoryTagAdded(repo catalog.WatchedRepository, tag string) bool {
	w.t.Helper()
	watched, err := w.RepositoryTagAdded(w.t.Context(), repo, tag)
	if err != nil {
		w.t.Fatal(err)
	}
	return watched
}

// rows counts what is stored of repositories' tags.
func (w *world) rows() (n int) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(tx store.Tx) error {
		list, err := repository.Table.Scan(tx, store.Range{})
		n = len(list)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestRepositoryTagsAreRowsOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.account("team", anchore.UserAccount)
	many := make([]string, 1200) // more than a page of any kind
	for i := range many {
		many[i] = fmt.Sprintf("v%04d", i)
	}
	repo := w.watchRepository("admin", "alpine", anchore.RepositoryWatch{MaxTags: 1}, many...)
	w.watchRepository("team", "alpine", anchore.RepositoryWatch{}, "v1")
	w.watchRepository("admin", "alpine-slim", anchore.RepositoryWatch{}, "v2")
	if done, again := w.settled(repo); !slices.Equal(done, many) || again != nil {
		t.Errorf("RepositoryTags = %d settled and %q to try again, want the %d that were passed over", len(done), again, len(many))
	}
	for range 2 {
		if !w.repositoryTagAdded(repo, "latest") {
			t.Error("RepositoryTagAdded says that the repository is not watched")
		}
	}
	sub, err := w.Subscription(t.Context(), "admin", anchore.SubscriptionID("admin", "docker.io/library/alpine", anchore.RepoUpdate))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"autosubscribe":false,"lookuptag":"latest","max_tags":1,"tagcount":1}`, sub.Value); diff != "" {
		t.Errorf("value (-want +got):\n%s", diff)
	}
	_, names := w.watched()
	want := []string{"admin docker.io/library/alpine", "team docker.io/library/alpine", "admin docker.io/library/alpine-slim"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("WatchedRepositories (-want +got):\n%s", diff)
	}
	if err := w.DeleteSubscription(t.Context(), "admin", sub.ID()); err != nil {
		t.Fatal(err)
	}
	if n := w.rows(); n != 2 {
		t.Errorf("%d rows are left, want the two of other watches", n)
	}
	if w.repositoryTagAdded(repo, "new") {
		t.Error("RepositoryTagAdded says that a deleted watch goes on")
	}
	if n := w.rows(); n != 2 {
		t.Errorf("a deleted watch recorded a tag: %d rows, want 2", n)
	}
}

func TestAnotherChoiceBeginsWithAFirstList(t *testing.T) {
	w := newWorld(t)
	repo := w.watchRepository("admin", "alpine", anchore.RepositoryWatch{MaxTags: 1}, "a", "b")
	w.repositoryTagAdded(repo, "c")
	id := anchore.SubscriptionID("admin", "docker.io/library/alpine", anchore.RepoUpdate)
	for _, tt := range []struct {
		name  string
		value string
		taken bool
		done  []string
	}{
		{"as it was, with what the engine adds", `{"tagcount":7,"max_tags":1,"lookuptag":"","mine":[1]}`, true, []string{"a", "b", "c"}},
		{"only other subscriptions of the tags", `{"autosubscribe":true,"max_tags":1,"lookuptag":""}`, true, []string{"a", "b", "c"}},
		{"other tags", `{"max_tags":5,"lookuptag":""}`, false, []string{"c"}},
	} {
		if _, err := w.UpdateSubscription(t.Context(), "admin", id, catalog.SubscriptionUpdate{Value: &tt.value}); err != nil {
			t.Fatal(err)
		}
		list, _ := w.watched()
		if done, _ := w.settled(list[0]); list[0].Taken != tt.taken || !slices.Equal(done, tt.done) {
			t.Errorf("%s: taken %v, settled %q; want %v, %q", tt.name, list[0].Taken, done, tt.taken, tt.done)
		}
	}
	bad := `{"max_tags":-1}`
	if _, err := w.UpdateSubscription(t.Context(), "admin", id, catalog.SubscriptionUpdate{Value: &bad}); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("a value with max_tags -1: %v, want Invalid", err)
	}
}

func TestAFailingTagIsToldOnce(t *testing.T) {
	w := newWorld(t)
	repo := w.watchRepository("admin", "alpine", anchore.RepositoryWatch{})
	e := anchore.Event{Type: anchore.EventRegistryLookupFailed, Level: anchore.Failure, Message: "m", Resource: anchore.Resource{Type: "image_reference", ID: "x"}}
	var last time.Time
	for i := range 4 {
		told := e
		if i == 0 {
			told = anchore.Event{} // the registry did not answer
		}
		first, err := w.RepositoryTagFailed(t.Context(), repo, "broken", told)
		if err != nil || first != (i == 1) {
			t.Errorf("failure %d: first %v, %v", i, first, err)
		}
		tags, err := w.RepositoryTags(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		if next := tags["broken"]; !next.After(last.Add(30 * time.Second)) {
			t.Errorf("failure %d: tried again at %v, want later than after the one before (%v)", i, next, last)
		} else {
			last = next
		}
	}
	w.repositoryTagAdded(repo, "broken")
	if done, again := w.settled(repo); !slices.Equal(done, []string{"broken"}) || again != nil {
		t.Errorf("after it was added: settled %q, to try again %q", done, again)
	}
	for _, want := range []bool{true, false} {
		if first, err := w.RepositoryListFailed(t.Context(), repo, "gone"); err != nil || first != want {
			t.Errorf("RepositoryListFailed = %v, %v; want %v", first, err, want)
		}
	}
	if list, _ := w.watched(); list[0].FailedSince.IsZero() {
		t.Error("a repository that cannot be listed is given without the time since when")
	}
	if err := w.RepositoryListed(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if list, _ := w.watched(); !list[0].FailedSince.IsZero() {
		t.Error("a repository that can be listed again is given as one that cannot")
	}
	events, _, err := w.Events(t.Context(), "admin", catalog.EventFilter{}, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, string(e.Type))
	}
	if diff := cmp.Diff([]string{"system.repository.list_tags_fail", "system.image_analysis.registry_lookup_failed"}, types); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestAListThatOutlivesItsWatch says nothing of the one that was begun meanwhile.
func TestAListThatOutlivesItsWatch(t *testing.T) {
	w := newWorld(t)
	old := w.watchRepository("admin", "alpine", anchore.RepositoryWatch{})
	id := anchore.SubscriptionID("admin", old.Ref.RepositoryName(), anchore.RepoUpdate)
	if err := w.DeleteSubscription(t.Context(), "admin", id); err != nil {
		t.Fatal(err)
	}
	if first, err := w.RepositoryListFailed(t.Context(), old, "gone"); first || err != nil {
		t.Errorf("RepositoryListFailed of no watch = %v, %v; want nothing told", first, err)
	}
	w.watchRepository("admin", "alpine", anchore.RepositoryWatch{})
	if first, err := w.RepositoryListFailed(t.Context(), old, "gone"); first || err != nil {
		t.Errorf("RepositoryListFailed of the watch before = %v, %v; want nothing told", first, err)
	}
	list, _ := w.watched()
	if !list[0].FailedSince.IsZero() {
		t.Error("the new watch counts as failed")
	}
	if first, err := w.RepositoryListFailed(t.Context(), list[0], "gone"); !first || err != nil {
		t.Errorf("RepositoryListFailed of the new watch = %v, %v; want it told", first, err)
	}
}

// between is a store that runs fn, once, between two runs of a transaction.
type between struct {
	store.Store
	fn func()
}

func (b *between) Update(ctx context.Context, fn func(store.Tx) error) error {
	if between := b.fn; between != nil {
		b.fn = nil
		again := errors.New("conflict")
		if err := b.Store.Update(ctx, func(tx store.Tx) error { _ = fn(tx); return again }); !errors.Is(err, again) {
			return err
		}
		between()
	}
	return b.Store.Update(ctx, fn)
}

// TestAWatchThatEndsBetweenTwoRuns of a transaction is not watched.
func TestAWatchThatEndsBetweenTwoRuns(t *testing.T) {
	s, blobs := openStores(t)
	b := &between{Store: s}
	w := worldOn(t, b, blobs)
	repo := w.watchRepository("admin", "alpine", anchore.RepositoryWatch{})
	b.fn = func() {
		id := anchore.SubscriptionID("admin", repo.Ref.RepositoryName(), anchore.RepoUpdate)
		if err := w.DeleteSubscription(t.Context(), "admin", id); err != nil {
			t.Fatal(err)
		}
	}
	if w.repositoryTagAdded(repo, "1") {
		t.Error("a watch that ended while the tag was recorded counts as watched")
	}
}

// TestAWatchIsTakenUpAfterACrash: the process dies at every cut of a repo add and of
// the deletion after it; what is done again ends as if it had not.
func TestAWatchIsTakenUpAfterACrash(t *testing.T) {
	for cut := 1; ; cut++ {
		if cut > 100 {
			t.Fatal("the script does not end")
		}
		if outlived := watchCrashAt(t, cut); outlived {
			t.Logf("the script has %d cuts", cut-1)
			return
		}
	}
}

func watchCrashAt(t *testing.T, cut int) (outlived bool) {
	many := make([]string, 100) // more than a transaction takes
	for i := range many {
		many[i] = fmt.Sprintf("v%04d", i)
	}
	s, blobs := openStores(t)
	after := worldOn(t, s, blobs) // the account exists before anything can die
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	crash := storetest.NewCrash(s, cut, kill)
	before := processOn(t, crash, blobs)
	id := anchore.SubscriptionID("admin", "docker.io/library/alpine", anchore.RepoUpdate)
	repo, _, _, err := before.WatchRepository(ctx, "admin", repositoryRef("alpine"), anchore.RepositoryWatch{MaxTags: 1})
	if err == nil {
		err = before.TakeFirstList(ctx, repo, many)
	}
	if err == nil {
		err = before.DeleteSubscription(ctx, "admin", id)
	}
	if err == nil && !crash.Dead() {
		outlived = true
	}

	if err := after.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := after.watched(); len(list) == 0 && after.rows() != 0 {
		t.Errorf("cut %d: %d tags are left of a watch that is gone", cut, after.rows())
	}
	repo = after.watchRepository("admin", "alpine", anchore.RepositoryWatch{MaxTags: 1}, many...)
	if done, _ := after.settled(repo); !slices.Equal(done, many) {
		t.Errorf("cut %d: %d tags are settled, want %d", cut, len(done), len(many))
	}
	if list, _ := after.watched(); len(list) != 1 || !list[0].Taken {
		t.Errorf("cut %d: watched are %+v, want one with its first list taken", cut, list)
	}
	if err := after.DeleteSubscription(t.Context(), "admin", id); err != nil {
		t.Fatal(err)
	}
	if n := after.rows(); n != 0 {
		t.Errorf("cut %d: %d rows are left after the deletion", cut, n)
	}
	return outlived
}
