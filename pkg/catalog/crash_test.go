package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/archive"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/event"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/imports"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/registry"
	"github.com/anchore/anchore-engine/pkg/catalog/repository"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/trouble"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// verifyIndexes compares every index with its rows, both ways.
func verifyIndexes(t testing.TB, s store.Store) {
	t.Helper()
	ctx := context.Background() // the test's own has ended when it is cleaned up
	found := func(problem string) { t.Errorf("store: %s", problem) }
	for _, verify := range []func(context.Context, store.Store, func(string)) error{
		account.Table.Verify, account.Users.Verify, subscription.Table.Verify, image.Table.Verify, image.Tags.Verify,
		registry.Table.Verify, registry.Sources.Verify, image.Named.Verify, image.History.Verify, work.Table.Verify, work.Sources.Verify, imports.Table.Verify, archive.Table.Verify, event.Table.Verify,
		cause.Table.Verify, outbox.Notifications.Verify, outbox.Deliveries.Verify, outbox.Done.Verify, outbox.Endpoints.Verify, repository.Table.Verify, trouble.Table.Verify,
	} {
		if err := verify(ctx, s, found); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
}

// script is the life of a tag, as a list of steps that a process may die between,
// or in the middle of. Each step is repeated until it succeeds, as a watcher, a
// worker or a user would.
type script struct {
	*world
	sent []string // what the receiver got, in order: "notification id: what"
	dead func() bool
}

func (s *script) steps() []func(context.Context) error {
	saw := func(image string, add *catalog.Addition) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.sightCtx(ctx, catalog.Sighting{Account: "admin", Manifest: manifest("alpine", image), Cause: "watcher", Add: add})
			return err
		}
	}
	return []func(context.Context) error{
		saw("A", &catalog.Addition{AutoSubscribe: true}),
		s.work,
		s.alarm,
		saw("B", nil),
		s.fanOut,
		saw("A", nil),
		s.work,
		s.fanOut,
		s.deliver,
		saw("C", nil),
		s.allClear,
		s.work,
		s.fanOut,
		s.deliver,
	}
}

// alarm tells of a trouble, as a look does after a start too: unless it was told.
func (s *script) alarm(ctx context.Context) error {
	told, err := s.Troubles(ctx)
	if err != nil || len(told) > 0 {
		return err
	}
	return s.TroubleBegan(ctx, full)
}

// allClear tells that the trouble is over.
func (s *script) allClear(ctx context.Context) error {
	over := full
	over.Message = "over"
	_, err := s.TroubleEnded(ctx, full.Type, full.Resource.ID, over)
	return err
}

// work analyzes what is due. The leases are short, so that what a dead worker held
// is due again at once.
func (s *script) work(ctx context.Context) error {
	for {
		job, ok, next, err := s.ClaimAnalysis(ctx, time.Millisecond)
		if err != nil || !ok && next.IsZero() {
			return err
		}
		if !ok {
			continue // the lease of a dead worker ends within a millisecond
		}
		report, err := s.config.Blobs.Put(ctx, strings.NewReader("sbom of "+job.Digest))
		if err != nil {
			return err
		}
		if err := s.FinishAnalysis(ctx, job, catalog.AnalysisResult{Report: report}); err != nil {
			return err
		}
	}
}

func (s *script) fanOut(ctx context.Context) error {
	for {
		if more, err := s.FanOut(ctx); !more || err != nil {
			return err
		}
	}
}

// deliver hands over what is due; the receiver gets nothing from a dead process.
func (s *script) deliver(ctx context.Context) error {
	for {
		due, next, err := s.ClaimDeliveries(ctx, "general", 2, time.Millisecond)
		if err != nil {
			return err
		}
		if len(due) == 0 && next.IsZero() {
			return nil
		}
		for _, d := range due {
			if s.dead() {
				return storetest.ErrCrashed
			}
			s.sent = append(s.sent, d.Notification.ID+": "+describe(d.Notification))
			if err := s.FinishDelivery(ctx, d, catalog.DeliveryResult{State: outbox.Delivered, Attempt: outbox.Attempt{At: time.Now(), Status: 200}}); err != nil {
				return err
			}
		}
	}
}

