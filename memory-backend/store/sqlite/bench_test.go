package sqlite_test

import (
	"context"
	"fmt"
	mathrand "math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// words of a made-up language whose frequencies follow Zipf's law, as those of real ones do.
func sentences(seed int64) func(words int) string {
	r := mathrand.New(mathrand.NewSource(seed))
	zipf := mathrand.NewZipf(r, 1.1, 8, 30_000)
	syllables := strings.Fields("ba ke li mo nu pa re si to vu da fe gi ho ju ka le mi no pu")
	return func(words int) string {
		var b strings.Builder
		for i := 0; i < words; i++ {
			n := zipf.Uint64() + 20
			if i > 0 {
				b.WriteByte(' ')
			}
			for ; n > 0; n /= 20 {
				b.WriteString(syllables[n%20])
			}
		}
		return b.String()
	}
}

func fill(b *testing.B, s memory.Store, n int) {
	b.Helper()
	say := sentences(1)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; i < n; {
		var batch []*memory.Memory
		for ; len(batch) < 1000 && i < n; i++ {
			at = at.Add(time.Minute)
			batch = append(batch, &memory.Memory{ID: fmt.Sprint(i), Agent: fmt.Sprintf("agent-%d", i%2), User: fmt.Sprintf("user-%d", i%100),
				Content: say(30), Type: "fact", Status: "active", Created: at, Updated: at})
		}
		if err := s.Add(context.Background(), "t", memory.Write{By: "b", At: at}, batch); err != nil {
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
						say := sentences(2)
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
				say := sentences(3)
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
			say := sentences(4)
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
