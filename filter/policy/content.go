package policy

import (
	"fmt"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/pii/catalog"
)

// Content derives what the Wasm filter has to know about route r. An action
// for an entity comes from the route's own rule for it, else from the general
// rule for it, else in the same order from the rules for its group, else from the route's
// default, else from the general default: a general rule that names an entity is only
// set aside by name.
//
// A response may be of any length, so that streams pass, and of each media type
// that can be inspected.
func (p *Policy) Content(r *Route) (content.Policy, error) {
	out := content.Policy{
		Request: content.Body{
			MaxBytes: int64(r.Content.MaxBody),
			Types:    r.Content.Types,
			MaxDepth: r.Content.MaxDepth,
		},
		Response: content.Body{MaxBytes: content.NoLimit},
		CORS:     p.CORSPolicy(),
	}
	for _, path := range sortedKeys(r.Content.Fields) {
		out.Request.Fields = append(out.Request.Fields, pii.FieldLimit{Path: path, Max: int(r.Content.Fields[path])})
	}
	out.Request.Identifiers = r.Content.Identifiers
	out.Response.Identifiers = r.Content.Identifiers
	out.Request.Redact, out.Response.Redact = r.Content.Redact, r.Content.Redact
	tenant, agent := p.Named(r)
	out.Request.Tenants = tenant.Body
	out.Request.Agents = agent.Body
	out.Request.Deltas, out.Response.Deltas = r.Content.Deltas, r.Content.Deltas
	out.Request.OtherTypes = r.Content.OtherTypes == otherTypesPass
	out.Response.OtherTypes = out.Request.OtherTypes
	var err error
	if out.Headers, err = p.SecurityHeaders(); err != nil {
		return content.Policy{}, err
	}
	if len(p.PII.Custom)+len(p.PII.Allow) > 0 {
		if out.Custom, err = pii.NewCustom(p.PII.custom()); err != nil {
			return content.Policy{}, err
		}
	}
	if out.Request.PII, err = merge(p.PII.Request, r.Content.Request); err != nil {
		return content.Policy{}, fmt.Errorf("request: %w", err)
	}
	if out.Response.PII, err = merge(p.PII.Response, r.Content.Response); err != nil {
		return content.Policy{}, fmt.Errorf("response: %w", err)
	}
	if r.Own {
		// memgate's own answers are for the caller: its token, its issuer.
		out.Response.PII, out.Response.Redact = pii.Policy{}, nil
	}
	if !r.Own {
		out.Request.Poison = p.Poison.score(r)
	}
	p.inModes(&out)
	return out, out.Validate()
}

// otherTypesPass is the value of other_types that lets bodies pass uninspected.
const otherTypesPass = "pass"

// custom is what the policy adds to the entities.
func (p *PII) custom() pii.CustomConfig {
	out := pii.CustomConfig{Allow: p.Allow}
	for _, c := range p.Custom {
		out.Rules = append(out.Rules, pii.CustomRule{Name: c.Name, Words: c.Words, Prefixes: c.Prefixes, Patterns: c.Patterns})
	}
	return out
}

// merge makes one action for each entity of the general rules and a route's.
// Without any default that is to redact.
func merge(general, own Actions) (pii.Policy, error) {
	var out pii.Policy
	for e := range pii.NumEntities {
		name, group := e.String(), catalog.GroupOf(e)
		word := pii.Redact.String()
		for _, rule := range [...]struct {
			rules Actions
			key   string
		}{{own, name}, {general, name}, {own, group}, {general, group}, {own, defaultEntity}, {general, defaultEntity}} {
			if action, ok := rule.rules[rule.key]; ok {
				word = action
				break
			}
		}
		action, ok := pii.ParseAction(word)
		if !ok {
			return pii.Policy{}, fmt.Errorf("%s has an action that is unknown", name)
		}
		out.Actions[e] = action
	}
	return out, nil
}

// entityNames lists the entities that a rule can name.
func entityNames() []string {
	var out []string
	for e := range pii.NumEntities {
		out = append(out, e.String())
	}
	return out
}

// groupNames lists the groups of entities that a rule can name.
func groupNames() []string {
	var out []string
	for _, g := range catalog.Groups() {
		out = append(out, g.Name)
	}
	return out
}

// ruleNames lists all that a rule can name.
func ruleNames() []string {
	return append(append(entityNames(), groupNames()...), defaultEntity)
}

// actionNames lists the actions, from the mildest to the strictest.
func actionNames() []string {
	var out []string
	for a := pii.Allow; ; a++ {
		if known, ok := pii.ParseAction(a.String()); !ok || known != a {
			return out
		}
		out = append(out, a.String())
	}
}

// isSecretEntity reports whether the entity or group of that name is of credentials
// rather than personal data.
func isSecretEntity(name string) bool {
	e, ok := pii.ParseEntity(name)
	return ok && e.Secret() || name == catalog.GroupOf(pii.JWT)
}
