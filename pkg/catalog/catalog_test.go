package catalog_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// world is a catalog on real backends, with words for what happens to it.
type world struct {
	*catalog.Catalog
	t      testing.TB
	store  *counting
	config catalog.Config
}

// counting counts the transactions that wrote.
type counting struct {
	store.Store
	writes atomic.Int64
	left   atomic.Int64 // transactions until the store fails, 0 for never
	wrote  func()       // called after each transaction that wrote; nil for nothing
	next   func()       // called once, before the next transaction that may write
}

// failAfter lets n more transactions through, and no other; 0 lets all through.
func (c *counting) failAfter(n int64) { c.left.Store(n) }

func (c *counting) Update(ctx context.Context, fn func(store.Tx) error) error {
	if next := c.next; next != nil {
		c.next = nil
		next()
	}
	if left := c.left.Load(); left == 1 {
		return errors.New("the store fails, as it was asked to")
	} else if left > 1 {
		c.left.Store(left - 1)
	}
	wrote := false
	err := c.Store.Update(ctx, func(tx store.Tx) error {
		w := &writing{Tx: tx}
		err := fn(w)
		wrote = w.wrote
		return err
	})
	if wrote && err == nil {
		c.writes.Add(1)
		if c.wrote != nil {
			c.wrote()
		}
	}
	return err
}

type writing struct {
	store.Tx
	wrote bool
}

func (w *writing) Put(b store.Bucket, key, value []byte) error {
	w.wrote = true
	return w.Tx.Put(b, key, value)
}

func (w *writing) Delete(b store.Bucket, key []byte) error {
	w.wrote = true
	return w.Tx.Delete(b, key)
}

// setup is how a world differs from the usual one.
type setup func(*catalog.Config)

// newWorld makes a world whose transactions all run twice, the first time in vain,
// and whose indexes are compared with their rows when the test ends.
func newWorld(t testing.TB, setups ...setup) *world {
	t.Helper()
	s, blobs := openStores(t)
	w := worldOn(t, storetest.Rerun{Store: s}, blobs, setups...)
	t.Cleanup(func() { verifyIndexes(t, s) })
	return w
}

func worldOn(t testing.TB, s store.Store, blobs store.Blobs, setups ...setup) *world {
	t.Helper()
	counted := &counting{Store: s}
	cfg := catalog.Config{Store: counted, Blobs: blobs, Endpoints: func(anchore.SubscriptionType) []string { return []string{"general"} }}
	for _, set := range setups {
		set(&cfg)
	}
	c, err := catalog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Catalog: c, t: t, store: counted, config: cfg}
	w.account(anchore.AdminAccount, anchore.AdminType)
	return w
}

func (w *world) account(name string, typ anchore.AccountType) {
	w.t.Helper()
	err := w.CreateAccount(w.t.Context(), anchore.Account{Name: name, Type: typ}, "foobar")
	if err != nil && anchore.KindOf(err) != anchore.Conflict {
		w.t.Fatalf("CreateAccount(%q): %v", name, err)
	}
}

// manifest is what a registry says of tag when it names image: any text stands
// for an image.
func manifest(tag, image string) anchore.Manifest {
	ref, err := anchore.ParseReference(tag)
	if err != nil {
		panic(err)
	}
	raw, config := []byte(`{"image":"`+image+`"}`), []byte(`{"config":"`+image+`"}`)
	return anchore.Manifest{
		Ref: ref, TagDigest: digest(image), Digest: digest(image), ImageID: strings.TrimPrefix(digest("id "+image), "sha256:"),
		Platform: anchore.DefaultPlatform, Size: 1000, Layers: 1,
		Labels: map[string]string{"org.opencontainers.image.revision": "rev-" + image}, Raw: raw, Config: config,
	}
}

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// add is what `image add` does.
func (w *world) add(account, tag, image string) catalog.Seen {
	w.t.Helper()
	return w.saw(account, tag, image, &catalog.Addition{AutoSubscribe: true})
}

// look is what the watcher does when it finds another digest.
func (w *world) look(account, tag, image string) catalog.Seen {
	w.t.Helper()
	return w.saw(account, tag, image, nil)
}

func (w *world) saw(account, tag, image string, add *catalog.Addition) catalog.Seen {
	w.t.Helper()
	why := "watcher"
	if add != nil {
		why = "image add"
	}
	seen, err := w.sight(catalog.Sighting{Account: account, Manifest: manifest(tag, image), Cause: why, Add: add})
	if err != nil {
		w.t.Fatalf("SawTag(%s, %s, %s): %v", account, tag, image, err)
	}
	return seen
}

// sight is SawTag by somebody who asked the registry this moment.
func (w *world) sight(s catalog.Sighting) (catalog.Seen, error) {
	return w.sightCtx(w.t.Context(), s)
}

func (w *world) sightCtx(ctx context.Context, s catalog.Sighting) (catalog.Seen, error) {
	state, err := w.TagState(ctx, s.Account, s.Manifest.Ref)
	if err != nil {
		return catalog.Seen{}, err
	}
	s.Version = state.Version
	return w.SawTag(ctx, s)
}

// analyze finishes every analysis that is due.
func (w *world) analyze() {
	w.t.Helper()
	for {
		job, ok := w.claim()
		if !ok {
			return
		}
		w.finish(job)
	}
}

func (w *world) claim() (catalog.Job, bool) {
	w.t.Helper()
	job, ok, _, err := w.ClaimAnalysis(w.t.Context(), time.Minute)
	if err != nil {
		w.t.Fatalf("ClaimAnalysis: %v", err)
	}
	return job, ok
}

func (w *world) finish(job catalog.Job) {
	w.t.Helper()
	report, err := w.config.Blobs.Put(w.t.Context(), strings.NewReader("sbom of "+job.Digest))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.FinishAnalysis(w.t.Context(), job, catalog.AnalysisResult{Report: report, Summary: anchore.Summary{Distro: "debian", DistroVersion: "12", Packages: 3}}); err != nil {
		w.t.Fatalf("FinishAnalysis: %v", err)
	}
}

