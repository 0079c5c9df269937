package search

import (
	"container/heap"
	"math"
	"slices"
	"sort"
)

// The parameters of BM25: how soon repetition stops to count, and how much long documents lose. Memories
// are short, so both are lower than usual; on a public set of chat memories 0.9 and 0.4 find the turn that
// answers a question among the first ten in 71.5 of 100 questions, 1.2 and 0.75 in 70.1.
const (
	k1 = 0.9
	b  = 0.4
)

// Ranking accumulates the BM25 score of every document that shares a term with a query. The inverse
// document frequency is ln(1 + (N-n+½)/(n+½)), which is positive however common a term is, so that
// small collections rank as sensibly as large ones.
type Ranking struct {
	docs   float64
	avg    float64
	scores []float64         // by document number less first, if the numbers are dense
	sparse map[int64]float64 // else
	first  int64
	last   int64
	hits   []int64
	most   float64 // the score of an average document that has each term once
}

// NewRanking returns a ranking over a collection of docs documents with totalLen terms altogether, whose
// numbers lie between first and last.
func NewRanking(docs, totalLen, first, last int64) *Ranking {
	r := &Ranking{docs: float64(docs), avg: 1, first: first, last: last}
	if docs > 0 && totalLen > 0 {
		r.avg = float64(totalLen) / float64(docs)
	}
	switch span := last - first + 1; {
	case span <= 0 || docs <= 0:
		r.last = first - 1
	case span <= 8*docs+1<<16:
		r.scores = make([]float64, span)
	default:
		r.sparse = make(map[int64]float64)
	}
	return r
}

// NewScores returns a ranking over a collection of documents, numbered as for NewRanking, whose scores Set says.
func NewScores(docs, first, last int64) *Ranking {
	r := NewRanking(docs, 0, first, last)
	r.most = 1
	return r
}

// Set gives a document its score, above 0 and at most 1. Each is set once at most; documents outside the collection are
// ignored.
func (r *Ranking) Set(doc int64, score float64) {
	if doc < r.first || doc > r.last || score <= 0 {
		return
	}
	if r.scores != nil {
		r.scores[doc-r.first] = score
	} else {
		r.sparse[doc] = score
	}
	r.hits = append(r.hits, doc)
}

// at returns the score of a document within the collection.
func (r *Ranking) at(doc int64) float64 {
	if r.scores != nil {
		return r.scores[doc-r.first]
	}
	return r.sparse[doc]
}

// Add counts in one term of the query by its postings. Postings outside the collection are ignored.
func (r *Ranking) Add(blocks *Blocks) error {
	n := blocks.count()
	idf := math.Log(1 + math.Max(0, r.docs-float64(n)+0.5)/(float64(n)+0.5))
	r.most += idf
	r.hits = slices.Grow(r.hits, min(n, int(r.docs)))
	return blocks.each(func(p Posting) {
		if p.Doc < r.first || p.Doc > r.last {
			return
		}
		tf := float64(p.Count)
		score := idf * tf * (k1 + 1) / (tf + k1*(1-b+b*float64(p.Len)/r.avg))
		if r.scores != nil {
			at := &r.scores[p.Doc-r.first]
			if *at == 0 {
				r.hits = append(r.hits, p.Doc)
			}
			*at += score
			return
		}
		old := r.sparse[p.Doc]
		if old == 0 {
			r.hits = append(r.hits, p.Doc)
		}
		r.sparse[p.Doc] = old + score
	})
}

// Len returns how many documents share a term with the query.
func (r *Ranking) Len() int { return len(r.hits) }

// Score returns the score of a document in proportion to that of an average one that has every term of
// the query once: 0 to 1.
func (r *Ranking) Score(doc int64) float64 {
	if doc < r.first || doc > r.last || r.most == 0 {
		return 0
	}
	return math.Min(1, r.at(doc)/r.most)
}

func (r *Ranking) better(a, b int64) bool {
	sa, sb := r.at(a), r.at(b)
	if sa != sb {
		return sa > sb
	}
	return a > b // equally good: the newer
}

// Keep drops every document that is not in the set.
func (r *Ranking) Keep(set map[int64]bool) {
	kept := r.hits[:0]
	for _, d := range r.hits {
		if set[d] {
			kept = append(kept, d)
		}
	}
	r.hits = kept
}

// Next removes the n best documents that are left and returns them, best first; the newer one first
// where two are equally good.
func (r *Ranking) Next(n int) []int64 {
	if n >= len(r.hits) {
		best := r.hits
		r.hits = nil
		sort.Slice(best, func(i, j int) bool { return r.better(best[i], best[j]) })
		return best
	}
	h := &worstFirst{ranking: r, docs: append(make([]int64, 0, n), r.hits[:n]...)}
	heap.Init(h)
	kept := make([]int64, 0, len(r.hits)-n)
	for _, d := range r.hits[n:] {
		if r.better(d, h.docs[0]) {
			kept = append(kept, h.docs[0])
			h.docs[0] = d
			heap.Fix(h, 0)
		} else {
			kept = append(kept, d)
		}
	}
	r.hits = kept
	sort.Slice(h.docs, func(i, j int) bool { return r.better(h.docs[i], h.docs[j]) })
	return h.docs
}

// worstFirst is a heap whose top is the worst of the documents kept so far.
type worstFirst struct {
	ranking *Ranking
	docs    []int64
}

func (h *worstFirst) Len() int           { return len(h.docs) }
func (h *worstFirst) Less(i, j int) bool { return h.ranking.better(h.docs[j], h.docs[i]) }
func (h *worstFirst) Swap(i, j int)      { h.docs[i], h.docs[j] = h.docs[j], h.docs[i] }
func (h *worstFirst) Push(x any)         { h.docs = append(h.docs, x.(int64)) }
func (h *worstFirst) Pop() any {
	d := h.docs[len(h.docs)-1]
	h.docs = h.docs[:len(h.docs)-1]
	return d
}
