package main

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// BenchmarkHTTP measures whole requests, token and disk included, to a tenant that holds 10,000 memories:
//
//	go test ./memory-backend/cmd/memory-backend -run '^$' -bench HTTP -benchtime 3s
func BenchmarkHTTP(b *testing.B) {
	s := start(b)
	r := rand.New(rand.NewSource(1))
	zipf := rand.NewZipf(r, 1.1, 8, 30_000)
	say := func(words int) string {
		var list []string
		for range words {
			list = append(list, fmt.Sprintf("w%x", zipf.Uint64()))
		}
		return strings.Join(list, " ")
	}
	for i := 0; i < 100; i++ {
		var items []string
		for j := 0; j < 100; j++ {
			items = append(items, `{"content":"`+say(30)+`"}`)
		}
		if status, a := s.call(b, "t", "POST", "/api/v2/agents/bot/batch-remember", `{"memories":[`+strings.Join(items, ",")+`]}`); status != 200 {
			b.Fatal(status, a)
		}
	}
	for _, c := range []struct {
		name, path string
		body       func() string
	}{
		{"remember", "remember", func() string { return `{"content":"` + say(30) + `"}` }},
		{"recall", "recall", func() string { return `{"query":"` + say(8) + `"}` }},
		{"recent", "recall/recent", func() string { return `{}` }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if status, a := s.call(b, "t", "POST", "/api/v2/agents/bot/"+c.path, c.body()); status != 200 {
					b.Fatal(status, a)
				}
			}
		})
		b.Run(c.name+"-parallel", func(b *testing.B) {
			bodies := make([]string, 200)
			for i := range bodies {
				bodies[i] = c.body()
			}
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for i := rand.Intn(200); p.Next(); i++ {
					if status, a := s.call(b, "t", "POST", "/api/v2/agents/bot/"+c.path, bodies[i%200]); status != 200 {
						b.Error(status, a)
					}
				}
			})
		})
	}
}