// activate switches a subscription on or off.
func (w *world) activate(account, tag string, t anchore.SubscriptionType, active bool) {
	w.t.Helper()
	key, err := anchore.ParseSubscriptionKey(t, tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.UpdateSubscription(w.t.Context(), account, anchore.SubscriptionID(account, key, t), catalog.SubscriptionUpdate{Active: &active}); err != nil {
		w.t.Fatalf("UpdateSubscription(%s, %s, %v): %v", key, t, active, err)
	}
}

// told fans out and returns what the account was told so far, oldest first, as
// "type key before→after".
func (w *world) told(account string) []string {
	w.t.Helper()
	for {
		more, err := w.FanOut(w.t.Context())
		if err != nil {
			w.t.Fatalf("FanOut: %v", err)
		}
		if !more {
			break
		}
	}
	return w.notifications(account)
}

// events returns the account's events, oldest first, as "type resource".
func (w *world) events(account string) []string {
	w.t.Helper()
	events, _, err := w.Events(w.t.Context(), account, catalog.EventFilter{}, 1, 1000)
	if err != nil {
		w.t.Fatalf("Events: %v", err)
	}
	var list []string
	for i := range events {
		e := events[len(events)-1-i]
		list = append(list, string(e.Type)+" "+e.Resource.ID)
	}
	return list
}

// short names an image in a list of notifications by the text it stands for.
func short(digests string) string {
	for _, image := range []string{"A", "B", "C", "D"} {
		digests = strings.ReplaceAll(digests, digest(image), image)
	}
	return digests
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

const alpine = "docker.io/library/alpine:latest"

func TestFirstSightIsASilentBaseline(t *testing.T) {
	w := newWorld(t)
	if seen := w.add("admin", "alpine", "A"); !seen.First || seen.Moved || seen.Image.Status != anchore.NotAnalyzed {
		t.Errorf("first sight = %+v", seen)
	}
	diff(t, "notifications", []string(nil), w.told("admin"))
}

func TestAddingAnImageSubscribesItsTag(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	diff(t, "subscriptions", []string{
		alpine + " analysis_update true", alpine + " policy_eval false", alpine + " tag_update true", alpine + " vuln_update false",
	}, w.subscriptions("admin"))

	w.activate("admin", "alpine", anchore.TagUpdate, false)
	w.activate("admin", "alpine", anchore.VulnUpdate, true)
	before := w.subscriptions("admin")
	w.add("admin", "docker.io/alpine:latest", "B")
	diff(t, "subscriptions after adding the image again", before, w.subscriptions("admin"))
}

func (w *world) subscriptions(account string) []string {
	w.t.Helper()
	subs, _, err := w.Subscriptions(w.t.Context(), account, catalog.SubscriptionFilter{}, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, s := range subs {
		list = append(list, fmt.Sprintf("%s %s %v", s.Key, s.Type, s.Active))
	}
	return list
}

// TestATagThatNeverWas: somebody subscribed to a tag that the registry does not have.
func TestATagThatNeverWas(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		if _, err := w.TagGone(t.Context(), "admin", manifest("alpine", "A").Ref, 0); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "events", []string{string(anchore.EventRegistryLookupFailed) + " " + alpine}, w.events("admin"))
}

// TestTheNewestImageOfATagIsDeleted: the one before stands for the tag then.
func TestTheNewestImageOfATagIsDeleted(t *testing.T) {
	w := newWorld(t)
	for _, image := range []string{"A", "B", "C"} {
		w.add("admin", "alpine", image)
	}
	of := func(history bool) (list []string) {
		images, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine", History: history}, "", 0)
		if err != nil && anchore.KindOf(err) != anchore.NotFound {
			t.Fatal(err)
		}
		for _, img := range images {
			list = append(list, short(img.Digest))
		}
		return list
	}
	for _, want := range [][]string{{"C", "B", "A"}, {"B", "A"}, {"A"}, nil} {
		diff(t, "all images of the tag", want, of(true))
		diff(t, "the newest image of the tag", want[:min(1, len(want))], of(false))
		if len(want) > 0 {
			if err := w.DeleteImage(t.Context(), "admin", digest(want[0]), true); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAutoSubscribeAndDefaultSet(t *testing.T) {
	w := newWorld(t, func(c *catalog.Config) {
		c.Subscriptions = map[anchore.SubscriptionType]bool{anchore.TagUpdate: true, anchore.VulnUpdate: true}
	})
	w.saw("admin", "alpine", "A", &catalog.Addition{})
	diff(t, "subscriptions", []string{alpine + " tag_update false", alpine + " vuln_update true"}, w.subscriptions("admin"))
}

func TestMovesAreToldOnceEach(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	for _, image := range []string{"B", "B", "A", "A", "C"} {
		w.look("admin", "alpine", image)
	}
	w.add("admin", "alpine", "B")
	diff(t, "notifications", []string{
		"tag_update " + alpine + " A→B", "tag_update " + alpine + " B→A", "tag_update " + alpine + " A→C", "tag_update " + alpine + " C→B",
	}, w.told("admin"))
	diff(t, "notifications after fanning out again", 4, len(w.told("admin")))
	diff(t, "events", []string{
		"user.image.tag.updated " + alpine, "user.image.tag.updated " + alpine, "user.image.tag.updated " + alpine, "user.image.tag.updated " + alpine,
	}, w.events("admin"))
}

// TestSightingsThatCross: of two looks at a registry that cross, the one that began
// first and ends last is no move back.
func TestSightingsThatCross(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	before, err := w.TagState(t.Context(), "admin", manifest("alpine", "A").Ref)
	if err != nil {
		t.Fatal(err)
	}
	w.look("admin", "alpine", "C")
	writes := w.store.writes.Load()
	_, err = w.SawTag(t.Context(), catalog.Sighting{Account: "admin", Manifest: manifest("alpine", "B"), Version: before.Version, Cause: "watcher"})
	if !errors.Is(err, catalog.ErrSeenMeanwhile) || anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("SawTag of an older answer: %v, want Conflict", err)
	}
	diff(t, "writes", writes, w.store.writes.Load())
	diff(t, "notifications", []string{"tag_update " + alpine + " A→C"}, w.told("admin"))
}

func TestInactiveSubscriptionIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.activate("admin", "alpine", anchore.TagUpdate, false)
	w.look("admin", "alpine", "B")
	w.activate("admin", "alpine", anchore.TagUpdate, true)
	diff(t, "notifications of a move while inactive", []string(nil), w.told("admin"))
	w.look("admin", "alpine", "C")
	w.activate("admin", "alpine", anchore.TagUpdate, false)
	diff(t, "notifications of a move just before deactivation", []string{"tag_update " + alpine + " B→C"}, w.told("admin"))
}

func TestRebuiltIndexIsRecordedSilently(t *testing.T) {
	for _, notify := range []bool{false, true} {
		w := newWorld(t, func(c *catalog.Config) { c.NotifyRebuilds = notify })
		w.add("admin", "alpine", "A")
		m := manifest("alpine", "A")
		m.TagDigest = digest("index around A")
		seen, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m, Cause: "watcher"})
		if err != nil || !seen.Rebuilt || seen.Moved {
			t.Fatalf("SawTag = %+v, %v; want rebuilt", seen, err)
		}
		diff(t, "index digest shown", m.TagDigest, seen.Image.TagDigest)
		want := []string(nil)
		if notify {
			want = []string{"tag_update " + alpine + " A→A"}
		}
		diff(t, fmt.Sprintf("notifications with NotifyRebuilds %v", notify), want, w.told("admin"))
	}
}

func TestUnchangedTagWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	before := w.store.writes.Load()
	if seen := w.look("admin", "alpine", "A"); seen.First || seen.Moved || seen.Rebuilt {
		t.Errorf("nothing changed, but SawTag = %+v", seen)
	}
	w.activate("admin", "alpine", anchore.TagUpdate, true)
	if n := w.store.writes.Load() - before; n != 0 {
		t.Errorf("%d writes although nothing changed", n)
	}
}

