package dev

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/policy"
)

func TestTenantClaim(t *testing.T) {
	names := map[string]string{"org-2": "acme", "org-1": "acme", "org-3": "beta"}
	for name, c := range map[string]struct {
		rule        policy.Tenant
		tenant      string
		claim, want string
		failure     string
	}{
		"claim":          {policy.Tenant{Claim: "org_id"}, "acme", "org_id", "acme", ""},
		"map":            {policy.Tenant{Claim: "org_id", Map: names}, "acme", "org_id", "org-1", ""},
		"map without it": {policy.Tenant{Claim: "org_id", Map: names}, "org-1", "", "", "no value for the tenant org-1"},
		"pointer":        {policy.Tenant{Claim: "/org/id"}, "acme", "", "", "stands at /org/id"},
		"mapped pointer": {policy.Tenant{Claim: "/org/id", Map: names}, "acme", "", "", "stands at /org/id"},
		"template":       {policy.Tenant{Template: "{org}-{region}"}, "acme", "", "", "template {org}-{region}"},
		"value":          {policy.Tenant{Value: "acme"}, "acme", "", "", "always acme"},
	} {
		claim, value, err := tenantClaim(&c.rule, c.tenant)
		if claim != c.claim || value != c.want || (err != nil) != (c.failure != "") {
			t.Errorf("%s: %q, %q, %v", name, claim, value, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.failure) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
