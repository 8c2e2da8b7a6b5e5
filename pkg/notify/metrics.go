package notify

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relay's, by endpoint.
type metrics struct {
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	delay    *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, status func(context.Context) ([]EndpointStatus, error)) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anchore_webhook_attempts_total", Help: "Attempts to deliver, by what came of them.",
		}, []string{"endpoint", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anchore_webhook_attempt_duration_seconds", Help: "Time of one attempt.", Buckets: prometheus.DefBuckets,
		}, []string{"endpoint"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anchore_webhook_delivery_delay_seconds", Help: "Time from a notification's creation to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 12), // to 12 hours
		}, []string{"endpoint"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "anchore_webhook_in_flight", Help: "Attempts that run now.",
		}, []string{"endpoint"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.duration, m.delay, m.inFlight, backlog{status: status}} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var (
	pendingDesc = prometheus.NewDesc("anchore_webhook_pending_deliveries", "Deliveries that have not ended; a lower bound above 10000.", []string{"endpoint"}, nil)
	parkedDesc  = prometheus.NewDesc("anchore_webhook_parked_deliveries", "Deliveries given up; a lower bound above 10000.", []string{"endpoint"}, nil)
)

// collectTime bounds how long a scrape reads the store.
const collectTime = 2 * time.Second

// backlog reads the work of the endpoints when metrics are collected.
type backlog struct {
	status func(context.Context) ([]EndpointStatus, error)
}

// Describe sends the descriptions.
func (b backlog) Describe(ch chan<- *prometheus.Desc) {
	ch <- pendingDesc
	ch <- parkedDesc
}

// Collect sends the values.
func (b backlog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	endpoints, err := b.status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(pendingDesc, err)
		return
	}
	for _, e := range endpoints {
		ch <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(e.Pending), e.Name)
		ch <- prometheus.MustNewConstMetric(parkedDesc, prometheus.GaugeValue, float64(e.Parked), e.Name)
	}
}
