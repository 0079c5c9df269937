package search

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRanking measures what a recall over 100,000 memories does beside reading: it decodes the postings
// of eight terms, from common to rare, ranks, and takes the best. "cpu-ms" is processor time, which other load does not change.
func BenchmarkRanking(b *testing.B) {
	const docs = 100_000
	r := rand.New(rand.NewSource(1))
	var terms [][]byte
	for _, n := range []int{60_000, 40_000, 20_000, 10_000, 5_000, 1_000, 100, 10} {
		var list []Posting
		for d := int64(1); d <= docs; d++ {
			if r.Intn(docs) < n {
				list = append(list, Posting{Doc: d, Count: uint32(1 + r.Intn(2)), Len: uint32(20 + r.Intn(20))})
			}
		}
		terms = append(terms, AppendPostings(nil, 0, list))
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		ranking := NewRanking(docs, docs*30, 1, docs)
		var blocks Blocks
		for _, data := range terms {
			blocks.Reset()
			blocks.Append(0, data)
			if err := ranking.Add(&blocks); err != nil {
				b.Fatal(err)
			}
		}
		if best := ranking.Next(64); len(best) != 64 {
			b.Fatal(fmt.Sprint(len(best)))
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := time.Duration(after.Utime.Nano()-before.Utime.Nano()) + time.Duration(after.Stime.Nano()-before.Stime.Nano())
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}
