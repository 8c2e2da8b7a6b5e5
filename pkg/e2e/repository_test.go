package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// listing is a configuration that lists repositories every second.
const listing = `watch: {interval: 1, repository_interval: 1}
`

// subscribed are the tags of a repository that have a subscription of the type,
// with a star where it is active.
func (e *engine) subscribed(repository, kind string) string {
	e.t.Helper()
	var list []struct {
		Key    string `json:"subscription_key"`
		Active bool   `json:"active"`
	}
	e.call(http.MethodGet, "/subscriptions?subscription_type="+kind, nil, &list)
	var tags []string
	for _, s := range list {
		tag, ok := strings.CutPrefix(s.Key, repository+":")
		if ok && s.Active {
			tag += "*"
		}
		if ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return strings.Join(tags, " ")
}

// waitSubscribed waits until exactly these tags of a repository have a tag_update.
func (e *engine) waitSubscribed(repository, want string) {
	e.t.Helper()
	got := ""
	defer func() {
		if got != want {
			e.t.Logf("last seen: %q", got)
		}
	}()
	waitFor(e.t, "the tags "+want, func() bool {
		got = e.subscribed(repository, "tag_update")
		return got == want
	})
}

func (r registry) pushTags(t testing.TB, repository string, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		r.push(t, r.ref(repository, tag), tag)
	}
}

