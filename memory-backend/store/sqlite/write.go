package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/memgate/memgate/memory-backend/memory"
)

const (
	sqlInsert = `INSERT INTO memories (id, tenant, agent, user, app, run, actor, role, title, content, type, tags,
		categories, metadata, confidence, status, source, source_ref, provenance, writer, created, updated, expired_at,
		expired_by, expires)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`
	sqlReplace = `UPDATE memories SET (id, tenant, agent, user, app, run, actor, role, title, content, type, tags,
		categories, metadata, confidence, status, source, source_ref, provenance, writer, created, updated, expired_at,
		expired_by, expires) =
		(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE seq = ?`
	sqlChange = `INSERT INTO changes (id, memory, agent, user, event, old, old_metadata, writer, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlAgent = `INSERT INTO agents (id, pattern, description, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
)

// deleteStep is how many memories are removed at a time within one transaction.
const deleteStep = 500

// Add implements memory.Store.
func (s *Store) Add(ctx context.Context, tenant string, w memory.Write, memories []*memory.Memory) error {
	if len(memories) == 0 {
		return nil
	}
	return s.write(ctx, tenant, func(t *writeTx) error {
		var index indexChange
		agents := make(map[string]bool)
		for _, m := range memories {
			row, err := t.row(ctx, sqlInsert, memoryArgs(tenant, m)...)
			if err != nil {
				return err
			}
			var seq int64
			if err := row.Scan(&seq); err != nil {
				return err
			}
			index.addDocument(seq, m.IndexText())
			if err := s.record(ctx, t, w, memory.EventAdd, m, nil); err != nil {
				return err
			}
			if memory.ValidAgentID(m.Agent) && !agents[m.Agent] {
				agents[m.Agent] = true
				if err := t.exec(ctx, sqlAgent, m.Agent, "tool", "", micros(w.At)); err != nil {
					return err
				}
			}
		}
		return index.apply(ctx, t)
	})
}

// record adds a step to the history of m; before is the memory as it was, for an update.
func (s *Store) record(ctx context.Context, t *writeTx, w memory.Write, event memory.EventKind, m, before *memory.Memory) error {
	id, err := s.newID()
	if err != nil {
		return err
	}
	var old, oldMetadata any
	if before != nil {
		old, oldMetadata = before.Content, metadataText(before.Metadata)
	}
	return t.exec(ctx, sqlChange, id, m.ID, m.Agent, m.User, string(event), old, oldMetadata, w.By, micros(w.At))
}

// find loads the memory with an id if the scope selects it.
func find(ctx context.Context, tx *sql.Tx, tenant, id string, scope memory.Filter) (row, error) {
	condition, args := where(scope)
	rows, err := tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.id = ? AND `+condition,
		append([]any{id}, args...)...)
	if err != nil {
		return row{}, err
	}
	found, err := scanAll(rows, tenant)
	if err != nil {
		return row{}, err
	}
	if len(found) == 0 {
		return row{}, memory.ErrNotFound
	}
	return found[0], nil
}

// Update implements memory.Store.
func (s *Store) Update(ctx context.Context, tenant string, w memory.Write, id string, scope memory.Filter,
	edit func(*memory.Memory) error) (*memory.Memory, error) {
	var updated *memory.Memory
	err := s.UpdateAll(ctx, tenant, w, []string{id}, scope, func(_ int, m *memory.Memory) error {
		updated = m
		return edit(m)
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// UpdateAll implements memory.Store.
func (s *Store) UpdateAll(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	if found, err := exists(s.pool.dir, tenant); err != nil || !found {
		return errors.Join(err, notFoundIf(!found))
	}
	return s.write(ctx, tenant, func(t *writeTx) error {
		for i, id := range ids {
			r, err := find(ctx, t.tx, tenant, id, scope)
			if err != nil {
				return err
			}
			m := r.memory.Clone()
			if err := edit(i, m); err != nil {
				return err
			}
			if m.ID != id || !memory.Match(scope, m) {
				return errors.New("sqlite: an edit moved a memory out of its scope")
			}
			if err := t.exec(ctx, sqlReplace, append(memoryArgs(tenant, m), r.seq)...); err != nil {
				return err
			}
			if err := s.record(ctx, t, w, memory.EventUpdate, m, r.memory); err != nil {
				return err
			}
			var index indexChange
			if before, after := r.memory.IndexText(), m.IndexText(); before != after {
				index.removeDocument(r.seq, before)
				index.addDocument(r.seq, after)
			}
			if err := index.apply(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func notFoundIf(missing bool) error {
	if missing {
		return memory.ErrNotFound
	}
	return nil
}

// Delete implements memory.Store.
func (s *Store) Delete(ctx context.Context, tenant string, w memory.Write, filter memory.Filter) (int, error) {
	if found, err := exists(s.pool.dir, tenant); err != nil || !found {
		return 0, err
	}
	removed := 0
	err := s.write(ctx, tenant, func(t *writeTx) (err error) {
		removed, err = s.deleteWhere(ctx, t, w, filter)
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func (s *Store) deleteWhere(ctx context.Context, t *writeTx, w memory.Write, filter memory.Filter) (removed int, err error) {
	condition, args := where(filter)
	for {
		rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE `+condition+` LIMIT ?`,
			append(slices.Clip(args), deleteStep)...)
		if err != nil {
			return 0, err
		}
		found, err := scanAll(rows, t.tenant)
		if err != nil {
			return 0, err
		}
		if err := s.remove(ctx, t, w, found); err != nil {
			return 0, err
		}
		removed += len(found)
		if len(found) < deleteStep {
			return removed, nil
		}
	}
}

