package engine

import (
	"testing"
	"time"

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
