package analyze

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a claimed analysis, the values of the label "outcome".
const (
	analyzed  = "analyzed"
	failed    = "failed"    // the image cannot be analyzed
	postponed = "postponed" // to be tried again later
	released  = "released"  // given back at a shutdown, or to be tried for other accounts
	lost      = "lost"      // the lease went to another worker
)

type metrics struct {
	outcomes *prometheus.CounterVec
	duration prometheus.Histogram
}

// newMetrics makes the workers' metrics; a nil registerer keeps them private.
func newMetrics(reg prometheus.Registerer, running func() float64) (*metrics, error) {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anchore_analyses_total", Help: "Analyses taken from the queue, by what came of them.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "anchore_analysis_duration_seconds", Help: "Time from taking an image to its stored result.",
			Buckets: prometheus.ExponentialBuckets(0.5, 2, 14), // to 68 minutes
		}),
	}
	if reg == nil {
		return m, nil
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "anchore_analyses_running", Help: "Analyses that run now."}, running)
	for _, c := range []prometheus.Collector{m.outcomes, m.duration, gauge} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) ended(outcome string, took time.Duration) {
	m.outcomes.WithLabelValues(outcome).Inc()
	if outcome == analyzed {
		m.duration.Observe(took.Seconds())
	}
}
