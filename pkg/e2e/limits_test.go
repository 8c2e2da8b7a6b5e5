package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestAnalysisExceedsItsLimits gives the engine images that take more memory or
// time than the configuration allows: such an image fails with a reason, and nothing
// else suffers.
func TestAnalysisExceedsItsLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, limit string
		image       func() ocitest.Spec
		reason      string
	}{
		// A small image takes 200 MiB; on a machine with many processors, some more.
		{"memory", "memory_limit_mb: 400", hungry, "the analysis needs more memory than its limit of 400 MiB"},
		{"time", "timeout: 5s", tedious, "the analysis took longer than its limit of 5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg, recv := newRegistry(t), newReceiver(t)
			e := startEngine(t, offline+"analysis: {"+tt.limit+"}\n"+general(recv))
			ref, next := reg.ref("limits/"+tt.name, "v1"), reg.ref("limits/small", "v1")
			reg.put(t, ref, ocitest.Image(tt.image()))
			reg.push(t, next, "a")
			e.mustCLI("image", "add", ref)
			e.mustCLI("image", "add", next)
			r := e.cli("image", "wait", ref, "--interval", "0.1", "--timeout", "90")
			if r.Code != 1 || !strings.Contains(r.Stdout, "Analysis Status: analysis_failed") || !strings.Contains(r.Stdout+r.Stderr, tt.reason) {
				t.Fatalf("image wait: exit code %d\n%s%s\nthe engine's log:\n%s", r.Code, r.Stdout, r.Stderr, e.log)
			}
			e.waitAnalyzed(next)
			recv.wait(t, 1, "the analysis_update of the next image", of("analysis_update", next))
			if got := recv.deliveries(of("analysis_update", ref)); len(got) != 0 {
				t.Errorf("the failed analysis notified: %s", got[0].Raw)
			}
			events := e.events("user.image.analysis.failed", ref)
			if len(events) != 1 || !strings.Contains(fmt.Sprint(events[0].Event.Details), tt.reason) {
				t.Errorf("events of the failure: %+v, want one with the reason", events)
			}
			e.checkNothingTemporary()
			if got := processesOf(t, e.dir); !slices.Equal(got, []int{e.cmd.Process.Pid}) {
				t.Errorf("processes %v, want the engine alone, the one that was started: %d", got, e.cmd.Process.Pid)
			}
		})
	}
}

// hungry is an image with a package whose description does not fit into the memory
// of an analysis: 64 KiB packed, 64 MiB unpacked, several times that when parsed.
func hungry() ocitest.Spec {
	return ocitest.Spec{Files: map[string]string{
		"app/node_modules/hungry/package.json": `{"name":"hungry","version":"1.0.0","description":"` + strings.Repeat("a", 64<<20) + `"}`,
	}}
}

// tedious is an image with so many packages that it takes a minute to list them.
func tedious() ocitest.Spec {
	var status strings.Builder
	for i := range 150_000 {
		fmt.Fprintf(&status, "Package: tedious%d\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n", i)
	}
	return ocitest.Spec{Files: map[string]string{"var/lib/dpkg/status": status.String()}}
}

// waitAnalyzed waits until an image is analyzed. On a machine that is so busy that a
// small image exceeds the limit as well, it is tried again, as a user would.
func (e *engine) waitAnalyzed(ref string) {
	e.t.Helper()
	waitFor(e.t, "the analysis of "+ref, func() bool {
		r := e.cli("image", "wait", ref, "--interval", "0.1", "--timeout", "90")
		if r.Code != 0 {
			e.t.Logf("once more:\n%s", r.Stdout)
			e.mustCLI("image", "add", "--force", ref)
		}
		return r.Code == 0
	})
}

// checkNothingTemporary fails if the engine's directory has more in it than what
// docs/operations.md says stays there.
func (e *engine) checkNothingTemporary() {
	e.t.Helper()
	if err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(e.dir, path)
		stays := slices.Contains([]string{"config.yaml", "data/engine.db", "data/key"}, name) ||
			strings.HasPrefix(name, "data/layers/sha256") && !strings.Contains(filepath.Base(name), ".") ||
			strings.HasPrefix(name, "data/blobs/") && len(filepath.Base(name)) == 64
		if !stays {
			e.t.Errorf("left behind: %s", name)
		}
		return err
	}); err != nil {
		e.t.Error(err)
	}
}

// processesOf returns the processes that have a directory in their environment: all
// that was started with it as $HOME or $TMPDIR, or below it. Linux: proc(5).
func processesOf(t testing.TB, dir string) []int {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range environments {
		environment, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(environment), dir) { // it ended meanwhile, or is another user's
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}
