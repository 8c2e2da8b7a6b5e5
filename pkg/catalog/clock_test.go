package catalog_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
	"github.com/anchore/anchore-engine/pkg/store/storetest"
)

// atTheStart runs fn on the store in a folder, by a clock that begins where it began
// the last time.
func atTheStart(t *testing.T, folder string, fn func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := bolt.Open(bolt.Config{Path: filepath.Join(folder, "db")})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		blobs, err := dir.New(dir.Config{Path: filepath.Join(folder, "blobs")})
		if err != nil {
			t.Fatal(err)
		}
		fn(worldOn(t, storetest.Rerun{Store: s}, blobs))
	})
}

const days = 24 * time.Hour

// TestFitClock: what an engine has put off while its clock was ahead, waits no longer
// after the clock is right than it was to wait.
func TestFitClock(t *testing.T) {
	folder := t.TempDir()
	failed := func(w *world, wait, hold time.Duration) {
		t.Helper()
		claimed, _, err := w.ClaimDeliveries(t.Context(), "general", 1, time.Minute)
		if err != nil || len(claimed) != 1 {
			t.Fatalf("ClaimDeliveries = %v, %v", claimed, err)
		}
		now := time.Now()
		err = w.FinishDelivery(t.Context(), claimed[0], catalog.DeliveryResult{
			State: outbox.Waiting, Due: now.Add(wait), Failed: true, Hold: func(int) time.Duration { return hold },
			Attempt: outbox.Attempt{At: now, Status: 503},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	atTheStart(t, folder, func(w *world) {
		time.Sleep(10 * days)
		w.add("admin", "alpine:1", "a")
		w.add("admin", "alpine:2", "b")
		w.look("admin", "alpine:1", "c")
		w.look("admin", "alpine:2", "d")
		w.told("admin")
		failed(w, time.Hour, 10*time.Minute) // the other one was never tried
		job, _ := w.claim()
		if err := w.PostponeAnalysis(t.Context(), job, time.Now().Add(time.Hour), "the registry asks to wait"); err != nil {
			t.Fatal(err)
		}
	})
	atTheStart(t, folder, func(w *world) {
		if err := w.FitClock(t.Context(), 3*days); err != nil {
			t.Fatal(err)
		}
		s, err := w.EndpointState(t.Context(), "general")
		if wait := time.Until(s.HeldUntil); err != nil || wait != 10*time.Minute || s.FailingSince.After(time.Now()) || s.LastFailure.After(time.Now()) {
			t.Errorf("the endpoint is held for %v, and failed %v, %v: want ten minutes, and in the past", wait, s.LastFailure, err)
		}
		analyses := 0
		for job, ok := w.claim(); ok; job, ok = w.claim() {
			w.finish(job)
			analyses++
		}
		if analyses != 4 {
			t.Errorf("%d analyses are due, want 4", analyses)
		}
		writes := w.store.writes.Load()
		if err := w.FitClock(t.Context(), 3*days); err != nil || w.store.writes.Load() != writes {
			t.Errorf("fitting what fits: %v, and %d writes, want none", err, w.store.writes.Load()-writes)
		}
		time.Sleep(10 * time.Minute)
		due, _, err := w.ClaimDeliveries(t.Context(), "general", 1, time.Minute)
		if err != nil || len(due) != 1 {
			t.Fatalf("after the hold %d deliveries are due, %v; want one", len(due), err)
		}
		if err := w.FinishDelivery(t.Context(), due[0], catalog.DeliveryResult{State: outbox.Parked, Attempt: outbox.Attempt{At: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		if due, _, err = w.ClaimDeliveries(t.Context(), "general", 1, time.Minute); err != nil || len(due) != 1 {
			t.Errorf("an hour later %d deliveries are due, %v; want that which was tried", len(due), err)
		}
	})
}

// TestParkedIsToldByAClockThatWasSetBack: that it was told in the future keeps nothing
// silent.
func TestParkedIsToldByAClockThatWasSetBack(t *testing.T) {
	folder := t.TempDir()
	parked := func(w *world, image string) int {
		t.Helper()
		w.look("admin", "alpine:1", image)
		w.told("admin")
		if n, err := w.ParkEndpoint(t.Context(), "general", "no longer configured"); err != nil || n == 0 {
			t.Fatalf("ParkEndpoint = %d, %v", n, err)
		}
		list, _, err := w.Events(t.Context(), "admin", catalog.EventFilter{Type: string(anchore.EventDeliveryParked)}, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	atTheStart(t, folder, func(w *world) {
		time.Sleep(10 * days)
		w.add("admin", "alpine:1", "a")
		if n := parked(w, "b"); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
	})
	atTheStart(t, folder, func(w *world) {
		if n := parked(w, "c"); n != 2 {
			t.Errorf("told %d times, want twice", n)
		}
	})
}

// TestAFailedTagIsTriedByAClockThatWasSetBack: no time that a tag of a repository is let
// be is as long as it seems then.
func TestAFailedTagIsTriedByAClockThatWasSetBack(t *testing.T) {
	folder := t.TempDir()
	var repo catalog.WatchedRepository
	next := func(w *world) time.Time {
		t.Helper()
		tags, err := w.RepositoryTags(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		return tags["broken"]
	}
	failed := func(w *world, times int) {
		t.Helper()
		for range times {
			if _, err := w.RepositoryTagFailed(t.Context(), repo, "broken", anchore.Event{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	atTheStart(t, folder, func(w *world) {
		time.Sleep(300 * days)
		repo = w.watchRepository("admin", "alpine", anchore.RepositoryWatch{})
		failed(w, 20)
		if wait := time.Until(next(w)); wait != 24*time.Hour {
			t.Errorf("by the same clock it is tried again in %v, want a day", wait)
		}
	})
	atTheStart(t, folder, func(w *world) {
		if at := next(w); at.IsZero() || at.After(time.Now()) {
			t.Errorf("it is tried again in %v, want now", time.Until(at))
		}
		failed(w, 1)
		if wait := time.Until(next(w)); wait != 24*time.Hour {
			t.Errorf("after the next failure it is tried again in %v, want a day", wait)
		}
	})
}
