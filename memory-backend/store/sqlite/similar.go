package sqlite

import (
	"container/list"
	"context"
	"sync"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

// rowCost is what a vector costs in memory beside its numbers, in bytes.
const rowCost = 64

// vectorCache keeps the opened vectors of the tenants that were searched last, up to a number of bytes.
type vectorCache struct {
	max int64

	mu      sync.Mutex
	used    int64
	tenants map[string]*list.Element // of *tenantVectors
	order   *list.List               // those used last in front
}

// tenantVectors are the vectors of a tenant.
type tenantVectors struct {
	tenant string
	turn   chan struct{} // holds one token: who took it brings them up to date
	now    *vectorSet    // guarded by the cache
	cost   int64         // guarded by the cache
}

// vectorSet is what a file says of one space at one moment. It is not changed but for what is appended.
type vectorSet struct {
	space    string
	changes  int64 // stats.vectors and stats.removals of the file then
	removals int64
	rows     []vectorRow
	tooMany  bool // to be kept; there are no rows
}

type vectorRow struct {
	seq, change int64
	vector      []float32
}

func newVectorCache(most int64) *vectorCache {
	return &vectorCache{max: most, tenants: make(map[string]*list.Element), order: list.New()}
}

// of returns what is kept of a tenant, now used last.
func (c *vectorCache) of(tenant string) *tenantVectors {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.tenants[tenant]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(*tenantVectors)
	}
	v := &tenantVectors{tenant: tenant, turn: make(chan struct{}, 1)}
	v.turn <- struct{}{}
	c.tenants[tenant] = c.order.PushFront(v)
	return v
}

// drop forgets a tenant.
func (c *vectorCache) drop(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.tenants[tenant]; e != nil {
		c.remove(e)
	}
}

func (c *vectorCache) remove(e *list.Element) {
	v := c.order.Remove(e).(*tenantVectors)
	delete(c.tenants, v.tenant)
	c.used -= v.cost
	v.now, v.cost = nil, 0
}

func (c *vectorCache) get(v *tenantVectors) *vectorSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return v.now
}

// put keeps a set, and makes room for it.
func (c *vectorCache) put(v *tenantVectors, set *vectorSet, cost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.tenants[v.tenant]
	if e == nil || e.Value != v {
		return // dropped meanwhile
	}
	cost += 4 * rowCost // of the tenant itself
	c.used += cost - v.cost
	v.now, v.cost = set, cost
	for c.used > c.max && c.order.Back() != e {
		c.remove(c.order.Back())
	}
}