func TestAnalysisIsToldToEveryTagOfEveryAccount(t *testing.T) {
	w := newWorld(t)
	w.account("dev", anchore.UserAccount)
	for i := range 9 {
		w.add("admin", fmt.Sprintf("alpine:%d", i), "A")
	}
	w.add("dev", "quay.io/mirror/alpine:1", "A")
	w.activate("admin", "alpine:3", anchore.AnalysisUpdate, false)
	job, _ := w.claim()
	if _, again := w.claim(); again {
		t.Error("one digest was queued twice for two accounts")
	}
	diff(t, "sources of the analysis", 2, len(job.Sources))
	w.finish(job)
	diff(t, "notifications of admin", 8, len(w.told("admin")))
	diff(t, "notifications of dev", []string{"analysis_update quay.io/mirror/alpine:1 A analyzing→analyzed"}, w.told("dev"))
	diff(t, "events of admin", 9, len(w.events("admin")))

	w.add("dev", "quay.io/mirror/alpine:2", "A")
	w.add("dev", "quay.io/mirror/alpine:2", "A")
	diff(t, "notifications after a tag was attached to the analyzed image", []string{
		"analysis_update quay.io/mirror/alpine:1 A analyzing→analyzed",
		"analysis_update quay.io/mirror/alpine:2 A analyzed→analyzed",
	}, w.told("dev"))
}

// As docs/webhooks.md says: a tag that moves back is told no analysis again, and one
// that an image was added under by digest is told of that image.
func TestWhichAnalysesATagIsTold(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	w.look("admin", "alpine", "B")
	w.analyze()
	w.look("admin", "alpine", "A")
	w.analyze()
	if _, err := w.AddDigest(t.Context(), catalog.DigestAddition{Account: "admin", Manifest: manifest("alpine", "C"), CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.analyze()
	told := w.told("admin")
	slices.Sort(told)
	diff(t, "notifications", []string{
		"analysis_update " + alpine + " A analyzing→analyzed", "analysis_update " + alpine + " B analyzing→analyzed", "analysis_update " + alpine + " C analyzing→analyzed",
		"tag_update " + alpine + " A→B", "tag_update " + alpine + " B→A",
	}, told)
}

func TestFailedAnalysisIsAnEventAndNoNotification(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	job, _ := w.claim()
	if err := w.FailAnalysis(t.Context(), job, "the image has no layers"); err != nil {
		t.Fatal(err)
	}
	diff(t, "notifications", []string(nil), w.told("admin"))
	diff(t, "events", []string{"user.image.analysis.failed " + alpine}, w.events("admin"))
	img, err := w.Image(t.Context(), "admin", digest("A"))
	if err != nil || img.Status != anchore.AnalysisFailed || img.Reason != "the image has no layers" {
		t.Errorf("Image = %v %q, %v", img.Status, img.Reason, err)
	}
	w.add("admin", "alpine", "A")
	w.analyze()
	diff(t, "notifications after adding the failed image again", []string{"analysis_update " + alpine + " A analyzing→analyzed"}, w.told("admin"))
}

func TestForcedAnalysisTouchesOnlyItsAccount(t *testing.T) {
	w := newWorld(t)
	w.account("dev", anchore.UserAccount)
	w.add("admin", "alpine", "A")
	w.add("dev", "alpine", "A")
	w.analyze()
	diff(t, "notifications of dev before", 1, len(w.told("dev")))
	w.saw("dev", "alpine", "A", &catalog.Addition{Force: true})
	for account, want := range map[string]anchore.AnalysisStatus{"admin": anchore.Analyzed, "dev": anchore.NotAnalyzed} {
		img, err := w.Image(t.Context(), account, digest("A"))
		if err != nil || img.Status != want {
			t.Errorf("status in %s = %s, %v; want %s", account, img.Status, err, want)
		}
	}
	w.analyze()
	diff(t, "notifications of admin", 1, len(w.told("admin")))
	diff(t, "notifications of dev", 2, len(w.told("dev")))
}

// TestRefusedAccountTriesByItself: what others found is not its to see until its own
// credentials give it the image.
func TestRefusedAccountTriesByItself(t *testing.T) {
	for name, again := range map[string]func(*world){
		"it adds the image":   func(w *world) { w.add("dev", "alpine", "A") },
		"it adds another tag": func(w *world) { w.add("dev", "alpine:3", "A") },
		"the tag comes back":  func(w *world) { w.look("dev", "alpine", "B"); w.look("dev", "alpine", "A") },
		"it adds it by digest": func(w *world) {
			_, err := w.AddDigest(w.t.Context(), catalog.DigestAddition{Account: "dev", Manifest: manifest("alpine", "A")})
			if err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.account("dev", anchore.UserAccount)
			w.add("admin", "alpine", "A")
			w.add("dev", "alpine", "A")
			refuse := func(job catalog.Job) {
				if err := w.RefuseSource(t.Context(), job, "dev", "the registry refused the credentials"); err != nil {
					t.Fatal(err)
				}
			}
			job, _ := w.claim()
			refuse(job)
			w.finish(job)

			for range 2 { // the registry refuses it a second time
				again(w)
				if img := w.image("dev", "A"); img.Status != anchore.NotAnalyzed {
					t.Errorf("the image of dev is %s, want it to wait for an analysis", img.Status)
				}
				if _, err := w.Report(t.Context(), "dev", digest("A")); anchore.KindOf(err) != anchore.NotFound {
					t.Errorf("Report of dev: %v, want not found", err)
				}
				queued, _, err := w.QueueLength(t.Context())
				again(w)
				if after, _, err2 := w.QueueLength(t.Context()); after != queued || err != nil || err2 != nil {
					t.Errorf("%d analyses wait, %d after the same again: %v, %v", queued, after, err, err2)
				}
				own := w.claimOf("dev")
				refuse(own)
				if _, err := w.FailSources(t.Context(), own, "refused"); err != nil {
					t.Fatal(err)
				}
			}
			again(w)
			w.analyze()
			diff(t, "status of dev in the end", anchore.Analyzed, w.image("dev", "A").Status)
			diff(t, "notifications of admin", 1, len(w.told("admin")))
		})
	}
}

// claimOf claims analyses until one is the account's own.
func (w *world) claimOf(account string) catalog.Job {
	w.t.Helper()
	for {
		job, ok := w.claim()
		if !ok {
			w.t.Fatalf("no analysis of %s alone waits", account)
		}
		if job.Digest == digest("A") && len(job.Sources) == 1 && job.Sources[0].Account == account {
			return job
		}
	}
}

func TestRefusedAccountFailsAlone(t *testing.T) {
	w := newWorld(t)
	w.account("dev", anchore.UserAccount)
	w.add("admin", "alpine", "A")
	w.add("dev", "alpine", "A")
	job, _ := w.claim()
	if err := w.RefuseSource(t.Context(), job, "dev", "the registry refused the credentials"); err != nil {
		t.Fatal(err)
	}
	w.finish(job)
	diff(t, "notifications of admin", 1, len(w.told("admin")))
	diff(t, "notifications of dev", []string(nil), w.told("dev"))
	diff(t, "events of dev", []string{"user.image.analysis.failed " + alpine}, w.events("dev"))
	img, err := w.Image(t.Context(), "dev", digest("A"))
	if err != nil || img.Status != anchore.AnalysisFailed || img.Reason == "" {
		t.Errorf("Image of dev = %v %q, %v", img.Status, img.Reason, err)
	}
	if _, err := w.Manifest(t.Context(), "dev", digest("A")); err != nil {
		t.Errorf("Manifest of dev: %v", err)
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("A"), true); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func(context.Context, string, string) (io.ReadCloser, error){"Manifest": w.Manifest, "ImageConfig": w.ImageConfig, "Report": w.Report} {
		if _, err := read(t.Context(), "dev", digest("A")); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("%s of dev without the analysis: %v, want not found", what, err)
		}
	}
	if err := w.DeleteImage(t.Context(), "dev", digest("A"), true); err != nil {
		t.Errorf("DeleteImage of dev: %v", err)
	}
}

