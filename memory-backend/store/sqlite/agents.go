package sqlite

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/memgate/memgate/memory-backend/memory"
)

const (
	sqlAgentColumns = `SELECT a.id, a.info, a.created, `
	sqlAgentCount   = `(SELECT count(*) FROM memories AS m WHERE m.agent <> x'' AND m.agent = a.id)`
)

// Agent implements memory.Store.
func (s *Store) Agent(ctx context.Context, tenant, id string, count bool) (*memory.Agent, error) {
	list, err := s.agents(ctx, tenant, count, ` WHERE a.id = ?`, func(k sealer) (any, error) { return k.Hash(hashAgent, id) })
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, memory.ErrNotFound
	}
	return &list[0], nil
}

// Agents implements memory.Store.
func (s *Store) Agents(ctx context.Context, tenant string, count bool, limit int) ([]memory.Agent, error) {
	return s.agents(ctx, tenant, count, ` ORDER BY a.created DESC LIMIT ?`, func(sealer) (any, error) { return limit, nil })
}

func (s *Store) agents(ctx context.Context, tenant string, count bool, rest string, arg func(sealer) (any, error)) ([]memory.Agent, error) {
	number := `0`
	if count {
		number = sqlAgentCount
	}
	var list []memory.Agent
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		list = nil
		a, err := arg(t.keys)
		if err != nil {
			return err
		}
		rows, err := t.tx.QueryContext(ctx, sqlAgentColumns+number+` FROM agents AS a`+rest, a)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a memory.Agent
			var created int64
			var id, info []byte
			if err := rows.Scan(&id, &info, &created, &a.Memories); err != nil {
				return err
			}
			opened, err := t.keys.Open(sealAgent, hex.EncodeToString(id), info)
			if err != nil {
				return foreign(err)
			}
			texts, err := cutStrings(opened)
			if err != nil || len(texts) < 3 {
				return errList
			}
			a.ID, a.Pattern, a.Description, a.Created = texts[0], texts[1], texts[2], fromMicros(created)
			list = append(list, a)
		}
		// SQLite knows no names.
		slices.SortStableFunc(list, func(a, b memory.Agent) int {
			return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
		})
		return rows.Err()
	})
	return list, err
}
