package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// archive archives an image for the account.
func (w *world) archive(account, image string) {
	w.t.Helper()
	if already, err := w.ArchiveImage(w.t.Context(), account, digest(image)); err != nil || already {
		w.t.Fatalf("ArchiveImage(%s) = %v, %v", image, already, err)
	}
}

// discard deletes an image, and what nothing refers to any more.
func (w *world) discard(account, image string) {
	w.t.Helper()
	if err := w.DeleteImage(w.t.Context(), account, digest(image), true); err != nil {
		w.t.Fatalf("DeleteImage(%s): %v", image, err)
	}
	if err := catalog.SweepBlobs(w.Catalog, w.t.Context(), 0); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sawManifest(account string, m anchore.Manifest, add *catalog.Addition) catalog.Seen {
	w.t.Helper()
	seen, err := w.sight(catalog.Sighting{Account: account, Manifest: m, Cause: "image add", Add: add})
	if err != nil {
		w.t.Fatalf("SawTag(%s): %v", m.Ref, err)
	}
	return seen
}

func (w *world) restore(account, image string) (anchore.Image, error) {
	return w.RestoreImage(w.t.Context(), account, digest(image), catalog.Addition{AutoSubscribe: true})
}

func (w *world) image(account, image string) anchore.Image {
	w.t.Helper()
	img, err := w.Image(w.t.Context(), account, digest(image))
	if err != nil {
		w.t.Fatalf("Image(%s): %v", image, err)
	}
	return img
}

// history are the images of a tag, by the text that they stand for.
func (w *world) history(account, tag string) (list []string) {
	w.t.Helper()
	images, _, err := w.Images(w.t.Context(), account, catalog.ImageFilter{Tag: tag, History: true}, "", 0)
	if err != nil {
		w.t.Fatalf("Images(%s): %v", tag, err)
	}
	for _, img := range images {
		list = append(list, short(img.Digest))
	}
	return list
}

// everythingTold has two endpoints, which are told of all events: the largest
// transactions.
func everythingTold(c *catalog.Config) {
	c.Endpoints = func(anchore.SubscriptionType) []string { return []string{"general", "other"} }
	c.EventLog = func(anchore.Level) bool { return true }
}

// withoutTimeOfRecord ignores when the record itself changed.
func withoutTimeOfRecord() cmp.Option { return cmpopts.IgnoreFields(anchore.Image{}, "UpdatedAt") }

func TestArchivedImageComesBack(t *testing.T) {
	w := newWorld(t, everythingTold)
	m := manifest("alpine", "A")
	m.TagDigest = digest("index around A")
	w.sawManifest("admin", m, &catalog.Addition{AutoSubscribe: true, Annotations: map[string]string{"team": "red"}, Dockerfile: "QQ=="})
	w.look("admin", "alpine", "B")
	m.Ref.Tag = "3"
	w.sawManifest("admin", m, &catalog.Addition{AutoSubscribe: true})
	w.analyze()
	told := len(w.told("admin"))
	before, history := w.image("admin", "A"), w.history("admin", "alpine")

	w.archive("admin", "A")
	img, err := w.ArchivedImage(t.Context(), "admin", digest("A"))
	tags := cmpopts.IgnoreFields(anchore.ImageTag{}, "Current")
	want := anchore.ArchivedImage{
		Account: "admin", Digest: digest("A"), TagDigest: before.TagDigest, Annotations: map[string]string{"team": "red"}, AnalyzedAt: before.AnalyzedAt,
		Bytes: int64(len("sbom of "+digest("A")) + len(m.Raw) + len(m.Config)), Tags: before.Tags, ArchivedAt: img.ArchivedAt,
	}
	if d := cmp.Diff(want, img, tags); d != "" || err != nil || img.ArchivedAt.IsZero() {
		t.Errorf("ArchivedImage: %v (-want +got):\n%s", err, d)
	}
	diff(t, "the image that was archived", before, w.image("admin", "A"))

	w.discard("admin", "A")
	subscriptions := w.subscriptions("admin")
	after, err := w.restore("admin", "A")
	if d := cmp.Diff(before, after, withoutTimeOfRecord()); d != "" || err != nil {
		t.Errorf("RestoreImage: %v (-want +got):\n%s", err, d)
	}
	diff(t, "history of the tag", history, w.history("admin", "alpine"))
	diff(t, "report", "sbom of "+digest("A"), w.report("admin", "A"))
	diff(t, "subscriptions", subscriptions, w.subscriptions("admin"))
	var news []string
	for _, n := range w.told("admin")[told:] {
		if !strings.HasPrefix(n, "event_log") {
			news = append(news, n)
		}
	}
	diff(t, "notifications of what was known", []string(nil), news)
	events := w.events("admin")
	diff(t, "events", []string{"system.analysis_archive.image_archived " + digest("A"), "system.image_analysis.restored_from_archive " + digest("A")}, events[len(events)-2:])
	if job, ok := w.claim(); ok && job.Digest == digest("A") {
		t.Error("a restored image was queued")
	}
	if seen := w.sawManifest("admin", m, nil); seen.First || seen.Moved || seen.Rebuilt {
		t.Errorf("a look at the tag after the restore = %+v, want nothing new", seen)
	}
	if _, err := w.ArchivedImage(t.Context(), "admin", digest("index around A")); err != nil {
		t.Errorf("ArchivedImage by the index, after the restore: %v", err)
	}
}

// TestRestoreIsNoSighting: a tag that moved while its image was away stays where it
// is, and subscriptions that were deleted come back as by image add.
func TestRestoreIsNoSighting(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	w.archive("admin", "A")
	w.discard("admin", "A")
	w.look("admin", "alpine", "B")
	for _, typ := range anchore.TagSubscriptionTypes() {
		if err := w.DeleteSubscription(t.Context(), "admin", anchore.SubscriptionID("admin", alpine, typ)); err != nil {
			t.Fatal(err)
		}
	}
	img, err := w.RestoreImage(t.Context(), "admin", digest("A"), catalog.Addition{Annotations: map[string]string{"why": "audit"}})
	if err != nil || len(img.Tags) != 1 || img.Tags[0].Current || img.Annotations["why"] != "audit" {
		t.Errorf("RestoreImage = %+v, %v", img, err)
	}
	diff(t, "history", []string{"B", "A"}, w.history("admin", "alpine"))
	diff(t, "subscriptions", []string{
		alpine + " analysis_update true", alpine + " policy_eval false", alpine + " tag_update false", alpine + " vuln_update false",
	}, w.subscriptions("admin"))
}

// TestRestoredAnalysisIsTheAccountsOwn: nobody else is given what the archive has.
func TestRestoredAnalysisIsTheAccountsOwn(t *testing.T) {
	w := newWorld(t)
	w.account("other", "")
	w.add("admin", "alpine", "A")
	w.analyze()
	w.archive("admin", "A")
	w.discard("admin", "A")
	if _, err := w.restore("other", "A"); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("another account's image: %v, want NotFound", err)
	}
	if _, err := w.restore("admin", "A"); err != nil {
		t.Fatal(err)
	}
	if seen := w.add("other", "alpine", "A"); seen.Image.Status != anchore.NotAnalyzed {
		t.Errorf("an image that another account brought back is %s, want it queued", seen.Image.Status)
	}
	list, _, err := w.ArchivedImages(t.Context(), "other", "", 0)
	sum, sumErr := w.ArchiveSummary(t.Context(), "other")
	if len(list) > 0 || err != nil || sum != (anchore.ArchiveSummary{}) || sumErr != nil {
		t.Errorf("the archive of another account = %+v, %v; %+v, %v", list, err, sum, sumErr)
	}
}

