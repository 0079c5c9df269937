package authz

import (
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/mention"
	"github.com/memgate/memgate/filter/policy"
)

// ReasonQuery is that the query of a request whose query is compared cannot be read.
const ReasonQuery identity.Reason = "malformed_query"

// places are where the requests of a route name whom they are for.
type places struct {
	tenant, agent  mention.Places
	headers, query bool // some are there
	body           bool // the Wasm filter compares agents, if only to tell
}

func placesOf(p *policy.Policy, r *policy.Route) places {
	tenant, agent := p.Named(r)
	return places{
		tenant:  mention.Places{Headers: tenant.Headers, Query: tenant.Query},
		agent:   mention.Places{Headers: agent.Headers, Query: agent.Query},
		headers: len(tenant.Headers)+len(agent.Headers) > 0,
		query:   len(tenant.Query)+len(agent.Query) > 0,
		body:    len(agent.Body) > 0 && p.Access.Mode != policy.ModeOff,
	}
}

// find returns the tenant and the agent that a request names in its path, its headers
// and its query.
func (p *places) find(r *Request, m *policy.RouteMatch) (tenant, agent mention.Found, err error) {
	for _, name := range [...]string{"tenant", "tenant_id"} {
		if value, ok := m.Param(name); ok {
			tenant.Add(value)
		}
	}
	if value, ok := m.Param("agent_id"); ok {
		agent.Add(value)
	}
	if p.headers {
		r.each(func(name, value string) {
			p.tenant.Header(&tenant, name, value)
			p.agent.Header(&agent, name, value)
		})
	}
	if p.query {
		err = mention.Query(r.Path, &p.tenant, &p.agent, &tenant, &agent)
	}
	return tenant, agent, err
}

// sameTenant refuses a request that names another tenant than the principal's, or an
// empty one. The comparison is exact, case included.
func sameTenant(p *identity.Principal, found *mention.Found) error {
	if !found.Is(p.Tenant) {
		return identity.Forbidden(identity.ReasonTenantMismatch, nil)
	}
	return nil
}

// agentOf is the agent that a request is for, as far as anything but its body says: that
// of its session, or the one that it names.
func agentOf(p *identity.Principal, found *mention.Found) string {
	if p.Agent != "" {
		return p.Agent
	}
	return found.Same()
}
