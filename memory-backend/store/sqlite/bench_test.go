package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
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

// kinds of stores to compare.
var kinds = []string{"encrypted", "plain"}

func openKind(b *testing.B, kind string) *sqlite.Store {
	b.Helper()
	dir := b.TempDir()
	if kind == "plain" {
		return openWith(b, dir, 64, nil)
	}
	return openWith(b, dir, 64, keyring(b, dir))
}

// BenchmarkSearch measures recall of ten memories of 30 words, by queries of eight words, in tenants of
// several sizes: of an agent that has half of them, and of a user that has one in a hundred.
//
//	go test ./memory-backend/store/sqlite -run '^$' -bench Search -benchtime 3s
func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("memories=%d/%s", n, kind), func(b *testing.B) {
				s := openKind(b, kind)
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
}

// median reports the middle of times beside the mean, which a few slow ones move.
func median(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-median")
}

// BenchmarkAdd measures writing one memory of 30 words, each durable, into tenants of several sizes.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("memories=%d/%s", n, kind), func(b *testing.B) {
				s := openKind(b, kind)
				fill(b, s, n)
				say := corpus.Sentences(3)
				var times []time.Duration
				for i := 0; b.Loop(); i++ {
					m := &memory.Memory{ID: fmt.Sprint("new", i), Agent: "agent-1", Content: say(30), Type: "fact", Status: "active", Created: time.Now(), Updated: time.Now()}
					start := time.Now()
					if err := s.Add(context.Background(), "t", memory.Write{By: "b", At: time.Now()}, []*memory.Memory{m}); err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(start))
				}
				median(b, times)
			})
		}
	}
}

// BenchmarkTenants measures a write and a recall of one of 1,000 tenants after the other, of which 64 are
// open at a time, so that most find their tenant's file closed.
func BenchmarkTenants(b *testing.B) {
	for _, kind := range kinds {
		b.Run("tenants=1000/"+kind, func(b *testing.B) {
			s := openKind(b, kind)
			say := corpus.Sentences(4)
			var times []time.Duration
			for i := 0; b.Loop(); i++ {
				tenant := fmt.Sprint("tenant", i%1000)
				m := &memory.Memory{ID: fmt.Sprint(i), Agent: "agent-1", Content: say(30), Type: "fact", Status: "active", Created: time.Now(), Updated: time.Now()}
				start := time.Now()
				if err := s.Add(context.Background(), tenant, memory.Write{By: "b", At: time.Now()}, []*memory.Memory{m}); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Search(context.Background(), tenant, memory.SearchQuery{Text: say(8), Limit: 10}); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			median(b, times)
		})
	}
}