func TestArchiveRefuses(t *testing.T) {
	w := newWorld(t)
	w.account("other", "")
	refused := func(what, account, image string, kind anchore.Kind, says string) {
		t.Helper()
		if _, err := w.ArchiveImage(t.Context(), account, digest(image)); anchore.KindOf(err) != kind || !strings.Contains(anchore.MessageOf(err), says) {
			t.Errorf("%s: %v, want %v with %q", what, err, kind, says)
		}
	}
	w.add("admin", "alpine", "A")
	refused("an image that waits", "admin", "A", anchore.Conflict, "analysis_status: not_analyzed")
	job, _ := w.claim()
	refused("an image that is being analyzed", "admin", "A", anchore.Conflict, "analysis_status: analyzing")
	if err := w.FailAnalysis(t.Context(), job, "broken layer"); err != nil {
		t.Fatal(err)
	}
	refused("an image whose analysis failed", "admin", "A", anchore.Conflict, "analysis_status: analysis_failed")
	refused("no image", "admin", "B", anchore.NotFound, "not found")
	w.add("admin", "alpine", "A")
	w.analyze()
	refused("another account's image", "other", "A", anchore.NotFound, "not found")

	if _, err := w.restore("admin", "A"); anchore.KindOf(err) != anchore.Conflict || !strings.HasPrefix(anchore.MessageOf(err), "Image already exists in system") {
		t.Errorf("an image that is in use: %v, want Conflict", err)
	}
	if _, err := w.restore("admin", "B"); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("an image that is nowhere: %v, want NotFound", err)
	}

	w.add("admin", "debian", "C")
	w.analyze()
	w.annotate("C", strings.Repeat("x", store.MaxBytes-50_000))
	refused("annotations that fill a row", "admin", "C", anchore.Invalid, "remove annotations")
}

