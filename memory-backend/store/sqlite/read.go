package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

const sqlExtent = `SELECT docs, terms, (SELECT coalesce(min(seq), 0) FROM memories),
	(SELECT coalesce(max(seq), 0) FROM memories) FROM stats`

// Get implements memory.Store.
func (s *Store) Get(ctx context.Context, tenant, id string, scope memory.Filter) (*memory.Memory, error) {
	var r row
	found, err := s.read(ctx, tenant, func(t *readTx) (err error) {
		r, err = find(ctx, t.tx, tenant, id, scope)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.memory, notFoundIf(!found)
}

// List implements memory.Store.
func (s *Store) List(ctx context.Context, tenant string, q memory.ListQuery) ([]*memory.Memory, int, error) {
	condition, args := where(q.Filter)
	order := ` ORDER BY m.created DESC, m.seq DESC`
	if q.Order == memory.OldestFirst {
		order = ` ORDER BY m.created, m.seq`
	}
	total := -1
	if q.Total {
		total = 0
	}
	var list []*memory.Memory
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		if q.Total {
			if err := t.tx.QueryRowContext(ctx, `SELECT count(*) FROM memories AS m WHERE `+condition, args...).Scan(&total); err != nil {
				return err
			}
		}
		rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE `+condition+order+` LIMIT ? OFFSET ?`,
			append(slices.Clip(args), q.Limit, q.Offset)...)
		if err != nil {
			return err
		}
		found, err := scanAll(rows, tenant)
		for _, r := range found {
			list = append(list, r.memory)
		}
		return err
	})
	return list, total, err
}

// Sizes of the steps in which Search checks candidates against a filter, and up to which number of
// selected memories it asks for all of them instead.
const (
	firstStep  = 64
	lastStep   = 4096
	fewMatches = 4096
)

// Search implements memory.Store. It ranks everything that shares a term with the query, then goes
// through the candidates, best first, until enough of them pass the filter.
func (s *Store) Search(ctx context.Context, tenant string, q memory.SearchQuery) ([]memory.Hit, error) {
	terms := search.Query(q.Text)
	if len(terms) == 0 || q.Limit <= 0 {
		return nil, nil
	}
	var hits []memory.Hit
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		ranking, err := rank(ctx, t, terms)
		if err != nil {
			return err
		}
		best, err := filtered(ctx, t, ranking, q)
		if err != nil {
			return err
		}
		hits, err = load(ctx, t, ranking, best)
		return err
	})
	return hits, err
}

func rank(ctx context.Context, t *readTx, terms []string) (*search.Ranking, error) {
	rows, err := t.rows(ctx, sqlExtent)
	if err != nil {
		return nil, err
	}
	var docs, length, first, last int64
	if rows.Next() {
		err = rows.Scan(&docs, &length, &first, &last)
	}
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, err
	}
	ranking := search.NewRanking(docs, length, first, last)
	var buffer []search.Posting
	for _, term := range terms {
		if buffer, err = postings(ctx, t, buffer[:0], term); err != nil {
			return nil, err
		}
		ranking.Add(buffer)
	}
	return ranking, nil
}

// filtered returns the numbers of the best candidates that pass the filter and the score.
func filtered(ctx context.Context, t *readTx, ranking *search.Ranking, q memory.SearchQuery) ([]int64, error) {
	condition, args := where(q.Filter)
	var best []int64
	for step, asked := max(firstStep, 2*q.Limit), false; ranking.Len() > 0; step = min(4*step, lastStep) {
		if step > 4*firstStep && !asked && ranking.Len() > step {
			// The filter is a narrow one: it may be cheaper to ask what it selects.
			asked = true
			all, err := chosen(ctx, t, `memories AS m`, condition, args, fewMatches+1)
			if err != nil {
				return nil, err
			}
			if len(all) <= fewMatches {
				ranking.Keep(all)
				condition, args = "1", nil
			}
		}
		candidates := ranking.Next(step)
		pass := map[int64]bool(nil)
		if condition != "1" {
			list, err := json.Marshal(candidates)
			if err != nil {
				return nil, err
			}
			pass, err = chosen(ctx, t, `json_each(?) AS c CROSS JOIN memories AS m ON m.seq = c.value`, condition,
				append([]any{string(list)}, args...), len(candidates))
			if err != nil {
				return nil, err
			}
		}
		for _, c := range candidates {
			if q.MinScore > 0 && ranking.Score(c) < q.MinScore {
				return best, nil // so are all that follow
			}
			if pass == nil || pass[c] {
				if best = append(best, c); len(best) == q.Limit {
					return best, nil
				}
			}
		}
	}
	return best, nil
}

// chosen returns the numbers of the memories of a source that a condition selects, at most limit.
func chosen(ctx context.Context, t *readTx, source, condition string, args []any, limit int) (map[int64]bool, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT m.seq FROM `+source+` WHERE `+condition+` LIMIT ?`,
		append(slices.Clip(args), limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	set := make(map[int64]bool)
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		set[seq] = true
	}
	return set, rows.Err()
}

// load reads the memories with these numbers, in their order.
func load(ctx context.Context, t *readTx, ranking *search.Ranking, seqs []int64) ([]memory.Hit, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.seq IN (SELECT value FROM json_each(?))`, string(list))
	if err != nil {
		return nil, err
	}
	found, err := scanAll(rows, t.tenant)
	if err != nil {
		return nil, err
	}
	bySeq := make(map[int64]*memory.Memory, len(found))
	for _, r := range found {
		bySeq[r.seq] = r.memory
	}
	hits := make([]memory.Hit, 0, len(seqs))
	for _, seq := range seqs {
		if m := bySeq[seq]; m != nil {
			hits = append(hits, memory.Hit{Memory: m, Score: ranking.Score(seq)})
		}
	}
	return hits, nil
}

// History implements memory.Store. Only what was before each change is stored; what came after is what
// was before the next one, or is the memory itself.
func (s *Store) History(ctx context.Context, tenant, id, agent string) ([]memory.Change, error) {
	var changes []memory.Change
	found, err := s.read(ctx, tenant, func(t *readTx) error {
		rows, err := t.tx.QueryContext(ctx, `SELECT id, memory, user, event, old, old_metadata, writer, at FROM changes
			WHERE memory = ? AND (? = '' OR agent = ?) ORDER BY seq`, id, agent, agent)
		if err != nil {
			return err
		}
		defer rows.Close()
		var before []sql.NullString
		for rows.Next() {
			var c memory.Change
			var event string
			var old, metadata sql.NullString
			var at int64
			if err := rows.Scan(&c.ID, &c.MemoryID, &c.User, &event, &old, &metadata, &c.Writer, &at); err != nil {
				return err
			}
			c.Event, c.Old, c.At = memory.EventKind(event), old.String, fromMicros(at)
			changes, before = append(changes, c), append(before, metadata)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if len(changes) == 0 {
			return memory.ErrNotFound
		}
		for i := range changes[:len(changes)-1] {
			changes[i].New = changes[i+1].Old
			changes[i].Metadata = metadataJSON(before[i+1].String)
		}
		current, err := find(ctx, t.tx, tenant, id, nil)
		switch {
		case err == nil:
			changes[len(changes)-1].New = current.memory.Content
			changes[len(changes)-1].Metadata = current.memory.Metadata
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

func metadataJSON(text string) json.RawMessage {
	if text == "" || text == noMetadata {
		return nil
	}
	return json.RawMessage(text)
}

// Entities implements memory.Store.
func (s *Store) Entities(ctx context.Context, tenant string, filter memory.Filter, limit int) ([]memory.Entity, error) {
	var list []memory.Entity
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		condition, args := where(filter)
		for _, kind := range []memory.EntityKind{memory.EntityUser, memory.EntityAgent, memory.EntityApp, memory.EntityRun} {
			if len(list) >= limit {
				return nil
			}
			field, _ := kind.Field()
			column := textColumns[field]
			rows, err := t.tx.QueryContext(ctx, `SELECT `+column+`, count(*), min(m.created), max(m.updated) FROM memories AS m
				WHERE `+column+` <> '' AND `+condition+` GROUP BY `+column+` ORDER BY `+column+` LIMIT ?`,
				append(slices.Clip(args), limit-len(list))...)
			if err != nil {
				return err
			}
			for rows.Next() {
				e := memory.Entity{Kind: kind}
				var created, updated int64
				if err := rows.Scan(&e.Name, &e.Memories, &created, &updated); err != nil {
					rows.Close()
					return err
				}
				e.Created, e.Updated = fromMicros(created), fromMicros(updated)
				list = append(list, e)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

const (
	sqlAgentColumns = `SELECT a.id, a.pattern, a.description, a.created, `
	sqlAgentCount   = `(SELECT count(*) FROM memories AS m WHERE m.agent <> '' AND m.agent = a.id)`
)

// Agent implements memory.Store.
func (s *Store) Agent(ctx context.Context, tenant, id string, count bool) (*memory.Agent, error) {
	list, err := s.agents(ctx, tenant, count, ` WHERE a.id = ?`, id)
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
	return s.agents(ctx, tenant, count, ` ORDER BY a.created DESC, a.id LIMIT ?`, limit)
}

func (s *Store) agents(ctx context.Context, tenant string, count bool, rest string, arg any) ([]memory.Agent, error) {
	number := `0`
	if count {
		number = sqlAgentCount
	}
	var list []memory.Agent
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		rows, err := t.tx.QueryContext(ctx, sqlAgentColumns+number+` FROM agents AS a`+rest, arg)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a memory.Agent
			var created int64
			if err := rows.Scan(&a.ID, &a.Pattern, &a.Description, &created, &a.Memories); err != nil {
				return err
			}
			a.Created = fromMicros(created)
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, err
}
