package server

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
)

// redisWithin is how long a start or reload waits for a Redis that does not
// answer before it goes on without.
const redisWithin = time.Second

// limits is the limiter of a build, and of those after it that count at the same
// place.
type limits struct {
	limiter ratelimit.Limiter
	memory  *ratelimit.Memory // or nil
	shared  *ratelimit.Shared // or nil
	url     string            // of the Redis
}

// limiter returns what p counts with. Counters outlive a reload for as long as
// their place stays the same.
func (s *Server) limiter(ctx context.Context, p *policy.Policy, old *build) (*limits, error) {
	if p.Limits.Store != "redis" {
		if old != nil && old.limits.memory != nil {
			return old.limits, nil
		}
		m := ratelimit.NewMemory(s.options.Now, p.Limits.MaxKeys)
		return &limits{limiter: m, memory: m}, nil
	}
	r := p.Limits.Redis
	url, err := redisURL(p, r.URL, "limits.redis.url")
	if err != nil {
		return nil, err
	}
	if old != nil && old.limits.shared != nil && old.limits.url == url && reflect.DeepEqual(old.policy.Limits.Redis, r) {
		return old.limits, nil
	}
	l, err := ratelimit.NewShared(ratelimit.SharedConfig{
		URL: url, Cluster: r.Cluster, Prefix: r.Prefix, Timeout: time.Duration(r.Timeout),
		Instances: r.Instances, MaxKeys: p.Limits.MaxKeys, Now: s.options.Now, Hook: s.traces.redis("memgate.limits"),
		Changed: func(err error) {
			if err != nil {
				s.log.Warn("Redis does not answer, this instance limits by itself", "error", err)
				return
			}
			s.log.Info("Redis answers, limits are shared")
		},
	})
	if err != nil {
		return nil, fmt.Errorf("limits.redis.url: %s: %w", r.URL, err)
	}
	s.warnPlain(url, "limits.redis.url")
	if await(ctx, redisWithin, func() bool { return l.Stats().Up }); !l.Stats().Up {
		s.log.Warn("Redis was not reached yet, this instance limits by itself until it is")
	}
	return &limits{limiter: l, shared: l, url: url}, nil
}

// dropUnless ends l unless b counts with it.
func (l *limits) dropUnless(b *build) {
	if l == nil || l.shared == nil || b != nil && b.limits == l {
		return
	}
	_ = l.shared.Close()
}

// limiterCollector makes metrics of the limiter in force.
type limiterCollector struct{ s *Server }

var (
	limiterKeys      = prometheus.NewDesc("memgate_limiter_keys", "Counters of the rate limits that this process holds.", nil, nil)
	limiterForgotten = prometheus.NewDesc("memgate_limiter_forgotten_total", "Counters that were dropped while in use, for want of room (limits.max_keys).", nil, nil)
	placesHeld       = prometheus.NewDesc("memgate_limiter_places", "Requests under way that this process counts against limits.concurrency by itself; those counted in Redis are not in it.", nil, nil)
	placesExpired    = prometheus.NewDesc("memgate_limiter_places_expired_total", "Requests that counted as under way until limits.concurrency.hold was over, because Envoy did not say that they had ended.", nil, nil)
	placesDropped    = prometheus.NewDesc("memgate_limiter_places_dropped_total", "Requests that have ended and count in Redis until limits.concurrency.hold is over, because too many waited for Redis.", nil, nil)
	redisUp          = prometheus.NewDesc("memgate_limiter_redis_up", "1 while limits are shared by Redis, 0 while this instance limits by itself.", nil, nil)
	redisErrors      = prometheus.NewDesc("memgate_limiter_redis_errors_total", "Requests for which Redis did not answer in time, or with an error.", nil, nil)
	redisFallback    = prometheus.NewDesc("memgate_limiter_fallback_total", "Requests that this instance counted by itself for want of Redis.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (limiterCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{limiterKeys, limiterForgotten, placesHeld, placesExpired, placesDropped, redisUp, redisErrors, redisFallback} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c limiterCollector) Collect(out chan<- prometheus.Metric) {
	b := c.s.current.Load()
	if b == nil {
		return
	}
	var local ratelimit.Stats
	var expired, dropped uint64 // in Redis
	if b.limits.shared != nil {
		st := b.limits.shared.Stats()
		local, expired, dropped = st.Local, st.Expired, st.Dropped
		up := 0.0
		if st.Up {
			up = 1
		}
		out <- prometheus.MustNewConstMetric(redisUp, prometheus.GaugeValue, up)
		out <- prometheus.MustNewConstMetric(redisErrors, prometheus.CounterValue, float64(st.Errors))
		out <- prometheus.MustNewConstMetric(redisFallback, prometheus.CounterValue, float64(st.Fallback))
	} else {
		local = b.limits.memory.Stats()
	}
	out <- prometheus.MustNewConstMetric(limiterKeys, prometheus.GaugeValue, float64(local.Keys))
	out <- prometheus.MustNewConstMetric(placesHeld, prometheus.GaugeValue, float64(local.Places))
	out <- prometheus.MustNewConstMetric(placesExpired, prometheus.CounterValue, float64(expired+local.Expired))
	out <- prometheus.MustNewConstMetric(placesDropped, prometheus.CounterValue, float64(dropped))
	out <- prometheus.MustNewConstMetric(limiterForgotten, prometheus.CounterValue, float64(local.Forgotten))
}
