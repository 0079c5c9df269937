package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	mathrand "math/rand/v2"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/policy"
)

const (
	// ExpiresSoon is how long ahead it is told that an API key expires.
	ExpiresSoon = 14 * 24 * time.Hour
	// countKeys is how often keys are counted, and tellExpiry how often it is logged which
	// expire soon.
	countKeys  = time.Hour
	tellExpiry = 24 * time.Hour
	// putUsed is about how often it is put away when keys were used last.
	putUsed = time.Minute
	// keysIO bounds what is read or written of all keys at once.
	keysIO = 30 * time.Second
)

// sharedKeys are the keys of a Redis, for a build and those after it that have the same. It
// is nil for a build without.
type sharedKeys struct {
	keys  *apikey.Shared
	redis *apikey.Redis
	url   string
	close func()
}

// shareKeys opens the keys of p's Redis, or takes over those of the build before. They are
// followed until [sharedKeys.dropUnless].
func shareKeys(p *policy.Policy, k Keys, old *build, traces *tracing, now func() time.Time, changed func(error)) (*sharedKeys, error) {
	section := p.Identity.APIKeys
	url, err := redisURL(p, section.Redis, "identity.api_keys.redis")
	if err != nil {
		return nil, err
	}
	if old != nil && old.shared != nil && old.shared.url == url && old.policy.Environment == p.Environment && reflect.DeepEqual(old.policy.Identity.APIKeys, section) {
		return old.shared, nil
	}
	records, done, err := k.redis(traces.redis("memgate.api_keys"))
	if err != nil {
		return nil, err
	}
	keys, err := apikey.NewShared(apikey.SharedConfig{
		Redis: records, Env: k.environment(), MaxKeys: section.MaxKeys, MaxStale: time.Duration(section.MaxStale),
		Timeout: time.Duration(section.Timeout), Now: now, Changed: changed,
	})
	if err != nil {
		done()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keys.Run(ctx)
	}()
	return &sharedKeys{keys: keys, redis: records, url: url, close: func() { stop(); <-ended; done() }}, nil
}

// dropUnless ends k unless b has it.
func (k *sharedKeys) dropUnless(b *build) {
	if k != nil && (b == nil || b.shared != k) {
		k.close()
	}
}

// keyRedisChanged logs that the Redis of the keys went or came back.
func (s *Server) keyRedisChanged(err error) {
	if err != nil {
		s.log.Warn("the Redis of the API keys does not answer; keys that are known go on for identity.api_keys.max_stale", "error", err)
		return
	}
	s.log.Info("the Redis of the API keys answers")
}

// keyring is what a process knows of its keys beside what it verifies them by.
type keyring struct {
	mu     sync.Mutex
	census *apikey.Census       // of the last count; nil before
	used   map[string]time.Time // that could not be put away yet
}

// tendKeys counts keys, tells which expire soon, and puts away when they were used.
func (s *Server) tendKeys(ctx context.Context) {
	var told time.Time
	count := time.NewTimer(0)
	used := time.NewTimer(jitter(putUsed))
	defer count.Stop()
	defer used.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-count.C:
			tell := told.IsZero() || s.options.Now().Sub(told) >= tellExpiry-countKeys/2
			if s.countKeys(ctx, tell) && tell {
				told = s.options.Now()
			}
			count.Reset(jitter(countKeys))
		case <-used.C:
			s.putUsed(ctx)
			used.Reset(jitter(putUsed))
		}
	}
}

// jitter is d, a fifth more or less, so that instances do not do a thing together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*mathrand.Float64()))
}

// countKeys counts the keys of the policy in force, and reports whether it could.
func (s *Server) countKeys(ctx context.Context, tell bool) bool {
	b := s.current.Load()
	census, now := new(apikey.Census), s.options.Now()
	add := func(r *apikey.Record) { census.Add(r, now, ExpiresSoon) }
	var err error
	ctx, cancel := context.WithTimeout(ctx, keysIO)
	defer cancel()
	switch {
	case b.shared != nil:
		err = b.shared.redis.Each(ctx, add)
	case b.keysPath != "":
		var list []apikey.Record
		list, err = apikey.List(b.keysPath)
		for i := range list {
			add(&list[i])
		}
	default:
		census = nil
	}
	if err != nil {
		s.log.Warn("the API keys cannot be counted", "error", err)
		return false
	}
	s.keyring.mu.Lock()
	s.keyring.census = census
	s.keyring.mu.Unlock()
	if census == nil || !tell {
		return true
	}
	for i := range census.Soon {
		r := &census.Soon[i]
		s.log.Warn("an API key expires soon; 'memgate key rotate' makes its successor", "id", r.ID, "tenant", r.Tenant, "name", r.Name, "expires", r.Expires)
	}
	if more := census.Expiring - len(census.Soon); more > 0 {
		s.log.Warn("more API keys expire soon", "keys", more)
	}
	return true
}

