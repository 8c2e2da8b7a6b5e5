package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anchore/anchore-engine/pkg/alarm"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// TestStorageTroubleShows: what is wrong with the data directory is shown as long as it
// stands, and the store that takes no changes as what does not work.
func TestStorageTroubleShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Pointer[[]anchore.Event]
		wrong.Store(new([]anchore.Event))
		alarms, err := alarm.New(alarm.Config{
			Conditions: []alarm.Condition{func(context.Context, alarm.Standing) []anchore.Event { return *wrong.Load() }},
			Raise:      func(context.Context, anchore.Event) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- alarms.Run(ctx) }()
		e := &Engine{alarms: alarms}
		full := anchore.Event{Type: anchore.EventDiskFull, Message: "no space"}
		for _, step := range []struct {
			wrong []anchore.Event
			down  bool
			says  string
		}{
			{nil, false, ""},
			{[]anchore.Event{full}, false, "no space"},
			{[]anchore.Event{full, {Type: anchore.EventStoreFailing, Message: "no changes"}, {Type: anchore.EventEndpointDead, Message: "dead"}}, true, "no space; no changes"},
			{nil, false, ""},
		} {
			wrong.Store(&step.wrong)
			time.Sleep(time.Minute)
			synctest.Wait()
			if h := e.storageHealth(); h.Down != step.down || h.Message != step.says {
				t.Errorf("with %v it is down: %v, and says %q; want %v and %q", step.wrong, h.Down, h.Message, step.down, step.says)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestRegistryTrouble(t *testing.T) {
	down := watch.RegistryStatus{Registry: "docker.io", Failures: 3, Reason: "registry mirror.test answered with status 503"}
	limited := watch.RegistryStatus{
		Registry: "quay.io", Failures: 1, Limited: true, Reason: "registry quay.io allows no more requests for now",
		Until: time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC),
	}
	for _, tt := range []struct {
		failing []watch.RegistryStatus
		want    string
	}{
		{nil, ""},
		{[]watch.RegistryStatus{down}, "registry docker.io does not answer: registry mirror.test answered with status 503"},
		{
			[]watch.RegistryStatus{limited, down, down},
			"registry quay.io is left alone until 2021-06-01T12:00:00Z, as it asks: registry quay.io allows no more requests for now (others that fail: 2)",
		},
	} {
		if got := registryTrouble(tt.failing); got != tt.want {
			t.Errorf("registryTrouble = %q, want %q", got, tt.want)
		}
	}
}

func TestEndpointTrouble(t *testing.T) {
	fails := func(name, reason string) notify.EndpointStatus {
		return notify.EndpointStatus{Name: name, EndpointState: catalog.EndpointState{Failures: 2, Reason: reason}}
	}
	works := notify.EndpointStatus{Name: "works", EndpointState: catalog.EndpointState{Reason: "old"}}
	gone := notify.EndpointStatus{Name: "gone", EndpointState: catalog.EndpointState{PausedAt: time.Now(), Reason: "answered 410 Gone"}}
	removed := fails("removed", "the endpoint is no longer configured")
	removed.Removed = true
	for _, tt := range []struct {
		list []notify.EndpointStatus
		want string
	}{
		{nil, ""},
		{[]notify.EndpointStatus{works, removed}, ""},
		{[]notify.EndpointStatus{works, fails("general", "answered 503"), removed}, "endpoint general: answered 503"},
		{[]notify.EndpointStatus{gone, works, fails("general", "answered 503"), fails("tag_update", "no answer")}, "endpoint gone: answered 410 Gone (others that fail: 2)"},
	} {
		if got := endpointTrouble(tt.list); got != tt.want {
			t.Errorf("endpointTrouble = %q, want %q", got, tt.want)
		}
	}
}
