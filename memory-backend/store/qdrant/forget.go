package qdrant

import (
	"context"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/memory"
)

// forgetDeleted takes away the histories of memories that were deleted before and were a user's or an agent's, and the
// answers that are kept, also when there was nothing to delete.
func (w *writing) forgetDeleted(ctx context.Context, by memory.Write) error {
	if err := w.scan(ctx, kindOnce, nil, func(p *stored) error { w.remove(p.id); return nil }); err != nil {
		return err
	}
	exists := make(map[string]bool) // by the memory's id
	orphan := func(p *stored, about func(*change) bool) error {
		var c change
		if err := open(w.keys, kindChange, p, &c); err != nil || !about(&c) {
			return err
		}
		there, known := exists[c.MemoryID]
		if !known {
			id, err := pointID(w.keys, kindMemory, c.MemoryID)
			if err != nil {
				return err
			}
			m, err := w.at(ctx, id)
			if err != nil {
				return err
			}
			there = m != nil
			exists[c.MemoryID] = there
		}
		if !there {
			w.remove(p.id)
		}
		return nil
	}
	if by.ForgetAgent != "" {
		h, err := hashed(w.keys, "agent", by.ForgetAgent)
		if err != nil {
			return err
		}
		if err := w.scan(ctx, kindChange, []*qdrant.Condition{qdrant.NewMatchKeyword("agent", h)}, func(p *stored) error {
			return orphan(p, func(*change) bool { return true })
		}); err != nil {
			return err
		}
	}
	if by.ForgetUser == "" {
		return nil
	}
	// Whom a change was about is sealed, so each is opened.
	return w.scan(ctx, kindChange, nil, func(p *stored) error {
		return orphan(p, func(c *change) bool { return c.User == by.ForgetUser })
	})
}
