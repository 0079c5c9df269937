package policy

import (
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/mention"
)

// Named returns where requests of r name a tenant, and an agent: where the route says,
// else where the policy does. On an anonymous route there is nobody to compare with.
func (p *Policy) Named(r *Route) (tenant, agent Named) {
	if r.Anonymous {
		return Named{}, Named{}
	}
	pick := func(own, general *Named) Named {
		switch {
		case own != nil:
			return *own
		case general != nil:
			return *general
		}
		return Named{}
	}
	return pick(r.Compare.Tenant, p.Compare.Tenant), pick(r.Compare.Agent, p.Compare.Agent)
}

// compare reports places that name nothing, or two things.
func (l *linter) compare(path string, c *Compare) {
	taken := make(map[string]string)
	for _, thing := range [...]struct {
		name string
		n    *Named
	}{{"tenant", c.Tenant}, {"agent", c.Agent}} {
		if thing.n == nil {
			continue
		}
		at := path + "." + thing.name
		for _, list := range [...]struct {
			name    string
			entries []string
			problem func(string) string
		}{
			{"headers", thing.n.Headers, namedHeaderProblem},
			{"query", thing.n.Query, parameterProblem},
			{"body", thing.n.Body, memberProblem},
		} {
			member := at + "." + list.name
			if len(list.entries) > mention.MaxPlaces {
				l.err(member, "compare", "has more than %d entries", mention.MaxPlaces)
			}
			for i, entry := range list.entries {
				if problem := list.problem(entry); problem != "" {
					l.err(element(member, i), "compare", "%s", problem)
					continue
				}
				key := list.name + " " + strings.ToLower(entry)
				if other, ok := taken[key]; ok {
					l.err(element(member, i), "compare", "stands here again; %s has it already", other)
				}
				taken[key] = member
			}
		}
	}
}

func namedHeaderProblem(name string) string {
	lower := strings.ToLower(name)
	switch {
	case strings.Contains(name, "_"):
		return "must have a hyphen for the underscore, which then counts as one"
	case !mention.ValidHeader(name):
		return "must be the name of a header"
	case strings.HasPrefix(lower, "x-memgate-") || slices.Contains([]string{"txn-token", "x-request-id"}, lower):
		return "is set by the edge, whatever the client sends"
	case slices.Contains([]string{"authorization", "x-api-key", "x-session-token", "dpop", "cookie", "host"}, lower):
		return "does not name a tenant or an agent"
	}
	return ""
}

func parameterProblem(name string) string {
	if !mention.ValidParameter(name) {
		return "must be the name of a parameter, decoded and without brackets"
	}
	return ""
}

func memberProblem(path string) string {
	if !isFieldPath(path) {
		return "is not the path of a member, such as tenant_id or metadata.tenant"
	}
	return ""
}
