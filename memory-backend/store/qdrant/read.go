package qdrant

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

// reading is a look at a tenant.
type reading struct {
	store *Store
	name  string
	keys  *crypt.Tenant
}

const (
	scanStep   = 256    // points that are read at a time
	mostHits   = 10_000 // hits of a search that are looked at
	countsOnce = 8      // terms that are counted at a time
)

// read runs do, and once more if it met what newer keys sealed. It reports false when there is no such tenant.
func (s *Store) read(ctx context.Context, name string, do func(*reading) error) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	k, err := s.keys(ctx, name, false)
	if err != nil || k == nil {
		return false, err
	}
	err = do(&reading{s, name, k})
	if errors.Is(err, memory.ErrCorrupt) {
		newer, failed := s.keys(ctx, name, true)
		if failed != nil || newer == nil {
			return false, failed
		}
		if newer != k {
			err = do(&reading{s, name, newer})
		}
	}
	return true, err
}

// ofTenant holds for the points of a tenant.
func ofTenant(name string) *qdrant.Condition {
	return qdrant.NewMatchKeyword(fieldTenant, crypt.FileName(name))
}

// filter selects points of a kind of the tenant that meet the conditions.
func (r *reading) filter(kind string, conditions ...*qdrant.Condition) *qdrant.Filter {
	f := &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(r.name), qdrant.NewMatchKeyword(fieldKind, kind)}}
	for _, c := range conditions {
		if c != nil {
			f.Must = append(f.Must, c)
		}
	}
	return f
}

// at returns the point with an id; nil if there is none.
func (r *reading) at(ctx context.Context, id string) (p *stored, err error) {
	err = r.store.call(ctx, func(ctx context.Context) error {
		found, err := r.store.client.Get(ctx, &qdrant.GetPoints{CollectionName: r.store.Collection,
			Ids: []*qdrant.PointId{qdrant.NewIDUUID(id)}, WithPayload: qdrant.NewWithPayload(true)})
		if p = nil; err == nil && len(found) > 0 {
			p = &stored{id: id, payload: found[0].Payload}
		}
		return err
	})
	if p != nil && (p.payload[fieldKind].GetStringValue() == kindGone || p.payload[fieldTenant].GetStringValue() != crypt.FileName(r.name)) {
		p = nil
	}
	return p, err
}

