package api

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// facts are what the log says about a request beyond its answer.
type facts struct {
	id  Identity
	err error // for operators
}

type factsKey struct{}

// recorder remembers the status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController, and so http.MaxBytesReader, reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a ResponseWriter for an answer that nobody gets.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	tools    *prometheus.CounterVec
	handler  http.Handler
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memory_backend_http_requests_total",
			Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "memory_backend_http_request_seconds",
			Help:    "Time to answer a request, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		tools: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memory_backend_mcp_calls_total",
			Help: "Calls of MCP tools, by tool and outcome: ok, or the last part of the problem's type.",
		}, []string{"tool", "outcome"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.tools)
		m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	}
	return m
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if s.metrics.handler == nil {
		writeProblem(w, notFound("There are no metrics here."))
		return
	}
	s.metrics.handler.ServeHTTP(w, r)
}

// finish counts and logs one request. The route is its pattern: no path, query, body or token is logged.
func (s *Server) finish(rec *recorder, r *http.Request, pattern string, f *facts, took time.Duration) {
	if pattern == "" {
		pattern = "none"
	}
	pattern = strings.TrimSuffix(pattern, "{$}")
	s.metrics.requests.WithLabelValues(pattern, strconv.Itoa(rec.status)).Inc()
	s.metrics.seconds.WithLabelValues(pattern).Observe(took.Seconds())
	level := slog.LevelInfo
	switch {
	case rec.status >= 500:
		level = slog.LevelError
	case pattern == "GET /healthz" || pattern == "GET /readyz" || pattern == "GET /metrics":
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("route", pattern), slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	}
	if f.id.Tenant != "" {
		attrs = append(attrs, slog.String("tenant", f.id.Tenant), slog.String("principal", f.id.Principal),
			slog.String("request_id", f.id.Request))
	}
	if f.err != nil {
		attrs = append(attrs, slog.String("error", f.err.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
}