// TestArchivedAgain: the archive keeps what it has until it is deleted there.
func TestArchivedAgain(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	w.archive("admin", "A")
	w.saw("admin", "alpine", "A", &catalog.Addition{Force: true})
	w.analyze()
	archived := func(state string) {
		t.Helper()
		before := w.store.writes.Load()
		if already, err := w.ArchiveImage(t.Context(), "admin", digest("A")); !already || err != nil {
			t.Errorf("an archived image that is %s: ArchiveImage = %v, %v", state, already, err)
		}
		diff(t, "writes", before, w.store.writes.Load())
	}
	archived("in use")
	w.discard("admin", "A")
	archived("deleted")
	if err := w.DeleteArchivedImage(t.Context(), "admin", digest("A")); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteArchivedImage(t.Context(), "admin", digest("A")); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("deleted twice: %v, want NotFound", err)
	}
	events := w.events("admin")
	diff(t, "last event", "system.analysis_archive.archived_image_deleted "+digest("A"), events[len(events)-1])
	if err := catalog.SweepBlobs(w.Catalog, t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := w.config.Blobs.List(t.Context(), func(b store.BlobInfo) error { return fmt.Errorf("%s is left", b.Digest) }); err != nil {
		t.Error(err)
	}
}

// TestArchiveOfManyTags: those are left out that named the image first.
func TestArchiveOfManyTags(t *testing.T) {
	w := newWorld(t)
	for n := range 2*archive.MaxTags + 10 {
		w.add("admin", fmt.Sprintf("alpine:%d", n), "A")
	}
	w.analyze()
	w.archive("admin", "A")
	w.discard("admin", "A")
	img, err := w.restore("admin", "A")
	if err != nil || len(img.Tags) != archive.MaxTags {
		t.Fatalf("RestoreImage: %d tags, %v", len(img.Tags), err)
	}
	for _, tag := range img.Tags {
		if n, err := strconv.Atoi(tag.Ref.Tag); err != nil || n < archive.MaxTags+10 {
			t.Errorf("tag %s was kept, want those that named the image last", tag.Ref.Tag)
		}
	}
}

func TestArchiveIsListedAndSummedUp(t *testing.T) {
	w := newWorld(t)
	var want []string
	for n := range 60 { // more than one transaction reads
		name := fmt.Sprint(n)
		w.add("admin", "alpine:"+name, name)
		w.analyze()
		w.archive("admin", name)
		want = append([]string{digest(name)}, want...)
	}
	var got []string
	next := ""
	for {
		page, more, err := w.ArchivedImages(t.Context(), "admin", next, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, img := range page {
			got = append(got, img.Digest)
		}
		if next = more; next == "" {
			break
		}
	}
	diff(t, "archived images in pages of 7", want, got)
	all, next, err := w.ArchivedImages(t.Context(), "admin", "", 0)
	if err != nil || len(all) != 60 || next != "" {
		t.Fatalf("ArchivedImages: %d, %q, %v", len(all), next, err)
	}
	var bytes int64
	for _, img := range all {
		bytes += img.Bytes
	}
	sum, err := w.ArchiveSummary(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "summary", anchore.ArchiveSummary{Images: 60, Tags: 60, Bytes: bytes, UpdatedAt: all[0].ArchivedAt}, sum)
}

// TestRestoreSurvivesACrash stops between the tags, at each of them.
func TestRestoreSurvivesACrash(t *testing.T) {
	w := newWorld(t)
	for _, tag := range []string{"alpine:1", "alpine:2", "alpine:3"} {
		w.add("admin", tag, "A")
	}
	w.analyze()
	before := w.image("admin", "A")
	told := w.told("admin")
	w.archive("admin", "A")
	for done := range 3 {
		w.discard("admin", "A")
		w.store.failAfter(int64(done) + 1)
		if _, err := w.restore("admin", "A"); err == nil {
			t.Fatalf("the store failed after %d transactions, and nobody noticed", done)
		}
		w.store.failAfter(0)
		after, err := w.restore("admin", "A")
		if d := cmp.Diff(before, after, withoutTimeOfRecord()); d != "" || err != nil {
			t.Errorf("stopped after %d tags: %v (-want +got):\n%s", done, err, d)
		}
		if _, err := w.restore("admin", "A"); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("restored twice: %v, want Conflict", err)
		}
	}
	diff(t, "notifications", told, w.told("admin"))
	restored := 0
	for _, e := range w.events("admin") {
		if strings.HasPrefix(e, string(anchore.EventImageRestored)) {
			restored++
		}
	}
	diff(t, "events of restores", 3, restored)
}

