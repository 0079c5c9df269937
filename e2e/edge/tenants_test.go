package edge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

// The policy says of which tenant a token is: by a claim that it translates, by
// several claims, or for all tokens of the issuer. What a token calls its
// organisation opens no tenant of that name.
func TestTenantMapping(t *testing.T) {
	const plain = "tenant: { claim: org_id }"
	const scopes = "memory:read memory:write"
	s := harness.StartStack(t, nil)
	yaml := s.Policy()
	mint := func(org, subject string) string {
		return s.TokenFor(dev.Claims{Tenant: org, Subject: subject, Scope: scopes, TTL: time.Hour})
	}
	known, also, acme, dashed := mint("org-123", "eu"), mint("org-321", "eu"), mint("acme", "eu"), mint("acme-eu", "west")
	// An agent in each tenant that a token could come to be of.
	tenants := []string{"acme", "org-123", "acme-eu", "acme-eu-west", "only"}
	for _, tenant := range tenants {
		if r := s.JSON(t, "POST", "/api/v2/agents", mint(tenant, "setup"), `{"agent_id":"agent-of-`+tenant+`"}`); r.Status != 201 {
			t.Fatalf("an agent of %s: %d %s", tenant, r.Status, r.Body)
		}
	}

	// is wants the token to see the agents of one tenant, and none other; of "" that
	// it is refused.
	is := func(token, tenant string) error {
		r := s.JSON(t, "GET", "/api/v2/agents", token, "")
		if tenant == "" {
			if r.Status != 401 || !strings.Contains(r.Body, "invalid-credentials") || strings.Contains(r.Body, "unmapped") {
				return fmt.Errorf("%d %s", r.Status, r.Body)
			}
			return nil
		}
		for _, other := range tenants {
			if r.Status != 200 || strings.Contains(r.Body, `"agent-of-`+other+`"`) != (other == tenant) {
				return fmt.Errorf("not of %s: %d %s", tenant, r.Status, r.Body)
			}
		}
		return nil
	}
	for _, c := range []struct {
		rule    string
		tenants map[string]string
	}{
		{plain, map[string]string{known: "org-123", acme: "acme", dashed: "acme-eu"}},
		{`tenant: { claim: org_id, map: { "org-123": acme, "org-321": acme } }`, map[string]string{known: "acme", also: "acme", acme: "", dashed: ""}},
		{`tenant: { template: "{org_id}-{sub}" }`, map[string]string{acme: "acme-eu", dashed: "", known: ""}},
		{"tenant: { value: only }", map[string]string{known: "only", acme: "only"}},
	} {
		s.WritePolicy(strings.Replace(yaml, plain, c.rule, 1))
		harness.Eventually(t, func() error {
			var all error
			for token, tenant := range c.tenants {
				all = errors.Join(all, is(token, tenant))
			}
			if all != nil {
				return fmt.Errorf("%s: %w", c.rule, all)
			}
			return nil
		})
	}

	// The operator learns what callers are not told.
	harness.Eventually(t, func() error {
		lines, err := os.ReadFile(filepath.Join(s.Dir, "audit.log"))
		if err == nil && !strings.Contains(string(lines), `"tenant_unmapped"`) {
			err = errors.New("no tenant_unmapped in the audit log")
		}
		return err
	})
	// A token of the development issuer cannot be minted for what it does not say.
	if out := s.CLIFails("token", "--config", s.Config, "--dir", s.Dir); !strings.Contains(out, "always only") {
		t.Errorf("memgate token: %s", out)
	}
	s.WritePolicy(strings.Replace(yaml, plain, `tenant: { template: "{org_id}{sub}" }`, 1))
	if out := s.CLIFails("check", s.Config); !strings.Contains(out, "tenant.template: has two claims") {
		t.Errorf("memgate check: %s", out)
	}
}
