package sqlite

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

const sqlExtent = `SELECT docs, terms, (SELECT coalesce(min(seq), 0) FROM memories),
	(SELECT coalesce(max(seq), 0) FROM memories) FROM stats`

// listStep is how many memories are opened at a time to see whether a filter selects them.
const listStep = 256

// Get implements memory.Store.
func (s *Store) Get(ctx context.Context, tenant, id string, scope memory.Filter) (*memory.Memory, error) {
	var m *memory.Memory
	found, err := s.read(ctx, tenant, func(t *readTx) (err error) {
		m, err = find(ctx, t.tx, t.keys, tenant, id, scope)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, notFoundIf(!found)
}

func notFoundIf(missing bool) error {
	if missing {
		return memory.ErrNotFound
	}
	return nil
}

// List implements memory.Store.
func (s *Store) List(ctx context.Context, tenant string, q memory.ListQuery) (list []*memory.Memory, total int, err error) {
	_, err = s.read(ctx, tenant, func(t *readTx) error {
		sel, err := where(t.keys, q.Filter)
		if err != nil {
			return err
		}
		if sel.exact {
			list, total, err = listExact(ctx, t, &sel, q)
		} else {
			list, total, err = listOpened(ctx, t, &sel, q)
		}
		return err
	})
	if !q.Total {
		total = -1
	}
	return list, total, err
}

// behind returns the condition that a memory comes after another in an order.
func behind(o memory.Order, p *memory.Position) (string, []any) {
	if p == nil {
		return "1", nil
	}
	if o == memory.OldestFirst {
		return "(m.created, m.seq) > (?, ?)", []any{micros(p.Created), p.Seq}
	}
	return "(m.created, m.seq) < (?, ?)", []any{micros(p.Created), p.Seq}
}

func orderBy(o memory.Order) string {
	if o == memory.OldestFirst {
		return ` ORDER BY m.created, m.seq`
	}
	return ` ORDER BY m.created DESC, m.seq DESC`
}

// listing selects memories behind a position, in order.
func listing(ctx context.Context, t *readTx, sel *selection, o memory.Order, after *memory.Position, limit, offset int) ([]*memory.Memory, error) {
	condition, args := behind(o, after)
	args = append(append(append([]any(nil), sel.args...), args...), limit, offset)
	rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE `+sel.sql+` AND `+condition+
		orderBy(o)+` LIMIT ? OFFSET ?`, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, t.tenant, t.keys)
}

// listExact lists by a filter that SQLite can decide on.
func listExact(ctx context.Context, t *readTx, sel *selection, q memory.ListQuery) (list []*memory.Memory, total int, err error) {
	if q.Total {
		if err := t.tx.QueryRowContext(ctx, `SELECT count(*) FROM memories AS m WHERE `+sel.sql, sel.args...).Scan(&total); err != nil {
			return nil, 0, err
		}
	}
	list, err = listing(ctx, t, sel, q.Order, q.After, q.Limit, q.Offset)
	return list, total, err
}

// listOpened lists by a filter that needs the memories themselves.
func listOpened(ctx context.Context, t *readTx, sel *selection, q memory.ListQuery) (list []*memory.Memory, total int, err error) {
	var at *memory.Position
	if !q.Total {
		at = q.After
	}
	skip := q.Offset
	for {
		found, err := listing(ctx, t, sel, q.Order, at, listStep, 0)
		if err != nil || len(found) == 0 {
			return list, total, err
		}
		last := found[len(found)-1]
		at = &memory.Position{Created: last.Created, Seq: last.Seq}
		for _, m := range found {
			if !sel.passes(m) {
				continue
			}
			total++
			switch {
			case q.After != nil && !isBehind(q.Order, m, q.After):
			case skip > 0:
				skip--
			case len(list) < q.Limit:
				list = append(list, m)
			}
		}
		if !q.Total && len(list) == q.Limit {
			return list, total, nil
		}
	}
}

func isBehind(o memory.Order, m *memory.Memory, p *memory.Position) bool {
	a, b := micros(m.Created), micros(p.Created)
	if o == memory.OldestFirst {
		return a > b || a == b && m.Seq > p.Seq
	}
	return a < b || a == b && m.Seq < p.Seq
}

// Sizes of the steps in which Search checks candidates against a filter, and up to which number of
// selected memories it asks for all of them instead.
const (
	firstStep  = 64
	lastStep   = 4096
	fewMatches = 4096
)

// Search implements memory.Store. It ranks everything that shares a term with the query, then goes
// through the candidates, best first, until enough of them pass the filter. Only what is returned, or what
// the filter cannot be decided without, is opened.
func (s *Store) Search(ctx context.Context, tenant string, q memory.SearchQuery) ([]memory.Hit, error) {
	terms := search.Query(q.Text)
	dense := len(q.Vector) > 0 && len(q.Vector) == q.Space.Dimensions
	if len(terms) == 0 && !dense || q.Limit <= 0 {
		return nil, nil
	}
	var hits []memory.Hit
	_, err := s.read(ctx, tenant, func(t *readTx) (err error) {
		switch {
		case dense && len(terms) > 0:
			hits, err = s.searchBoth(ctx, t, terms, q)
		case dense:
			hits, err = ranked(ctx, t, func() ([]int64, *search.Ranking, error) { return s.nearest(ctx, t, q) })
		default:
			hits, err = ranked(ctx, t, func() ([]int64, *search.Ranking, error) { return byWords(ctx, t, terms, q) })
		}
		return err
	})
	return hits, err
}

// byWords returns the memories that pass the filter, by their words.
func byWords(ctx context.Context, t *readTx, terms []string, q memory.SearchQuery) ([]int64, *search.Ranking, error) {
	ranking, err := rank(ctx, t, terms)
	if err != nil {
		return nil, nil, err
	}
	best, err := filtered(ctx, t, ranking, q)
	return best, ranking, err
}

// ranked loads what one ranking found, with its scores.
func ranked(ctx context.Context, t *readTx, find func() ([]int64, *search.Ranking, error)) ([]memory.Hit, error) {
	best, ranking, err := find()
	if err != nil {
		return nil, err
	}
	list := make([]search.Fused, len(best))
	for i, doc := range best {
		list[i] = search.Fused{Doc: doc, Score: ranking.Score(doc)}
	}
	return load(ctx, t, list)
}

// searchBoth ranks by words and by vectors, and joins both.
func (s *Store) searchBoth(ctx context.Context, t *readTx, terms []string, q memory.SearchQuery) ([]memory.Hit, error) {
	limit := q.Limit
	q.Limit = search.FusionDepth(limit)
	words, _, err := byWords(ctx, t, terms, q)
	if err != nil {
		return nil, err
	}
	near, _, err := s.nearest(ctx, t, q)
	if err != nil {
		return nil, err
	}
	fused := search.Fuse(words, near)
	return load(ctx, t, fused[:min(limit, len(fused))])
}

// extent returns how many memories there are, with how many terms, and between which numbers.
func extent(ctx context.Context, t *readTx) (docs, length, first, last int64, err error) {
	rows, err := t.rows(ctx, sqlExtent)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if rows.Next() {
		err = rows.Scan(&docs, &length, &first, &last)
	}
	return docs, length, first, last, errors.Join(err, rows.Close())
}

func rank(ctx context.Context, t *readTx, terms []string) (*search.Ranking, error) {
	docs, length, first, last, err := extent(ctx, t)
	if err != nil {
		return nil, err
	}
	ranking := search.NewRanking(docs, length, first, last)
	var blocks search.Blocks
	for _, term := range terms {
		hash, err := t.keys.Hash(hashTerm, term)
		if err != nil {
			return nil, err
		}
		if err := postings(ctx, t, &blocks, hash); err != nil {
			return nil, err
		}
		if err := ranking.Add(&blocks); err != nil {
			return nil, err
		}
	}
	return ranking, nil
}

// filtered returns the numbers of the best candidates that pass the filter and the score.
func filtered(ctx context.Context, t *readTx, ranking *search.Ranking, q memory.SearchQuery) ([]int64, error) {
	sel, err := where(t.keys, q.Filter)
	if err != nil {
		return nil, err
	}
	var best []int64
	for step, asked := max(firstStep, 2*q.Limit), false; ranking.Len() > 0; step = min(4*step, lastStep) {
		if step > 4*firstStep && !asked && ranking.Len() > step {
			// The filter is a narrow one: it may be cheaper to ask what it selects.
			asked = true
			all, err := chosen(ctx, t, `memories AS m`, nil, &sel, fewMatches+1)
			if err != nil {
				return nil, err
			}
			if len(all) <= fewMatches {
				ranking.Keep(all)
				sel.sql, sel.args = "1", nil
			}
		}
		candidates := ranking.Next(step)
		pass, err := passing(ctx, t, candidates, &sel)
		if err != nil {
			return nil, err
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

// numbered joins the memories with the numbers of a JSON array.
const numbered = `json_each(?) AS c CROSS JOIN memories AS m ON m.seq = c.value`

// passing returns which of the candidates the filter selects; nil when it selects everything.
func passing(ctx context.Context, t *readTx, candidates []int64, sel *selection) (map[int64]bool, error) {
	if sel.exact && sel.sql == "1" {
		return nil, nil
	}
	if sel.exact {
		list, err := json.Marshal(candidates)
		if err != nil {
			return nil, err
		}
		return chosen(ctx, t, numbered, []any{string(list)}, sel, len(candidates))
	}
	pass := make(map[int64]bool)
	for len(candidates) > 0 {
		n := min(listStep, len(candidates))
		found, err := loadAll(ctx, t, candidates[:n], sel)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if sel.passes(m) {
				pass[m.Seq] = true
			}
		}
		candidates = candidates[n:]
	}
	return pass, nil
}

// chosen returns the numbers of the memories of a source that the SQL of a filter selects, at most limit.
func chosen(ctx context.Context, t *readTx, source string, args []any, sel *selection, limit int) (map[int64]bool, error) {
	args = append(append(append([]any(nil), args...), sel.args...), limit)
	rows, err := t.tx.QueryContext(ctx, `SELECT m.seq FROM `+source+` WHERE `+sel.sql+` LIMIT ?`, args...)
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

// loadAll reads those of the memories with these numbers that the SQL of a filter selects, in any order.
func loadAll(ctx context.Context, t *readTx, seqs []int64, sel *selection) ([]*memory.Memory, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM `+numbered+` WHERE `+sel.sql,
		append([]any{string(list)}, sel.args...)...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, t.tenant, t.keys)
}

// load reads the memories with these numbers, in their order.
func load(ctx context.Context, t *readTx, list []search.Fused) ([]memory.Hit, error) {
	if len(list) == 0 {
		return nil, nil
	}
	seqs := make([]int64, len(list))
	for i, f := range list {
		seqs[i] = f.Doc
	}
	found, err := loadAll(ctx, t, seqs, &selection{sql: "1", exact: true})
	if err != nil {
		return nil, err
	}
	bySeq := make(map[int64]*memory.Memory, len(found))
	for _, m := range found {
		bySeq[m.Seq] = m
	}
	hits := make([]memory.Hit, 0, len(list))
	for _, f := range list {
		if m := bySeq[f.Doc]; m != nil {
			hits = append(hits, memory.Hit{Memory: m, Score: f.Score})
		}
	}
	return hits, nil
}
