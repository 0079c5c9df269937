package qdrant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

// vectorDense is the name of the dense vectors, and fieldSpace the field that says what they are comparable in. Unlike all
// else that a memory says, they are not sealed: Qdrant compares them.
const (
	vectorDense = "dense"
	fieldSpace  = "space"
)

// denseConfig returns the dense vectors of a collection that is made; nil for none. All tenants are in it, so a graph is kept for each
// of them instead of for all, as Qdrant's documentation on multitenancy says.
func (s *Store) denseConfig() *qdrant.VectorsConfig {
	if s.Space.Dimensions == 0 {
		return nil
	}
	return qdrant.NewVectorsConfigMap(map[string]*qdrant.VectorParams{vectorDense: {
		Size: uint64(s.Space.Dimensions), Distance: qdrant.Distance_Cosine, OnDisk: qdrant.PtrOf(true),
		HnswConfig: &qdrant.HnswConfigDiff{M: qdrant.PtrOf(uint64(0)), PayloadM: qdrant.PtrOf(uint64(16))},
	}})
}

// checkDense fails with memory.ErrSpace if the collection cannot keep vectors of the store's space.
func (s *Store) checkDense(ctx context.Context) error {
	if s.Space.Dimensions == 0 {
		return nil
	}
	info, err := s.client.GetCollectionInfo(ctx, s.Collection)
	if err != nil {
		return err
	}
	params := info.GetConfig().GetParams().GetVectorsConfig().GetParamsMap().GetMap()[vectorDense]
	if n := params.GetSize(); n != uint64(s.Space.Dimensions) {
		what := fmt.Sprintf("vectors of %d numbers", n)
		if params == nil {
			what = "no dense vectors"
		}
		return fmt.Errorf("%w: the collection %q has %s, and not of %d: name another collection, and bring each tenant there with "+
			"'memory-backend export' and 'import'", memory.ErrSpace, s.Collection, what, s.Space.Dimensions)
	}
	return nil
}

// setDense gives a point a vector; one that the collection cannot hold is left out.
func (p *point) setDense(s *Store, space memory.Space, v []float32) {
	if len(v) == 0 || len(v) != space.Dimensions || len(v) != s.Space.Dimensions {
		return
	}
	p.dense = v
	p.payload[fieldSpace] = qdrant.NewValueString(space.String())
}

// inSpace holds for points whose vectors are of a space.
func inSpace(space memory.Space) *qdrant.Condition {
	return qdrant.NewMatchKeyword(fieldSpace, space.String())
}

// keepDense gives the point of a memory that is written anew the vector that it has.
func (w *writing) keepDense(ctx context.Context, p *point) error {
	if old := w.puts[p.id]; old != nil {
		if p.dense = old.dense; old.dense != nil {
			p.payload[fieldSpace] = old.payload[fieldSpace]
		}
		return nil
	}
	if w.store.Space.Dimensions == 0 {
		return nil
	}
	return w.store.call(ctx, func(ctx context.Context) error {
		found, err := w.store.client.Get(ctx, &qdrant.GetPoints{CollectionName: w.store.Collection, Ids: []*qdrant.PointId{qdrant.NewIDUUID(p.id)},
			WithPayload: qdrant.NewWithPayloadInclude(fieldSpace), WithVectors: qdrant.NewWithVectorsInclude(vectorDense)})
		if err != nil || len(found) == 0 {
			return err
		}
		numbers := found[0].GetVectors().GetVectors().GetVectors()[vectorDense].GetDense().GetData()
		if space := found[0].Payload[fieldSpace]; space != nil && len(numbers) == w.store.Space.Dimensions {
			p.dense, p.payload[fieldSpace] = numbers, space
		}
		return nil
	})
}

