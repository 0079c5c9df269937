package token

import (
	"context"
	"errors"
	"sync"
	"time"
)

var (
	errStale       = errors.New("the keys are too old")
	errBothSources = errors.New("either a JWKS URL or a JWKS file, not both")
)

// Run reads the keys of all issuers, and again whenever they are due or their file has
// changed, until ctx ends. It returns the error of ctx.
func (v *Verifier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, i := range v.order {
		wg.Go(func() { i.keys.run(ctx) })
	}
	wg.Go(func() { v.runSweeps(ctx) })
	wg.Wait()
	return ctx.Err()
}

// runSweeps frees the memory of expired tokens, which no look-up meets again.
func (v *Verifier) runSweeps(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			v.cache.sweep(v.now())
		}
	}
}

func (s *source) run(ctx context.Context) {
	for {
		pause := s.tick(ctx, s.cfg.Now())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// tick reads the keys if they are due at now, and says when to look again.
func (s *source) tick(ctx context.Context, now time.Time) time.Duration {
	due := s.due(now)
	if due {
		r := s.start(ctx, now, true)
		select {
		case <-r.done:
		case <-ctx.Done():
			return time.Second
		}
	}
	s.mu.Lock()
	pause := s.next.Sub(s.cfg.Now())
	s.mu.Unlock()
	if s.issuer.JWKSFile != "" {
		pause = min(pause, filePoll)
	}
	return max(pause, 10*time.Millisecond)
}

func (s *source) due(now time.Time) bool {
	s.mu.Lock()
	due, file := s.last.IsZero() || !now.Before(s.next), s.file
	s.mu.Unlock()
	if due || s.issuer.JWKSFile == "" {
		return due
	}
	state, err := statFile(s.issuer.JWKSFile)
	return err == nil && state != file
}

// Refresh reads the keys of all issuers now, as after a change of the configuration, and
// returns what went wrong. Keys that cannot be read stay as they are.
func (v *Verifier) Refresh(ctx context.Context) error {
	now := v.now()
	readings := make([]*reading, len(v.order))
	for n, i := range v.order {
		readings[n] = i.keys.start(ctx, now, true)
	}
	var errs []error
	for _, r := range readings {
		select {
		case <-r.done:
			errs = append(errs, r.err)
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(errs...)
}

// Ready says whether the keys of every issuer were read at least once.
func (v *Verifier) Ready() bool {
	for _, i := range v.order {
		if i.keys.keys.Load() == nil {
			return false
		}
	}
	return true
}

// Stats tells how a Verifier does.
type Stats struct {
	Issuers []IssuerStats
	// CacheHits and CacheMisses count look-ups of verified tokens, CacheEvictions those
	// dropped for want of room; CacheEntries is how many are kept now.
	CacheHits, CacheMisses, CacheEvictions uint64
	CacheEntries                           int
}

// IssuerStats tells how the keys of one issuer do.
type IssuerStats struct {
	Issuer string
	// Keys is the number of keys in force that can be used.
	Keys int
	// LastSuccess is when they were read, zero for never.
	LastSuccess time.Time
	// LastError is how the latest reading failed; nil if it did not.
	LastError error
	// Reads and Failures count readings; Searches counts tokens that named an unknown key.
	Reads, Failures, Searches uint64
}

// Stats returns the present state and the counts since the start.
func (v *Verifier) Stats() Stats {
	st := Stats{
		CacheHits: v.cache.hits.Load(), CacheMisses: v.cache.misses.Load(),
		CacheEvictions: v.cache.evicted.Load(), CacheEntries: v.cache.len(),
	}
	for _, i := range v.order {
		s := i.keys
		is := IssuerStats{
			Issuer: i.cfg.Issuer, LastError: s.latestError(),
			Reads: s.fetches.Load(), Failures: s.failed.Load(), Searches: s.searched.Load(),
		}
		if set := s.keys.Load(); set != nil {
			is.Keys = set.usable()
			is.LastSuccess = time.Unix(0, s.read.Load()).UTC()
		}
		st.Issuers = append(st.Issuers, is)
	}
	return st
}
