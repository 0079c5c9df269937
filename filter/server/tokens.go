package server

import (
	"context"
	"time"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/tenant"
	"github.com/memgate/memgate/filter/token"
)

// Tokens makes the verifier of the policy's issuers. It is nil without any.
func Tokens(p *policy.Policy, now func() time.Time) (*token.Verifier, error) {
	return tokens(p, now, nil)
}

func tokens(p *policy.Policy, now func() time.Time, traces *tracing) (*token.Verifier, error) {
	if len(p.Identity.Issuers) == 0 {
		return nil, nil
	}
	config := token.Config{Now: now, Wrap: traces.fetcher()}
	for i := range p.Identity.Issuers {
		issuer := &p.Identity.Issuers[i]
		file := issuer.JWKSFile
		if file != "" {
			file = p.Path(file)
		}
		config.Issuers = append(config.Issuers, token.IssuerConfig{
			Issuer: issuer.Issuer, JWKSURL: issuer.JWKSURI, JWKSFile: file,
			Audiences: issuer.Audiences, Algorithms: issuer.Algorithms,
			Leeway: time.Duration(issuer.Leeway), Refresh: time.Duration(issuer.Refresh), RequireTyp: issuer.Typ,
			RoleClaim: issuer.RoleClaim(), Roles: p.Access.Roles,
			Tenant: tenant.Rule(issuer.Tenant), ScopeClaim: issuer.Scopes.Claim, SubjectClaim: issuer.Subject.Claim,
		})
	}
	return token.New(config)
}

// proofs makes the verifier of DPoP proofs, or nil without issuers. The memory of
// proofs outlives a reload that does not change its size. It is shared where the
// limits are.
func proofs(p *policy.Policy, old *build, limiter ratelimit.Limiter, now func() time.Time) (*token.ProofVerifier, *token.MemoryReplay, error) {
	if len(p.Identity.Issuers) == 0 {
		return nil, nil, nil
	}
	config := &p.Identity.DPoP
	var replay *token.MemoryReplay
	if old != nil && old.policy.Identity.DPoP.MaxProofs == config.MaxProofs {
		replay = old.replay
	}
	if replay == nil {
		replay = token.NewMemoryReplay(config.MaxProofs, now)
	}
	var all token.Replay = replay
	if shared, ok := limiter.(*ratelimit.Shared); ok {
		all = &sharedReplay{own: replay, shared: shared}
	}
	v, err := token.NewProofVerifier(token.ProofConfig{
		Algorithms: config.Algorithms, MaxAge: time.Duration(config.MaxAge), Replay: all, Now: now,
	})
	return v, replay, err
}

// sharedReplay remembers proofs in this process and, for all instances, in Redis.
// Without Redis this process decides alone, as it does about limits.
type sharedReplay struct {
	own, shared token.Replay
}

// First implements [token.Replay].
func (r *sharedReplay) First(ctx context.Context, id [32]byte, ttl time.Duration) (bool, error) {
	first, err := r.own.First(ctx, id, ttl)
	if err != nil || !first {
		return false, err
	}
	first, err = r.shared.First(ctx, id, ttl)
	if err != nil {
		return true, ctx.Err() // the caller's time may be over; else it is Redis that fails
	}
	return first, nil
}
