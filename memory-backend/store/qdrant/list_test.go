package qdrant

import (
	"fmt"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
)

// A listing asks for about as much as it gives, in the right order also where many memories are of one moment and some of none, and
// wherever its pages end.
func TestListingsReadWhatTheyGive(t *testing.T) {
	server, port := qdranttest.Serve(t)
	s := openStore(t, config(t, port))
	const n = 220
	var all []*memory.Memory
	for i := range n {
		m := &memory.Memory{ID: fmt.Sprint(i), Agent: "bot", Type: "fact", Content: "words", Status: memory.StatusActive, Metadata: []byte(fmt.Sprintf(`{"n":%d}`, i))}
		if i%100 > 2 { // three of each hundred have no time, and those from 20 to 179 the same
			at := i
			if i >= 20 && i < 180 {
				at = 20
			}
			m.Created = start.Add(time.Duration(at) * time.Second)
		}
		all = append(all, m)
	}
	if err := s.Add(t.Context(), "a", by, all); err != nil {
		t.Fatal(err)
	}
	for _, o := range []memory.Order{memory.NewestFirst, memory.OldestFirst} {
		for _, f := range []memory.Filter{nil, memory.Cond{Field: memory.FieldMetadata, Key: "n", Op: memory.OpGte, Values: []any{50.0}}} {
			whole, total, err := s.List(t.Context(), "a", memory.ListQuery{Filter: f, Order: o, Limit: n, Total: true})
			if want := map[bool]int{true: n, false: n - 50}[f == nil]; err != nil || total != want || len(whole) != want {
				t.Fatalf("order %d: %d of %d memories, %v", o, len(whole), total, err)
			}
			order := place(o)
			for i := range whole[1:] {
				if order(whole[i], whole[i+1]) >= 0 {
					t.Fatalf("order %d: %s before %s", o, whole[i].ID, whole[i+1].ID)
				}
			}
			for _, limit := range []int{1, 37} { // page by page it is the same
				q, at := memory.ListQuery{Filter: f, Order: o, Limit: limit}, 0
				for {
					if limit == 1 && at == 10 {
						break // 220 pages say no more
					}
					page, _, err := s.List(t.Context(), "a", q)
					if err != nil {
						t.Fatal(err)
					}
					if len(page) == 0 {
						if at != len(whole) {
							t.Errorf("order %d, pages of %d: %d memories", o, limit, at)
						}
						break
					}
					for _, m := range page {
						if at >= len(whole) || m.ID != whole[at].ID {
							t.Fatalf("order %d, pages of %d: memory %d is %s", o, limit, at, m.ID)
						}
						at++
					}
					last := page[len(page)-1]
					q.After = &memory.Position{Created: last.Created, Seq: last.Seq}
				}
			}
			for _, offset := range []int{150} {
				page, _, err := s.List(t.Context(), "a", memory.ListQuery{Filter: f, Order: o, Offset: offset, Limit: 3})
				if err != nil || len(page) != 3 || page[0].ID != whole[offset].ID || page[2].ID != whole[offset+2].ID {
					t.Errorf("order %d, offset %d: %v", o, offset, err)
				}
			}
		}
	}
	server.With(func(s *qdranttest.State) { s.Returned = 0 })
	if list, total, err := s.List(t.Context(), "a", memory.ListQuery{Limit: 10, Total: true}); err != nil || len(list) != 10 || total != n {
		t.Fatalf("%d of %d, %v", len(list), total, err)
	}
	server.With(func(s *qdranttest.State) {
		if s.Returned > 20 {
			t.Errorf("%d points were read for ten", s.Returned)
		}
	})
}
