package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/memory"
)

const (
	storedColumns = `id, tenant, version, agent, user, app, run, tags, categories, type, status, provenance, confidence,
		created, updated, expired_at, expires, title, content, labels, metadata, origin, same, held, hold, provisional`
	storedValues = `?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`

	// A number of 0 takes the next one.
	sqlInsert  = `INSERT INTO memories (seq, ` + storedColumns + `) VALUES (nullif(?, 0), ` + storedValues + `) RETURNING seq`
	sqlReplace = `UPDATE memories SET (` + storedColumns + `) = (` + storedValues + `) WHERE seq = ?`
	sqlLabel   = `INSERT INTO labels (label, seq) VALUES (?, ?)`
	sqlChange  = `INSERT INTO changes (id, memory, agent, event, old, old_metadata, who, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlAgent = `INSERT INTO agents (id, info, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
)

// deleteStep is how many memories are removed at a time within one transaction.
const deleteStep = 500

// Add implements memory.Store.
func (s *Store) Add(ctx context.Context, tenant string, w memory.Write, memories []*memory.Memory) error {
	if len(memories) == 0 {
		return nil
	}
	return s.write(ctx, tenant, true, func(t *writeTx) error {
		if err := once(ctx, t, w); err != nil {
			return err
		}
		var index indexChange
		agents := make(map[string]bool)
		for i, m := range memories {
			if w.Distinct {
				if err := distinct(ctx, t, w, m, i); err != nil {
					return err
				}
			}
			m.Version = 1
			if err := insert(ctx, t, m, 0); err != nil {
				return err
			}
			index.addDocument(m.Seq, m.IndexText())
			if i < len(w.Vectors) {
				if err := putVector(ctx, t, w.Space, m.Seq, m.ID, w.Vectors[i]); err != nil {
					return err
				}
			}
			if err := s.record(ctx, t, w, memory.EventAdd, m, nil); err != nil {
				return err
			}
			if memory.ValidAgentID(m.Agent) && !agents[m.Agent] {
				agents[m.Agent] = true
				if _, err := insertAgent(ctx, t, memory.Agent{ID: m.Agent, Pattern: "tool", Created: w.At}); err != nil {
					return err
				}
			}
		}
		return index.apply(ctx, t)
	})
}

// distinct fails if an active memory of the same owners has the same content.
func distinct(ctx context.Context, t *writeTx, w memory.Write, m *memory.Memory, index int) error {
	s := sealing{keys: t.keys}
	args := []any{s.hash(hashContent, m.Content), s.hash(hashAgent, m.Agent), s.hash(hashUser, m.User), s.hash(hashApp, m.App),
		s.hash(hashRun, m.Run), memory.StatusActive, micros(w.At), micros(w.At)}
	if s.err != nil {
		return s.err
	}
	var id string
	err := t.tx.QueryRowContext(ctx, `SELECT id FROM memories WHERE same = ? AND agent = ? AND user = ? AND app = ? AND run = ?
		AND status = ? AND held = 0 AND (hold = 1 OR (expires = 0 OR expires > ?) AND (provisional = 0 OR provisional > ?)) LIMIT 1`, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &memory.DuplicateError{ID: id, Index: index}
}

// insert stores a memory under a number, or under the next one for 0, and its labels. It sets m.Seq.
func insert(ctx context.Context, t *writeTx, m *memory.Memory, seq int64) error {
	args, err := memoryArgs(t.tenant, t.keys, m)
	if err != nil {
		return err
	}
	row, err := t.row(ctx, sqlInsert, append([]any{seq}, args...)...)
	if err != nil {
		return err
	}
	if err := row.Scan(&m.Seq); err != nil {
		return err
	}
	return insertLabels(ctx, t, m)
}

func insertLabels(ctx context.Context, t *writeTx, m *memory.Memory) error {
	list, err := labels(t.keys, m)
	if err != nil {
		return err
	}
	for _, l := range list {
		if err := t.exec(ctx, sqlLabel, l, m.Seq); err != nil {
			return err
		}
	}
	return nil
}

// replace stores a memory that is there already, and its labels.
func replace(ctx context.Context, t *writeTx, m *memory.Memory) error {
	args, err := memoryArgs(t.tenant, t.keys, m)
	if err != nil {
		return err
	}
	if err := t.exec(ctx, sqlReplace, append(args, m.Seq)...); err != nil {
		return err
	}
	if err := t.exec(ctx, `DELETE FROM labels WHERE seq = ?`, m.Seq); err != nil {
		return err
	}
	return insertLabels(ctx, t, m)
}

// record adds a step to the history of m; before is the memory as it was, for an update.
func (s *Store) record(ctx context.Context, t *writeTx, w memory.Write, event memory.EventKind, m, before *memory.Memory) error {
	id, err := s.newID()
	if err != nil {
		return err
	}
	k := sealing{keys: t.keys, record: id}
	var old, oldMetadata any
	if before != nil {
		old, oldMetadata = k.seal(sealOld, []byte(before.Content)), k.seal(sealOldMeta, before.Metadata)
	}
	agent, who := k.hash(hashAgent, m.Agent), k.seal(sealWho, appendStrings(nil, m.User, w.By))
	if k.err != nil {
		return k.err
	}
	return t.exec(ctx, sqlChange, id, m.ID, agent, string(event), old, oldMetadata, who, micros(w.At))
}

// find loads the memory with an id if the scope selects it.
func find(ctx context.Context, tx *sql.Tx, k sealer, tenant, id string, scope memory.Filter) (*memory.Memory, error) {
	sel, err := where(k, scope)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.id = ? AND `+sel.sql,
		append([]any{id}, sel.args...)...)
	if err != nil {
		return nil, err
	}
	found, err := scanAll(rows, tenant, k)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || !sel.passes(found[0]) {
		return nil, memory.ErrNotFound
	}
	return found[0], nil
}

// UpdateAll implements memory.Store.
func (s *Store) UpdateAll(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	return s.write(ctx, tenant, false, func(t *writeTx) error {
		for i, id := range ids {
			before, err := find(ctx, t.tx, t.keys, tenant, id, scope)
			if err != nil {
				return err
			}
			if w.IfVersion != 0 && w.IfVersion != before.Version {
				return memory.ErrVersion
			}
			m := before.Clone()
			if err := edit(i, m); err != nil {
				return err
			}
			if m.ID != id || !memory.Match(scope, m) {
				return errors.New("sqlite: an edit moved a memory out of its scope")
			}
			m.Seq, m.Version = before.Seq, before.Version+1
			if err := replace(ctx, t, m); err != nil {
				return err
			}
			event := memory.EventUpdate
			if w.Event != "" {
				event = w.Event
			}
			if err := s.record(ctx, t, w, event, m, before); err != nil {
				return err
			}
			var index indexChange
			if was, is := before.IndexText(), m.IndexText(); was != is {
				index.removeDocument(m.Seq, was)
				index.addDocument(m.Seq, is)
			}
			if err := index.apply(ctx, t); err != nil {
				return err
			}
			if before.EmbedText() != m.EmbedText() {
				if err := dropVectors(ctx, t, `seq = ?`, m.Seq); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Delete implements memory.Store.
func (s *Store) Delete(ctx context.Context, tenant string, w memory.Write, filter memory.Filter) (int, error) {
	removed := 0
	err := s.write(ctx, tenant, false, func(t *writeTx) (err error) {
		if removed, err = s.deleteWhere(ctx, t, w, filter); err == nil && w.Forget {
			err = forgetDeleted(ctx, t, w)
		}
		return err
	})
	if errors.Is(err, memory.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func (s *Store) deleteWhere(ctx context.Context, t *writeTx, w memory.Write, filter memory.Filter) (removed int, err error) {
	sel, err := where(t.keys, filter)
	if err != nil {
		return 0, err
	}
	for after := int64(-1); ; {
		args := append([]any{after}, sel.args...)
		rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.seq > ? AND `+sel.sql+
			` ORDER BY m.seq LIMIT ?`, append(args, deleteStep)...)
		if err != nil {
			return 0, err
		}
		found, err := scanAll(rows, t.tenant, t.keys)
		if err != nil || len(found) == 0 {
			return removed, err
		}
		after = found[len(found)-1].Seq
		gone := found[:0]
		for _, m := range found {
			if sel.passes(m) {
				gone = append(gone, m)
			}
		}
		if err := s.remove(ctx, t, w, gone); err != nil {
			return 0, err
		}
		removed += len(gone)
	}
}

