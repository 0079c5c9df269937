// Package access decides what a verified principal may do: whether it holds the
// scopes that a route requires, whether the session it came with is for the
// agent that the request names, and what is left of both when a session token
// stands beside the credential that it was issued to.
//
// It is pure. Refusals are [identity.Error] values of class forbidden, or
// unauthenticated where the credentials do not belong together.
package access

import (
	"fmt"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mention"
)

// Check says whether p may use a route that requires all of the scopes, on the
// agents that the request names. Those must be one, and that of the session if p
// came with one.
func Check(p *identity.Principal, scopes []string, agents *mention.Found) error {
	for _, scope := range scopes {
		if !p.HasScope(scope) {
			return identity.Forbidden(identity.ReasonInsufficientScope, fmt.Errorf("the scope %q is missing", scope))
		}
	}
	want := p.Agent
	if want == "" {
		want = agents.First()
	}
	if !agents.Is(want) {
		return identity.Forbidden(identity.ReasonAgentMismatch, nil)
	}
	return nil
}

// Narrow returns the principal of a request with a session token beside the
// credential that it was issued to: that of the session, with no scope that
// the credential no longer has and no longer valid than either. A session of
// another tenant or subject is refused.
func Narrow(session, credential *identity.Principal) (*identity.Principal, error) {
	if session.Tenant != credential.Tenant || session.Subject != credential.Subject {
		return nil, identity.Unauthenticated(identity.ReasonSessionMismatch, nil)
	}
	out := *session
	out.Scopes = make([]string, 0, len(session.Scopes))
	for _, scope := range session.Scopes {
		if credential.HasScope(scope) {
			out.Scopes = append(out.Scopes, scope)
		}
	}
	if !credential.Expires.IsZero() && (out.Expires.IsZero() || credential.Expires.Before(out.Expires)) {
		out.Expires = credential.Expires
	}
	return &out, nil
}
