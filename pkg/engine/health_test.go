package engine

import (
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/watch"
)

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
