package catalog_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/store"
)

// imported is what a client has handed in for an image.
type imported struct {
	id     string
	report store.Digest
}

// handIn begins an import of image for the account, and hands its packages in.
func (w *world) handIn(account, image string) imported {
	w.t.Helper()
	imp, err := w.NewImport(w.t.Context(), account)
	if err != nil {
		w.t.Fatalf("NewImport: %v", err)
	}
	content, err := w.AddImportContent(w.t.Context(), account, imp.ID, anchore.ImportPackages, strings.NewReader("imported sbom of "+image))
	if err != nil {
		w.t.Fatalf("AddImportContent: %v", err)
	}
	return imported{id: imp.ID, report: store.Digest("sha256:" + content.Digest)}
}

// finishImport adds what was handed in under the tags.
func (w *world) finishImport(account string, in imported, image string, add catalog.Addition, tags ...string) (anchore.Image, error) {
	w.t.Helper()
	i := catalog.ImportedImage{
		Account: account, Import: in.id, Manifest: manifest(tags[0], image), Addition: add,
		Analysis: catalog.AnalysisResult{Report: in.report, Summary: anchore.Summary{Distro: "alpine", Packages: 7}},
	}
	for _, tag := range tags {
		i.Tags = append(i.Tags, manifest(tag, image).Ref)
	}
	return w.AddImported(w.t.Context(), i)
}

