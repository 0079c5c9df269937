package token

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

const (
	// maxWait is how long a request waits for a reading of keys.
	maxWait = 750 * time.Millisecond
	// rediscover is after how long the discovery document is read again.
	rediscover = time.Hour
	// filePoll is how often a key file is looked at.
	filePoll = time.Second
	// firstRetry and maxRetry bound the pauses between failed readings.
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
	// maxMissing bounds the key ids that are remembered as not found.
	maxMissing = 1024
)

// source holds the keys of one issuer and reads them from where they are published.
type source struct {
	issuer *IssuerConfig
	cfg    *Config
	client *http.Client
	cache  *cache

	refresh, throttle time.Duration

	keys atomic.Pointer[keySet] // nil until keys were read
	read atomic.Int64           // when they were, in Unix nanoseconds

	mu       sync.Mutex
	running  *reading
	last     time.Time // when the latest reading began
	failures int       // in a row
	lastErr  error
	next     time.Time // when the next reading is due
	missing  map[string]time.Time
	jwksURI  string // as discovered
	found    time.Time
	file     fileState

	fetches  atomic.Uint64
	failed   atomic.Uint64
	searched atomic.Uint64
}

// reading is one reading of the keys under way; err is set before done is closed.
type reading struct {
	done chan struct{}
	err  error
}

func newSource(issuer *IssuerConfig, cfg *Config, client *http.Client, c *cache) (*source, error) {
	s := &source{issuer: issuer, cfg: cfg, client: client, cache: c, refresh: cfg.Refresh, throttle: cfg.Throttle}
	if issuer.Refresh > 0 {
		s.refresh, s.throttle = issuer.Refresh, min(cfg.Throttle, issuer.Refresh)
	}
	switch {
	case issuer.JWKSFile != "" && issuer.JWKSURL != "":
		return nil, errBothSources
	case issuer.JWKSFile != "":
		return s, nil
	case issuer.JWKSURL != "":
		return s, checkURL(issuer.JWKSURL)
	}
	return s, checkURL(issuer.Issuer)
}

// fresh returns an error when there are no keys, or only such as are too old.
func (s *source) fresh(now time.Time) error {
	if s.keys.Load() == nil {
		return identity.Unavailable(identity.ReasonKeysUnavailable, s.latestError())
	}
	if now.UnixNano()-s.read.Load() > int64(s.cfg.MaxStale) {
		return identity.Unavailable(identity.ReasonKeysUnavailable, errStale)
	}
	return nil
}

func (s *source) latestError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// find returns the key for a header, reading the keys early if it is not among them.
func (s *source) find(ctx context.Context, h *header, a *algorithm) (*key, error) {
	now := s.cfg.Now()
	set := s.keys.Load()
	if set != nil {
		if err := s.fresh(now); err == nil {
			k, reason := set.find(h, a)
			if reason == "" {
				return k, nil
			}
			if reason != identity.ReasonKeyUnknown {
				return nil, identity.Unauthenticated(reason, nil)
			}
			if s.isMissing(h.keyID, now) {
				return nil, identity.Unauthenticated(reason, nil)
			}
		}
	}
	s.searched.Add(1)
	r := s.start(ctx, now, false)
	looked := s.wait(ctx, r)
	if err := s.fresh(now); err != nil {
		return nil, err
	}
	k, reason := s.keys.Load().find(h, a)
	if reason == identity.ReasonKeyUnknown && looked {
		s.setMissing(h.keyID, now)
	}
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	return k, nil
}

// isMissing says whether a reading has lately shown that there is no key called id.
func (s *source) isMissing(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.missing[id]
	return ok && now.Before(until)
}

// setMissing remembers that a reading has just shown that there is no key called id.
func (s *source) setMissing(id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing == nil || len(s.missing) >= maxMissing {
		s.missing = make(map[string]time.Time)
	}
	s.missing[id] = now.Add(s.cfg.NegativeTTL)
}

// start begins a reading, or returns the one under way, or nil when one began within the
// throttle interval and force is not set.
func (s *source) start(ctx context.Context, now time.Time, force bool) *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running
	}
	if !force && !s.last.IsZero() && now.Sub(s.last) < s.throttle {
		return nil
	}
	r := &reading{done: make(chan struct{})}
	s.running, s.last = r, now
	// The reading is for everyone who waits for it: it does not end with one caller.
	go s.perform(context.WithoutCancel(ctx), r)
	return r
}

// wait waits for r, if there is one, as long as a request may, and says whether it ended
// well.
func (s *source) wait(ctx context.Context, r *reading) bool {
	if r == nil {
		return false
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-r.done:
		return r.err == nil
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// perform reads the keys and puts them in force.
func (s *source) perform(ctx context.Context, r *reading) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	now := s.cfg.Now()
	s.fetches.Add(1)
	set, maxAge, err := s.load(ctx, now)
	withdrawn := false
	if err == nil {
		old := s.keys.Load()
		withdrawn = set.adopt(old)
		if old == nil && set.usable() == 0 {
			err = errNoKeys
		}
	}
	s.mu.Lock()
	s.running, s.lastErr = nil, err
	if err != nil {
		s.failures++
		s.failed.Add(1)
		s.next = now.Add(min(firstRetry<<min(s.failures-1, 10), maxRetry))
	} else {
		s.failures, s.missing = 0, nil
		s.next = now.Add(s.interval(maxAge))
		s.keys.Store(set)
		s.read.Store(now.UnixNano())
	}
	s.mu.Unlock()
	if withdrawn {
		s.cache.sweep(now)
	}
	r.err = err
	close(r.done)
}

// interval is the pause after a reading whose answer may be kept for maxAge: the keys are
// read again before that is over.
func (s *source) interval(maxAge time.Duration) time.Duration {
	if maxAge <= 0 {
		return s.refresh
	}
	return max(min(maxAge*4/5, s.refresh), s.throttle)
}

func (s *source) load(ctx context.Context, now time.Time) (*keySet, time.Duration, error) {
	if s.issuer.JWKSFile != "" {
		return s.loadFile()
	}
	from := s.issuer.JWKSURL
	if from == "" {
		s.mu.Lock()
		from = s.jwksURI
		if s.failures > 0 || now.Sub(s.found) >= rediscover {
			from = ""
		}
		s.mu.Unlock()
		if from == "" {
			var err error
			if from, err = discover(ctx, s.client, s.issuer.Issuer); err != nil {
				return nil, 0, err
			}
			s.mu.Lock()
			s.jwksURI, s.found = from, now
			s.mu.Unlock()
		}
	}
	b, maxAge, err := get(ctx, s.client, from)
	if err != nil {
		return nil, 0, err
	}
	set, err := parseKeySet(b)
	return set, maxAge, err
}

func (s *source) loadFile() (*keySet, time.Duration, error) {
	// The state is taken first: a change while reading is then seen by the next look.
	state, err := statFile(s.issuer.JWKSFile)
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	s.file = state
	s.mu.Unlock()
	b, err := readFile(s.issuer.JWKSFile)
	if err != nil {
		return nil, 0, err
	}
	set, err := parseKeySet(b)
	return set, 0, err
}
