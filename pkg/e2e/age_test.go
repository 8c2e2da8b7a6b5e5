package e2e

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// TestEventsExpire starts an engine on data of the year 2000, in which an event was
// recorded: it is gone, unless events are kept for ever.
func TestEventsExpire(t *testing.T) {
	for _, tt := range []struct {
		config string
		old    int
	}{{"", 0}, {"events: {keep_days: 0}\n", 1}} {
		t.Run(fmt.Sprintf("%d stay", tt.old), func(t *testing.T) {
			e := newEngine(t, offline+tt.config)
			synctest.Test(t, func(t *testing.T) { recordInAnotherTime(t, e.dataDir()) })
			e.start()
			waitFor(t, "a sweep", func() bool { return len(e.events(string(anchore.EventTagDeleted), "")) == tt.old })
		})
	}
}

// recordInAnotherTime makes a data directory with an account and an event, at the time
// of the bubble that it is called in.
func recordInAnotherTime(t *testing.T, data string) {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(data, "engine.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	blobs, err := dir.New(dir.Config{Path: filepath.Join(data, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.New(catalog.Config{Store: s, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateAccount(t.Context(), anchore.Account{Name: anchore.AdminAccount, Type: anchore.AdminType}, adminPassword); err != nil {
		t.Fatal(err)
	}
	err = c.Raise(t.Context(), anchore.Event{
		Type: anchore.EventTagDeleted, Level: anchore.Failure, Service: "catalog", Message: "of another time",
		Resource: anchore.Resource{Type: "image_tag", ID: "docker.io/library/alpine:latest"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFailingAnalysesAreFatal kills each analysis, as a system that is short of memory
// does: that is no fault of the images, and an operator is told.
func TestFailingAnalysesAreFatal(t *testing.T) {
	t.Parallel()
	reg, fatal := newRegistry(t), newReceiver(t)
	e := startEngine(t, offline+fmt.Sprintf("webhooks: {error_event: {url: '%s'}}\n", fatal.URL))
	for i := range 8 {
		ref := reg.ref("killed/app", fmt.Sprint("v", i))
		reg.push(t, ref, fmt.Sprint(i))
		e.mustCLI("image", "add", ref)
	}
	waitFor(t, "the FATAL event", func() bool {
		for _, pid := range processesOf(t, e.dir) {
			if pid != e.cmd.Process.Pid {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
			}
		}
		return len(e.events("system.image_analysis.workers_failing", "")) > 0
	})
	if sent := fatal.wait(t, 1, "the error_event", ofKind("error_event")); toldOf(t, sent[0]).Event.Type != "system.image_analysis.workers_failing" {
		t.Errorf("error_event %s", sent[0].Raw)
	}
}
