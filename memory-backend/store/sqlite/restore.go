package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Restore implements memory.Store.
func (s *Store) Restore(ctx context.Context, tenant string, w memory.Write, items []memory.Exported) (int, error) {
	stored := 0
	err := s.write(ctx, tenant, true, func(t *writeTx) error {
		stored = 0
		var index indexChange
		for _, item := range items {
			m := item.Memory
			var there bool
			if err := t.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM memories WHERE id = ?)`, m.ID).Scan(&there); err != nil {
				return err
			}
			if there {
				continue
			}
			m.Version = max(m.Version, 1)
			if err := insert(ctx, t, m, 0); err != nil {
				return err
			}
			index.addDocument(m.Seq, m.IndexText())
			if err := restoreChanges(ctx, t, item); err != nil {
				return err
			}
			if memory.ValidAgentID(m.Agent) {
				if _, err := insertAgent(ctx, t, memory.Agent{ID: m.Agent, Pattern: "tool", Created: w.At}); err != nil {
					return err
				}
			}
			stored++
		}
		return index.apply(ctx, t)
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// restoreChanges stores the history of a memory anew; of one that was here before, what was left of it goes.
func restoreChanges(ctx context.Context, t *writeTx, item memory.Exported) error {
	if len(item.Changes) == 0 {
		return nil
	}
	if err := t.exec(ctx, `DELETE FROM changes WHERE memory = ?`, item.Memory.ID); err != nil {
		return err
	}
	agent, err := hashOf(t.keys, hashAgent, item.Memory.Agent)
	if err != nil {
		return err
	}
	var before json.RawMessage
	for _, c := range item.Changes {
		k := sealing{keys: t.keys, record: c.ID}
		var old, oldMetadata any
		if c.Event != memory.EventAdd {
			old, oldMetadata = k.seal(sealOld, []byte(c.Old)), k.seal(sealOldMeta, before)
		}
		who := k.seal(sealWho, appendStrings(nil, c.User, c.Writer))
		if k.err != nil {
			return k.err
		}
		if err := t.exec(ctx, sqlChange, c.ID, item.Memory.ID, agent, string(c.Event), old, oldMetadata, who, micros(c.At)); err != nil {
			return err
		}
		before = c.Metadata
	}
	return nil
}

// Compact implements memory.Store. Deleted rows are overwritten at once; this also cuts their pages off, and
// empties the log.
func (s *Store) Compact(ctx context.Context, tenant string) error {
	f, err := s.pool.acquire(ctx, tenant, false)
	if err != nil {
		return classify(err)
	}
	if f == nil {
		return nil
	}
	defer s.pool.release(f)
	s.vectors.drop(tenant) // also what it holds in memory
	if _, err := f.writer.ExecContext(ctx, `VACUUM`); err != nil {
		return classify(err)
	}
	var busy, log, done int
	if err := f.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &done); err != nil {
		return classify(err)
	}
	if busy != 0 {
		return fmt.Errorf("%w: somebody reads what was deleted", memory.ErrBusy)
	}
	return nil
}