// bytes returns how much is kept.
func (c *vectorCache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// VectorBytes returns how many bytes of opened vectors are kept, for metrics.
func (s *Store) VectorBytes() int64 { return s.vectors.bytes() }

// each calls do with the vectors of a space, each of a different memory, in no order.
func (s *Store) eachVector(ctx context.Context, t *readTx, space memory.Space, do func(seq int64, v []float32)) error {
	set, err := s.vectorSet(ctx, t, space)
	if err != nil {
		return err
	}
	if set.tooMany {
		return scanVectors(ctx, t, space, 0, func(r vectorRow) bool { do(r.seq, r.vector); return true })
	}
	for i, r := range set.rows {
		if i%4096 == 4095 && ctx.Err() != nil {
			return ctx.Err()
		}
		do(r.seq, r.vector)
	}
	return nil
}

// vectorSet returns the vectors of a space at least as new as the snapshot.
func (s *Store) vectorSet(ctx context.Context, t *readTx, space memory.Space) (*vectorSet, error) {
	var changes, removals int64
	if err := t.tx.QueryRowContext(ctx, `SELECT vectors, removals FROM stats`).Scan(&changes, &removals); err != nil {
		return nil, err
	}
	fresh := func(set *vectorSet) bool {
		return set != nil && set.space == space.String() && set.changes >= changes && set.removals >= removals
	}
	v := s.vectors.of(t.tenant)
	if set := s.vectors.get(v); fresh(set) {
		return set, nil
	}
	select {
	case <-v.turn:
		defer func() { v.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	old := s.vectors.get(v)
	if fresh(old) {
		return old, nil
	}
	set := &vectorSet{space: space.String(), changes: changes, removals: removals}
	after := int64(0)
	if old != nil && old.space == set.space {
		set.rows, set.tooMany = old.rows, old.tooMany
		after = old.changes
		if old.removals != removals {
			if set.tooMany {
				after = 0 // it may be fewer by now
			} else if err := set.reconcile(ctx, t); err != nil {
				return nil, err
			}
			set.tooMany = false
		}
	}
	cost := func() int64 { return int64(len(set.rows)) * int64(4*space.Dimensions+rowCost) }
	if !set.tooMany {
		if err := scanVectors(ctx, t, space, after, func(r vectorRow) bool {
			set.rows = append(set.rows, r)
			set.tooMany = cost() > s.vectors.max
			return !set.tooMany
		}); err != nil {
			return nil, err
		}
	}
	if set.tooMany {
		set.rows = nil
	}
	s.vectors.put(v, set, cost())
	return set, nil
}

// reconcile leaves out what the file has no longer, or has replaced.
func (set *vectorSet) reconcile(ctx context.Context, t *readTx) error {
	rows, err := t.tx.QueryContext(ctx, `SELECT seq, change FROM vectors WHERE space = ?`, set.space)
	if err != nil {
		return err
	}
	defer rows.Close()
	there := make(map[int64]int64, len(set.rows))
	for rows.Next() {
		var seq, change int64
		if err := rows.Scan(&seq, &change); err != nil {
			return err
		}
		there[seq] = change
	}
	if err := rows.Err(); err != nil {
		return err
	}
	kept := make([]vectorRow, 0, len(set.rows)) // others may be reading the old ones
	for _, r := range set.rows {
		if there[r.seq] == r.change {
			kept = append(kept, r)
		}
	}
	set.rows = kept
	return nil
}

// scanVectors opens the vectors of a space that came after a change, until do returns false.
func scanVectors(ctx context.Context, t *readTx, space memory.Space, after int64, do func(vectorRow) bool) error {
	rows, err := t.tx.QueryContext(ctx, `SELECT seq, id, change, vector FROM vectors WHERE space = ? AND change > ? ORDER BY change`, space.String(), after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r vectorRow
		var id string
		var sealed []byte
		if err := rows.Scan(&r.seq, &id, &r.change, &sealed); err != nil {
			return err
		}
		opened, err := t.keys.Open(sealVector, id, sealed)
		if err != nil {
			return foreign(err)
		}
		if r.vector, err = decodeVector(opened, space.Dimensions); err != nil {
			return err
		}
		if !do(r) {
			return nil
		}
	}
	return rows.Err()
}

// nearest returns the memories that pass the filter, by the cosine of their vectors to that of the query.
func (s *Store) nearest(ctx context.Context, t *readTx, q memory.SearchQuery) ([]int64, *search.Ranking, error) {
	docs, _, first, last, err := extent(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	ranking := search.NewScores(docs, first, last)
	sel, err := where(t.keys, q.Filter)
	if err != nil {
		return nil, nil, err
	}
	// A narrow filter is asked first: fewer vectors are compared then.
	only, err := chosen(ctx, t, `memories AS m`, nil, &sel, fewMatches+1)
	if err != nil {
		return nil, nil, err
	}
	if len(only) > fewMatches {
		only = nil
	}
	if err := s.eachVector(ctx, t, q.Space, func(seq int64, v []float32) {
		if only == nil || only[seq] {
			ranking.Set(seq, memory.Dot(q.Vector, v))
		}
	}); err != nil {
		return nil, nil, err
	}
	best, err := filtered(ctx, t, ranking, q)
	return best, ranking, err
}
