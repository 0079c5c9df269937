package qdranttest

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Query returns the points whose vectors score best, or what two or more such lists come to, joined by reciprocal rank.
func (s *Server) Query(_ context.Context, r *qdrant.QueryPoints) (*qdrant.QueryResponse, error) {
	if len(r.Prefetch) == 0 {
		found, err := s.nearest(r.Query, r.GetUsing(), r.Filter, r.ScoreThreshold, r.GetLimit())
		return &qdrant.QueryResponse{Result: found}, err
	}
	rrf := r.Query.GetRrf()
	if rrf == nil || rrf.K == nil || len(rrf.Weights) > 0 || r.Using != nil {
		return nil, status.Error(codes.InvalidArgument, "not a fusion")
	}
	selected, err := s.matching(r.Filter)
	if err != nil {
		return nil, err
	}
	passes := make(map[string]bool, len(selected))
	for _, p := range selected {
		passes[p.GetId().GetUuid()] = true
	}
	sums := make(map[string]*qdrant.ScoredPoint)
	for _, prefetch := range r.Prefetch {
		if len(prefetch.Prefetch) > 0 {
			return nil, status.Error(codes.InvalidArgument, "a prefetch of prefetches")
		}
		found, err := s.nearest(prefetch.Query, prefetch.GetUsing(), prefetch.Filter, prefetch.ScoreThreshold, prefetch.GetLimit())
		if err != nil {
			return nil, err
		}
		for i, p := range found {
			id := p.GetId().GetUuid()
			if !passes[id] {
				continue
			}
			if sums[id] == nil {
				sums[id] = &qdrant.ScoredPoint{Id: p.Id, Payload: p.Payload}
			}
			sums[id].Score += 1 / float32(uint32(i)+rrf.GetK())
		}
	}
	answer := new(qdrant.QueryResponse)
	for _, p := range sums {
		answer.Result = append(answer.Result, p)
	}
	answer.Result = best(answer.Result, r.GetLimit())
	return answer, nil
}

// best sorts by score and cuts off.
func best(list []*qdrant.ScoredPoint, limit uint64) []*qdrant.ScoredPoint {
	slices.SortFunc(list, func(a, b *qdrant.ScoredPoint) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.GetId().GetUuid(), b.GetId().GetUuid()))
	})
	return list[:min(len(list), int(limit))]
}

// nearest ranks the points of a filter by one of their vectors: by the product of sparse ones, by the cosine of dense ones.
func (s *Server) nearest(q *qdrant.Query, using string, f *qdrant.Filter, least *float32, limit uint64) ([]*qdrant.ScoredPoint, error) {
	found, err := s.matching(f)
	if err != nil {
		return nil, err
	}
	sparse, dense := q.GetNearest().GetSparse(), q.GetNearest().GetDense()
	weights := make(map[uint32]float32)
	switch {
	case sparse != nil:
		if _, ok := s.Made.SparseVectorsConfig.Map[using]; !ok {
			return nil, status.Errorf(codes.InvalidArgument, "no sparse vector %s", using)
		}
		for i, at := range sparse.Indices {
			weights[at] = sparse.Values[i]
		}
	case dense != nil:
		if s.dimensions(using) == 0 || s.dimensions(using) != len(dense.Data) {
			return nil, status.Errorf(codes.InvalidArgument, "no dense vector %s of %d numbers", using, len(dense.Data))
		}
	default:
		return nil, status.Error(codes.InvalidArgument, "not a query by a vector")
	}
	var list []*qdrant.ScoredPoint
	for _, p := range found {
		v := p.Vectors.GetVectors().GetVectors()[using]
		score, ok := float32(0), false
		if sparse != nil {
			for i, at := range v.GetSparse().GetIndices() {
				w, shared := weights[at]
				ok = ok || shared
				score += w * v.GetSparse().Values[i]
			}
		} else if v.GetDense() != nil {
			score, ok = cosine(dense.Data, v.GetDense().Data), true
		}
		if ok && (least == nil || score >= *least) {
			list = append(list, &qdrant.ScoredPoint{Id: p.Id, Payload: p.Payload, Score: score})
		}
	}
	return best(list, limit), nil
}

func cosine(a, b []float32) float32 {
	var dot, aa, bb float64
	for i := range a {
		dot, aa, bb = dot+float64(a[i])*float64(b[i]), aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i])
	}
	return float32(dot / math.Sqrt(aa*bb))
}
