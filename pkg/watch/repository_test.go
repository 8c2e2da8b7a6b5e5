package watch_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// newRepositories is a world where tags are looked at rarely, and whose registry
// pages its lists.
func newRepositories(t *testing.T) *world {
	w := newWorld(t, watch.Config{Interval: 6 * time.Hour}, 0)
	w.registries["registry.test"] = ocitest.NewHandler(ocitest.Config{TagsPage: 3})
	return w
}

// pushAll pushes one image to each tag of team/app.
func (w *world) pushAll(tags ...string) {
	w.Helper()
	for _, tag := range tags {
		w.push("team/app:"+tag, ocitest.Image(ocitest.Spec{}))
	}
}

// watchRepository is a repo add of team/app.
func (w *world) watchRepository(account string, want anchore.RepositoryWatch) intake.RepositoryAddition {
	w.Helper()
	ref := w.ref("team/app")
	ref.Tag = ""
	added, err := w.intake.AddRepository(w.Context(), intake.RepositoryRequest{Account: account, Ref: ref, Watch: want})
	w.must(err)
	return added
}

// tags are the tags of team/app that the account has a subscription of the type to,
// with a star where it is active.
func (w *world) tags(account string, t anchore.SubscriptionType) string {
	w.Helper()
	subs, _, err := w.catalog.Subscriptions(w.Context(), account, catalog.SubscriptionFilter{Type: string(t)}, "", 0)
	w.must(err)
	var list []string
	for _, s := range subs {
		tag, ok := strings.CutPrefix(s.Key, "registry.test/team/app:")
		if ok && s.Active {
			tag += "*"
		}
		if ok {
			list = append(list, tag)
		}
	}
	return strings.Join(list, " ")
}

func (w *world) lists() int { return w.registry().Requests("GET", "/tags/list") }

// change changes the account's repo_update of team/app.
func (w *world) change(account string, u catalog.SubscriptionUpdate) {
	w.Helper()
	id := anchore.SubscriptionID(account, "registry.test/team/app", anchore.RepoUpdate)
	_, err := w.catalog.UpdateSubscription(w.Context(), account, id, u)
	w.must(err)
}

func (w *world) check(what, want, got string) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestARepositoryIsTakenInAtOnceAndItsNewTagsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1.0", "1.1", "2.0", "dev", "latest")
		w.run()
		wait(time.Minute)
		added := w.watchRepository("admin", anchore.RepositoryWatch{AutoSubscribe: true, LookupTag: "latest", MaxTags: 3})
		w.check("to add", "latest 2.0 1.1", strings.Join(added.Add, " "))
		w.check("listed", "1.0 1.1 2.0 dev latest", strings.Join(added.Tags, " "))
		wait(5 * time.Second)
		w.check("added", "1.1* 2.0* latest*", w.tags("admin", anchore.TagUpdate))
		w.check("their analysis_update", "1.1* 2.0* latest*", w.tags("admin", anchore.AnalysisUpdate))

		w.pushAll("2.1", "2.2")
		wait(time.Minute)
		w.check("with later ones", "1.1* 2.0* 2.1* 2.2* latest*", w.tags("admin", anchore.TagUpdate))
		if got := w.events("admin", "*"); len(got) != 0 {
			t.Errorf("events of %q, want none", got)
		}
		sub, err := w.catalog.Subscription(t.Context(), "admin", anchore.SubscriptionID("admin", "registry.test/team/app", anchore.RepoUpdate))
		w.must(err)
		w.check("value", `{"autosubscribe":true,"lookuptag":"latest","max_tags":3,"tagcount":5}`, sub.Value)
	})
}

func TestAnUnchangedRepositoryIsListedOnceInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2", "3")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		w.watchRepository("team", anchore.RepositoryWatch{})
		wait(2 * time.Minute)
		w.registry().Reset()
		wait(10 * time.Minute)
		if lists, all := w.lists(), w.registry().Requests("", ""); lists != 10 || all != 10 {
			t.Errorf("%d lists of %d requests in ten cycles for two accounts, want 10 of 10", lists, all)
		}
		w.check("team", "1 2 3", w.tags("team", anchore.TagUpdate))

		off := false
		w.change("admin", catalog.SubscriptionUpdate{Active: &off})
		w.change("team", catalog.SubscriptionUpdate{Active: &off})
		wait(2 * time.Second)
		w.registry().Reset()
		w.pushAll("4")
		wait(time.Hour)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests for watches that are off, want 0", n)
		}
		on := true
		w.change("team", catalog.SubscriptionUpdate{Active: &on})
		wait(5 * time.Second)
		w.check("on again", "1 2 3 4", w.tags("team", anchore.TagUpdate))
		w.check("still off", "1 2 3", w.tags("admin", anchore.TagUpdate))
	})
}

func TestOnlyTheTagsThatAreAskedForAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1.0", "1.1", "2.0", "dev")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{Tags: []string{"^1", "d*"}, ExcludeExisting: true})
		w.watchRepository("team", anchore.RepositoryWatch{Tags: []string{"^1"}, MaxTags: 1})
		wait(time.Minute)
		w.check("existing", "", w.tags("admin", anchore.TagUpdate))
		w.check("the first", "1.1", w.tags("team", anchore.TagUpdate))
		w.pushAll("1.2", "2.1", "dev2")
		wait(time.Minute)
		w.check("later", "1.2 dev2", w.tags("admin", anchore.TagUpdate))
		w.check("later", "1.1 1.2", w.tags("team", anchore.TagUpdate))

		w.watchRepository("team", anchore.RepositoryWatch{MaxTags: 4}) // chosen again: 2.1 2.0 1.2 1.1
		wait(5 * time.Second)
		w.check("chosen again", "1.1 1.2 2.0 2.1", w.tags("team", anchore.TagUpdate))
		value := `{"max_tags":0}`
		w.change("team", catalog.SubscriptionUpdate{Value: &value})
		wait(5 * time.Second)
		w.check("all of them", "1.0 1.1 1.2 2.0 2.1 dev dev2", w.tags("team", anchore.TagUpdate))
	})
}

func TestManyTagsAreTakenInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: 6 * time.Hour}, 0)
		var tags []string
		for i := range 250 {
			tags = append(tags, fmt.Sprintf("v%03d", i))
		}
		w.pushAll(tags...)
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(time.Second)
		if got := len(strings.Fields(w.tags("admin", anchore.TagUpdate))); got != 250 {
			t.Errorf("%d tags were taken at once, want 250", got)
		}
		if n := w.lists(); n != 4 {
			t.Errorf("%d lists, want one of the request and three of the watcher", n)
		}
	})
}

// TestALargeRepositoryStarvesNoTag: each request takes a while, and only two run at
// once.
func TestALargeRepositoryStarvesNoTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: 10 * time.Second, PerHost: 2, ListEvery: 6 * time.Hour}, 0)
		w.registries["registry.test"] = ocitest.NewHandler(ocitest.Config{Latency: 50 * time.Millisecond})
		w.push("other:latest", ocitest.Image(ocitest.Spec{}))
		w.add("admin", "other:latest")
		var tags []string
		for i := range 150 {
			tags = append(tags, fmt.Sprintf("v%03d", i))
		}
		w.pushAll(tags...)
		w.run()
		wait(20 * time.Second)
		w.watchRepository("admin", anchore.RepositoryWatch{})
		w.registry().Reset()
		wait(time.Minute)
		if n := w.registry().Requests("HEAD", "/other/"); n < 5 {
			t.Errorf("%d looks at the other tag in a minute, want 6, or one less", n)
		}
		if got := len(strings.Fields(w.tags("admin", anchore.AnalysisUpdate))); got != 150 {
			t.Errorf("%d tags were taken in a minute, want 150", got)
		}
	})
}

// TestFlagsOfUsersStay: the original's watcher set them anew.
func TestFlagsOfUsersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2")
		w.add("admin", "team/app:1")
		off := false
		for _, kind := range []anchore.SubscriptionType{anchore.AnalysisUpdate, anchore.TagUpdate} {
			_, err := w.catalog.UpdateSubscription(t.Context(), "admin", anchore.SubscriptionID("admin", "registry.test/team/app:1", kind), catalog.SubscriptionUpdate{Active: &off})
			w.must(err)
		}
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{AutoSubscribe: true})
		wait(time.Minute)
		w.check("tag_update", "1 2*", w.tags("admin", anchore.TagUpdate))
		w.check("analysis_update", "1 2*", w.tags("admin", anchore.AnalysisUpdate))
	})
}

func TestATagThatFailsIsToldOnceAndTriedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2", "3")
		mend := w.registry().Inject(ocitest.Fault{Path: "/manifests/3", Status: http.StatusNotFound, Body: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`})
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(time.Minute)
		w.check("the others", "1 2", w.tags("admin", anchore.TagUpdate))
		w.registry().Reset()
		wait(24 * time.Hour)
		if n := w.registry().Requests("", "/manifests/3"); n < 5 || n > 40 {
			t.Errorf("%d requests for the tag that fails in a day, want a few", n)
		}
		if diff := cmp.Diff([]string{"registry.test/team/app:3"}, w.events("admin", anchore.EventRegistryLookupFailed)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		mend()
		wait(25 * time.Hour)
		w.check("mended", "1 2 3", w.tags("admin", anchore.TagUpdate))
	})
}

func TestATagTheRegistryFailsOnDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2", "3")
		mend := w.registry().Inject(ocitest.Fault{Path: "/manifests/2", Status: http.StatusServiceUnavailable})
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(time.Minute)
		w.check("the others", "1 3", w.tags("admin", anchore.TagUpdate))
		wait(time.Hour)
		if got := w.events("admin", anchore.EventRegistryLookupFailed); len(got) != 0 {
			t.Errorf("events of %q, want none: the registry failed, not the tag", got)
		}
		mend()
		wait(2 * time.Hour)
		w.check("mended", "1 2 3", w.tags("admin", anchore.TagUpdate))
	})
}

func TestARepositoryThatCannotBeListedIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(time.Minute)
		for round := range 2 {
			mend := w.registry().Inject(ocitest.Fault{Path: "/tags/list", Status: http.StatusNotFound, Body: `{"errors":[{"code":"NAME_UNKNOWN"}]}`})
			wait(2 * time.Minute)
			w.registry().Reset()
			wait(24 * time.Hour)
			if n := w.lists(); n < 3 || n > 60 {
				t.Errorf("%d lists in a day of failures, want a few", n)
			}
			if got := w.events("admin", anchore.EventListTagsFailed); !slices.Equal(got, slices.Repeat([]string{"registry.test/team/app"}, round+1)) {
				t.Errorf("round %d: events of %q, want one a round", round, got)
			}
			mend()
			w.pushAll(fmt.Sprint("2.", round))
			if !w.watcher.Hint("admin", anchore.Reference{Registry: "registry.test", Repository: "team/app"}) {
				t.Error("Hint says that the repository is not watched")
			}
			wait(5 * time.Second)
		}
		w.check("after the hints", "1 2.0 2.1", w.tags("admin", anchore.TagUpdate))
	})
}

func TestANewCredentialIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(time.Minute)
		w.pushAll("2")
		mend := w.registry().Inject(ocitest.Fault{Path: "/tags/list", Status: http.StatusForbidden})
		wait(48 * time.Hour)
		mend()
		w.logins["admin"] = oci.Credential{Username: "u", Password: "p"}
		w.add("admin", "team/app:1") // anything that makes the watched set be read again
		wait(5 * time.Second)
		w.check("with another credential", "1 2", w.tags("admin", anchore.TagUpdate))
	})
}

func TestALimitedRegistryGetsItsPauseAndTheRestIsTakenAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2", "3")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{Tags: []string{"2", "3"}})
		wait(time.Minute)
		fault := ocitest.TooMany(10 * time.Minute)
		fault.Path, fault.Times = "/manifests/", 1
		w.registry().Inject(fault)
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(5 * time.Second)
		w.registry().Reset()
		wait(9 * time.Minute)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests during the pause, want 0", n)
		}
		wait(2 * time.Minute)
		w.check("after the pause", "1 2 3", w.tags("admin", anchore.TagUpdate))
		if got := w.events("admin", "*"); len(got) != 0 {
			t.Errorf("events of %q, want none: nothing is wrong with the tag", got)
		}
	})
}

func TestADeletedWatchLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRepositories(t)
		w.pushAll("1", "2")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{ExcludeExisting: true})
		wait(time.Minute)
		id := anchore.SubscriptionID("admin", "registry.test/team/app", anchore.RepoUpdate)
		w.must(w.catalog.DeleteSubscription(t.Context(), "admin", id))
		wait(2 * time.Second)
		w.registry().Reset()
		wait(10 * time.Minute)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests after the watch was deleted, want 0", n)
		}
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(5 * time.Second)
		w.check("watched anew", "1 2", w.tags("admin", anchore.TagUpdate))
	})
}

func TestARepositoryIsNotListedMoreOftenThanItsRegistryAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Minute, Intervals: map[string]time.Duration{"registry.test": 10 * time.Minute}}, 0)
		w.pushAll("1")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		wait(20 * time.Minute)
		w.registry().Reset()
		wait(time.Hour)
		if n := w.lists(); n != 6 {
			t.Errorf("%d lists in an hour, want 6", n)
		}
	})
}

func TestListingThatIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, watch.Config{Interval: time.Hour, ListEvery: -1}, 0)
		w.pushAll("1")
		w.run()
		w.watchRepository("admin", anchore.RepositoryWatch{})
		w.registry().Reset()
		wait(time.Hour)
		if n := w.registry().Requests("", ""); n != 0 {
			t.Errorf("%d requests, want 0", n)
		}
	})
}
