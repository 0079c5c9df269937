package authz

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/access"
	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mention"
	"github.com/memgate/memgate/filter/mesh"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/token"
	"github.com/memgate/memgate/filter/txntoken"
)

// OwnAudience is the audience of the Txn-Token on routes that memgate serves
// itself, so that a token for one upstream is of no use at the other.
const OwnAudience = "memgate"

// Deps are the parts of a chain that outlive one policy. Tokens, Keys and
// Sessions are nil when the policy does not name that kind of credential.
type Deps struct {
	Tokens   *token.Verifier
	Keys     APIKeys
	Sessions *session.Store
	Revoked  Revoked // nil when nothing is revoked before its time
	Limiter  ratelimit.Limiter
	Signer   *txntoken.Signer
	Mesh     *mesh.Verifier       // of peers; nil when the policy names none
	Now      func() time.Time     // of the window in which a Txn-Token is used again
	Proofs   *token.ProofVerifier // of tokens that are bound to a key; nil without issuers
	Nonces   *token.Nonces        // that proofs must have where an issuer says so; nil for none
	Name     string               // that no other chain of any process has, for places
}

// Revoked says whether a principal that was verified was revoked before its
// time, with the reason as an *identity.Error; revocation.List is one.
type Revoked interface {
	Check(p *identity.Principal) error
}

// APIKeys verifies API keys: an [apikey.Store] or an [apikey.Shared].
type APIKeys interface {
	Verify(ctx context.Context, key string) (*identity.Principal, error)
	Revoked(ctx context.Context, id string) bool
}

var (
	_ APIKeys = (*apikey.Store)(nil)
	_ APIKeys = (*apikey.Shared)(nil)
)

// Chain is one policy, compiled: what it needs for a decision is computed when
// it is built. It is immutable and safe for concurrent use.
type Chain struct {
	deps       Deps
	policy     *policy.Policy
	cors       *cors.Matcher
	security   headers.Policy
	plans      map[*policy.Route]*plan
	contents   map[string][]byte
	hashKeys   *tenantKeys // nil without pii.key
	identities *identities
	pseudonyms *pseudonyms // nil without any
	credential *headers.Header
	classes    map[string]class // of the policy, for the rate-limit service
	senders    senders
	hold       time.Duration // of a place among the requests under way
	places     atomic.Uint64 // that were taken, for their names
	metadata   string        // URL of the protected resource's metadata, or ""
}

// Decide runs the stages of a request in their order. It never returns nil,
// and what it does not explicitly allow it denies.
func (c *Chain) Decide(ctx context.Context, r *Request) *Decision {
	return c.decide(ctx, r, nil)
}

// Explain decides as [Chain.Decide] does and tells what each stage found.
func (c *Chain) Explain(ctx context.Context, r *Request) (*Decision, []Step) {
	var steps []Step
	d := c.decide(ctx, r, func(s Step) { steps = append(steps, s) })
	if !d.Allowed {
		last := Step{d.Stage, Deny, noteOf(d.Reason, d.Err)}
		if d.Status == 204 {
			last.Verdict = Pass
		}
		steps = append(steps, last)
	}
	return d, steps
}

