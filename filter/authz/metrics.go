package authz

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the Prometheus metrics of decisions and of the access log.
type Metrics struct {
	decisions *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	spoofed   prometheus.Counter
	requests  *prometheus.CounterVec
	findings  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	limits    *prometheus.CounterVec
	shadow    *prometheus.CounterVec
	scores    *prometheus.CounterVec
	rules     *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_decisions_total",
			Help: "Decisions of the authz service by outcome, deciding stage, reason and route.",
		}, []string{"decision", "stage", "reason", "route"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "memgate_check_duration_seconds",
			Help:    "Time to decide one request, by outcome and deciding stage.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1},
		}, []string{"decision", "stage"}),
		spoofed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memgate_spoofed_requests_total",
			Help: "Requests that carried a header that a client may not send: one that only the edge sets, or that steers the service behind it.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_requests_total",
			Help: "Finished requests by route and status class, as Envoy's access log reports them.",
		}, []string{"route", "status"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_findings_total",
			Help: "Personal data and secrets found in bodies, by entity.",
		}, []string{"entity"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_ratelimit_service_total",
			Help: "Answers of the rate-limit service to other Envoy filters, by class and result.",
		}, []string{"class", "result"}),
		scores: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_poison_requests_total",
			Help: "Requests whose texts look like planted instructions at all, by what became of them and route.",
		}, []string{"outcome", "route"}),
		rules: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_poison_rules_total",
			Help: "Rules that made the scores of these requests.",
		}, []string{"rule"}),
		shadow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_shadow_denials_total",
			Help: "Refusals that did not happen because the policy has the stage in shadow, by stage, reason and route.",
		}, []string{"stage", "reason", "route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_content_refusals_total",
			Help: "Requests and responses that the content filter refused, by problem.",
		}, []string{"problem"}),
	}
	reg.MustRegister(m.limits, m.shadow, m.decisions, m.duration, m.spoofed, m.requests, m.findings, m.refusals, m.scores, m.rules)
	return m
}

func (m *Metrics) decided(d *Decision, took time.Duration) {
	outcome := "deny"
	if d.Allowed {
		outcome = "allow"
	}
	m.decisions.WithLabelValues(outcome, string(d.Stage), string(d.Reason), d.Route).Inc()
	m.duration.WithLabelValues(outcome, string(d.Stage)).Observe(took.Seconds())
	for i := range d.Shadow {
		m.shadow.WithLabelValues(string(d.Shadow[i].Stage), string(d.Shadow[i].Reason), d.Route).Inc()
	}
	if len(d.Spoofed) > 0 {
		m.spoofed.Inc()
	}
}