// TestCrashAtEveryCut lets the process die before and after every transaction of
// the script, starts it again, and checks that every change was told at least once,
// under one id, in order, and that nothing else was.
func TestCrashAtEveryCut(t *testing.T) {
	for cut := 1; ; cut++ {
		if cut > 2000 {
			t.Fatal("the script does not end")
		}
		if outlived := crashAt(t, cut); outlived {
			t.Logf("the script has %d cuts", cut-1)
			return
		}
	}
}

func crashAt(t *testing.T, cut int) (outlived bool) {
	path := t.TempDir()
	blobs, err := dir.New(dir.Config{Path: filepath.Join(path, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	open := func() store.Store {
		s, err := bolt.Open(bolt.Config{Path: filepath.Join(path, "engine.db")})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	worldOn(t, s, blobs) // the account exists before anything can die
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	crash := storetest.NewCrash(s, cut, kill)
	first := &script{world: processOn(t, crash, blobs), dead: crash.Dead}
	done := first.play(ctx, first.steps())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open()
	defer again.Close()
	second := &script{world: processOn(t, again, blobs), dead: func() bool { return false }, sent: first.sent}
	steps := second.steps()
	if rest := second.play(t.Context(), append(steps[max(done-1, 0):], second.fanOut, second.deliver)); rest == 0 {
		t.Fatalf("cut %d: nothing runs after the restart", cut)
	}
	second.check(cut)
	verifyIndexes(t, again)
	return !crash.Dead()
}

// processOn is worldOn for a store whose account exists.
func processOn(t *testing.T, s store.Store, blobs store.Blobs) *world {
	t.Helper()
	w := &world{t: t, store: &counting{Store: s}}
	w.config = catalog.Config{Store: w.store, Blobs: blobs, Endpoints: func(anchore.SubscriptionType) []string { return []string{"general"} }}
	var err error
	if w.Catalog, err = catalog.New(w.config); err != nil {
		t.Fatal(err)
	}
	return w
}

// play runs the steps until the process dies, and returns how many it began.
func (s *script) play(ctx context.Context, steps []func(context.Context) error) (begun int) {
	for _, step := range steps {
		begun++
		for try := 0; ; try++ {
			err := step(ctx)
			if err == nil {
				break
			}
			if s.dead() || errors.Is(err, storetest.ErrCrashed) {
				return begun
			}
			if anchore.KindOf(err) != anchore.Conflict || try > 100 {
				s.t.Fatalf("step %d: %v", begun, err)
			}
		}
	}
	return begun
}

// check compares what the receiver got with what happened: also that a trouble was
// told once and its end once.
func (s *script) check(cut int) {
	s.t.Helper()
	ids := map[string]string{}
	var moves, analyses, fatal []string
	for _, line := range s.sent {
		id, what, _ := strings.Cut(line, ": ")
		if ids[id] != "" {
			continue // told again, under the same id
		}
		ids[id] = what
		switch kind, _, _ := strings.Cut(what, " "); anchore.SubscriptionType(kind) {
		case anchore.TagUpdate:
			moves = append(moves, what)
		case anchore.ErrorEvent:
			fatal = append(fatal, what)
		default:
			analyses = append(analyses, what)
		}
	}
	diff(s.t, fmt.Sprintf("cut %d: troubles told", cut), []string{"error_event data_dir full", "error_event data_dir over"}, fatal)
	diff(s.t, fmt.Sprintf("cut %d: moves told", cut), []string{
		"tag_update " + alpine + " A→B", "tag_update " + alpine + " B→A", "tag_update " + alpine + " A→C",
	}, moves)
	want := map[string]bool{"A": true, "B": true, "C": true}
	for _, a := range analyses {
		image := strings.Fields(strings.TrimPrefix(a, "analysis_update "+alpine+" "))[0]
		if !want[image] {
			s.t.Errorf("cut %d: told twice, or of nothing: %s", cut, a)
		}
		delete(want, image)
	}
	if len(want) > 0 {
		s.t.Errorf("cut %d: the analyses of %v were not told", cut, want)
	}
}
