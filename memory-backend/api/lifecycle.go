package api

import (
	"errors"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

// expireMemory stamps a memory expired: it stays, and recall says of it that it no longer holds.
func (s *Server) expireMemory(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, true)
	if err != nil {
		return nil, err
	}
	reason, ok := f.text("reason", rule{trim: true, min: 1, max: memory.MaxSource, check: label})
	if err := f.err(); err != nil {
		return nil, err
	}
	if !ok {
		reason = "manual"
	}
	return s.setLifecycle(c, memory.StatusExpired, reason)
}

// restoreMemory takes the stamp of an expired memory away.
func (s *Server) restoreMemory(c *call) (any, error) {
	return s.setLifecycle(c, memory.StatusActive, "")
}

// setLifecycle stamps a memory, or takes its stamp away. One whose time has run out cannot be made active by that
// alone, so its time goes too.
func (s *Server) setLifecycle(c *call, status, reason string) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	m, err := memory.Update(c.Context(), s.Store, c.id.Tenant, w, id, memory.Eq(memory.FieldAgent, agent), func(m *memory.Memory) error {
		if m.Hold != "" && status == memory.StatusExpired {
			return rights.ErrHold
		}
		m.Status, m.ExpiredBy, m.ExpiredAt, m.Updated = status, reason, time.Time{}, w.At
		if status == memory.StatusExpired {
			m.ExpiredAt = w.At
		} else {
			m.Expires = time.Time{}
		}
		return nil
	})
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	c.etag(m)
	answer := map[string]any{"agent_id": agent, "session_id": c.id.Session, "memory_id": id, "status": status}
	if status == memory.StatusExpired {
		answer["expired_at"], answer["expired_by"] = stamp(m.ExpiredAt), reason
	}
	return answer, nil
}