func (w *world) report(account, image string) string {
	w.t.Helper()
	r, err := w.Report(w.t.Context(), account, digest(image))
	if err != nil {
		w.t.Fatalf("Report: %v", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestImportedImageIsAnalyzedAndTold(t *testing.T) {
	w := newWorld(t)
	in := w.handIn("admin", "A")
	img, err := w.finishImport("admin", in, "A", catalog.Addition{AutoSubscribe: true, Dockerfile: "RlJPTSBzY3JhdGNo"}, "alpine", "alpine:3")
	if err != nil || img.Status != anchore.Analyzed || img.Content.Packages != 7 || len(img.Tags) != 2 || img.Dockerfile == "" || img.AnalyzedAt.IsZero() {
		t.Fatalf("AddImported = %+v, %v", img, err)
	}
	diff(t, "report", "imported sbom of A", w.report("admin", "A"))
	diff(t, "notifications", []string{
		"analysis_update " + alpine + " A analyzing→analyzed", "analysis_update docker.io/library/alpine:3 A analyzing→analyzed",
	}, w.told("admin"))
	if job, ok := w.claim(); ok {
		t.Errorf("an imported image was queued: %+v", job)
	}
	imp, err := w.Import(t.Context(), "admin", in.id)
	if err != nil || imp.Status != anchore.ImportComplete {
		t.Errorf("Import = %+v, %v; want it complete", imp, err)
	}
	if _, err := w.finishImport("admin", in, "A", catalog.Addition{}, "alpine"); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("completed twice: %v", err)
	}
	if err := catalog.SweepBlobs(w.Catalog, t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	diff(t, "report after a sweep", "imported sbom of A", w.report("admin", "A"))
}

// TestImportIsNoSighting: only a registry says what a tag names.
func TestImportIsNoSighting(t *testing.T) {
	w := newWorld(t)
	if _, err := w.finishImport("admin", w.handIn("admin", "A"), "A", catalog.Addition{AutoSubscribe: true}, "alpine"); err != nil {
		t.Fatal(err)
	}
	if seen := w.look("admin", "alpine", "B"); !seen.First || seen.Moved {
		t.Errorf("first look = %+v, want a silent baseline", seen)
	}
	if _, err := w.finishImport("admin", w.handIn("admin", "C"), "C", catalog.Addition{AutoSubscribe: true}, "alpine"); err != nil {
		t.Fatal(err)
	}
	tags, _, err := w.WatchedTags(t.Context(), "", 0)
	if err != nil || len(tags) != 1 || tags[0].Digest != digest("B") {
		t.Errorf("WatchedTags = %+v, %v; want what the registry said", tags, err)
	}
}

// TestImportIsTheAccountsOwn: what an account says of a digest is believed for
// itself, and does not let it see what others found.
func TestImportIsTheAccountsOwn(t *testing.T) {
	w := newWorld(t)
	w.account("other", "")
	w.add("other", "alpine", "A")
	w.analyze()
	if _, err := w.finishImport("admin", w.handIn("admin", "A"), "A", catalog.Addition{}, "alpine"); err != nil {
		t.Fatal(err)
	}
	diff(t, "report of the importer", "imported sbom of A", w.report("admin", "A"))
	diff(t, "report of the other", "sbom of "+digest("A"), w.report("other", "A"))

	if _, err := w.finishImport("admin", w.handIn("admin", "B"), "B", catalog.Addition{}, "alpine"); err != nil {
		t.Fatal(err)
	}
	if seen := w.add("other", "alpine:b", "B"); seen.Image.Status != anchore.NotAnalyzed {
		t.Errorf("an image that another account imported is %s, want it queued", seen.Image.Status)
	}
	_, err := w.Import(t.Context(), "other", w.handIn("admin", "C").id)
	if anchore.KindOf(err) != anchore.NotFound {
		t.Errorf("another account's import: %v, want NotFound", err)
	}
}

func TestImportOfAKnownImage(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	w.analyze()
	w.told("admin")
	kept, err := w.finishImport("admin", w.handIn("admin", "A"), "A", catalog.Addition{AutoSubscribe: true, Dockerfile: "QQ=="}, "alpine:3")
	if err != nil || kept.Content.Packages != 3 || kept.Dockerfile != "" || len(kept.Tags) != 2 {
		t.Fatalf("AddImported = %+v, %v; want the analysis kept", kept, err)
	}
	diff(t, "notifications", []string{
		"analysis_update " + alpine + " A analyzing→analyzed", "analysis_update docker.io/library/alpine:3 A analyzed→analyzed",
	}, w.told("admin"))
	forced, err := w.finishImport("admin", w.handIn("admin", "A"), "A", catalog.Addition{AutoSubscribe: true, Force: true, Dockerfile: "QQ=="}, "alpine:3")
	if err != nil || forced.Content.Packages != 7 || forced.Dockerfile == "" {
		t.Fatalf("AddImported = %+v, %v; want the analysis replaced", forced, err)
	}
	diff(t, "notifications, all tags of the image", []string{
		"analysis_update " + alpine + " A analyzing→analyzed", "analysis_update docker.io/library/alpine:3 A analyzing→analyzed",
	}, w.told("admin")[2:])
}

// TestForcedImportThatIsSentAgain: what the first request did before the store failed
// is not done, nor told, again.
func TestForcedImportThatIsSentAgain(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine:1", "A")
	w.add("admin", "alpine:2", "A")
	w.analyze()
	before := len(w.told("admin"))
	in := w.handIn("admin", "A")
	send := func(in imported) (anchore.Image, error) {
		return w.finishImport("admin", in, "A", catalog.Addition{AutoSubscribe: true, Force: true}, tags("alpine", 2)...)
	}
	w.store.failAfter(2)
	if _, err := send(in); err == nil {
		t.Fatal("the store was to fail")
	}
	w.store.failAfter(0)
	w.told("admin")
	if img, err := send(in); err != nil || img.Content.Packages != 7 {
		t.Fatalf("AddImported = %+v, %v; want what was handed in", img, err)
	}
	diff(t, "notifications", []string{
		"analysis_update docker.io/library/alpine:1 A analyzing→analyzed", "analysis_update docker.io/library/alpine:2 A analyzing→analyzed",
	}, slices.Sorted(slices.Values(w.told("admin")[before:])))
	if _, err := send(w.handIn("admin", "A")); err != nil {
		t.Fatal(err)
	}
	diff(t, "notifications with those of another import", 4, len(w.told("admin")[before:]))
}

// TestForcedImportWithAnotherDocument: what is sent the second time counts.
func TestForcedImportWithAnotherDocument(t *testing.T) {
	w := newWorld(t)
	in := w.handIn("admin", "A")
	send := func() error {
		_, err := w.finishImport("admin", in, "A", catalog.Addition{Force: true}, tags("alpine", 2)...)
		return err
	}
	w.store.failAfter(2)
	if err := send(); err == nil {
		t.Fatal("the store was to fail")
	}
	w.store.failAfter(0)
	other, err := w.AddImportContent(t.Context(), "admin", in.id, anchore.ImportPackages, strings.NewReader("another sbom"))
	if err != nil {
		t.Fatal(err)
	}
	in.report = store.Digest("sha256:" + other.Digest)
	if err := send(); err != nil {
		t.Fatal(err)
	}
	diff(t, "report", "another sbom", w.report("admin", "A"))
}

func TestImportAfterAFailedAnalysis(t *testing.T) {
	w := newWorld(t)
	w.add("admin", "alpine", "A")
	job, _ := w.claim()
	if err := w.FailAnalysis(t.Context(), job, "broken layer"); err != nil {
		t.Fatal(err)
	}
	img, err := w.finishImport("admin", w.handIn("admin", "A"), "A", catalog.Addition{}, "alpine")
	if err != nil || img.Status != anchore.Analyzed || img.Reason != "" {
		t.Errorf("AddImported = %+v, %v; want it analyzed", img, err)
	}
}

// TestFullImport has as many documents as there may be: its transaction must fit.
func TestFullImport(t *testing.T) {
	w := newWorld(t)
	in := w.handIn("admin", "A")
	for n := 1; n < imports.MaxDocuments; n++ {
		if _, err := w.AddImportContent(t.Context(), "admin", in.id, anchore.ImportManifest, strings.NewReader(fmt.Sprint(n))); err != nil {
			t.Fatalf("document %d: %v", n, err)
		}
	}
	again, err := w.AddImportContent(t.Context(), "admin", in.id, anchore.ImportManifest, strings.NewReader("1"))
	if err != nil || again.Digest != strings.TrimPrefix(digest("1"), "sha256:") {
		t.Errorf("the same document again = %+v, %v", again, err)
	}
	_, err = w.AddImportContent(t.Context(), "admin", in.id, anchore.ImportManifest, strings.NewReader("one too many"))
	if anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("one document too many: %v, want Conflict", err)
	}
	if _, err := w.finishImport("admin", in, "A", catalog.Addition{AutoSubscribe: true}, "alpine"); err != nil {
		t.Errorf("AddImported: %v", err)
	}
	for range 5 { // more than one transaction removes
		w.handIn("admin", "B")
	}
	if err := imports.Purge(t.Context(), w.store, 1); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Imports(t.Context(), "admin"); err != nil || len(list) != 0 {
		t.Errorf("Imports = %+v, %v; want none", list, err)
	}
}

// TestPendingImportsAreBounded also begins them all at once: none slips through.
func TestPendingImportsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.account("alice", anchore.UserAccount)
		var refused atomic.Int32
		var begun sync.WaitGroup
		for range imports.MaxPending + 20 {
			begun.Go(func() {
				_, err := w.NewImport(t.Context(), "admin")
				if err == nil {
					return
				}
				if refused.Add(1); anchore.KindOf(err) != anchore.Limited || !strings.Contains(anchore.MessageOf(err), "complete") {
					t.Errorf("one too many: %v, want limited", err)
				}
			})
		}
		begun.Wait()
		if n := refused.Load(); n != 20 {
			t.Errorf("%d refused, want 20", n)
		}
		begin := func(when string, want bool) {
			t.Helper()
			if _, err := w.NewImport(t.Context(), "admin"); (err == nil) != want {
				t.Errorf("%s: %v, want another one: %v", when, err, want)
			}
		}
		if _, err := w.NewImport(t.Context(), "alice"); err != nil {
			t.Errorf("another account: %v", err)
		}
		list, err := w.Imports(t.Context(), "admin")
		if len(list) != imports.MaxPending || err != nil {
			t.Fatalf("%d imports, %v; want %d", len(list), err, imports.MaxPending)
		}
		begin("at the limit", false)
		if _, err := w.CancelImport(t.Context(), "admin", list[0].ID); err != nil {
			t.Fatal(err)
		}
		begin("one is given up", true)
		begin("at the limit again", false)
		if _, err := w.finishImport("admin", imported{id: list[1].ID, report: "sha256:" + store.Digest(strings.Repeat("0", 64))}, "app", catalog.Addition{}, "quay.io/app:1"); err != nil {
			t.Fatal(err)
		}
		begin("one is complete", true)
		time.Sleep(imports.Lifetime)
		begin("all have expired", true)
	})
}

func TestImportsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		given, late := w.handIn("admin", "A"), w.handIn("admin", "B")
		imp, err := w.CancelImport(t.Context(), "admin", given.id)
		if err != nil || imp.Status != anchore.ImportInvalidated {
			t.Fatalf("CancelImport = %+v, %v", imp, err)
		}
		if _, err := w.finishImport("admin", given, "A", catalog.Addition{}, "alpine"); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("an import that was given up: %v, want Conflict", err)
		}
		blobs := func() (n int) {
			if err := w.config.Blobs.List(t.Context(), func(store.BlobInfo) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if err := catalog.SweepBlobs(w.Catalog, t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		diff(t, "documents after a sweep", 1, blobs())

		time.Sleep(imports.Lifetime)
		if imp, err := w.Import(t.Context(), "admin", late.id); err != nil || imp.Status != anchore.ImportExpired {
			t.Errorf("Import = %+v, %v; want it expired", imp, err)
		}
		if _, err := w.AddImportContent(t.Context(), "admin", late.id, anchore.ImportPackages, strings.NewReader("late")); anchore.KindOf(err) != anchore.Conflict {
			t.Errorf("a document after its time: %v, want Conflict", err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Import(t.Context(), "admin", late.id); anchore.KindOf(err) != anchore.NotFound {
			t.Errorf("Import after the sweep: %v, want NotFound", err)
		}
		before := w.store.writes.Load()
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		diff(t, "writes of a sweep with nothing to do", before, w.store.writes.Load())
	})
}
