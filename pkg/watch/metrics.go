package watch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Metrics counts what the watcher does. A nil *Metrics counts nothing.
type Metrics struct {
	looks *prometheus.CounterVec
	lag   prometheus.Histogram
	tags  prometheus.Gauge
}

// NewMetrics registers the watcher's metrics.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anchore_watch_looks_total", Help: "Looks at tags and lists of repositories, by registry and result.",
		}, []string{"registry", "result"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "anchore_watch_lag_seconds", Help: "How late a look was started.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}),
		tags: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "anchore_watch_tags", Help: "Tags and repositories that are watched.",
		}),
	}
	for _, c := range []prometheus.Collector{m.looks, m.lag, m.tags} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) look(registry string, err error) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = anchore.KindOf(err).String()
	}
	m.looks.WithLabelValues(registry, result).Inc()
}

func (m *Metrics) late(by time.Duration) {
	if m != nil {
		m.lag.Observe(by.Seconds())
	}
}

func (m *Metrics) watched(n int) {
	if m != nil {
		m.tags.Set(float64(n))
	}
}
