package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/txntoken"
)

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
			Agent: p.Agent, Kind: string(p.Kind), Principal: p.ID, Scopes: p.Scopes, Bound: p.Bound.String(), Trust: c.policy.Trust(p),
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
	if !d.asSent {
		d.Remove = append(d.removeRoom[:0], plan.remove...)
	}
	d.Remove = (plan.withheld & r.sent).appendTo(d.Remove)
	for _, name := range d.Spoofed {
		d.Remove = appendUnset(d.Remove, name, d.Upstream)
	}
	d.Allowed, d.Stage, d.Reason = true, StageAllow, ReasonAllowed
	c.tellNonce(d)
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
	c.tellNonce(d)
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