// DeleteIDs implements memory.Store.
func (s *Store) DeleteIDs(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter) error {
	if found, err := exists(s.pool.dir, tenant); err != nil || !found {
		return errors.Join(err, notFoundIf(!found))
	}
	return s.write(ctx, tenant, func(t *writeTx) error {
		found := make([]row, 0, len(ids))
		seen := make(map[string]bool, len(ids))
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			r, err := find(ctx, t.tx, tenant, id, scope)
			if err != nil {
				return err
			}
			found = append(found, r)
		}
		return s.remove(ctx, t, w, found)
	})
}

// remove deletes memories, what their histories say, and their entries in the index.
func (s *Store) remove(ctx context.Context, t *writeTx, w memory.Write, found []row) error {
	if len(found) == 0 {
		return nil
	}
	var index indexChange
	seqs, ids := make([]int64, len(found)), make([]string, len(found))
	for i, r := range found {
		seqs[i], ids[i] = r.seq, r.memory.ID
		index.removeDocument(r.seq, r.memory.IndexText())
		if err := s.record(ctx, t, w, memory.EventDelete, r.memory, nil); err != nil {
			return err
		}
	}
	list, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	if err := t.exec(ctx, `DELETE FROM memories WHERE seq IN (SELECT value FROM json_each(?))`, string(list)); err != nil {
		return err
	}
	if err := t.exec(ctx, `UPDATE changes SET old = NULL, old_metadata = NULL
		WHERE memory IN (SELECT value FROM json_each(?))`, encodeList(ids)); err != nil {
		return err
	}
	return index.apply(ctx, t)
}

// CreateAgent implements memory.Store.
func (s *Store) CreateAgent(ctx context.Context, tenant string, a memory.Agent) error {
	return s.write(ctx, tenant, func(t *writeTx) error {
		result, err := t.tx.ExecContext(ctx, sqlAgent, a.ID, a.Pattern, a.Description, micros(a.Created))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, memory.ErrExists)
		}
		return nil
	})
}

// DeleteAgent implements memory.Store.
func (s *Store) DeleteAgent(ctx context.Context, tenant string, w memory.Write, id string, memories bool) error {
	if found, err := exists(s.pool.dir, tenant); err != nil || !found {
		return errors.Join(err, notFoundIf(!found))
	}
	return s.write(ctx, tenant, func(t *writeTx) error {
		result, err := t.tx.ExecContext(ctx, `DELETE FROM agents WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, memory.ErrNotFound)
		}
		if !memories {
			return nil
		}
		if _, err := s.deleteWhere(ctx, t, w, memory.Eq(memory.FieldAgent, id)); err != nil {
			return fmt.Errorf("sqlite: memories of the agent: %w", err)
		}
		return nil
	})
}
