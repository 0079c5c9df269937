package api

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/memgate/memgate/memory-backend/memory"
)

// maxAgents is how many agents a listing shows.
const maxAgents = 1000

// agentInfo is an agent as MEMANTO shows it. Sessions are the edge's, so their numbers are not known here.
type agentInfo struct {
	AgentID      string  `json:"agent_id"`
	Namespace    string  `json:"namespace"`
	Pattern      string  `json:"pattern"`
	Description  *string `json:"description"`
	CreatedAt    *string `json:"created_at"`
	LastSession  *string `json:"last_session"`
	MemoryCount  int     `json:"memory_count"`
	SessionCount int     `json:"session_count"`
	Status       string  `json:"status"`
}

func infoOf(a *memory.Agent) agentInfo {
	return agentInfo{
		AgentID: a.ID, Namespace: namespace(a.ID), Pattern: a.Pattern, Description: optional(a.Description),
		CreatedAt: stamp(a.Created), MemoryCount: a.Memories, Status: "ready",
	}
}

func namespace(agent string) string { return "memanto_agent_" + agent }

// agent returns the agent that the path names, if the caller may reach it.
func (c *call) agent() (string, error) {
	agent := c.PathValue("agent_id")
	if !memory.ValidAgentID(agent) {
		return "", invalid([]issue{agentPattern([]any{"path", "agent_id"})})
	}
	if c.id.Agent != "" && c.id.Agent != agent {
		return "", agentMismatch()
	}
	return agent, nil
}

func agentPattern(loc []any) issue {
	return issue{"string_pattern_mismatch", loc, "String should match pattern '^[a-zA-Z0-9_-]+$' and have at most 128 characters"}
}

// flag reads a boolean of the query.
func flag(q url.Values, name string, standard bool) (bool, error) {
	if !q.Has(name) {
		return standard, nil
	}
	switch q.Get(name) {
	case "true", "True", "1", "yes", "on":
		return true, nil
	case "false", "False", "0", "no", "off":
		return false, nil
	}
	return false, invalid([]issue{{"bool_parsing", []any{"query", name}, "Input should be a valid boolean, unable to interpret input"}})
}

func (s *Server) createAgent(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	id, _ := f.text("agent_id", rule{required: true, check: func(v string) (string, string) {
		if !memory.ValidAgentID(v) {
			is := agentPattern(nil)
			return is.Type, is.Msg
		}
		return "", ""
	}})
	pattern, ok := f.text("pattern", rule{strict: true, oneOf: []string{"support", "project", "tool"}})
	if !ok {
		pattern = "support"
	}
	description, _ := f.text("description", rule{max: 1000})
	if err := f.err(); err != nil {
		return nil, err
	}
	if c.id.Agent != "" && c.id.Agent != id {
		return nil, agentMismatch()
	}
	a := memory.Agent{ID: id, Pattern: pattern, Description: description, Created: s.now()}
	w, err := s.once(c, f, http.StatusCreated, infoOf(&a))
	if err != nil {
		return nil, err
	}
	if err := s.Store.CreateAgent(c.Context(), c.id.Tenant, w, a); err != nil {
		if errors.Is(err, memory.ErrExists) {
			return nil, newProblem(http.StatusConflict, "agent-exists", "Agent exists", "Agent '"+id+"' already exists.")
		}
		return nil, err
	}
	return infoOf(&a), nil
}

func (s *Server) listAgents(c *call) (any, error) {
	count, err := flag(c.URL.Query(), "include_counts", true)
	if err != nil {
		return nil, err
	}
	agents, err := s.Store.Agents(c.Context(), c.id.Tenant, count, maxAgents+1)
	if err != nil {
		return nil, err
	}
	infos, warnings := []agentInfo{}, []string{}
	if len(agents) > maxAgents {
		agents = agents[:maxAgents]
		warnings = append(warnings, "only the newest "+strconv.Itoa(maxAgents)+" agents are listed")
	}
	for i := range agents {
		if c.id.Agent == "" || agents[i].ID == c.id.Agent {
			infos = append(infos, infoOf(&agents[i]))
		}
	}
	return map[string]any{"agents": infos, "count": len(infos), "warnings": warnings}, nil
}

func (s *Server) getAgent(c *call) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	count, err := flag(c.URL.Query(), "include_counts", true)
	if err != nil {
		return nil, err
	}
	a, err := s.Store.Agent(c.Context(), c.id.Tenant, agent, count)
	if err != nil {
		return nil, agentError(err, agent)
	}
	return infoOf(a), nil
}

func (s *Server) deleteAgent(c *call) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	memories, err := flag(c.URL.Query(), "delete-backup-too", false)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteAgent(c.Context(), c.id.Tenant, s.change(c), agent, memories); err != nil {
		return nil, agentError(err, agent)
	}
	message := "Agent '" + agent + "' successfully deleted (its memories are kept)"
	if memories {
		message = "Agent '" + agent + "' successfully deleted with all its memories"
	}
	return map[string]string{"message": message}, nil
}

func agentError(err error, agent string) error {
	if errors.Is(err, memory.ErrNotFound) {
		return notFound("Agent '" + agent + "' not found.")
	}
	return err
}
