package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestArchive keeps an image in the archive while it is not in use, and brings it
// back when its registry is gone.
func TestArchive(t *testing.T) {
	t.Parallel()
	registry, other, hook := newRegistry(t), newRegistry(t), newReceiver(t)
	ref := registry.ref("team/app", "1.0")
	digest := registry.push(t, ref, "1")
	e := startEngine(t, fmt.Sprintf("webhooks: {general: {url: '%s/<notification_type>/<userId>'}}", hook.URL))
	e.mustCLI("image", "add", "--annotation", "team=red", ref)
	e.mustCLI("image", "wait", "--interval", "1", ref)
	analyzed := func(d delivery) bool { return d.kind() == "analysis_update" && d.payload().Key == ref }
	hook.wait(t, 1, "the analysis_update", analyzed)
	content, shown := e.mustCLI("image", "content", digest, "os"), e.mustCLI("image", "get", digest)

	added := e.mustCLI("analysis-archive", "images", "add", digest)
	if !strings.Contains(added, "archived              Completed successfully") {
		t.Errorf("analysis-archive images add:\n%s", added)
	}
	if r := e.cli("analysis-archive", "images", "restore", digest); r.Code != 1 || !strings.Contains(r.Stdout, "HTTP Code: 409\n") {
		t.Errorf("an image that is in use was restored: %d\n%s", r.Code, r.Stdout)
	}
	e.mustCLI("image", "del", "--force", digest)
	e.mustCLI("subscription", "activate", "analysis_update", ref) // which the deletion switched off
	if list := e.mustCLI("image", "list"); list != "\n" {
		t.Errorf("image list after the deletion:\n%s", list)
	}
	if list := e.mustCLI("analysis-archive", "images", "list"); !strings.Contains(list, digest) || !strings.Contains(list, ref) {
		t.Errorf("analysis-archive images list:\n%s", list)
	}
	if err := registry.Close(); err != nil {
		t.Fatal(err)
	}
	e.stop()
	e.start()

	if restored := e.mustCLI("analysis-archive", "images", "restore", digest); restored != shown {
		t.Errorf("analysis-archive images restore:\n%s\nwant what there was before\n%s", restored, shown)
	}
	if got := e.mustCLI("image", "content", digest, "os"); got != content || !strings.Contains(got, "ocitest-app") {
		t.Errorf("content after the restore:\n%s\nwant\n%s", got, content)
	}
	later := other.ref("team/later", "1.0")
	other.push(t, later, "2")
	e.mustCLI("image", "add", later) // what it tells comes after all that the restore could have
	hook.wait(t, 1, "the analysis_update of another image", func(d delivery) bool { return d.kind() == "analysis_update" && d.payload().Key == later })
	if got := hook.deliveries(analyzed); len(got) != 1 {
		t.Errorf("told %d times of one analysis", len(got))
	}
	for _, kind := range []string{"system.analysis_archive.image_archived", "system.image_analysis.restored_from_archive"} {
		if got := e.events(kind, digest); len(got) != 1 {
			t.Errorf("%d events %s, want one", len(got), kind)
		}
	}
	if got := e.mustCLI("analysis-archive", "images", "del", digest); got != "Success\n" {
		t.Errorf("analysis-archive images del: %q", got)
	}
	if status, raw := e.call(http.MethodGet, "/images/"+digest+"/content/os", nil, nil); status != http.StatusOK {
		t.Errorf("content after the archive forgot the image: %d %s", status, raw)
	}
}
