package api

import (
	"net/http"
	"strings"

	"github.com/memgate/memgate/memory-backend/memory"
)

// mem0SelfMaxTopK is how many memories the self-hosted API lists at most, and as a rule.
const mem0SelfMaxTopK = 1000

// mem0SelfList lists memories as the API of a self-hosted mem0 does: what to list stands in the query.
func (s *Server) mem0SelfList(c *call) (any, error) {
	q := c.URL.Query()
	filter := c.scope()
	var issues []issue
	for _, name := range []string{"user_id", "agent_id", "run_id"} {
		values, given := q[name]
		if !given {
			continue
		}
		if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
			issues = append(issues, issue{"value_error", []any{"query", name}, "Value error, must be given once and not be empty"})
			continue
		}
		filter = memory.Both(filter, memory.Eq(entityFields[name], strings.TrimSpace(values[0])))
	}
	if len(issues) > 0 {
		return nil, invalid(issues)
	}
	expired, err := flag(q, "show_expired", false)
	if err != nil {
		return nil, err
	}
	if !expired {
		filter = memory.Both(filter, memory.Not{Filter: memory.Expired(s.now())})
	}
	limit, err := page(q, "top_k", mem0SelfMaxTopK, mem0SelfMaxTopK)
	if err != nil {
		return nil, err
	}
	found, _, err := s.Store.List(c.Context(), c.id.Tenant, memory.ListQuery{Filter: filter, Limit: limit})
	if err != nil {
		return nil, err
	}
	results := make([]mem0Memory, len(found))
	for i, m := range found {
		results[i] = mem0Shape(m)
	}
	return map[string]any{"results": results}, nil
}

// mem0SelfUpdate changes a memory; the self-hosted API does not show the outcome.
func (s *Server) mem0SelfUpdate(c *call) (any, error) {
	if _, err := s.mem0Update(c); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Memory updated successfully!"}, nil
}

// mem0SelfEntities lists users, agents and runs in a plain list.
func (s *Server) mem0SelfEntities(c *call) (any, error) {
	entities, err := s.Store.Entities(c.Context(), c.id.Tenant, c.scope(), mem0MaxEntities)
	if err != nil {
		return nil, err
	}
	type entity struct {
		ID        string  `json:"id"`
		Type      string  `json:"type"`
		Memories  int     `json:"total_memories"`
		CreatedAt *string `json:"created_at"`
		UpdatedAt *string `json:"updated_at"`
	}
	list := []entity{}
	for _, e := range entities {
		if e.Kind != memory.EntityApp { // of which a self-hosted mem0 knows nothing
			list = append(list, entity{e.Name, string(e.Kind), e.Memories, stamp(e.Created), stamp(e.Updated)})
		}
	}
	return list, nil
}

// needsModel answers for operations that have a language model read memories or write them: there is none here.
func (s *Server) needsModel(c *call) (any, error) {
	if c.PathValue("agent_id") != "" {
		if _, err := c.agent(); err != nil {
			return nil, err
		}
	}
	return nil, newProblem(http.StatusNotImplemented, "needs-language-model", "Needs a language model",
		"This operation has a language model read or write memories, and this service has none: recall what it needs and ask a model yourself.")
}
