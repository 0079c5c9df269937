package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

// Bounds of an expiry policy.
const (
	maxExpiryRules = 20
	maxMatches     = 20 // values of one condition
)

// policyAgent returns the registered agent whose expiry policy is meant.
func (s *Server) policyAgent(c *call) (string, error) {
	agent, err := c.agent()
	if err != nil {
		return "", err
	}
	known, err := s.registered(c, agent)
	if err == nil && !known {
		err = agentError(memory.ErrNotFound, agent)
	}
	return agent, err
}

// getExpiry answers with an agent's expiry policy.
func (s *Server) getExpiry(c *call) (any, error) {
	agent, err := s.policyAgent(c)
	if err != nil {
		return nil, err
	}
	e, err := s.guard.Expiry(c.Context(), c.id.Tenant, agent)
	if err != nil {
		return nil, err
	}
	return map[string]any{"agent_id": agent, "policy": e, "is_empty": e.Empty()}, nil
}

// putExpiry replaces an agent's expiry policy. Nothing expires by that.
func (s *Server) putExpiry(c *call) (any, error) {
	agent, err := s.policyAgent(c)
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	e := f.expiry()
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := s.guard.SetExpiry(c.Context(), c.id.Tenant, agent, e); err != nil {
		return nil, err
	}
	return map[string]any{"agent_id": agent, "policy": e, "is_empty": e.Empty()}, nil
}

// age checks a duration.
func age(v string) (string, string) {
	if _, ok := rights.ParseAge(v); !ok {
		return "value_error", "Value error, use a number followed by m, h, d, w, mo or y (e.g. 30d or 3mo), or never"
	}
	return "", ""
}

func among(list []string) func(string) (string, string) {
	return func(v string) (string, string) {
		if !slices.Contains(list, v) {
			return "literal_error", "Input should be " + quoted(list)
		}
		return "", ""
	}
}

// duration reads one; without it is never.
func (f *form) duration(name string) string {
	if d, ok := f.text(name, rule{trim: true, max: 32, check: age}); ok && d != "" {
		return strings.ToLower(d)
	}
	return rights.Never
}

// expiry reads an expiry policy.
func (f *form) expiry() *rights.Expiry {
	e := &rights.Expiry{Version: 1, Retention: map[string]string{}, Rules: []rights.ExpiryRule{}, Purge: f.duration("purge_expired_after")}
	if f.has("retention") {
		members, ok := f.members["retention"].(map[string]any)
		if !ok {
			f.fail("retention", "dict_type", "Input should be a valid dictionary")
		}
		table := &form{members: members, loc: f.at("retention"), issues: f.issues}
		for name := range members {
			if !memory.ValidType(name) {
				table.fail(name, "value_error", "Value error, unknown memory type. Must be one of: "+strings.Join(memory.Types(), ", ")+".")
				continue
			}
			e.Retention[name] = table.duration(name)
		}
	}
	if !f.has("rules") {
		return e
	}
	seen := map[string]bool{}
	for _, r := range f.objects("rules", 0, maxExpiryRules) {
		x := rights.ExpiryRule{After: r.duration("expire_after")}
		x.Name, _ = r.text("name", rule{required: true, trim: true, min: 1, max: memory.MaxSource, check: label})
		if seen[x.Name] {
			r.fail("name", "value_error", "Value error, duplicate rule name")
		}
		seen[x.Name] = true
		if r.has("match") {
			members, ok := r.members["match"].(map[string]any)
			if !ok {
				r.fail("match", "model_attributes_type", "Input should be a valid object")
			}
			x.Match = (&form{members: members, loc: r.at("match"), issues: r.issues}).expiryMatch()
		}
		e.Rules = append(e.Rules, x)
	}
	return e
}

func (f *form) expiryMatch() (m rights.ExpiryMatch) {
	m.Type, _ = f.texts("type", maxMatches, rule{check: among(memory.Types())})
	m.Tags, _ = f.texts("tags", maxMatches, rule{trim: true, min: 1, max: memory.MaxTag})
	m.Source, _ = f.texts("source", maxMatches, rule{trim: true, min: 1, max: memory.MaxSource})
	m.Provenance, _ = f.texts("provenance", maxMatches, rule{check: among(memory.Provenances())})
	if f.has("confidence_below") {
		if below, ok := f.number("confidence_below", false, 0, 1); ok {
			m.Below = &below
		}
	}
	return m
}