// TestRefusalOfADeletedAccount: the account goes while its credentials are tried.
// That is no matter of the others', nor of a new account that has its name.
func TestRefusalOfADeletedAccount(t *testing.T) {
	for _, again := range []bool{false, true} {
		w := newWorld(t)
		w.account("dev", anchore.UserAccount)
		w.add("admin", "alpine", "A")
		w.add("dev", "alpine", "A")
		job, _ := w.claim()
		if err := w.SetAccountState(t.Context(), "dev", anchore.AccountDisabled); err != nil {
			t.Fatal(err)
		}
		if err := w.DeleteAccount(t.Context(), "dev"); err != nil {
			t.Fatal(err)
		}
		var want []string
		if again {
			w.account("dev", anchore.UserAccount)
			w.add("dev", "alpine", "A")
			want = []string{"analysis_update " + alpine + " A analyzing→analyzed"}
		}
		if err := w.RefuseSource(t.Context(), job, "dev", "the registry refused the credentials"); err != nil {
			t.Errorf("RefuseSource of a deleted account: %v", err)
		}
		w.finish(job)
		diff(t, "notifications of admin", 1, len(w.told("admin")))
		diff(t, "notifications of the new dev", want, w.told("dev"))
	}
}

func TestLeases(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	lost, _, _, err := w.ClaimAnalysis(t.Context(), -time.Second) // its lease has ended already
	if err != nil {
		t.Fatal(err)
	}
	held, ok := w.claim()
	if !ok || held.Attempt != 2 {
		t.Fatalf("an analysis whose lease ended was not given again: %+v, %v", held, ok)
	}
	for what, err := range map[string]error{
		"ExtendAnalysis":  w.ExtendAnalysis(t.Context(), lost, time.Minute),
		"FinishAnalysis":  w.FinishAnalysis(t.Context(), lost, catalog.AnalysisResult{Report: "sha256:x"}),
		"FailAnalysis":    w.FailAnalysis(t.Context(), lost, "late"),
		"ReleaseAnalysis": w.ReleaseAnalysis(t.Context(), lost),
	} {
		if anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("%s with a lost lease = %v, want a conflict", what, err)
		}
	}
	until := time.Now().Add(time.Hour)
	if err := w.PostponeAnalysis(t.Context(), held, until, "the registry asks to wait"); err != nil {
		t.Fatal(err)
	}
	_, ok, next, err := w.ClaimAnalysis(t.Context(), time.Minute)
	if ok || err != nil || !next.Equal(until.UTC().Truncate(0)) {
		t.Errorf("postponed analysis: claimed %v, next %v, %v; want next %v", ok, next, err, until)
	}
	img, err := w.Image(t.Context(), "admin", digest("A"))
	if err != nil || img.Status != anchore.NotAnalyzed || img.RetryAt.IsZero() || img.Reason == "" {
		t.Errorf("postponed image = %+v, %v", img, err)
	}
}

// Only a lease in which the child was begun, and whose end nobody told, may have
// been a crash that the image caused.
func TestCrashesAreCounted(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	killed := func(reached bool) int {
		t.Helper()
		job, ok := w.claim()
		if !ok {
			t.Fatal("no analysis is due")
		}
		if reached {
			if err := w.AnalysisBegun(t.Context(), job); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndLeases(t.Context()); err != nil {
			t.Fatal(err)
		}
		return job.Crashes
	}
	var got []int
	for _, reached := range []bool{false, false, false, false, true, false, true} {
		got = append(got, killed(reached))
	}
	diff(t, "crashes before each claim", []int{0, 0, 0, 0, 0, 1, 1}, got)
	job, _ := w.claim()
	for what, end := range map[string]func() error{
		"released":  func() error { return w.ReleaseAnalysis(t.Context(), job) },
		"postponed": func() error { return w.PostponeAnalysis(t.Context(), job, time.Now(), "wait") },
	} {
		if err := errors.Join(w.AnalysisBegun(t.Context(), job), end()); err != nil {
			t.Fatal(err)
		}
		if anchore.KindOf(w.AnalysisBegun(t.Context(), job)) != anchore.Conflict {
			t.Errorf("%s: AnalysisBegun without a lease is no conflict", what)
		}
		job, _ = w.claim()
		diff(t, "crashes after it was "+what, 2, job.Crashes)
	}
}

func TestLeasesOfAKilledProcessEndAtStart(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	w.look("admin", "alpine", "B")
	w.told("admin")
	lost, ok := w.claim()
	if !ok {
		t.Fatal("no analysis is due")
	}
	sent, _, err := w.ClaimDeliveries(t.Context(), "general", 10, time.Hour)
	if err != nil || len(sent) != 2 {
		t.Fatalf("ClaimDeliveries = %d, %v; want 2", len(sent), err)
	}
	if err := w.EndLeases(t.Context()); err != nil {
		t.Fatal(err)
	}
	if job, ok := w.claim(); !ok || job.Analysis != lost.Analysis {
		t.Errorf("the analysis is not due after the start: %+v, %v", job, ok)
	}
	again, _, err := w.ClaimDeliveries(t.Context(), "general", 10, time.Hour)
	if err != nil || len(again) != 2 {
		t.Errorf("deliveries due after the start = %d, %v; want 2", len(again), err)
	}
	if err := w.FailAnalysis(t.Context(), lost, "late"); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("the killed holder still has the lease: %v", err)
	}
}

func TestDigestAddedUnderATagDoesNotMoveIt(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "B")
	old := time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC)
	img, err := w.AddDigest(t.Context(), catalog.DigestAddition{Account: "admin", Manifest: manifest("alpine", "A"), CreatedAt: old})
	if err != nil || !img.CreatedAt.Equal(old) {
		t.Fatalf("AddDigest = %v, %v", img.CreatedAt, err)
	}
	diff(t, "notifications", []string(nil), w.told("admin"))
	newest, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine"}, "", 0)
	if err != nil || len(newest) != 1 || newest[0].Digest != digest("B") {
		t.Errorf("the tag names %v, %v; want B", newest, err)
	}
	all, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine", History: true}, "", 0)
	if err != nil || len(all) != 2 {
		t.Errorf("history has %d images, %v; want 2", len(all), err)
	}
	w.look("admin", "alpine", "A")
	diff(t, "notifications after the tag moved to the added digest", []string{"tag_update " + alpine + " B→A"}, w.told("admin"))
}

// taken is a look of the watcher at alpine.
func (w *world) taken(image string) error {
	_, err := w.sight(catalog.Sighting{Account: "admin", Manifest: manifest("alpine", image), Cause: "watcher"})
	return err
}

