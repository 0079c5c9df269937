package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
)

// fill stores n memories in steps that are larger than those of requests, and faster.
func fill(b *testing.B, s memory.Store, n int) {
	b.Helper()
	const step = 10_000
	for first := 0; first < n; first += step {
		batch := corpus.Memories(int64(first), first, min(step, n-first))
		if err := s.Add(context.Background(), "t", memory.Write{By: "b", At: batch[0].Created}, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearch recalls ten memories of 30 words, by queries of eight words, in encrypted tenants of two sizes: of an
// agent that has half of them, and of a user that has one in a hundred. It is for profiles; `make bench` compares.
//
//	go test ./memory-backend/store/sqlite -run '^$' -bench Search -benchtime 3s -cpuprofile cpu.prof
func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("memories=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			s := openWith(b, dir, 64, keyring(b, dir))
			fill(b, s, n)
			for _, by := range []struct {
				name   string
				filter memory.Filter
			}{{"agent", memory.Eq(memory.FieldAgent, "agent-1")}, {"user", memory.Eq(memory.FieldUser, "user-7")}} {
				b.Run("by="+by.name, func(b *testing.B) {
					say := corpus.Sentences(2)
					var times []time.Duration
					for b.Loop() {
						q := memory.SearchQuery{Text: say(8), Filter: by.filter, Limit: 10}
						start := time.Now()
						if _, err := s.Search(context.Background(), "t", q); err != nil {
							b.Fatal(err)
						}
						times = append(times, time.Since(start))
					}
					median(b, times)
				})
			}
		})
	}
}

// median reports the middle of times beside the mean, which a few slow ones move.
func median(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-median")
}
