package search

import (
	"cmp"
	"slices"
)

// FusionK is the constant of reciprocal rank fusion: what is at a rank, counted from 1, of a list counts 1/(FusionK+rank).
// (Cormack, Clarke and Buettcher, SIGIR 2009, who found 60.)
const FusionK = 60

// FusionDepth is how many of the best of each list are joined when so many are asked for.
func FusionDepth(limit int) int { return max(100, 2*limit) }

// Fused is a document in what Fuse returns. Score is 1 for what is first in each of two lists.
type Fused struct {
	Doc   int64
	Score float64
}

// FusedScore scales a sum of reciprocal ranks of two lists to at most 1.
func FusedScore(sum float64) float64 { return min(1, sum*(FusionK+1)/2) }

// Fuse joins two lists of documents, each best first and without repetition, by reciprocal rank: best first, and the
// newer document first where two are equally good.
func Fuse(a, b []int64) []Fused {
	sums := make(map[int64]float64, len(a)+len(b))
	for _, list := range [][]int64{a, b} {
		for i, doc := range list {
			sums[doc] += 1 / float64(FusionK+i+1)
		}
	}
	fused := make([]Fused, 0, len(sums))
	for doc, sum := range sums {
		fused = append(fused, Fused{doc, FusedScore(sum)})
	}
	slices.SortFunc(fused, func(x, y Fused) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(y.Doc, x.Doc))
	})
	return fused
}