// scan calls do with every point of a kind that meets the conditions, in no order.
func (r *reading) scan(ctx context.Context, kind string, conditions []*qdrant.Condition, do func(*stored) error) error {
	var after *qdrant.PointId
	for {
		var found []*qdrant.RetrievedPoint
		var next *qdrant.PointId
		err := r.store.call(ctx, func(ctx context.Context) (err error) {
			found, next, err = r.store.client.ScrollAndOffset(ctx, &qdrant.ScrollPoints{CollectionName: r.store.Collection,
				Filter: r.filter(kind, conditions...), Offset: after, Limit: qdrant.PtrOf(uint32(scanStep)), WithPayload: qdrant.NewWithPayload(true)})
			return err
		})
		if err != nil {
			return err
		}
		for _, p := range found {
			if err := do(&stored{id: p.GetId().GetUuid(), payload: p.Payload}); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		after = next
	}
}

// each calls do with every memory that the filter selects, in no order.
func (r *reading) each(ctx context.Context, filter memory.Filter, do func(*memory.Memory) error) error {
	condition, exact, err := where(r.keys, filter)
	if err != nil {
		return err
	}
	return r.scan(ctx, kindMemory, []*qdrant.Condition{condition}, func(p *stored) error {
		m, err := openMemory(r.keys, p)
		if err != nil || !exact && !memory.Match(filter, m) {
			return err
		}
		return do(m)
	})
}

// count counts points of a kind.
func (r *reading) count(ctx context.Context, kind string, conditions ...*qdrant.Condition) (n int, err error) {
	err = r.store.call(ctx, func(ctx context.Context) error {
		c, err := r.store.client.Count(ctx, &qdrant.CountPoints{CollectionName: r.store.Collection, Filter: r.filter(kind, conditions...), Exact: qdrant.PtrOf(true)})
		n = int(c)
		return err
	})
	return n, err
}

// selected opens a memory that the scope must select.
func (r *reading) selected(p *stored, scope memory.Filter) (*memory.Memory, error) {
	if p == nil {
		return nil, memory.ErrNotFound
	}
	m, err := openMemory(r.keys, p)
	if err == nil && !memory.Match(scope, m) {
		err = memory.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Get implements memory.Store.
func (s *Store) Get(ctx context.Context, tenant, id string, scope memory.Filter) (m *memory.Memory, err error) {
	found, err := s.read(ctx, tenant, func(r *reading) error {
		at, err := pointID(r.keys, kindMemory, id)
		if err != nil {
			return err
		}
		p, err := r.at(ctx, at)
		if err != nil {
			return err
		}
		m, err = r.selected(p, scope)
		return err
	})
	return m, errors.Join(err, notFoundIf(!found && err == nil))
}

func notFoundIf(missing bool) error {
	if missing {
		return memory.ErrNotFound
	}
	return nil
}

// Search implements memory.Store. Qdrant ranks by the products of sparse vectors: what a term weighs in a memory
// stands in the point, and how rare it is among the tenant's memories in the query. (The collection's own measure
// of that would count the other tenants, too.)
func (s *Store) Search(ctx context.Context, tenant string, q memory.SearchQuery) (hits []memory.Hit, err error) {
	terms := search.Query(q.Text)
	byVector := len(q.Vector) > 0 && len(q.Vector) == q.Space.Dimensions && len(q.Vector) == s.Space.Dimensions
	if len(terms) == 0 && !byVector || q.Limit <= 0 {
		return nil, ctx.Err()
	}
	_, err = s.read(ctx, tenant, func(r *reading) error {
		hits = nil
		condition, exact, err := where(r.keys, q.Filter)
		if err != nil {
			return err
		}
		var words side
		if len(terms) > 0 {
			if words, err = r.words(ctx, terms); err != nil {
				return err
			}
		}
		switch {
		case words.most == 0 && !byVector:
		case words.most == 0:
			hits, err = r.one(ctx, dense(q), condition, exact, q)
		case !byVector:
			hits, err = r.one(ctx, words, condition, exact, q)
		case exact:
			hits, err = r.both(ctx, words, dense(q), condition, q)
		default:
			hits, err = r.joined(ctx, words, dense(q), condition, q)
		}
		return err
	})
	return hits, err
}

// words ranks by the sparse vector of a query's terms. An average memory that has each of them once scores 1.
func (r *reading) words(ctx context.Context, terms []string) (side, error) {
	docs, err := r.count(ctx, kindMemory)
	if err != nil || docs == 0 {
		return side{}, err
	}
	counts, indices, errs := make([]int, len(terms)), make([]uint32, len(terms)), make([]error, len(terms))
	var all sync.WaitGroup
	turn := make(chan struct{}, countsOnce)
	for i, term := range terms {
		h, index, err := termOf(r.keys, term)
		if err != nil {
			return side{}, err
		}
		indices[i] = index
		turn <- struct{}{}
		all.Go(func() {
			counts[i], errs[i] = r.count(ctx, kindMemory, qdrant.NewMatchKeyword(fieldTerms, h))
			<-turn
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return side{}, err
	}
	weights, most := make(map[uint32]float32), 0.0
	for i, n := range counts {
		idf := math.Log(1 + math.Max(0, float64(docs)-float64(n)+0.5)/(float64(n)+0.5))
		weights[indices[i]] += float32(idf)
		most += idf
	}
	indices = indices[:0]
	for i := range weights {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	values := make([]float32, len(indices))
	for i, at := range indices {
		values[i] = weights[at]
	}
	return side{query: qdrant.NewQuerySparse(indices, values), using: vectorTerms, most: most}, nil
}

// nearest returns the memories that score best by one side, at least so much.
func (r *reading) nearest(ctx context.Context, d side, condition *qdrant.Condition, limit int, least float64) (list []*stored, err error) {
	err = r.store.call(ctx, func(ctx context.Context) error {
		found, err := r.store.client.Query(ctx, &qdrant.QueryPoints{CollectionName: r.store.Collection, Query: d.query, Using: &d.using,
			Filter: r.filter(kindMemory, append(d.only, condition)...), ScoreThreshold: d.threshold(least), Limit: qdrant.PtrOf(uint64(limit)), WithPayload: qdrant.NewWithPayload(true)})
		list = list[:0]
		for _, p := range found {
			list = append(list, &stored{id: p.GetId().GetUuid(), payload: p.Payload, score: p.Score})
		}
		return err
	})
	return list, err
}

// History implements memory.Store.
func (s *Store) History(ctx context.Context, tenant, id, agent string) (changes []memory.Change, err error) {
	found, err := s.read(ctx, tenant, func(r *reading) error {
		of, err := hashed(r.keys, "memory", id)
		if err != nil {
			return err
		}
		conditions := []*qdrant.Condition{qdrant.NewMatchKeyword(fieldOf, of)}
		if agent != "" {
			h, err := hashed(r.keys, "agent", agent)
			if err != nil {
				return err
			}
			conditions = append(conditions, qdrant.NewMatchKeyword("agent", h))
		}
		type step struct {
			seq int64
			memory.Change
		}
		var steps []step
		err = r.scan(ctx, kindChange, conditions, func(p *stored) error {
			var c change
			err := open(r.keys, kindChange, p, &c)
			c.Metadata = c.Raw
			steps = append(steps, step{p.seq(), c.Change})
			return err
		})
		slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.seq, b.seq) })
		changes = nil
		for _, st := range steps {
			changes = append(changes, st.Change)
		}
		return errors.Join(err, notFoundIf(err == nil && len(steps) == 0))
	})
	if err != nil {
		return nil, err
	}
	return changes, notFoundIf(!found)
}
