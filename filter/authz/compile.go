package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/access"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
)

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
	remove               []string          // credentials, from every request
	withheld             headerSet         // from requests that have them
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
	out.remove = slices.Clip(out.remove)
	if c.policy.Envoy.TrustedHops == 0 {
		out.withheld = forwarding
	}
	if body.Modes.PII == content.Enforce && body.Response.Inspects() {
		out.withheld |= conditional
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