// SetVectors implements memory.VectorStore.
func (s *Store) SetVectors(ctx context.Context, tenant string, space memory.Space, list []memory.Embedded) (stored int, err error) {
	err = s.write(ctx, tenant, false, func(w *writing) error {
		stored = 0
		for _, e := range list {
			m, err := w.find(ctx, e.ID, nil)
			if errors.Is(err, memory.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if m.Version != e.Version || len(e.Vector) != space.Dimensions || len(e.Vector) != s.Space.Dimensions {
				continue
			}
			if err := w.putMemory(m, func(p *point) error { p.setDense(s, space, e.Vector); return nil }); err != nil {
				return err
			}
			stored++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// Unembedded implements memory.VectorStore.
func (s *Store) Unembedded(ctx context.Context, tenant string, space memory.Space, filter memory.Filter, after int64, limit int) (list []*memory.Memory, err error) {
	_, err = s.read(ctx, tenant, func(r *reading) error {
		list = nil
		condition, exact, err := where(r.keys, filter)
		if err != nil {
			return err
		}
		for last := after; len(list) < limit; {
			behind := qdrant.NewRange(fieldSeq, &qdrant.Range{Gt: qdrant.PtrOf(float64(last))})
			found, err := r.page(ctx, kindMemory, []*qdrant.Condition{condition, behind, not(inSpace(space))}, &qdrant.OrderBy{Key: fieldSeq}, limit)
			if err != nil || len(found) == 0 {
				return err
			}
			for _, p := range found {
				m, err := openMemory(r.keys, p)
				if err != nil {
					return err
				}
				if last = m.Seq; (exact || memory.Match(filter, m)) && len(list) < limit {
					list = append(list, m)
				}
			}
		}
		return nil
	})
	return list, err
}

// CountVectors implements memory.VectorStore.
func (s *Store) CountVectors(ctx context.Context, tenant string, space memory.Space) (have, all int, err error) {
	_, err = s.read(ctx, tenant, func(r *reading) (err error) {
		if have, err = r.count(ctx, kindMemory, inSpace(space)); err == nil {
			all, err = r.count(ctx, kindMemory)
		}
		return err
	})
	return have, all, err
}

// side is one way to rank the memories of a tenant.
type side struct {
	query *qdrant.Query
	using string
	most  float64             // the score that counts as 1
	only  []*qdrant.Condition // beside those of the filter
}

// dense ranks by the cosine to the vector of a query.
func dense(q memory.SearchQuery) side {
	return side{qdrant.NewQueryDense(q.Vector), vectorDense, 1, []*qdrant.Condition{inSpace(q.Space)}}
}

// threshold returns the least score of a side that counts.
func (d side) threshold(least float64) *float32 {
	return qdrant.PtrOf(float32(max(least*d.most, 1e-9)))
}

// both has Qdrant rank by both sides, each among what the condition selects, and join them. Its k is one more than ours, as
// it counts ranks from 0.
func (r *reading) both(ctx context.Context, a, b side, condition *qdrant.Condition, q memory.SearchQuery) ([]memory.Hit, error) {
	depth := qdrant.PtrOf(uint64(search.FusionDepth(q.Limit)))
	prefetch := func(d side) *qdrant.PrefetchQuery {
		return &qdrant.PrefetchQuery{Query: d.query, Using: &d.using, Filter: r.filter(kindMemory, append(d.only, condition)...), Limit: depth,
			ScoreThreshold: d.threshold(q.MinScore)}
	}
	var found []*qdrant.ScoredPoint
	if err := r.store.call(ctx, func(ctx context.Context) (err error) {
		found, err = r.store.client.Query(ctx, &qdrant.QueryPoints{CollectionName: r.store.Collection, Prefetch: []*qdrant.PrefetchQuery{prefetch(a), prefetch(b)},
			Query: qdrant.NewQueryRRF(&qdrant.Rrf{K: qdrant.PtrOf(uint32(search.FusionK + 1))}), Filter: r.filter(kindMemory, condition),
			Limit: qdrant.PtrOf(uint64(q.Limit + 16)), WithPayload: qdrant.NewWithPayload(true)})
		return err
	}); err != nil {
		return nil, err
	}
	hits := make([]memory.Hit, 0, len(found))
	for _, p := range found {
		m, err := openMemory(r.keys, &stored{id: p.GetId().GetUuid(), payload: p.Payload})
		if err != nil {
			return nil, err
		}
		hits = append(hits, memory.Hit{Memory: m, Score: search.FusedScore(float64(p.Score))})
	}
	return sorted(hits, q.Limit), nil
}

// one ranks by one side, and looks at as many as it takes until enough pass the filter.
func (r *reading) one(ctx context.Context, d side, condition *qdrant.Condition, exact bool, q memory.SearchQuery) ([]memory.Hit, error) {
	var hits []memory.Hit
	for limit := q.Limit + 16; ; limit = min(4*limit, mostHits) {
		found, err := r.nearest(ctx, d, condition, limit, q.MinScore)
		if err != nil {
			return nil, err
		}
		hits = hits[:0]
		for _, p := range found {
			score := math.Min(1, float64(p.score)/d.most)
			if score <= 0 || score < q.MinScore {
				continue
			}
			m, err := openMemory(r.keys, p)
			if err != nil {
				return nil, err
			}
			if exact || memory.Match(q.Filter, m) {
				hits = append(hits, memory.Hit{Memory: m, Score: score})
			}
		}
		if len(hits) >= q.Limit || len(found) < limit || limit == mostHits {
			return sorted(hits, q.Limit), nil
		}
	}
}

// sorted puts the best hits first, the newer first where two are equally good.
func sorted(hits []memory.Hit, limit int) []memory.Hit {
	slices.SortStableFunc(hits, func(a, b memory.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Memory.Seq, a.Memory.Seq))
	})
	return hits[:min(limit, len(hits))]
}

// joined ranks by both sides and joins them here, as the filter needs opened memories to decide.
func (r *reading) joined(ctx context.Context, a, b side, condition *qdrant.Condition, q memory.SearchQuery) ([]memory.Hit, error) {
	limit := q.Limit
	q.Limit = search.FusionDepth(limit)
	bySeq := make(map[int64]*memory.Memory)
	var lists [2][]int64
	for i, d := range []side{a, b} {
		hits, err := r.one(ctx, d, condition, false, q)
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			bySeq[h.Memory.Seq] = h.Memory
			lists[i] = append(lists[i], h.Memory.Seq)
		}
	}
	var hits []memory.Hit
	for _, f := range search.Fuse(lists[0], lists[1]) {
		if len(hits) == limit {
			break
		}
		hits = append(hits, memory.Hit{Memory: bySeq[f.Doc], Score: f.Score})
	}
	return hits, nil
}
