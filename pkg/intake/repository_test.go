package intake_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// repositoryOf is the repository of a reference.
func repositoryOf(t *testing.T, ref string) anchore.Reference {
	t.Helper()
	r := mustRef(t, ref)
	r.Tag = ""
	return r
}

// onFile is a catalog with an account admin, and the file that it writes.
func onFile(t *testing.T) (c *catalog.Catalog, file func() []byte) {
	t.Helper()
	base := t.TempDir()
	path := filepath.Join(base, "db")
	s, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	blobs, err := dir.New(dir.Config{Path: filepath.Join(base, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = catalog.New(catalog.Config{Store: s, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateAccount(t.Context(), anchore.Account{Name: "admin"}, "foobar"); err != nil {
		t.Fatal(err)
	}
	return c, func() []byte {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
}

func TestAnUnchangedRepositoryCostsNoWrite(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TagsPage: 2})
	c, file := onFile(t)
	in := newIntake(t, c, intake.Config{})
	var ref anchore.Reference
	tags := []string{"1", "2", "3", "4", "5"}
	for _, tag := range tags {
		ref = repositoryOf(t, srv.Push(t, "team/app:"+tag, ocitest.Image(ocitest.Spec{Version: tag})))
	}
	before := file()
	request := intake.RepositoryRequest{Account: "admin", Ref: ref, Watch: anchore.RepositoryWatch{MaxTags: 3, LookupTag: "2"}, DryRun: true}
	dry, err := in.AddRepository(t.Context(), request)
	if err != nil || strings.Join(dry.Add, " ") != "2 5 4" || dry.Subscription.Active || !cmp.Equal(dry.Tags, tags) {
		t.Errorf("AddRepository, dry = %+v, %v; want it to add 2, 5 and 4", dry, err)
	}
	if !bytes.Equal(before, file()) {
		t.Error("a dry run wrote to the store")
	}
	request.DryRun = false
	if added, err := in.AddRepository(t.Context(), request); err != nil || strings.Join(added.Add, " ") != "2 5 4" || !added.Created {
		t.Fatalf("AddRepository = %+v, %v; want it to add 2, 5 and 4", added, err)
	}
	for look := range 3 {
		list, _, err := c.WatchedRepositories(t.Context(), "", 0)
		if err != nil || len(list) != 1 {
			t.Fatalf("WatchedRepositories = %+v, %v", list, err)
		}
		before = file()
		srv.Reset()
		if more, err := in.LookRepository(t.Context(), list[0], tags); more || err != nil {
			t.Fatalf("LookRepository = %v, %v", more, err)
		}
		if wrote, asked := !bytes.Equal(before, file()), srv.Requests("", "") > 0; wrote != (look == 0) || asked != (look == 0) {
			t.Errorf("look %d: wrote %v, asked the registry %v; want the first look alone to do so", look, wrote, asked)
		}
	}
	again, err := in.AddRepository(t.Context(), request)
	if err != nil || len(again.Add) != 0 || again.Created {
		t.Errorf("AddRepository again = %+v, %v; want nothing to add", again, err)
	}
	for _, most := range []int{3, 5} { // what is there already, then with two that were passed over
		request.Watch.MaxTags, request.DryRun = most, true
		dry, err := in.AddRepository(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		request.DryRun = false
		added, err := in.AddRepository(t.Context(), request)
		if diff := cmp.Diff(added.Add, dry.Add); diff != "" || err != nil || len(added.Add) != most-3 {
			t.Errorf("at most %d: AddRepository = %+v, %v; (-added +by a dry run before):\n%s", most, added, err, diff)
		}
	}
}

func TestRepositoriesThatCannotBeWatched(t *testing.T) {
	srv := ocitest.Start(t)
	c := newCatalog(t)
	in := newIntake(t, c, intake.Config{})
	ref := repositoryOf(t, srv.Push(t, "team/app:1", ocitest.Image(ocitest.Spec{})))
	limited := ocitest.TooMany(0)
	limited.Path = "/team/limited/"
	srv.Inject(limited)
	empty := ocitest.Fault{Path: "/team/empty/", Status: 200, Body: `{"name":"team/empty","tags":null}`}
	srv.Inject(empty)
	for _, tt := range []struct {
		name    string
		watch   anchore.RepositoryWatch
		kind    anchore.Kind
		message string
	}{
		{"team/app", anchore.RepositoryWatch{Tags: []string{"["}}, anchore.Invalid, `"[" is not a pattern`},
		{"team/missing", anchore.RepositoryWatch{}, anchore.NotFound, "no tags could be added from input regrepo (" + srv.Host() + "/team/missing)"},
		{"team/empty", anchore.RepositoryWatch{}, anchore.NotFound, "the repository has no tags"},
		{"team/limited", anchore.RepositoryWatch{}, anchore.Limited, ""},
	} {
		ref.Repository = tt.name
		_, err := in.AddRepository(t.Context(), intake.RepositoryRequest{Account: "admin", Ref: ref, Watch: tt.watch})
		if anchore.KindOf(err) != tt.kind || !strings.Contains(anchore.MessageOf(err), tt.message) {
			t.Errorf("AddRepository(%s) = %v, want %v with %q", tt.name, err, tt.kind, tt.message)
		}
	}
	if list, _, err := c.WatchedRepositories(t.Context(), "", 0); err != nil || len(list) != 0 {
		t.Errorf("watched are %+v, %v; want none", list, err)
	}
}

func TestATooLargeTagOfARepositoryIsToldOnce(t *testing.T) {
	srv := ocitest.Start(t)
	c := newCatalog(t)
	in := newIntake(t, c, intake.Config{MaxSizeMB: 1})
	srv.Push(t, "team/app:small", ocitest.Image(ocitest.Spec{}))
	ref := repositoryOf(t, srv.Push(t, "team/app:large", ocitest.Image(ocitest.Spec{Padding: 2 << 20})))
	if _, err := in.AddRepository(t.Context(), intake.RepositoryRequest{Account: "admin", Ref: ref}); err != nil {
		t.Fatal(err)
	}
	list, _, err := c.WatchedRepositories(t.Context(), "", 0)
	if err != nil || len(list) != 1 {
		t.Fatalf("WatchedRepositories = %+v, %v", list, err)
	}
	for range 2 {
		if more, err := in.LookRepository(t.Context(), list[0], []string{"large", "small"}); more || err != nil {
			t.Fatalf("LookRepository = %v, %v", more, err)
		}
	}
	events, _, err := c.Events(t.Context(), "admin", catalog.EventFilter{}, 1, 10)
	if err != nil || len(events) != 1 || events[0].Type != anchore.EventImageTooLarge || events[0].Resource.ID != ref.RepositoryName()+":large" {
		t.Errorf("events are %+v, %v; want one of the large image", events, err)
	}
}
