package authz

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/access"
	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/content"
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
	Revoked(id string) bool
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

// plan is what one route needs, worked out ahead of any request.
type plan struct {
	audience string
	content  string
	hashes   bool
	// pseudonymizes: bodies get pseudonyms; reads: responses are looked into.
	pseudonymizes, reads bool
	scope                string            // that the route requires, for challenges
	when                 *access.Condition // or nil
	sender               string            // how a token must be bound to its sender, or ""
	class                [2]class          // by whether the method writes
	places               places            // that name whom a request is for
	remove               []string          // from every request, but for what is set on it
	kept                 []string          // the same for a request whose credentials go on
}

// NewChain compiles p. It resolves the policy's secrets, so that one that is
// missing is found at start and not by a request.
func NewChain(p *policy.Policy, deps Deps) (*Chain, error) {
	c := &Chain{deps: deps, policy: p, plans: make(map[*policy.Route]*plan, len(p.Routes)), contents: make(map[string][]byte)}
	var err error
	if c.cors, err = cors.New(p.CORSPolicy()); err != nil {
		return nil, fmt.Errorf("cors: %w", err)
	}
	if c.security, err = p.EnforcedHeaders(); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if p.PII.Key != "" {
		key, err := p.Resolve(p.PII.Key)
		if err != nil {
			return nil, fmt.Errorf("pii.key: %w", err)
		}
		if len(key) > 0 {
			c.hashKeys = newTenantKeys(key)
		}
	}
	if c.pseudonyms, err = pseudonymsOf(p); err != nil {
		return nil, err
	}
	if cred := p.Upstream.Credential; cred != nil {
		value, err := p.Resolve(cred.Value)
		if err != nil {
			return nil, fmt.Errorf("upstream.credential: %w", err)
		}
		c.credential = &headers.Header{Name: strings.ToLower(cred.Header), Value: cred.Prefix + string(value)}
	}
	if r := p.Identity.Resource; r != nil {
		c.metadata = r.MetadataURL()
	}
	c.hold = p.ConcurrencyHold()
	c.identities = newIdentities(deps.Signer, deps.Now, min(time.Duration(p.Transaction.Reuse), time.Duration(p.Transaction.TTL)/2))
	c.classes = c.classesOf()
	c.senders = sendersOf(p)
	for i := range p.Routes {
		r := &p.Routes[i]
		if c.plans[r], err = c.plan(r); err != nil {
			return nil, fmt.Errorf("route %q: %w", r.Name, err)
		}
	}
	return c, nil
}

func (c *Chain) plan(r *policy.Route) (*plan, error) {
	body, err := c.policy.Content(r)
	if err != nil {
		return nil, err
	}
	wire := body.AppendBinary(nil)
	out := &plan{audience: c.policy.Upstream.Audience, content: content.Digest(wire), hashes: body.Request.Hashes() || body.Response.Hashes(), scope: strings.Join(r.Require.Scopes, " "), sender: r.Require.SenderConstrained, places: placesOf(c.policy, r)}
	c.contents[out.content] = wire
	if out.hashes && c.hashKeys == nil {
		return nil, errors.New("the action hash needs pii.key")
	}
	out.pseudonymizes, out.reads = pseudonymizes(&body, r)
	if out.pseudonymizes && c.pseudonyms == nil {
		return nil, errors.New("the action pseudonymize needs pii.pseudonyms")
	}
	if r.Require.Condition != "" {
		if out.when, err = access.Compile(r.Require.Condition); err != nil {
			return nil, err
		}
	}
	if r.Own {
		out.audience = OwnAudience
	}
	// Envoy removes after it has set, so a name that is set is not removed.
	for _, name := range credentialHeaders {
		if c.credential == nil || r.Own || name != c.credential.Name {
			out.remove = append(out.remove, name)
		}
	}
	if c.policy.Envoy.TrustedHops == 0 {
		out.remove = append(out.remove, forwarding[:]...)
	}
	out.remove = slices.Clip(out.remove)
	if c.policy.Envoy.TrustedHops == 0 {
		out.kept = forwarding[:len(forwarding):len(forwarding)]
	}
	for i, name := range [...]string{"read", "write"} {
		if r.Class != "" {
			name = r.Class
		}
		if r.Limit != nil {
			out.class[i] = c.class(name, ratelimit.Bucket{Key: "route\x00" + r.Name, Rate: ratelimit.Rate(*r.Limit)}, r.Name, r.Weight)
			continue
		}
		rate, ok := c.policy.Limits.Classes[name]
		if !ok {
			return nil, fmt.Errorf("limits.classes has no %q", name)
		}
		out.class[i] = c.class(name, classBucketOf(name, rate), name, r.Weight)
	}
	return out, nil
}