// stashUsed keeps when the keys of a build were used, which ends.
func (s *Server) stashUsed(b *build) {
	s.keyring.mu.Lock()
	defer s.keyring.mu.Unlock()
	s.keyring.take(b)
}

// take adds when the keys of a build were used to what waits to be put away.
func (k *keyring) take(b *build) {
	keys, ok := b.deps.Keys.(interface{ TakeUsed() map[string]time.Time })
	if !ok {
		return
	}
	for id, at := range keys.TakeUsed() {
		if k.used == nil {
			k.used = make(map[string]time.Time)
		}
		if len(k.used) < maxWaiting && at.After(k.used[id]) {
			k.used[id] = at
		}
	}
}

// putUsed puts away when keys were used last. What cannot be is tried again.
func (s *Server) putUsed(ctx context.Context) {
	b := s.current.Load()
	s.keyring.mu.Lock()
	defer s.keyring.mu.Unlock()
	s.keyring.take(b)
	waiting := s.keyring.used
	if len(waiting) == 0 {
		return
	}
	var err error
	switch {
	case b.shared != nil:
		ctx, cancel := context.WithTimeout(ctx, keysIO)
		defer cancel()
		err = b.shared.redis.PutUsed(ctx, waiting)
	case b.keysPath != "":
		err = apikey.PutUsed(b.keysPath, waiting)
	}
	if err == nil {
		s.keyring.used = nil
		return
	}
	s.log.Warn("when API keys were used cannot be kept yet", "error", err)
}

// maxWaiting is for how many keys it is remembered that they were used, while that cannot
// be put away.
const maxWaiting = 100_000

// keysCollector makes metrics of the API keys.
type keysCollector struct{ s *Server }

var (
	keysNumber  = prometheus.NewDesc("memgate_api_keys", "API keys by state; those that expire within 14 days are active and expiring.", []string{"state"}, nil)
	keysNext    = prometheus.NewDesc("memgate_api_key_next_expiry_timestamp_seconds", "When the next of the active API keys expires; 0 when none does.", nil, nil)
	keysRedisUp = prometheus.NewDesc("memgate_api_keys_redis_up", "1 while the Redis of the API keys answers.", nil, nil)
	keysErrors  = prometheus.NewDesc("memgate_api_keys_redis_errors_total", "Failed reads of the Redis of the API keys.", nil, nil)
	keysHeld    = prometheus.NewDesc("memgate_api_keys_held", "API keys of the Redis that this process holds.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (keysCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{keysNumber, keysNext, keysRedisUp, keysErrors, keysHeld} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c keysCollector) Collect(out chan<- prometheus.Metric) {
	c.s.keyring.mu.Lock()
	census := c.s.keyring.census
	c.s.keyring.mu.Unlock()
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	if census != nil {
		gauge(keysNumber, float64(census.Active), "active")
		gauge(keysNumber, float64(census.Expiring), "expiring")
		gauge(keysNumber, float64(census.Expired), "expired")
		gauge(keysNumber, float64(census.Revoked), "revoked")
		next := 0.0
		if !census.Next.IsZero() {
			next = float64(census.Next.Unix())
		}
		gauge(keysNext, next)
	}
	b := c.s.current.Load()
	if b == nil || b.shared == nil {
		return
	}
	up := 0.0
	if b.shared.keys.Up() {
		up = 1
	}
	gauge(keysRedisUp, up)
	gauge(keysHeld, float64(b.shared.keys.Len()))
	out <- prometheus.MustNewConstMetric(keysErrors, prometheus.CounterValue, float64(b.shared.keys.Errors()))
}

// openKeys opens the API keys of a build's policy.
func (b *build) openKeys(old *build, traces *tracing, now func() time.Time, changed func(error)) error {
	keys, err := KeysOf(b.policy)
	if errors.Is(err, ErrNoKeys) {
		return nil
	}
	if err != nil {
		return err
	}
	if keys.Path == "" {
		if b.shared, err = shareKeys(b.policy, keys, old, traces, now, changed); err != nil {
			return err
		}
		b.deps.Keys = b.shared.keys
		return nil
	}
	b.keysPath, b.keysStamp = keys.Path, stampOf(keys.Path)
	if b.file, err = keys.Open(now); err != nil {
		return fmt.Errorf("identity.api_keys: %w", err)
	}
	b.deps.Keys = b.file
	return nil
}