// TestRestoreOfWhatChangedMeanwhile: a deletion, and an analysis that somebody
// forced, between a crash and the next try.
func TestRestoreOfWhatChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine:1", "A")
	w.add("admin", "alpine:2", "A")
	w.analyze()
	w.archive("admin", "A")
	w.discard("admin", "A")
	stop := func() {
		t.Helper()
		w.store.failAfter(2)
		if _, err := w.restore("admin", "A"); err == nil {
			t.Fatal("the store failed, and nobody noticed")
		}
		w.store.failAfter(0)
	}
	stop()
	w.told("admin")
	w.activate("admin", "alpine:1", anchore.AnalysisUpdate, true) // the deletion was forced
	w.activate("admin", "alpine:2", anchore.AnalysisUpdate, true)
	w.saw("admin", "alpine:1", "A", &catalog.Addition{Force: true})
	if img, err := w.restore("admin", "A"); err != nil || len(img.Tags) != 2 || img.Status != anchore.NotAnalyzed {
		t.Errorf("RestoreImage = %+v, %v; want both tags, and the forced analysis", img, err)
	}
	w.analyze()
	told := slices.Sorted(slices.Values(w.told("admin")))
	diff(t, "notifications of the forced analysis", []string{
		"analysis_update docker.io/library/alpine:1 A analyzing→analyzed", "analysis_update docker.io/library/alpine:2 A analyzing→analyzed",
	}, told)

	w.discard("admin", "A")
	stop()
	w.discard("admin", "A")
	if err := w.DeleteArchivedImage(t.Context(), "admin", digest("A")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.restore("admin", "A"); anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("an image that was deleted everywhere: %v, want NotFound", err)
	}
}

func TestArchiveOfADeletedAccountIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.account("other", anchore.UserAccount)
	for n := range 15 { // more than one transaction removes
		name := fmt.Sprint(n)
		m := manifest("alpine:"+name, name)
		m.TagDigest = digest("index " + name) // rows with all their index entries
		w.sawManifest("other", m, nil)
		w.analyze()
		w.archive("other", name)
	}
	if err := w.SetAccountState(t.Context(), "other", anchore.AccountDisabled); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteAccount(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	err := table.Pages(t.Context(), w.store, archive.Table.Bucket, nil, func(store.Entry) error {
		return errors.New("an archived image is left")
	})
	if err != nil {
		t.Error(err)
	}
}

// TestArchiveWhileTheImageIsAnalyzedAgain changes the image between the reading of
// its documents and the transaction.
func TestArchiveWhileTheImageIsAnalyzedAgain(t *testing.T) {
	var between func()
	w := newWorld(t, func(c *catalog.Config) { c.Blobs = &meddling{Blobs: c.Blobs, opened: &between} })
	w.add("admin", "alpine", "A")
	w.analyze()
	between = func() {
		between = nil
		w.saw("admin", "alpine", "A", &catalog.Addition{Force: true})
		w.analyze()
	}
	if _, err := w.ArchiveImage(t.Context(), "admin", digest("A")); anchore.KindOf(err) != anchore.Conflict || !strings.Contains(anchore.MessageOf(err), "meanwhile") {
		t.Errorf("ArchiveImage: %v, want Conflict", err)
	}
	w.archive("admin", "A")
}

// meddling calls a function when a document is opened.
type meddling struct {
	store.Blobs
	opened *func()
}

func (m *meddling) Open(ctx context.Context, d store.Digest) (io.ReadCloser, error) {
	if *m.opened != nil {
		(*m.opened)()
	}
	return m.Blobs.Open(ctx, d)
}