// expiryPresets lists the policies that are there to begin with.
func (s *Server) expiryPresets(c *call) (any, error) {
	if _, err := s.policyAgent(c); err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, p := range rights.Presets() {
		list = append(list, map[string]any{"name": p.Name, "description": p.Description, "retention": p.Expiry.Retention,
			"rule_count": len(p.Expiry.Rules), "purge_expired_after": p.Expiry.Purge})
	}
	return map[string]any{"presets": list}, nil
}

func presetNamed(name string) (*rights.Preset, error) {
	var names []string
	for _, p := range rights.Presets() {
		if p.Name == name {
			return &p, nil
		}
		names = append(names, p.Name)
	}
	return nil, newProblem(http.StatusNotFound, "preset-not-found", "Preset not found", "There is no such preset: use "+strings.Join(names, ", ")+".")
}

// expiryPreset answers with one of them.
func (s *Server) expiryPreset(c *call) (any, error) {
	if _, err := s.policyAgent(c); err != nil {
		return nil, err
	}
	p, err := presetNamed(c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"name": p.Name, "description": p.Description, "policy": p.Expiry}, nil
}

// putExpiryPreset makes one of them an agent's policy.
func (s *Server) putExpiryPreset(c *call) (any, error) {
	agent, err := s.policyAgent(c)
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	name, _ := f.text("name", rule{required: true, min: 1, max: memory.MaxSource})
	if err := f.err(); err != nil {
		return nil, err
	}
	p, err := presetNamed(name)
	if err != nil {
		return nil, err
	}
	if err := s.guard.SetExpiry(c.Context(), c.id.Tenant, agent, &p.Expiry); err != nil {
		return nil, err
	}
	return map[string]any{"agent_id": agent, "preset": p.Name, "policy": p.Expiry}, nil
}

// dryRun reads whether only to tell.
func (s *Server) dryRun(c *call) (agent string, dry bool, err error) {
	if agent, err = s.policyAgent(c); err != nil {
		return "", false, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, true)
	if err != nil {
		return "", false, err
	}
	dry = f.boolean("dry_run")
	return agent, dry, f.err()
}

// applyExpiry stamps what an agent's policy says has expired.
func (s *Server) applyExpiry(c *call) (any, error) {
	agent, dry, err := s.dryRun(c)
	if err != nil {
		return nil, err
	}
	w := s.change(c)
	r, e, err := s.guard.ApplyExpiry(c.Context(), c.id.Tenant, agent, w, dry)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, d := range r.Due {
		list = append(list, map[string]any{"id": d.Memory.ID, "title": d.Memory.Title, "type": d.Memory.Type,
			"created_at": stamp(d.Memory.Created), "updated_at": stamp(d.Memory.Updated), "expired_by": d.By})
	}
	return map[string]any{"agent_id": agent, "dry_run": dry, "policy_is_empty": e.Empty(), "scanned": r.Scanned, "already_expired": r.Expired,
		"matched": r.Matched, "expired": r.Done, "per_rule": r.By, "memories": list, "errors": []any{}, "evaluated_at": stamp(w.At)}, nil
}

// purgeExpired forgets what expired longer ago than an agent's policy keeps it.
func (s *Server) purgeExpired(c *call) (any, error) {
	agent, dry, err := s.dryRun(c)
	if err != nil {
		return nil, err
	}
	w := s.change(c)
	r, e, err := s.guard.PurgeExpired(c.Context(), c.id.Tenant, agent, w, dry)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, d := range r.Due {
		list = append(list, map[string]any{"id": d.Memory.ID, "title": d.Memory.Title, "expired_at": stamp(d.Memory.ExpiredAt), "expired_by": d.By})
	}
	return map[string]any{"agent_id": agent, "dry_run": dry, "enabled": e.Purge != rights.Never, "purge_expired_after": e.Purge, "matched": r.Matched,
		"purged": r.Done, "memories": list, "errors": []any{}, "evaluated_at": stamp(w.At)}, nil
}
