package access

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mention"
)

func principal(agent string, scopes ...string) *identity.Principal {
	return &identity.Principal{Tenant: "acme", Subject: "svc", Agent: agent, Scopes: identity.NormalizeScopes(scopes)}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		p      *identity.Principal
		scopes []string
		agents []string        // that the request names
		reason identity.Reason // "" when allowed
	}{
		"nothing is required":         {principal(""), nil, nil, ""},
		"all scopes are held":         {principal("", "b", "a", "c"), []string{"a", "c"}, nil, ""},
		"one scope is missing":        {principal("", "a"), []string{"a", "b"}, nil, identity.ReasonInsufficientScope},
		"no scopes at all":            {principal(""), []string{"a"}, nil, identity.ReasonInsufficientScope},
		"a prefix is not the scope":   {principal("", "memory:read"), []string{"memory:read:all"}, nil, identity.ReasonInsufficientScope},
		"the session's agent":         {principal("x", "a"), []string{"a"}, []string{"x"}, ""},
		"another agent":               {principal("x", "a"), []string{"a"}, []string{"y"}, identity.ReasonAgentMismatch},
		"case counts":                 {principal("x", "a"), []string{"a"}, []string{"X"}, identity.ReasonAgentMismatch},
		"a path without agent":        {principal("x", "a"), []string{"a"}, nil, ""},
		"a principal of all agents":   {principal("", "a"), []string{"a"}, []string{"y"}, ""},
		"the session's agent twice":   {principal("x", "a"), nil, []string{"x", "x"}, ""},
		"and another":                 {principal("x", "a"), nil, []string{"x", "y"}, identity.ReasonAgentMismatch},
		"another and the session's":   {principal("x", "a"), nil, []string{"y", "x"}, identity.ReasonAgentMismatch},
		"an empty agent":              {principal("x", "a"), nil, []string{""}, identity.ReasonAgentMismatch},
		"two agents":                  {principal("", "a"), nil, []string{"x", "y"}, identity.ReasonAgentMismatch},
		"an agent and an empty one":   {principal("", "a"), nil, []string{"x", ""}, identity.ReasonAgentMismatch},
		"one agent twice":             {principal("", "a"), nil, []string{"x", "x"}, ""},
		"an empty one for all agents": {principal("", "a"), nil, []string{""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var agents mention.Found
			for _, agent := range c.agents {
				agents.Add(agent)
			}
			err := Check(c.p, c.scopes, &agents)
			if c.reason == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if got := identity.ReasonOf(err); err == nil || got != c.reason || !identity.IsForbidden(err) {
				t.Fatalf("got %v (%s), want a 403 for %s", err, got, c.reason)
			}
		})
	}
}

func TestNarrow(t *testing.T) {
	soon, later := time.Unix(1000, 0), time.Unix(2000, 0)
	session := principal("x", "a", "b")
	session.Kind, session.Expires = identity.KindSession, later
	credential := principal("", "b", "c")
	credential.Kind, credential.Expires = identity.KindJWT, soon

	got, err := Narrow(session, credential)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Scopes, []string{"b"}) || got.Agent != "x" || got.Kind != identity.KindSession || !got.Expires.Equal(soon) {
		t.Fatalf("got %+v", got)
	}
	if !slices.Equal(session.Scopes, []string{"a", "b"}) || !session.Expires.Equal(later) {
		t.Fatal("the session's own principal, which other requests share, was changed")
	}

	for name, change := range map[string]func(p *identity.Principal){
		"another tenant":  func(p *identity.Principal) { p.Tenant = "other" },
		"another subject": func(p *identity.Principal) { p.Subject = "other" },
	} {
		other := *credential
		change(&other)
		_, err := Narrow(session, &other)
		var typed *identity.Error
		if !errors.As(err, &typed) || typed.Reason != identity.ReasonSessionMismatch {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