// Content returns the wire form of the content policy with that digest.
func (c *Chain) Content(digest string) ([]byte, bool) {
	wire, ok := c.contents[digest]
	return wire, ok
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
	match, ok := c.policy.Match(r.Method, r.Path)
	if !ok {
		return c.deny(d, r, StageRoute, ReasonNoRoute, problem.NoRoute, nil)
	}
	route, plan := match.Route, c.plans[match.Route]
	d.Route, d.Content, d.wanted = route.Name, plan.content, plan.scope
	d.sender = plan.sender
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

// identify finds out whose request it is. With an error it says at which stage.
func (c *Chain) identify(ctx context.Context, r *Request, d *Decision, plan *plan, told bool, pass func(Step)) (Stage, error) {
	creds, err := identity.Extract(r.Authorization, r.APIKey, r.Session)
	if err != nil {
		return StageCredential, err
	}
	peer := creds == (identity.Credentials{}) && c.deps.Mesh != nil && r.Peer != ""
	if creds == (identity.Credentials{}) && !peer {
		return StageCredential, identity.Unauthenticated(identity.ReasonNoCredentials, nil)
	}
	d.proven = creds.Proven
	if told { // else the text is not made
		pass(Step{StageCredential, Pass, kinds(creds, peer)})
	}

	principal, err := c.verify(ctx, r, creds, plan)
	if err == nil && !peer {
		err = c.beside(r, principal)
	}
	if err != nil {
		return StageVerify, err
	}
	d.Principal = principal
	if told {
		pass(Step{StageVerify, Pass, "subject " + d.Principal.Subject})
	}
	return "", nil
}

// unidentified lets a request go on of which nobody knows whose it is. There is
// no tenant, no scope and no rate to hold it to.
func (c *Chain) unidentified(ctx context.Context, d *Decision, r *Request, plan *plan) *Decision {
	d.Principal = identity.Anonymous()
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

// verify turns the credential, or a session token beside the credential that
// it was issued to, into the principal. A token that is bound to its sender
// counts only with the proof of it.
func (c *Chain) verify(ctx context.Context, r *Request, creds identity.Credentials, plan *plan) (*identity.Principal, error) {
	var base *identity.Principal
	var err error
	switch {
	case creds.Token != "" && c.deps.Tokens != nil:
		base, err = c.deps.Tokens.Verify(ctx, creds.Token)
	case creds.APIKey != "" && c.deps.Keys != nil:
		base, err = c.deps.Keys.Verify(ctx, creds.APIKey)
	case creds.Token != "" || creds.APIKey != "":
		err = notAccepted("this kind of credential")
	case creds.Session == "":
		base, err = c.peer(r)
	}
	if err == nil && base != nil {
		err = c.notRevoked(base)
	}
	if err == nil {
		err = c.prove(ctx, r, creds, base, plan)
	}
	if err != nil || creds.Session == "" {
		return base, err
	}
	if c.deps.Sessions == nil {
		return nil, notAccepted("session tokens")
	}
	held, err := c.deps.Sessions.Verify(ctx, creds.Session)
	if err == nil {
		err = c.notRevoked(held)
	}
	if err == nil {
		err = sameBinding(held, base)
	}
	if err != nil || base == nil {
		return held, err
	}
	return access.Narrow(held, base)
}

// notRevoked says whether p was revoked, or what p was issued to. The verifiers
// remember what they have verified, so it is asked for each request.
func (c *Chain) notRevoked(p *identity.Principal) error {
	if p.Origin.Kind == identity.KindAPIKey && c.deps.Keys != nil && c.deps.Keys.Revoked(p.Origin.ID) {
		return identity.Unauthenticated(identity.ReasonAPIKeyRevoked, nil)
	}
	if c.deps.Revoked == nil {
		return nil
	}
	return c.deps.Revoked.Check(p)
}

func notAccepted(what string) error {
	return identity.Unauthenticated(ReasonNotAccepted, fmt.Errorf("the policy does not accept %s", what))
}

func kinds(c identity.Credentials, peer bool) string {
	var parts []string
	if peer {
		parts = append(parts, string(identity.KindMesh))
	}
	if c.Token != "" {
		parts = append(parts, string(identity.KindJWT))
	}
	if c.APIKey != "" {
		parts = append(parts, string(identity.KindAPIKey))
	}
	if c.Session != "" {
		parts = append(parts, string(identity.KindSession))
	}
	return strings.Join(parts, " + ")
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

// preflight answers a CORS preflight, or sends it on where cross-origin rules are
// not enforced: to the upstream alone, with nothing of the caller's, on the route of
// the request that it asks for.
func (c *Chain) preflight(d *Decision, r *Request, pass func(Step)) *Decision {
	d.Stage, d.Response = StagePreflight, append(d.Response, c.security.Set...)
	var ok bool
	d.Response, ok = c.cors.Preflight(d.Response, r.Origin, r.RequestMethod, r.RequestHeaders, r.PrivateNetwork)
	mode := c.policy.CORS.Mode
	if mode == policy.ModeShadow || mode == policy.ModeOff {
		if match, found := c.policy.Match(r.RequestMethod, r.Path); !found {
			d.Response = nil
			return c.deny(d, r, StageRoute, ReasonNoRoute, problem.NoRoute, nil)
		} else if !match.Route.Own {
			switch {
			case mode == policy.ModeOff:
				pass(Step{StagePreflight, Off, "cors.mode is off"})
			case ok:
				pass(Step{StagePreflight, Pass, "a preflight"})
			default:
				pass(d.wouldDeny(StagePreflight, ReasonOrigin, nil))
			}
			plan := c.plans[match.Route]
			d.Route, d.Content, d.Response, d.asSent = match.Route.Name, plan.content, nil, true
			d.Principal = identity.Anonymous()
			return c.allow(d, r, plan)
		}
	}
	if ok {
		d.Status, d.Reason = 204, ReasonPreflight
		return d
	}
	d.Status, d.Reason, d.Problem = problem.OriginRefused.Status, ReasonOrigin, problem.OriginRefused
	return d
}

// allow completes the decision with the identity that the upstream believes.
func (c *Chain) allow(d *Decision, r *Request, plan *plan) *Decision {
	d.Upstream = append(d.Upstream, headers.Header{Name: HeaderRequestID, Value: r.ID})
	if p := d.Principal; p.Kind != identity.KindAnonymous {
		claims := txntoken.Claims{
			ID: r.ID, Audience: plan.audience, Subject: p.Subject, Tenant: p.Tenant,
			Agent: p.Agent, Kind: string(p.Kind), Principal: p.ID, Scopes: p.Scopes, Bound: p.Bound.String(),
		}
		if plan.audience == OwnAudience { // the sessions API makes of it what a session is revoked with
			claims.PrincipalIssuer, claims.PrincipalIssued = p.Issuer, p.Issued
		}
		signed, err := c.identities.sign(claims)
		if err != nil {
			return c.deny(d, r, StageAllow, ReasonSigning, problem.Unavailable, err)
		}
		d.Upstream = append(d.Upstream,
			headers.Header{Name: HeaderTxnToken, Value: signed},
			headers.Header{Name: HeaderTenant, Value: p.Tenant},
			headers.Header{Name: HeaderSubject, Value: p.Subject})
	}
	if plan.hashes { // callers without a tenant share one key
		d.HashKey = c.hashKeys.of(d.Principal.Tenant)
	}
	var err error
	if d.PseudonymKeys, d.Reveal, err = c.keysOf(d.Principal, plan); err != nil {
		return c.deny(d, r, StageAllow, ReasonSigning, problem.Unavailable, err)
	}
	// Its own key would open the upstream to whom it refuses without.
	unknown := d.asSent && d.Principal.Kind == identity.KindAnonymous
	if c.credential != nil && plan.audience != OwnAudience && !unknown {
		d.Upstream = append(d.Upstream, *c.credential)
	}
	d.Remove = plan.remove
	if d.asSent {
		d.Remove = plan.kept
	}
	for _, name := range d.Spoofed {
		d.Remove = appendUnset(d.Remove, name, d.Upstream)
	}
	d.Allowed, d.Stage, d.Reason = true, StageAllow, ReasonAllowed
	return d
}

func appendUnset(dst []string, name string, set []headers.Header) []string {
	for i := range set {
		if set[i].Name == name {
			return dst
		}
	}
	return append(dst, name)
}

// TenantKey derives the key of a tenant's hashes from the policy's key, so that
// equal values of two tenants do not get equal hashes.
func TenantKey(master []byte, tenant string) []byte {
	mac := hmac.New(sha256.New, master)
	mac.Write([]byte("memgate pii hash v1\x00"))
	mac.Write([]byte(tenant))
	return mac.Sum(nil)
}

// refuse denies for the error of a concern, with the problem that fits its
// class and reason.
func (c *Chain) refuse(d *Decision, r *Request, stage Stage, err error) *Decision {
	p := problem.Unavailable
	reason := identity.ReasonOf(err)
	switch identity.ClassOf(err) {
	case identity.ClassUnauthenticated:
		p = problem.InvalidCredentials
		if reason == identity.ReasonNoCredentials {
			p = problem.Unauthenticated
		}
	case identity.ClassMalformed:
		p = problem.MalformedCredentials
		if reason == identity.ReasonAmbiguousCredentials || reason == identity.ReasonRepeatedCredential {
			p = problem.AmbiguousCredentials
		}
	case identity.ClassForbidden:
		switch reason {
		case identity.ReasonTenantMismatch:
			p = problem.TenantMismatch
		case identity.ReasonAgentMismatch:
			p = problem.AgentMismatch
		default:
			p = problem.Forbidden
		}
	case identity.ClassUnavailable:
		if reason == identity.ReasonKeysUnavailable {
			p = problem.KeysUnavailable
		}
	}
	return c.deny(d, r, stage, reason, p, errors.Unwrap(err))
}

// deny completes d as a refusal: the problem, with the security and CORS
// headers that the Wasm filter puts on every other response.
func (c *Chain) deny(d *Decision, r *Request, stage Stage, reason identity.Reason, p problem.Problem, err error) *Decision {
	c.leave(d)
	d.Allowed, d.Stage, d.Reason, d.Err = false, stage, reason, err
	d.Upstream, d.Remove, d.Content, d.HashKey, d.Agent, d.PseudonymKeys, d.Reveal = nil, nil, "", "", "", "", false
	d.Status, d.Problem = p.Status, p
	d.Response = append(d.Response, c.security.Set...)
	if mode := c.policy.CORS.Mode; mode != policy.ModeShadow && mode != policy.ModeOff {
		d.Response = c.cors.Response(d.Response, r.Origin)
	}
	if value := c.challenge(d); value != "" {
		d.Response = append(d.Response, headers.Header{Name: "www-authenticate", Value: value})
	}
	return d
}

// realm names the protected space in a challenge (RFC 9110, section 11.5).
const realm = "memgate"

// challenge is the WWW-Authenticate of a 401 and of a 403 for want of a scope
// (RFC 6750, section 3.1), with the way to
// the issuers (RFC 9728, section 5.1), or "".
func (c *Chain) challenge(d *Decision) string {
	code, scope := "", ""
	switch d.Problem {
	case problem.Unauthenticated:
		code = problem.NoCredential
	case problem.InvalidCredentials:
		code = problem.InvalidToken
	case problem.Forbidden:
		if d.Reason != identity.ReasonInsufficientScope {
			return "" // another scope would not help
		}
		code, scope = problem.InsufficientScope, d.wanted
	default:
		return ""
	}
	return c.senders.challenge(d, code, scope, c.metadata)
}
