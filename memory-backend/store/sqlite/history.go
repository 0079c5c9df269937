package sqlite

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/memgate/memgate/memory-backend/memory"
)

// History implements memory.Store. Only what was before each change is stored; what came after is what
// was before the next one, or is the memory itself.
func (s *Store) History(ctx context.Context, tenant, id, agent string) ([]memory.Change, error) {
	var changes []memory.Change
	found, err := s.read(ctx, tenant, func(t *readTx) error {
		changes = nil
		agentHash, err := hashOf(t.keys, hashAgent, agent)
		if err != nil {
			return err
		}
		rows, err := t.tx.QueryContext(ctx, `SELECT id, memory, event, old, old_metadata, who, at FROM changes
			WHERE memory = ? AND (? = '' OR agent = ?) ORDER BY seq`, id, agent, agentHash)
		if err != nil {
			return err
		}
		defer rows.Close()
		var before []json.RawMessage
		for rows.Next() {
			var c memory.Change
			var event string
			var old, metadata, who []byte
			var at int64
			if err := rows.Scan(&c.ID, &c.MemoryID, &event, &old, &metadata, &who, &at); err != nil {
				return err
			}
			k := sealing{keys: t.keys, record: c.ID}
			c.Event, c.Old, c.At = memory.EventKind(event), string(k.open(sealOld, old)), fromMicros(at)
			was, texts := k.open(sealOldMeta, metadata), k.open(sealWho, who)
			if k.err != nil {
				return foreign(k.err)
			}
			list, err := cutStrings(texts)
			if err != nil || len(list) < 2 {
				return errList
			}
			c.User, c.Writer = list[0], list[1]
			changes, before = append(changes, c), append(before, was)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if len(changes) == 0 {
			return memory.ErrNotFound
		}
		for i := range changes[:len(changes)-1] {
			changes[i].New = changes[i+1].Old
			if len(before[i+1]) > 0 {
				changes[i].Metadata = before[i+1]
			}
		}
		current, err := find(ctx, t.tx, t.keys, tenant, id, nil)
		switch {
		case err == nil:
			changes[len(changes)-1].New = current.Content
			changes[len(changes)-1].Metadata = current.Metadata
		case !errors.Is(err, memory.ErrNotFound):
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changes, notFoundIf(!found)
}