func TestGoneAndRefusedTagsAreToldOnce(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	ref := manifest("alpine", "A").Ref
	large := catalog.Refusal{TagDigest: digest("B"), Reason: catalog.RefusedSize, Limit: "100", Message: "too large"}
	raised := large
	raised.Limit = "200"
	failed := func(why string) func() (bool, error) {
		return func() (bool, error) {
			return w.TagLookFailed(t.Context(), "admin", ref, anchore.E(anchore.Forbidden, "test", "%s", why))
		}
	}
	looked := func() (bool, error) { return false, w.TagLooked(t.Context(), "admin", ref) }
	version := func() uint64 {
		state, err := w.TagState(t.Context(), "admin", ref)
		if err != nil {
			t.Fatal(err)
		}
		return state.Version
	}
	gone := func() (bool, error) { return w.TagGone(t.Context(), "admin", ref, version()) }
	refused := func(r catalog.Refusal) func() (bool, error) {
		return func() (bool, error) { return w.TagRefused(t.Context(), "admin", ref, version(), r) }
	}
	for i, tt := range []struct {
		tell func() (bool, error)
		want bool
	}{
		{looked, false}, {failed("no login"), true}, {failed("no login"), false}, {failed("no right"), true}, {failed("no right"), false},
		{looked, false}, {failed("no right"), true}, {looked, false}, {looked, false},
		{gone, true},
		{gone, false},
		{refused(large), true},
		{refused(large), false},
		{refused(raised), true},
		{gone, true},
		{refused(raised), false},
		{func() (bool, error) { return false, w.taken("A") }, false}, // back to what is small enough
		{refused(raised), false},
		{refused(large), false},
		{refused(raised), false},
	} {
		if first, err := tt.tell(); first != tt.want || err != nil {
			t.Errorf("step %d: first = %v, %v; want %v", i, first, err, tt.want)
		}
	}
	diff(t, "events", 7, len(w.events("admin")))
	tags, _, err := w.WatchedTags(t.Context(), "", 0)
	if err != nil || len(tags) != 1 || !tags[0].GoneSince.IsZero() || tags[0].Refusal.Limit != "200" || tags[0].Digest != digest("A") {
		t.Errorf("WatchedTags = %+v, %v", tags, err)
	}
	w.look("admin", "alpine", "B")
	diff(t, "notifications once it was taken", []string{"tag_update " + alpine + " A→B"}, w.told("admin"))
	if tags, _, err = w.WatchedTags(t.Context(), "", 0); err != nil || !tags[0].GoneSince.IsZero() || tags[0].Refusal.Reason != "" {
		t.Errorf("WatchedTags after the tag is back = %+v, %v", tags, err)
	}
	writes := w.store.writes.Load()
	if first, err := w.TagRefused(t.Context(), "admin", ref, 1, large); first || !errors.Is(err, catalog.ErrSeenMeanwhile) {
		t.Errorf("a refusal of what the tag named before it was seen to move: %v, %v", first, err)
	}
	if first, err := w.TagGone(t.Context(), "admin", ref, 1); first || !errors.Is(err, catalog.ErrSeenMeanwhile) {
		t.Errorf("that the tag was gone before it was seen to move: %v, %v", first, err)
	}
	diff(t, "writes of both", int64(0), w.store.writes.Load()-writes)
}

func TestWatchedTagsAreTheActiveOnes(t *testing.T) {
	w := newWorld(t)
	w.account("dev", anchore.UserAccount)
	for i := range 7 {
		w.add("admin", fmt.Sprintf("alpine:%d", i), "A")
	}
	w.add("dev", "alpine:3", "A")
	w.activate("admin", "alpine:5", anchore.TagUpdate, false)
	var got []string
	for after := ""; ; {
		tags, next, err := w.WatchedTags(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range tags {
			got = append(got, tag.Ref.Tag+" "+tag.Account)
		}
		if after = next; after == "" {
			break
		}
	}
	diff(t, "watched tags", []string{"0 admin", "1 admin", "2 admin", "3 admin", "3 dev", "4 admin", "6 admin"}, got)
}

func TestTagIsFollowedForThePlatformAskedFor(t *testing.T) {
	w := newWorld(t)
	arm := anchore.Platform{OS: "linux", Architecture: "arm64"}
	ref := manifest("alpine", "A").Ref
	for _, step := range []struct {
		add  *catalog.Addition
		want anchore.Platform
	}{
		{&catalog.Addition{AutoSubscribe: true}, anchore.Platform{}},
		{&catalog.Addition{Platform: arm}, arm},
		{&catalog.Addition{}, arm},
		{nil, arm},
		{&catalog.Addition{Platform: anchore.DefaultPlatform}, anchore.DefaultPlatform},
	} {
		w.saw("admin", "alpine", "A", step.add)
		got, err := w.TagState(t.Context(), "admin", ref)
		if err != nil || got.Platform != step.want {
			t.Errorf("after %+v: TagState = %+v, %v; want %v", step.add, got, err, step.want)
		}
		tags, _, err := w.WatchedTags(t.Context(), "", 0)
		if err != nil || len(tags) != 1 || tags[0].Platform != step.want {
			t.Errorf("after %+v: WatchedTags = %+v, %v", step.add, tags, err)
		}
	}
}

func TestAnotherPlatformOfTheSameIndexIsNoMove(t *testing.T) {
	w := newWorld(t)
	for _, image := range []string{"A", "B"} { // two platforms of one index
		m := manifest("alpine", image)
		m.TagDigest = digest("index")
		if _, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m, Add: &catalog.Addition{AutoSubscribe: true}}); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "notifications", []string(nil), w.told("admin"))
	m := manifest("alpine", "C")
	m.TagDigest = digest("next index")
	if _, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m}); err != nil {
		t.Fatal(err)
	}
	diff(t, "notifications after the index moved", []string{"tag_update " + alpine + " B→C"}, w.told("admin"))
}