// waitLists waits until a repository was listed n more times, and once more for the
// list that ran.
func (r registry) waitLists(t testing.TB, repository string, n int) {
	t.Helper()
	requests := func() int { return r.Requests("GET", "/v2/"+repository+"/tags/list") }
	pages := 3 // of the repository that is used for it, two tags each
	want := requests() + (n+1)*pages
	waitFor(t, "lists of "+repository, func() bool { return requests() >= want })
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	reg, recv := registry{ocitest.StartWith(t, ocitest.Config{TagsPage: 2})}, newReceiver(t)
	shared := startEngine(t, listing+general(recv))

	t.Run("a repository is tracked from its first tags to a move of a later one", func(t *testing.T) {
		e := shared.in(t)
		name := reg.Host() + "/repo/tracked"
		reg.pushTags(t, "repo/tracked", "1.0", "1.1", "2.0", "dev", "latest")
		dry := e.mustCLI("repo", "add", name, "--max-tags", "3", "--dryrun")
		if !strings.HasPrefix(dry, "DRY RUN: Repository not added\n\n") || !strings.Contains(dry, name) {
			t.Errorf("the dry run prints:\n%s", dry)
		}
		if out := e.mustCLI("repo", "list"); strings.Contains(out, name) {
			t.Errorf("the dry run stored a watch:\n%s", out)
		}
		added := e.mustCLI("repo", "add", name, "--max-tags", "3")
		if !regexp.MustCompile(regexp.QuoteMeta(name) + ` +True +5 `).MatchString(added) {
			t.Errorf("repo add prints:\n%s", added)
		}
		e.waitSubscribed(name, "1.1* 2.0* latest*")
		if got := e.subscribed(name, "analysis_update"); got != "1.1* 2.0* latest*" {
			t.Errorf("analysis_update of %q, want all active", got)
		}
		waitFor(t, "3 tags in repo get", func() bool {
			return regexp.MustCompile(` True +3 `).MatchString(e.mustCLI("repo", "get", name))
		})

		later := reg.ref("repo/tracked", "2.1")
		first := reg.push(t, later, "later")
		recv.wait(t, 1, "the analysis of the new tag", of("analysis_update", later))
		second := reg.push(t, later, "moved")
		recv.wait(t, 1, "the move of the new tag", of("tag_update", later))
		if diff := cmp.Diff([]move{{first, second}}, moves(recv, later)); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
		if got := recv.deliveries(func(d delivery) bool { return d.kind() == "repo_update" || d.key() == name }); len(got) != 0 {
			t.Errorf("%d notifications of the repository itself, want none", len(got))
		}
		e.waitSubscribed(name, "1.1* 2.0* 2.1* latest*")
	})

	t.Run("only the tags that are asked for", func(t *testing.T) {
		e := shared.in(t)
		name := reg.Host() + "/repo/chosen"
		reg.pushTags(t, "repo/chosen", "1.0", "1.1", "2.0", "dev")
		e.mustCLI("repo", "add", name, "--tags", ">=1.1 <2", "--tags", "d*", "--noautosubscribe")
		e.waitSubscribed(name, "1.1 dev")
		reg.pushTags(t, "repo/chosen", "1.2", "2.1")
		e.waitSubscribed(name, "1.1 1.2 dev")
		e.mustCLI("repo", "add", name, "--all")
		e.waitSubscribed(name, "1.0* 1.1 1.2 2.0* 2.1* dev")
	})

	t.Run("existing tags can be left out", func(t *testing.T) {
		e := shared.in(t)
		name := reg.Host() + "/repo/later"
		reg.pushTags(t, "repo/later", "1", "2", "3")
		e.mustCLI("repo", "add", name, "--exclude-existing")
		reg.pushTags(t, "repo/later", "4") // at once: nothing is lost between
		e.waitSubscribed(name, "4*")
	})

	t.Run("a watch that is off asks the registry nothing", func(t *testing.T) {
		e := shared.in(t)
		name := reg.Host() + "/repo/off"
		reg.pushTags(t, "repo/off", "1")
		e.mustCLI("repo", "add", name, "--noautosubscribe")
		e.waitSubscribed(name, "1")
		e.mustCLI("image", "wait", name+":1", "--interval", "0.1", "--timeout", "90") // its layers were fetched
		e.mustCLI("repo", "unwatch", name)
		reg.waitLists(t, "repo/tracked", 1) // the watcher has heard of it
		before := reg.requests(reg.ref("repo/off", "1"))
		reg.pushTags(t, "repo/off", "2")
		reg.waitLists(t, "repo/tracked", 3)
		if n := reg.requests(reg.ref("repo/off", "1")) - before; n != 0 {
			t.Errorf("%d requests for a repository that is not watched, want 0", n)
		}
		e.mustCLI("repo", "watch", name)
		e.waitSubscribed(name, "1 2")
		e.mustCLI("repo", "del", name)
		if r := e.cli("repo", "get", name); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "is not known") {
			t.Errorf("repo get after repo del: %+v", r)
		}
		e.waitSubscribed(name, "1 2") // what it added stays
	})

	t.Run("what fails is told once", func(t *testing.T) {
		e := shared.in(t)
		name := reg.Host() + "/repo/failing"
		reg.pushTags(t, "repo/failing", "1", "2")
		reg.Inject(ocitest.Fault{Path: "/repo/failing/manifests/2", Status: http.StatusNotFound, Body: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`})
		e.mustCLI("repo", "add", name)
		e.waitSubscribed(name, "1*")
		waitFor(t, "the event of the tag", func() bool {
			return len(e.events("system.image_analysis.registry_lookup_failed", name+":2")) == 1
		})
		reg.Inject(ocitest.Fault{Path: "/repo/failing/tags/list", Status: http.StatusNotFound, Body: `{"errors":[{"code":"NAME_UNKNOWN"}]}`})
		waitFor(t, "the event of the list", func() bool { return len(e.events("system.repository.list_tags_fail", name)) == 1 })
		reg.waitLists(t, "repo/tracked", 3) // cycles in which nothing may be told again
		for kind, id := range map[string]string{"system.image_analysis.registry_lookup_failed": name + ":2", "system.repository.list_tags_fail": name} {
			if n := len(e.events(kind, id)); n != 1 {
				t.Errorf("%d events %s, want 1", n, kind)
			}
		}
	})

	t.Run("a repository without tags is refused", func(t *testing.T) {
		e := shared.in(t)
		r := e.cli("repo", "add", reg.Host()+"/repo/missing")
		if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "no tags could be added from input regrepo ("+reg.Host()+"/repo/missing)") {
			t.Errorf("repo add of a missing repository: %+v", r)
		}
	})
}

// TestRepositoriesOutliveTheEngine has a registry that is slow, wants tokens that
// soon expire, and pages its lists.
func TestRepositoriesOutliveTheEngine(t *testing.T) {
	t.Parallel()
	reg := registry{ocitest.StartWith(t, ocitest.Config{TagsPage: 2, Auth: ocitest.Token, TokenFor: time.Second, Latency: 50 * time.Millisecond})}
	e := startEngine(t, listing)
	name := reg.Host() + "/repo/kept"
	reg.pushTags(t, "repo/kept", "1", "2", "3")
	e.mustCLI("repo", "add", name, "--max-tags", "2")
	e.waitSubscribed(name, "2* 3*")
	e.kill()
	reg.pushTags(t, "repo/kept", "4")
	e.start()
	e.waitSubscribed(name, "2* 3* 4*")
}
