package access

import (
	"context"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/identity"
)

func TestCondition(t *testing.T) {
	p := &identity.Principal{
		Kind: identity.KindJWT, Subject: "svc", Tenant: "acme", Issuer: "https://idp.example.com",
		Scopes: []string{"memory:read", "memory:write"},
	}
	f := Facts{Method: "POST", Route: "remember", Params: map[string]string{"agent_id": "acme-helper"}}
	for text, reason := range map[string]identity.Reason{
		`true`:                               "",
		`false`:                              identity.ReasonCondition,
		`principal.tenant == "acme"`:         "",
		`principal.tenant == "Acme"`:         identity.ReasonCondition,
		`"memory:write" in principal.scopes`: "",
		`"memory:admin" in principal.scopes`: identity.ReasonCondition,
		`principal.kind == "jwt" && request.method == "POST" && route.name == "remember"`: "",
		`request.params.agent_id.startsWith(principal.tenant + "-")`:                      "",
		`request.params["agent_id"] == "other"`:                                           identity.ReasonCondition,
		// What cannot be decided is refused.
		`request.params.nothing == "x"`:                                identity.ReasonConditionFailed,
		`request.params.nothing != "x"`:                                identity.ReasonConditionFailed,
		`has(request.params.nothing) && request.params.nothing == "x"`: identity.ReasonCondition,
		`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, a+b+c+d > 0))))`: identity.ReasonConditionFailed,
	} {
		c, err := Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err = c.Holds(context.Background(), p, f)
		if reason == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !identity.IsForbidden(err) || identity.ReasonOf(err) != reason {
			t.Errorf("%s: got %v, want a 403 for %s", text, err, reason)
		}
	}
}

// A mistake is found when the policy is loaded and not by the first request.
func TestCompileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       "",
		`principal.tennant == "acme"`:            "tennant",
		`principal.tenant == 1`:                  "no matching overload",
		`principal.scopes == "a"`:                "no matching overload",
		`request.headers["x"] == "y"`:            "headers",
		`principal.tenant`:                       "true or false",
		`tenant == "acme"`:                       "undeclared reference",
		`principal.tenant == "acme`:              "",
		strings.Repeat("true && ", 600) + "true": "at most",
	} {
		if _, err := Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`principal.tenant == "acme"`, `"a" in principal.scopes`, `request.params.all(k, k != "")`, `!`, `((((`} {
		f.Add(seed)
	}
	p := &identity.Principal{Tenant: "acme", Scopes: []string{"a"}}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Compile(text)
		if err != nil {
			return
		}
		if err := c.Holds(context.Background(), p, Facts{}); err != nil && !identity.IsForbidden(err) {
			t.Fatalf("%q: %v is no 403", text, err)
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	c, err := Compile(`principal.tenant == "acme" && request.params.agent_id.startsWith("a")`)
	if err != nil {
		b.Fatal(err)
	}
	p := &identity.Principal{Tenant: "acme", Scopes: []string{"a"}}
	f := Facts{Params: map[string]string{"agent_id": "abc"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Holds(context.Background(), p, f); err != nil {
			b.Fatal(err)
		}
	}
}
