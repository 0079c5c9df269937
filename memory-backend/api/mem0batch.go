package api

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/memgate/memgate/memory-backend/memory"
)

// mem0Batch reads the members of a batch and the id of each.
func (s *Server) mem0Batch(c *call) (items []*form, ids []string, f *form, err error) {
	f, err = readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, item := range f.objects("memories", 1, mem0MaxBatch) {
		id, _ := item.text("memory_id", rule{required: true, min: 1, max: 100})
		items, ids = append(items, item), append(ids, id)
	}
	return items, ids, f, nil
}

func (s *Server) mem0BatchUpdate(c *call) (any, error) {
	items, ids, f, err := s.mem0Batch(c)
	if err != nil {
		return nil, err
	}
	edits := make([]func(*memory.Memory), len(items))
	for i, item := range items {
		edits[i] = mem0Edit(item)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	w := s.change(c)
	err = s.Store.UpdateAll(c.Context(), c.id.Tenant, w, ids, c.scope(), func(i int, m *memory.Memory) error {
		before := m.Content
		edits[i](m)
		m.Updated = w.At
		return s.remark(c, m, before)
	})
	if err != nil {
		return nil, mem0NotFound(err)
	}
	return map[string]string{"message": "Successfully updated " + strconv.Itoa(len(ids)) + " memories"}, nil
}

func (s *Server) mem0BatchDelete(c *call) (any, error) {
	_, ids, f, err := s.mem0Batch(c)
	if err != nil {
		return nil, err
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := s.Store.DeleteIDs(c.Context(), c.id.Tenant, s.change(c), ids, c.scope()); err != nil {
		return nil, mem0NotFound(err)
	}
	return map[string]string{"message": "Successfully deleted " + strconv.Itoa(len(ids)) + " memories"}, nil
}

func (s *Server) mem0Entities(c *call) (any, error) {
	entities, err := s.Store.Entities(c.Context(), c.id.Tenant, c.scope(), mem0MaxEntities)
	if err != nil {
		return nil, err
	}
	type entity struct {
		ID        string  `json:"id"`
		Name      string  `json:"name"`
		Type      string  `json:"type"`
		Memories  int     `json:"total_memories"`
		CreatedAt *string `json:"created_at"`
		UpdatedAt *string `json:"updated_at"`
	}
	results, users := make([]entity, len(entities)), 0
	for i, e := range entities {
		results[i] = entity{ID: string(e.Kind) + ":" + e.Name, Name: e.Name, Type: string(e.Kind), Memories: e.Memories,
			CreatedAt: stamp(e.Created), UpdatedAt: stamp(e.Updated)}
		if e.Kind == memory.EntityUser {
			users++
		}
	}
	return map[string]any{"count": len(results), "total_users": users, "next": nil, "previous": nil, "results": results}, nil
}

func (s *Server) mem0DeleteEntity(c *call) (any, error) {
	field, ok := memory.EntityKind(c.PathValue("entity_type")).Field()
	name := c.PathValue("entity_name")
	if !ok || name == "" || !utf8.ValidString(name) {
		return nil, newProblem(http.StatusNotFound, "not-found", "Not found", "There is no such kind of entity; use user, agent, app or run.")
	}
	// Deleting what is not there succeeds: an entity goes with its last memory, which may have been another's too.
	if _, err := s.Store.Delete(c.Context(), c.id.Tenant, s.change(c), memory.Both(c.scope(), memory.Eq(field, name))); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Entity deleted successfully!"}, nil
}
