package authz

import (
	"context"
	"fmt"
	"strings"

	"github.com/memgate/memgate/filter/access"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
)

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
		err = c.beside(ctx, r, principal)
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
		err = c.notRevoked(ctx, base)
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
		err = c.notRevoked(ctx, held)
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
func (c *Chain) notRevoked(ctx context.Context, p *identity.Principal) error {
	if p.Origin.Kind == identity.KindAPIKey && c.deps.Keys != nil && c.deps.Keys.Revoked(ctx, p.Origin.ID) {
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
