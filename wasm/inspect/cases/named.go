package cases

import (
	"strings"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/problem"
)

// named are requests whose body names a tenant or an agent.
func named() []Case {
	compares := func(edit func(*content.Body)) *content.Policy {
		return with(func(p *content.Policy) {
			p.Request.MaxBytes, p.Request.Fields = 512<<10, nil
			p.Request.Tenants, p.Request.Agents = []string{"tenant_id", "metadata.tenant"}, []string{"agent_id"}
			if edit != nil {
				edit(&p.Request)
			}
		})
	}
	form := compares(func(b *content.Body) { b.Types = []string{"application/x-www-form-urlencoded"} })
	lines := compares(func(b *content.Body) { b.Types = []string{"application/x-ndjson"} })
	// Longer than what the proxy keeps, so that its head was taken out by then.
	long := `{"list":["` + strings.Repeat(`word","`, 20000) + `end"],"tenant_id":"`

	ok := Answer{Body: `{"ok":true}`}
	goes := func(name, body string) Case {
		return Case{Name: "names " + name, Policy: compares(nil), Body: body, Upstream: body, Answer: ok, Client: ok.Body}
	}
	stays := func(name, body string, refusal *problem.Problem) Case {
		return Case{Name: "names " + name, Policy: compares(nil), Body: body, Refusal: refusal}
	}
	tenant, agent := &problem.TenantMismatch, &problem.AgentMismatch
	list := []Case{
		goes("the caller", `{"tenant_id":"acme","metadata":{"tenant":"acme"},"agent_id":"helper"}`),
		goes("nobody", `{"tenant_id":null,"x":{"tenant_id":"other"}}`),
		goes("the tenant behind a long list", long+`acme"}`),
		stays("another tenant", `{"tenant_id":"other"}`, tenant),
		stays("another agent", `{"agent_id":"other"}`, agent),
		stays("another tenant, deeper", `{"metadata":{"tenant":"other"}}`, tenant),
		stays("another tenant by an escaped name", `{"\u0074enant_id":"other"}`, tenant),
		stays("another tenant in the first of two members", `{"tenant_id":"other","tenant_id":"acme"}`, tenant),
		stays("another tenant in the last of two members", `{"tenant_id":"acme","tenant_id":"other"}`, tenant),
		stays("a list of tenants", `{"tenant_id":["acme"]}`, tenant),
		stays("a tenant by number", `{"tenant_id":1}`, tenant),
		stays("an empty tenant", `{"tenant_id":""}`, tenant),
		stays("another tenant behind a long list", long+`other"}`, tenant),
	}
	chunked := stays("another tenant behind a long list, unannounced", long+`other"}`, tenant)
	chunked.Chunked = true
	other := func(c Case, p *content.Policy, mediaType string) Case {
		c.Policy, c.Type = p, mediaType
		return c
	}
	return append(list, chunked,
		other(goes("the tenant in a form", "a=b&tenant_id=acme"), form, "application/x-www-form-urlencoded"),
		other(stays("another tenant in a form", "tenant%5Fid=oth%65r", tenant), form, "application/x-www-form-urlencoded"),
		other(goes("the tenant in lines", "{\"tenant_id\":\"acme\"}\n{}\n"), lines, "application/x-ndjson"),
		other(stays("another tenant in the second line", "{\"tenant_id\":\"acme\"}\n{\"tenant_id\":\"other\"}\n", tenant), lines, "application/x-ndjson"),
	)
}
