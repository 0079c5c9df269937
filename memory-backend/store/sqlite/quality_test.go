package sqlite_test

import (
	"reflect"
	"testing"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
)

// TestRecallQuality asks the labelled questions of an encrypted and a plain store: they must find the same,
// with the same scores, and nearly always the answer among the first five.
//
//	go test ./memory-backend/store/sqlite -run RecallQuality -v
func TestRecallQuality(t *testing.T) {
	memories, questions := corpus.Labelled()
	sealed, open := openDir(t, t.TempDir(), 8), openWith(t, t.TempDir(), 8, nil)
	for _, s := range []memory.Store{sealed, open} {
		if err := s.Add(ctx, "a", by, memories); err != nil {
			t.Fatal(err)
		}
	}
	first, among := 0, 0
	for question, answer := range questions {
		q := memory.SearchQuery{Text: question, Limit: 5, Filter: memory.Eq(memory.FieldAgent, corpus.Agent)}
		a, err := sealed.Search(ctx, "a", q)
		if err != nil {
			t.Fatal(err)
		}
		b, err := open.Search(ctx, "a", q)
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%q: encrypted and plain differ: %v", question, err)
		}
		for i, h := range a {
			if h.Memory.ID == answer {
				among++
				if i == 0 {
					first++
				}
			}
		}
	}
	t.Logf("%d questions over %d memories: %d answers first, %d among five, the same encrypted and plain", len(questions), len(memories), first, among)
	if among*100 < len(questions)*95 || first*100 < len(questions)*80 {
		t.Errorf("%d of %d answers first, %d among five", first, len(questions), among)
	}
}
