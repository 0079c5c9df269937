package sqlite_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand"
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

func open(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(sqlite.Config{Dir: tb.TempDir(), Now: time.Now, Random: rand.Reader})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkSearch measures recall of ten memories of 30 words, by queries of eight words, in tenants of
// several sizes: of an agent that has half of them, and of a user that has one in a hundred.
//
//	go test ./memory-backend/store/sqlite -run '^$' -bench Search -benchtime 3s
func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("memories=%d", n), func(b *testing.B) {
			s := open(b)
			fill(b, s, n)
			for name, filter := range map[string]memory.Filter{
				"agent": memory.Eq(memory.FieldAgent, "agent-1"), "user": memory.Eq(memory.FieldUser, "user-7"),
			} {
				b.Run("by="+name, func(b *testing.B) {
					say := sentences(2)
					for b.Loop() {
						if _, err := s.Search(context.Background(), "t", memory.SearchQuery{Text: say(8), Filter: filter, Limit: 10}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkAdd measures writing one memory of 30 words, each durable, into tenants of several sizes.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("memories=%d", n), func(b *testing.B) {
			s := open(b)
			fill(b, s, n)
			say := sentences(3)
			for i := 0; b.Loop(); i++ {
				m := &memory.Memory{ID: fmt.Sprint("new", i), Agent: "agent-1", Content: say(30), Type: "fact", Status: "active", Created: time.Now(), Updated: time.Now()}
				if err := s.Add(context.Background(), "t", memory.Write{By: "b", At: time.Now()}, []*memory.Memory{m}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