// TestAnImageInSeveralIndexes is shown with the one that was asked for.
func TestAnImageInSeveralIndexes(t *testing.T) {
	w := newWorld(t)
	for _, tag := range []string{"1", "2", "plain"} {
		m := manifest("alpine:"+tag, "A")
		if tag != "plain" {
			m.TagDigest = digest("index " + tag)
		}
		if _, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m, Add: &catalog.Addition{}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tag := range []string{"1", "2"} {
		want := digest("index " + tag)
		images, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine:" + tag}, "", 0)
		if err != nil || len(images) != 1 || images[0].TagDigest != want {
			t.Errorf("Images of alpine:%s = %+v, %v; want it in %s", tag, images, err, want)
		}
		if img, err := w.Image(t.Context(), "admin", want); err != nil || img.Digest != digest("A") || img.TagDigest != want {
			t.Errorf("Image(%s) = %+v, %v", want, img, err)
		}
	}
}

func TestSubscriptionRules(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s, created, err := w.AddSubscription(ctx, anchore.Subscription{Account: "admin", Key: "alpine", Type: anchore.TagUpdate, Active: true})
	if err != nil || !created || s.Key != alpine {
		t.Fatalf("AddSubscription = %+v, %v, %v", s, created, err)
	}
	again, created, err := w.AddSubscription(ctx, anchore.Subscription{Account: "admin", Key: "docker.io/alpine:latest", Type: anchore.TagUpdate})
	if err != nil || created || !again.Active {
		t.Errorf("adding it again = %+v, %v, %v; want the existing one", again, created, err)
	}
	alias := anchore.SubscriptionID("admin", "docker.io/alpine:latest", anchore.TagUpdate)
	if got, err := w.Subscription(ctx, "admin", alias); err != nil || got.ID() != s.ID() {
		t.Errorf("Subscription(alias) = %+v, %v", got, err)
	}
	inactive := false
	for _, tt := range []struct {
		what string
		err  error
		kind anchore.Kind
	}{
		{"unknown id", second(w.Subscription(ctx, "admin", "nope")), anchore.NotFound},
		{"update of an unknown id", second(w.UpdateSubscription(ctx, "admin", "00", catalog.SubscriptionUpdate{})), anchore.NotFound},
		{"delete of an unknown id", w.DeleteSubscription(ctx, "admin", "00"), anchore.NotFound},
		{"another key", second(w.UpdateSubscription(ctx, "admin", s.ID(), catalog.SubscriptionUpdate{Key: "debian"})), anchore.Invalid},
		{"another type", second(w.UpdateSubscription(ctx, "admin", s.ID(), catalog.SubscriptionUpdate{Type: "vuln_update"})), anchore.Invalid},
		{"bad type", third(w.AddSubscription(ctx, anchore.Subscription{Account: "admin", Key: "alpine", Type: "x"})), anchore.Invalid},
		{"bad filter", third3(w.Subscriptions(ctx, "admin", catalog.SubscriptionFilter{Type: "x"}, "", 0)), anchore.Invalid},
		{"delete of an active one", w.DeleteSubscription(ctx, "admin", s.ID()), anchore.Conflict},
		{"another account", second(w.Subscription(ctx, "dev", s.ID())), anchore.NotFound},
	} {
		if tt.err == nil || anchore.KindOf(tt.err) != tt.kind {
			t.Errorf("%s: %v, want kind %v", tt.what, tt.err, tt.kind)
		}
	}
	if _, err := w.UpdateSubscription(ctx, "admin", alias, catalog.SubscriptionUpdate{Active: &inactive, Key: "ubuntu/../alpine", Type: "tag_update"}); err == nil {
		t.Error("a key that is no reference was accepted")
	}
	if _, err := w.UpdateSubscription(ctx, "admin", alias, catalog.SubscriptionUpdate{Active: &inactive, Key: "docker.io/alpine:latest", Type: "tag_update"}); err != nil {
		t.Errorf("the client repeats key and type: %v", err)
	}
	if err := w.DeleteSubscription(ctx, "admin", s.ID()); err != nil {
		t.Errorf("delete of an inactive one: %v", err)
	}
	repo, _, err := w.AddSubscription(ctx, anchore.Subscription{Account: "admin", Key: "alpine", Type: anchore.RepoUpdate, Active: true})
	if err != nil || repo.Key != "docker.io/library/alpine" || w.DeleteSubscription(ctx, "admin", repo.ID()) != nil {
		t.Errorf("an active repo_update %+v should be deletable, %v", repo, err)
	}
}

func second[A any](_ A, err error) error         { return err }
func third[A, B any](_ A, _ B, err error) error  { return err }
func third3[A, B any](_ A, _ B, err error) error { return err }

func TestSubscriptionFiltersAndPages(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.add("admin", fmt.Sprintf("alpine:%02d", i), "A")
	}
	var all []string
	for after := ""; ; {
		subs, next, err := w.Subscriptions(t.Context(), "admin", catalog.SubscriptionFilter{Type: "tag_update"}, after, 7)
		if err != nil || len(subs) > 7 {
			t.Fatalf("page of %d, %v", len(subs), err)
		}
		for _, s := range subs {
			all = append(all, s.Key)
		}
		if after = next; after == "" {
			break
		}
	}
	diff(t, "number of tag_update subscriptions over all pages", 30, len(all))
	one, _, err := w.Subscriptions(t.Context(), "admin", catalog.SubscriptionFilter{Key: "alpine:07", Type: "tag_update"}, "", 0)
	if err != nil || len(one) != 1 || one[0].Key != "docker.io/library/alpine:07" {
		t.Errorf("filter by key and type = %+v, %v", one, err)
	}
}

func TestDeletingImages(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.look("admin", "alpine", "B")
	w.analyze()
	if err := w.DeleteImage(t.Context(), "admin", digest("B"), false); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("deleting the newest image of a subscribed tag = %v, want a conflict", err)
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("A"), false); err != nil {
		t.Errorf("deleting an older image: %v", err)
	}
	if _, err := w.Image(t.Context(), "admin", digest("A")); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("the deleted image is still there: %v", err)
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("B"), true); err != nil {
		t.Fatalf("forced deletion: %v", err)
	}
	diff(t, "subscriptions after a forced deletion", []string{
		alpine + " analysis_update false", alpine + " policy_eval false", alpine + " tag_update false", alpine + " vuln_update false",
	}, w.subscriptions("admin"))
	if _, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine", History: true}, "", 0); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("images of the tag: %v, want not found", err)
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("B"), true); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("deleting it again = %v, want not found", err)
	}
}

