package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/memgate/memgate/memory-backend/memory"
)

// change is one step in the history of a memory. Of a deleted memory the steps stay, and their text does not.
type change struct {
	ID        string          `json:"id"`
	Event     string          `json:"event"`
	Before    *string         `json:"before"`
	After     *string         `json:"after"`
	Metadata  json.RawMessage `json:"metadata"`
	Principal string          `json:"principal"`
	UserID    *string         `json:"user_id"`
	At        *string         `json:"at"`
}

func changeOf(ch memory.Change) change {
	o := change{ID: ch.ID, Event: string(ch.Event), Before: optional(ch.Old), After: optional(ch.New), Metadata: ch.Metadata,
		Principal: ch.Writer, UserID: optional(ch.User), At: stamp(ch.At)}
	if len(o.Metadata) == 0 {
		o.Metadata = json.RawMessage("null")
	}
	return o
}

// history tells who changed a memory, when, and what it said before and after; also of a deleted one.
func (s *Server) history(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	changes, err := s.Store.History(c.Context(), c.id.Tenant, id, agent)
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	list := make([]change, len(changes))
	for i, ch := range changes {
		list[i] = changeOf(ch)
	}
	return map[string]any{"agent_id": agent, "memory_id": id, "changes": list, "count": len(list)}, nil
}

// accesses tells who read a memory.
func (s *Server) accesses(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	if _, err := s.raw.Get(c.Context(), c.id.Tenant, id, memory.Eq(memory.FieldAgent, agent)); errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	list, err := s.guard.Accesses(c.Context(), c.id.Tenant, id)
	if err != nil {
		return nil, err
	}
	type access struct {
		By  string  `json:"principal"`
		At  *string `json:"at"`
		How string  `json:"how"`
	}
	shown := make([]access, len(list))
	for i, a := range list {
		shown[i] = access{a.By, stamp(a.At), a.How}
	}
	return map[string]any{"agent_id": agent, "memory_id": id, "recorded": s.Access, "reads": shown, "count": len(shown)}, nil
}

// purposeHeader names the purpose that the answer is used for.
const purposeHeader = "Memory-Purpose"

// purposeOf returns the purpose that a request names; "" for none, which is the service itself.
func purposeOf(r *http.Request) (string, error) {
	values := r.Header.Values(purposeHeader)
	if len(values) == 0 {
		return "", nil
	}
	if kind, _ := purposeName(values[0]); len(values) > 1 || kind != "" {
		return "", badRequest("Memory-Purpose must be one name of at most 64 letters, digits, '.', '_' and '-'.")
	}
	return values[0], nil
}

// purposeName is the rule for the name of a purpose.
func purposeName(s string) (string, string) {
	if s == "" || len(s) > 64 {
		return "value_error", "Value error, a purpose has 1 to 64 characters"
	}
	return label(s)
}