// DeleteIDs implements memory.Store.
func (s *Store) DeleteIDs(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter) error {
	return s.write(ctx, tenant, false, func(t *writeTx) error {
		found := make([]*memory.Memory, 0, len(ids))
		seen := make(map[string]bool, len(ids))
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			m, err := find(ctx, t.tx, t.keys, tenant, id, scope)
			if err != nil {
				return err
			}
			if w.IfVersion != 0 && w.IfVersion != m.Version {
				return memory.ErrVersion
			}
			found = append(found, m)
		}
		return s.remove(ctx, t, w, found)
	})
}

// remove deletes memories, what their histories say, and their entries in the index.
func (s *Store) remove(ctx context.Context, t *writeTx, w memory.Write, found []*memory.Memory) error {
	if len(found) == 0 {
		return nil
	}
	var index indexChange
	seqs, ids := make([]int64, len(found)), make([]string, len(found))
	for i, m := range found {
		seqs[i], ids[i] = m.Seq, m.ID
		index.removeDocument(m.Seq, m.IndexText())
		if w.Forget {
			continue
		}
		event := memory.EventDelete
		if w.Event != "" {
			event = w.Event
		}
		if err := s.record(ctx, t, w, event, m, nil); err != nil {
			return err
		}
	}
	list, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM memories WHERE seq IN (SELECT value FROM json_each(?))`,
		`DELETE FROM labels WHERE seq IN (SELECT value FROM json_each(?))`,
	} {
		if err := t.exec(ctx, query, string(list)); err != nil {
			return err
		}
	}
	if err := dropVectors(ctx, t, `seq IN (SELECT value FROM json_each(?))`, string(list)); err != nil {
		return err
	}
	if w.Forget {
		err = forget(ctx, t, ids)
	} else {
		err = t.exec(ctx, `UPDATE changes SET old = NULL, old_metadata = NULL
			WHERE memory IN (SELECT value FROM json_each(?))`, jsonText(ids))
	}
	if err != nil {
		return err
	}
	return index.apply(ctx, t)
}

// insertAgent registers an agent, and reports whether it was not registered yet.
func insertAgent(ctx context.Context, t *writeTx, a memory.Agent) (bool, error) {
	id, err := t.keys.Hash(hashAgent, a.ID)
	if err != nil {
		return false, err
	}
	info, err := t.keys.Seal(sealAgent, hex.EncodeToString(id), appendStrings(nil, a.ID, a.Pattern, a.Description))
	if err != nil {
		return false, err
	}
	result, err := t.tx.ExecContext(ctx, sqlAgent, id, info, micros(a.Created))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// CreateAgent implements memory.Store.
func (s *Store) CreateAgent(ctx context.Context, tenant string, w memory.Write, a memory.Agent) error {
	return s.write(ctx, tenant, true, func(t *writeTx) error {
		if err := once(ctx, t, w); err != nil {
			return err
		}
		created, err := insertAgent(ctx, t, a)
		if err == nil && !created {
			err = memory.ErrExists
		}
		return err
	})
}

// DeleteAgent implements memory.Store.
func (s *Store) DeleteAgent(ctx context.Context, tenant string, w memory.Write, id string, memories bool) error {
	return s.write(ctx, tenant, false, func(t *writeTx) error {
		hash, err := t.keys.Hash(hashAgent, id)
		if err != nil {
			return err
		}
		result, err := t.tx.ExecContext(ctx, `DELETE FROM agents WHERE id = ?`, hash)
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