// TestDeletionWithLargeSubscriptions: a version without a limit has stored their
// values, of which one transaction takes one.
func TestDeletionWithLargeSubscriptions(t *testing.T) {
	w := newWorld(t)
	types := []anchore.SubscriptionType{anchore.AnalysisUpdate, anchore.TagUpdate}
	names := tags("alpine", 2)
	for _, tag := range names {
		w.add("admin", tag, "A")
		for _, typ := range types {
			err := w.store.Update(t.Context(), func(tx store.Tx) error {
				row, err := subscription.Find(tx, 1, manifest(tag, "A").Ref.FullTag(), typ)
				if err != nil {
					return err
				}
				next := *row
				next.Value = `{"x":"` + strings.Repeat("x", 700_000) + `"}`
				return subscription.Table.Replace(tx, row, &next)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("A"), true); err != nil {
		t.Errorf("DeleteImage: %v", err)
	}
	if _, err := w.Image(t.Context(), "admin", digest("A")); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("the deleted image: %v, want not found", err)
	}
	for _, line := range w.subscriptions("admin") {
		if !strings.HasSuffix(line, "false") {
			t.Errorf("after the deletion: %s", line)
		}
	}
}

// TestSweepPassesOverADeletionThatFails: the image has a damaged row.
func TestSweepPassesOverADeletionThatFails(t *testing.T) {
	s, blobs := openStores(t)
	w := worldOn(t, s, blobs)
	w.account("dev", anchore.UserAccount)
	for _, name := range []string{anchore.AdminAccount, "dev"} {
		w.add(name, "alpine", "A")
		w.store.failAfter(2)
		if err := w.DeleteImage(t.Context(), name, digest("A"), true); err == nil {
			t.Fatal("the store was to fail")
		}
		w.store.failAfter(0)
	}
	err := w.store.Update(t.Context(), func(tx store.Tx) error {
		return tx.Put(image.Named.Bucket, append(image.NamedKey(1, digest("A")), table.Key{}.Text("a")...), []byte{0xff})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sweep(t.Context()); err == nil {
		t.Error("Sweep says nothing of the deletion that fails")
	}
	if _, err := w.Image(t.Context(), "dev", digest("A")); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("the image of dev: %v, want it deleted", err)
	}
}

// TestDeletionAndWhatForbidsIt: what happens after the deletion was asked for and
// before it is recorded forbids it too.
func TestDeletionAndWhatForbidsIt(t *testing.T) {
	for name, meanwhile := range map[string]func(*world){
		"the subscription is activated": func(w *world) { w.activate("admin", "alpine", anchore.TagUpdate, true) },
		"the last of many is":           func(w *world) { w.activate("admin", "alpine:11", anchore.TagUpdate, true) },
		"the analysis begins":           func(w *world) { w.claim() },
		"it is added again":             func(w *world) { w.add("admin", "debian", "A") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *catalog.Config) { c.Subscriptions = map[anchore.SubscriptionType]bool{anchore.TagUpdate: true} })
			for _, tag := range append([]string{"alpine"}, tags("alpine", 11)...) {
				w.saw("admin", tag, "A", &catalog.Addition{})
			}
			w.store.next = func() { meanwhile(w) }
			if err := w.DeleteImage(t.Context(), "admin", digest("A"), false); anchore.KindOf(err) != anchore.Conflict {
				t.Errorf("DeleteImage = %v, want conflict", err)
			}
			if img := w.image("admin", "A"); img.State != anchore.ImageActive {
				t.Errorf("the image is %s, want active", img.State)
			}
			if err := w.DeleteImage(t.Context(), "admin", digest("A"), true); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDeletionOfARefusedImage: its analysis goes with the last account that has it.
func TestDeletionOfARefusedImage(t *testing.T) {
	w := newWorld(t)
	w.account("dev", anchore.UserAccount)
	for _, name := range []string{"admin", "dev"} {
		w.add(name, "alpine", "A")
	}
	job, _ := w.claim()
	for _, name := range []string{"admin", "dev"} {
		if err := w.RefuseSource(t.Context(), job, name, "the registry refused the credentials"); err != nil {
			t.Fatal(err)
		}
		w.activate(name, "alpine", anchore.TagUpdate, false)
		w.activate(name, "alpine", anchore.AnalysisUpdate, false)
	}
	for _, name := range []string{"admin", "dev"} {
		if err := w.DeleteImage(t.Context(), name, digest("A"), false); err != nil {
			t.Errorf("DeleteImage of %s: %v", name, err)
		}
	}
}

// TestDeletionOfAnImageWithManyTags stays in the limit of a transaction, which the
// store refuses to exceed, and sees each of the tags.
func TestDeletionOfAnImageWithManyTags(t *testing.T) {
	w := newWorld(t)
	names := tags("alpine", 60)
	for _, tag := range names {
		w.saw("admin", tag, "A", &catalog.Addition{})
		w.activate("admin", tag, anchore.AnalysisUpdate, false)
	}
	w.analyze()
	for _, tag := range []string{names[0], names[59]} {
		w.activate("admin", tag, anchore.TagUpdate, true)
		if err := w.DeleteImage(t.Context(), "admin", digest("A"), false); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("DeleteImage while %s is watched = %v, want conflict", tag, err)
		}
		w.activate("admin", tag, anchore.TagUpdate, false)
	}
	if err := w.DeleteImage(t.Context(), "admin", digest("A"), false); err != nil {
		t.Error(err)
	}
	if _, err := w.Image(t.Context(), "admin", digest("A")); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("Image = %v, want not found", err)
	}
}

// tags are the tags 1 to n of a repository.
func tags(repository string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s:%d", repository, i+1))
	}
	return list
}

func TestReports(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	if _, err := w.Report(t.Context(), "admin", digest("A")); err == nil || !strings.Contains(err.Error(), "analysis_status: not_analyzed") {
		t.Errorf("Report before the analysis = %v", err)
	}
	w.analyze()
	r, err := w.Report(t.Context(), "admin", digest("A"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	doc, err := io.ReadAll(r)
	if err != nil || string(doc) != "sbom of "+digest("A") {
		t.Errorf("Report = %q, %v", doc, err)
	}
}

func TestImagesByIDParentAndPage(t *testing.T) {
	w := newWorld(t)
	m := manifest("alpine", "A")
	m.TagDigest = digest("index")
	if _, err := w.sight(catalog.Sighting{Account: "admin", Manifest: m, Add: &catalog.Addition{}}); err != nil {
		t.Fatal(err)
	}
	for _, find := range []func() (anchore.Image, error){
		func() (anchore.Image, error) { return w.Image(t.Context(), "admin", m.TagDigest) },
		func() (anchore.Image, error) { return w.ImageByID(t.Context(), "admin", m.ImageID) },
		func() (anchore.Image, error) { return w.ImageByID(t.Context(), "admin", m.Digest) },
	} {
		if img, err := find(); err != nil || img.Digest != m.Digest {
			t.Errorf("found %s, %v; want %s", img.Digest, err, m.Digest)
		}
	}
	for i := range 11 {
		w.add("admin", fmt.Sprintf("debian:%d", i), fmt.Sprint("image ", i))
	}
	var got int
	for after := ""; ; {
		images, next, err := w.Images(t.Context(), "admin", catalog.ImageFilter{}, after, 5)
		if err != nil {
			t.Fatal(err)
		}
		got += len(images)
		if after = next; after == "" {
			break
		}
	}
	diff(t, "images over all pages", 12, got)
}

func TestAuthenticate(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		user string
		pass anchore.Secret
		fine bool
	}{{"admin", "foobar", true}, {"admin", "foobar", true}, {"admin", "wrong", false}, {"nobody", "foobar", false}, {"admin", "", false}, {"", "", false}} {
		user, err := w.Authenticate(t.Context(), tt.user, tt.pass)
		if (err == nil) != tt.fine || tt.fine && user.Account != "admin" {
			t.Errorf("Authenticate(%q) = %+v, %v; want ok %v", tt.user, user, err, tt.fine)
		}
		if err != nil && anchore.KindOf(err) != anchore.Unauthorized {
			t.Errorf("Authenticate(%q): kind %v", tt.user, anchore.KindOf(err))
		}
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		err := w.Raise(t.Context(), anchore.Event{Type: anchore.EventRegistryDown, Level: anchore.Failure, Message: "down",
			Resource: anchore.Resource{Type: "registry", ID: fmt.Sprint("r", i)}, Details: map[string]any{"nested": map[string]any{"n": i}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	page, more, err := w.Events(t.Context(), "admin", catalog.EventFilter{Type: "system.*.unavailable", Level: anchore.Failure}, 2, 25)
	if err != nil || !more || len(page) != 25 || page[0].Resource.ID != "r34" {
		t.Fatalf("Events = %d, %v, %v", len(page), more, err)
	}
	one, err := w.Event(t.Context(), "admin", page[0].ID)
	diff(t, "Event", page[0], one)
	if err != nil || w.DeleteEvent(t.Context(), "admin", one.ID) != nil {
		t.Errorf("Event, DeleteEvent: %v", err)
	}
	if _, err := w.Event(t.Context(), "admin", one.ID); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("deleted event: %v", err)
	}
	ids, err := w.DeleteEvents(t.Context(), "admin", catalog.EventFilter{Before: page[10].At})
	if err != nil || len(ids) == 0 {
		t.Fatalf("DeleteEvents = %d, %v", len(ids), err)
	}
	left, _, err := w.Events(t.Context(), "admin", catalog.EventFilter{}, 1, 1000)
	diff(t, "events left", 59-len(ids), len(left))
	if err != nil {
		t.Error(err)
	}
}

// TestEventsOfTimesThatRowsCannotKeep: rows keep the years 1677 to 2262, and filters
// come from users.
func TestEventsOfTimesThatRowsCannotKeep(t *testing.T) {
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	for name, test := range map[string]struct {
		filter catalog.EventFilter
		want   int
	}{
		"since 2300":          {catalog.EventFilter{Since: year(2300)}, 0},
		"since 9999":          {catalog.EventFilter{Since: year(9999)}, 0},
		"since 1500":          {catalog.EventFilter{Since: year(1500)}, 3},
		"since 1960":          {catalog.EventFilter{Since: year(1960)}, 3},
		"before 2300":         {catalog.EventFilter{Before: year(2300)}, 3},
		"before 1960":         {catalog.EventFilter{Before: year(1960)}, 0},
		"before 1500":         {catalog.EventFilter{Before: year(1500)}, 0},
		"between 1500, 2300":  {catalog.EventFilter{Since: year(1500), Before: year(2300)}, 3},
		"between 2300, 2400":  {catalog.EventFilter{Since: year(2300), Before: year(2400)}, 0},
		"at the end of times": {catalog.EventFilter{Since: time.Unix(0, math.MaxInt64)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 3 {
				w.raise(anchore.Event{Type: anchore.EventRegistryUp, Level: anchore.Info, Message: "up"})
			}
			found, _, err := w.Events(t.Context(), "admin", test.filter, 1, 100)
			if err != nil || len(found) != test.want {
				t.Errorf("Events = %d, %v; want %d", len(found), err, test.want)
			}
			ids, err := w.DeleteEvents(t.Context(), "admin", test.filter)
			if err != nil || len(ids) != test.want {
				t.Errorf("DeleteEvents = %d, %v; want %d", len(ids), err, test.want)
			}
			diff(t, "events left", 3-test.want, len(w.events("admin")))
		})
	}
}

// TestImagesAddedAtOddTimes: created_at comes from a user, and says where in the
// tag's history the image is.
func TestImagesAddedAtOddTimes(t *testing.T) {
	w := newWorld(t)
	for image, year := range map[string]int{"A": 1500, "B": 1960, "C": 2000, "D": 2300} {
		m := manifest("alpine", image)
		m.Ref.Digest = m.Digest
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := w.AddDigest(t.Context(), catalog.DigestAddition{Account: "admin", Manifest: m, CreatedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	images, _, err := w.Images(t.Context(), "admin", catalog.ImageFilter{}, "", 0)
	if err != nil || len(images) != 4 || images[0].Digest != digest("D") || images[1].Digest != digest("C") {
		t.Errorf("Images = %d, %v; want D and C first", len(images), err)
	}
	images, _, err = w.Images(t.Context(), "admin", catalog.ImageFilter{Tag: "alpine"}, "", 0)
	if err != nil || len(images) != 1 || images[0].Digest != digest("D") {
		t.Errorf("Images of the tag = %d, %v; want D", len(images), err)
	}
}

func TestSweepKeepsWhatRowsReferTo(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	orphan, err := w.config.Blobs.Put(t.Context(), strings.NewReader("orphan"))
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.SweepBlobs(w.Catalog, t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.config.Blobs.Open(t.Context(), orphan); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the orphan is still there: %v", err)
	}
	r, err := w.Report(t.Context(), "admin", digest("A"))
	if err != nil {
		t.Fatalf("the report was collected: %v", err)
	}
	r.Close()
	if err := w.DeleteImage(t.Context(), "admin", digest("A"), true); err != nil {
		t.Fatal(err)
	}
	if err := catalog.SweepBlobs(w.Catalog, t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := w.config.Blobs.List(t.Context(), func(store.BlobInfo) error { n++; return nil }); err != nil || n != 0 {
		t.Errorf("%d blobs left after the image was deleted, %v", n, err)
	}
}

// describe is a notification as told lists it.
func describe(n anchore.Notification) string {
	if n.Type == anchore.TagUpdate {
		var p anchore.TagUpdatePayload
		if err := json.Unmarshal(n.Payload, &p); err != nil {
			return err.Error()
		}
		return short(fmt.Sprintf("%s %s %s→%s", n.Type, n.Key, strings.Join(p.LastEval, ","), strings.Join(p.CurrEval, ",")))
	}
	if n.Type == anchore.ErrorEvent {
		_, message, _ := strings.Cut(n.Summary, ": ")
		return fmt.Sprintf("%s %s %s", n.Type, n.Key, message)
	}
	var p anchore.AnalysisUpdatePayload
	if err := json.Unmarshal(n.Payload, &p); err != nil {
		return err.Error()
	}
	return short(fmt.Sprintf("%s %s %s %s→%s", n.Type, n.Key, p.CurrEval.ImageDigest, p.LastEval.AnalysisStatus, p.CurrEval.AnalysisStatus))
}

// notifications returns what the account was told so far, oldest first.
func (w *world) notifications(account string) (list []string) {
	w.t.Helper()
	err := table.Pages(w.t.Context(), w.store, outbox.Notifications.Bucket, nil, func(e store.Entry) error {
		var row outbox.Row
		if err := table.Decode(e.Value, &row); err != nil {
			return err
		}
		var to struct {
			UserID string `json:"userId"`
		}
		if err := json.Unmarshal(row.Payload, &to); err != nil || to.UserID != account {
			return err
		}
		list = append(list, describe(row.Domain()))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// TestAnnotationsAreBounded counts those that are stored too. What a version without a
// limit has stored stays, also over the archive, and can only become less.
func TestAnnotationsAreBounded(t *testing.T) {
	w := newWorld(t)
	note := func(key string, n int) error {
		value := strings.Repeat("x", n)
		if n == 0 {
			value = "null"
		}
		_, err := w.sight(catalog.Sighting{Account: "admin", Manifest: manifest("alpine", "A"), Cause: "image add", Add: &catalog.Addition{Annotations: map[string]string{key: value}}})
		return err
	}
	try := func(what string, err error, fine bool) {
		t.Helper()
		if fine != (err == nil) || !fine && (anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), "16384")) {
			t.Errorf("%s: %v, want it taken: %v", what, err, fine)
		}
	}
	try("too many at once", note("a", anchore.MaxAnnotations), false)
	try("some", note("a", 10_000), true)
	try("too many with those that there are", note("b", 10_000), false)
	try("others in their place", note("a", 11_000), true)

	w.analyze()
	w.annotate("A", strings.Repeat("x", 100_000))
	try("one more", note("a", 1), false)
	try("less, but still too many", note("k", 90_000), true)
	w.archive("admin", "A")
	w.discard("admin", "A")
	_, err := w.RestoreImage(t.Context(), "admin", digest("A"), catalog.Addition{Annotations: map[string]string{"a": "x"}})
	try("one more from the archive", err, false)
	_, err = w.restore("admin", "A")
	try("from the archive", err, true)
	try("none", note("k", 0), true)
	diff(t, "annotations", 0, len(w.image("admin", "A").Annotations))
}
