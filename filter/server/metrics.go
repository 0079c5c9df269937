package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the process; decisions have their own in authz.
type metrics struct {
	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
	since      prometheus.Gauge
	audit      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, version string) *metrics {
	m := &metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memgate_policy_reloads_total",
			Help: "Attempts to put a policy in force, by result.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "memgate_policy_last_reload_successful",
			Help: "1 when the newest policy file is in force, 0 when it was refused and an older one still is.",
		}),
		since: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "memgate_policy_last_reload_success_timestamp_seconds",
			Help: "When the policy in force was put in force.",
		}),
		audit: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memgate_audit_failures_total",
			Help: "Audit events that could not be written.",
		}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "memgate_build_info",
		Help: "1, with the version of this build.",
	}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	reg.MustRegister(m.reloads, m.successful, m.since, m.audit, build)
	return m
}

func (m *metrics) reloaded(err error, now time.Time) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.successful.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.successful.Set(1)
	m.since.Set(float64(now.Unix()))
}
