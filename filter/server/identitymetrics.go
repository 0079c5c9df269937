package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sessionsWithin is how long the metrics wait for the store of sessions.
const sessionsWithin = time.Second

// identityCollector makes metrics of what credentials are checked by: issuers'
// keys, verified tokens, sessions and API keys, of the policy in force.
type identityCollector struct{ s *Server }

var (
	jwksAge      = prometheus.NewDesc("memgate_jwks_age_seconds", "Time since the keys of an issuer were last read; absent until they were read once.", []string{"issuer"}, nil)
	jwksKeys     = prometheus.NewDesc("memgate_jwks_keys", "Keys of an issuer that tokens can be verified with.", []string{"issuer"}, nil)
	jwksRefresh  = prometheus.NewDesc("memgate_jwks_refreshes_total", "Attempts to read the keys of an issuer, by result.", []string{"issuer", "result"}, nil)
	jwksSearched = prometheus.NewDesc("memgate_jwks_searches_total", "Tokens that named a key which was not known, so that the issuer's keys were read or a reading was waited for.", []string{"issuer"}, nil)
	tokenHits    = prometheus.NewDesc("memgate_token_cache_hits_total", "Tokens that were known from before.", nil, nil)
	tokenMisses  = prometheus.NewDesc("memgate_token_cache_misses_total", "Tokens that had to be verified.", nil, nil)
	tokenEvicted = prometheus.NewDesc("memgate_token_cache_evicted_total", "Verified tokens that were forgotten before their time, for want of room.", nil, nil)
	tokenCached  = prometheus.NewDesc("memgate_token_cache_entries", "Verified tokens that are held.", nil, nil)
	sessionsHeld = prometheus.NewDesc("memgate_sessions", "Sessions that are held, by all instances where they share them; absent while the store does not answer.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (identityCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{jwksAge, jwksKeys, jwksRefresh, jwksSearched, tokenHits, tokenMisses, tokenEvicted, tokenCached, sessionsHeld} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c identityCollector) Collect(out chan<- prometheus.Metric) {
	b := c.s.current.Load()
	if b == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if v := b.deps.Tokens; v != nil {
		st := v.Stats()
		count(tokenHits, st.CacheHits)
		count(tokenMisses, st.CacheMisses)
		count(tokenEvicted, st.CacheEvictions)
		gauge(tokenCached, float64(st.CacheEntries))
		now := c.s.options.Now()
		for _, i := range st.Issuers {
			if !i.LastSuccess.IsZero() {
				gauge(jwksAge, now.Sub(i.LastSuccess).Seconds(), i.Issuer)
			}
			gauge(jwksKeys, float64(i.Keys), i.Issuer)
			count(jwksRefresh, i.Reads-min(i.Failures, i.Reads), i.Issuer, "success")
			count(jwksRefresh, i.Failures, i.Issuer, "failure")
			count(jwksSearched, i.Searches, i.Issuer)
		}
	}
	if s := b.deps.Sessions; s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), sessionsWithin)
		if n, err := s.Len(ctx); err == nil {
			gauge(sessionsHeld, float64(n))
		}
		cancel()
	}
}