// decide is the whole life of a request in the authz service, stage by stage.
// pass is told of each stage that lets the request go on, if it is not nil.
func (c *Chain) decide(ctx context.Context, r *Request, pass func(Step)) *Decision {
	d := &Decision{Spoofed: r.Reserved}
	d.Upstream, d.Response = d.upstreamRoom[:0], d.responseRoom[:0]
	told := pass != nil
	if !told {
		pass = func(Step) {}
	}

	if r.Unaudited != nil && c.policy.Audit.Mode == policy.ModeShadow {
		pass(d.wouldDeny(StageAudit, ReasonAudit, r.Unaudited))
	} else if r.Unaudited != nil {
		return c.deny(d, r, StageAudit, ReasonAudit, problem.Unavailable, r.Unaudited)
	}
	if c.cors.IsPreflight(r.Method, r.Origin, r.RequestMethod) {
		return c.preflight(d, r, pass)
	}
	pass(Step{StagePreflight, Pass, "not a preflight"})

	if strings.ContainsAny(r.Host, ", \t/\\@?#") {
		// RFC 9112, section 3.2: one Host and nothing but that.
		return c.deny(d, r, StageRoute, ReasonHost, problem.MalformedRequest, nil)
	}
	if r.Upgrade {
		return c.deny(d, r, StageRoute, ReasonUpgrade, problem.UpgradeRefused, nil)
	}
	match, ok := c.policy.Match(r.Method, r.Path)
	if !ok {
		return c.deny(d, r, StageRoute, ReasonNoRoute, problem.NoRoute, nil)
	}
	route, plan := match.Route, c.plans[match.Route]
	d.Route, d.Content, d.wanted = route.Name, plan.content, plan.scope
	d.sender = plan.sender
	if r.Early && writes(r.Method) == 1 {
		// RFC 8470, section 5.2: the proxy sends it again when the handshake is complete.
		return c.deny(d, r, StageRoute, ReasonEarly, problem.TooEarly, nil)
	}
	pass(Step{StageRoute, Pass, route.Name})

	if route.Anonymous {
		d.Principal = identity.Anonymous()
		pass(Step{StageCredential, Pass, "the route is anonymous"})
		return c.allow(d, r, plan)
	}

	// memgate's own routes have nobody behind them who would decide.
	mode := c.policy.Identity.Mode
	if route.Own {
		mode = policy.ModeEnforce
	}
	d.asSent = mode == policy.ModeShadow || mode == policy.ModeOff
	if mode == policy.ModeOff {
		pass(Step{StageCredential, Off, "identity.mode is off"})
		return c.unidentified(ctx, d, r, plan)
	}
	if stage, err := c.identify(ctx, r, d, plan, told, pass); err != nil && mode == policy.ModeShadow {
		pass(d.wouldDeny(stage, identity.ReasonOf(err), errors.Unwrap(err)))
		return c.unidentified(ctx, d, r, plan)
	} else if err != nil {
		return c.refuse(d, r, stage, err)
	}

	tenants, agents, err := plan.places.find(r, &match)
	shadowTenant := c.policy.Tenant.Mode == policy.ModeShadow
	switch {
	case c.policy.Tenant.Mode == policy.ModeOff:
		pass(Step{StageTenant, Off, "tenant.mode is off"})
	case err != nil && shadowTenant:
		pass(d.wouldDeny(StageTenant, ReasonQuery, err))
	case err != nil:
		return c.deny(d, r, StageTenant, ReasonQuery, problem.MalformedRequest, err)
	default:
		if err := sameTenant(d.Principal, &tenants); err != nil && shadowTenant {
			pass(d.wouldDeny(StageTenant, identity.ReasonOf(err), errors.Unwrap(err)))
		} else if err != nil {
			return c.refuse(d, r, StageTenant, err)
		} else {
			pass(Step{StageTenant, Pass, d.Principal.Tenant})
		}
	}

	if c.policy.Access.Mode == policy.ModeOff {
		pass(Step{StageAccess, Off, "access.mode is off"})
	} else if err := mayUse(ctx, r, d.Principal, match, plan, &agents); err == nil {
		pass(Step{StageAccess, Pass, plan.scope})
	} else if c.policy.Access.Mode == policy.ModeShadow {
		pass(d.wouldDeny(StageAccess, identity.ReasonOf(err), errors.Unwrap(err)))
	} else {
		return c.refuse(d, r, StageAccess, err)
	}

	if plan.places.body {
		d.Agent = agentOf(d.Principal, &agents)
	}
	agent, _ := match.Param("agent_id")
	class := &plan.class[writes(r.Method)]
	if c.policy.Limits.Mode == policy.ModeOff {
		pass(Step{StageQuota, Off, "limits.mode is off"})
	} else if step, denied := c.withinRate(ctx, r, d, class, partiesOf(class, d.Principal, agent, r.Address)); denied != nil {
		return denied
	} else {
		pass(step)
	}

	// The caller may have gone, or Envoy may have given up: an answer that
	// comes too late must not count as a permission.
	if err := ctx.Err(); err != nil {
		return c.deny(d, r, StageAllow, ReasonCancelled, problem.Unavailable, err)
	}
	return c.allow(d, r, plan)
}

// mayUse says why p may not use the route, or nil.
func mayUse(ctx context.Context, r *Request, p *identity.Principal, match policy.RouteMatch, plan *plan, agents *mention.Found) error {
	if err := access.Check(p, match.Route.Require.Scopes, agents); err != nil || plan.when == nil {
		return err
	}
	return plan.when.Holds(ctx, p, access.Facts{Method: r.Method, Params: match.Params(), Route: match.Route.Name})
}

// withinRate counts a request. It returns the decision that refuses it, or the
// step by which it goes on. In shadow the caller is told of no rate, as none
// is held against it.
func (c *Chain) withinRate(ctx context.Context, r *Request, d *Decision, class *class, p *parties) (Step, *Decision) {
	shadow := c.policy.Limits.Mode == policy.ModeShadow
	quota, err := c.count(ctx, class, p, class.cost, c.placeID(class))
	d.tenant, d.lease = p.tenant, quota.place
	switch {
	case err != nil && shadow:
		return d.wouldDeny(StageQuota, ReasonLimiter, err), nil
	case err != nil:
		return Step{}, c.deny(d, r, StageQuota, ReasonLimiter, problem.Unavailable, err)
	}
	if !shadow && len(quota.decisions) > 0 {
		d.Response = quota.headers(d.Response)
	}
	if quota.full {
		if shadow {
			return d.wouldDeny(StageQuota, ReasonConcurrency, nil), nil
		}
		if ratelimit.Allowed(quota.decisions) || len(quota.decisions) == 0 {
			d.Response = append(d.Response, headers.Header{Name: "retry-after", Value: "1"})
		}
		return Step{}, c.deny(d, r, StageQuota, ReasonConcurrency, problem.TooManyAtOnce, nil)
	}
	switch {
	case quota.allowed():
		return Step{StageQuota, Pass, class.name}, nil
	case shadow:
		return d.wouldDeny(StageQuota, ReasonQuota, nil), nil
	}
	return Step{}, c.deny(d, r, StageQuota, ReasonQuota, problem.RateLimited, nil)
}

// writes is the index of the class for a method: RFC 9110 section 9.2.1 calls
// GET, HEAD and OPTIONS safe.
func writes(method string) int {
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return 0
	}
	return 1
}
