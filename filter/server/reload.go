package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/memgate/memgate/filter/policy"
)

// keysWithin is how long a changed policy waits for the keys of its issuers
// before it is put in force without them.
const keysWithin = 5 * time.Second

// keyFilePoll is how often the file of API keys is looked at for changes.
const keyFilePoll = 500 * time.Millisecond

// apply puts p in force: all of it, or none when a part of it cannot be had.
func (s *Server) apply(ctx context.Context, p *policy.Policy) error {
	old := s.current.Load()
	signer, err := signerOf(p, s.options.Now, s.options.Random)
	if err != nil {
		return fmt.Errorf("transaction.key: %w", err)
	}
	limits, err := s.limiter(ctx, p, old)
	if err != nil {
		return err
	}
	state, err := s.keepState(ctx, p, old)
	if err != nil {
		limits.dropUnless(old)
		return err
	}
	b, err := assemble(p, old, limits.limiter, state, signer, s.traces, s.options.Now, s.options.Random, s.keyRedisChanged)
	if err != nil {
		limits.dropUnless(old)
		state.dropUnless(old)
		return err
	}
	b.limits = limits
	if b.audit, err = s.auditLog(p, old); err != nil {
		limits.dropUnless(old)
		state.dropUnless(old)
		b.shared.dropUnless(old)
		return fmt.Errorf("audit: %w", err)
	}
	if v := b.deps.Tokens; v != nil && (old == nil || v != old.deps.Tokens) {
		running, stop := context.WithCancel(ctx)
		b.stop = stop
		go func() { _ = v.Run(running) }()
		if old != nil {
			// Requests are served by the old policy until the new issuers'
			// keys are here; an issuer that is down does not hold it up.
			await(ctx, keysWithin, v.Ready)
		}
	} else if old != nil {
		b.stop = old.stop
	}
	b.follow()
	s.current.Store(b)
	s.service.Use(b.chain)
	if old != nil {
		old.limits.dropUnless(b)
		old.kept.dropUnless(b)
		s.stashUsed(old)
		old.shared.dropUnless(b)
		if old.deps.Tokens != b.deps.Tokens {
			old.stop()
		}
		if old.audit != b.audit {
			if err := old.audit.Close(); err != nil {
				s.log.Error("audit log not closed", "error", err)
			}
		}
		if !reflect.DeepEqual(old.policy.Server, p.Server) {
			s.log.Warn("server.grpc, server.http and server.tls take effect at the next start")
		}
		if !reflect.DeepEqual(old.policy.Tracing, p.Tracing) {
			s.log.Warn("tracing takes effect at the next start")
		}
	}
	return nil
}

// await returns when done says so, or after limit, or when ctx ends.
func await(ctx context.Context, limit time.Duration, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// followPolicy puts each new content of the policy file in force. A broken one
// changes nothing but a metric and the log.
func (s *Server) followPolicy(ctx context.Context) {
	reload := make(chan struct{})
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.options.Reload:
				if err := s.current.Load().audit.Reopen(); err != nil {
					s.log.Error("audit log not reopened", "error", err)
				}
				select {
				case reload <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	err := policy.Watch(ctx, s.options.Config, s.current.Load().policy, reload, func(p *policy.Policy, warnings []policy.Finding, err error) {
		if errors.Is(err, policy.ErrUnchanged) {
			// What the policy refers to may still have changed, such as
			// the upstream's key.
			p, err = s.current.Load().policy, nil
		}
		for _, w := range warnings {
			s.log.Warn("policy", "finding", w.String())
		}
		if err == nil {
			err = s.apply(ctx, p)
		}
		s.metrics.reloaded(err, s.options.Now())
		if err != nil {
			s.log.Error("the policy was refused, the old one stays in force", "error", err)
			return
		}
		s.log.Info("policy in force", "digest", p.Digest())
	})
	if err != nil {
		s.log.Error("the policy is not followed, only SIGHUP and a restart take effect", "error", err)
	}
}

// followKeys reads the file of API keys again when it has changed.
func (s *Server) followKeys(ctx context.Context) {
	tick := time.NewTicker(keyFilePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b := s.current.Load()
		if b.file == nil {
			continue
		}
		latest := stampOf(b.keysPath)
		if latest.same(b.keysStamp) {
			continue
		}
		b.keysStamp = latest
		if err := b.file.Reload(); err != nil {
			s.log.Error("the API keys cannot be read, the old ones stay in force", "error", err)
			continue
		}
		s.countKeys(ctx, false)
		s.log.Info("API keys read again", "keys", b.file.Len())
	}
}
