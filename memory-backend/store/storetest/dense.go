package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/embed/embedtest"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search"
)

// Space is that of the vectors of the suite; a store that has to know it when it is opened is opened with it.
var Space = memory.Space{Model: "letters", Dimensions: 64}

// otherSpace has vectors of the same length that mean something else.
var otherSpace = memory.Space{Model: "other", Dimensions: 64}

// withVectors makes a part of the suite one for stores that keep vectors.
func withVectors(run func(*testing.T, memory.VectorStore)) func(*testing.T, memory.Store) {
	return func(t *testing.T, s memory.Store) {
		v, ok := s.(memory.VectorStore)
		if !ok {
			t.Fatal("the store keeps no vectors")
		}
		run(t, v)
	}
}

func vector(text string) []float32 { return embedtest.Vector(text, Space.Dimensions) }

// addWith adds memories whose vectors are those of other texts, in a space.
func addWith(t *testing.T, s memory.Store, tenant string, space memory.Space, texts []string, memories ...*memory.Memory) {
	t.Helper()
	w := by
	w.Space = space
	for _, text := range texts {
		w.Vectors = append(w.Vectors, vector(text))
	}
	if err := s.Add(ctx, tenant, w, memories); err != nil {
		t.Fatal(err)
	}
}

func like(text string) memory.SearchQuery {
	return memory.SearchQuery{Space: Space, Vector: vector(text)}
}

func denseSearch(t *testing.T, s memory.VectorStore) {
	meanings := []string{"dogs and cats", "dog and cat", "train station", "trains", "apple tree"}
	var batch []*memory.Memory
	for i := range meanings {
		batch = append(batch, remember(fmt.Sprint("m", i), fmt.Sprintf("word%d shared", i), i))
	}
	addWith(t, s, tenantA, Space, meanings, batch...)
	near := found(t, s, tenantA, like("dogs cats"))
	if len(near) < 2 || !slices.Contains(near[:2], "m0") || !slices.Contains(near[:2], "m1") {
		t.Errorf("nearest %v", near)
	}
	hits, err := s.Search(ctx, tenantA, memory.SearchQuery{Space: Space, Vector: vector("trains"), Limit: 10, MinScore: 0.9})
	if err != nil || len(hits) != 1 || hits[0].Memory.ID != "m3" || hits[0].Score < 0.999 || hits[0].Score > 1 {
		t.Errorf("the same meaning: %v, %v", hits, err)
	}
	// Both: what is first by both is first, with the score 1; what only one of them knows is there.
	both := like("dogs and cats")
	both.Text = "word0"
	hits, err = s.Search(ctx, tenantA, memory.SearchQuery{Text: both.Text, Space: both.Space, Vector: both.Vector, Limit: 10})
	if err != nil || len(hits) < 3 || hits[0].Memory.ID != "m0" || hits[0].Score < 0.9999 {
		t.Fatalf("joined: %v, %v", hits, err)
	}
	words := found(t, s, tenantA, memory.SearchQuery{Text: both.Text})
	near = found(t, s, tenantA, like("dogs and cats"))
	number := func(ids []string) (list []int64) {
		for _, id := range ids {
			list = append(list, int64(id[1]-'0'))
		}
		return list
	}
	for i, f := range search.Fuse(number(words), number(near)) {
		if i >= len(hits) || hits[i].Memory.ID != fmt.Sprint("m", f.Doc) || hits[i].Score < f.Score-1e-4 || hits[i].Score > f.Score+1e-4 {
			t.Errorf("place %d: want m%d with %f, all are %v", i, f.Doc, f.Score, hits)
		}
	}
	// The least score is of words or of vectors, not of their join.
	both.MinScore = 0.95
	both.Text = "nothing known"
	same(t, "least score", found(t, s, tenantA, both), []string{"m0"})
	both.Text = ""
	if hits, err := s.Search(ctx, tenantB, memory.SearchQuery{Space: Space, Vector: vector("trains"), Limit: 10}); err != nil || len(hits) != 0 {
		t.Errorf("another tenant found %v, %v", hits, err)
	}
	wrong := memory.SearchQuery{Text: "word1", Space: Space, Vector: vector("trains")[:3]}
	same(t, "a vector of another length", found(t, s, tenantA, wrong), []string{"m1"})
}

// denseFilters has more memories than are joined that mean exactly what is asked for and that the filter excludes, and
// a few that mean less and that it selects: these must be found, as if the others were not there.
func denseFilters(t *testing.T, s memory.VectorStore) {
	excluded := search.FusionDepth(5) + 10
	old := start.Add(-time.Hour)
	now := start.Add(24 * time.Hour)
	for _, c := range []struct {
		name   string
		change func(*memory.Memory)
		filter memory.Filter
	}{
		{"quarantine", func(m *memory.Memory) { m.Held = true }, memory.Eq(memory.FieldHeld, "false")},
		{"status", func(m *memory.Memory) { m.Status = memory.StatusExpired }, memory.Eq(memory.FieldStatus, memory.StatusActive)},
		{"ran out", func(m *memory.Memory) { m.Expires = old }, memory.Not{Filter: memory.Expired(now)}},
		{"provisional", func(m *memory.Memory) { m.Provisional = old }, memory.Not{Filter: memory.Lapsed(now)}},
		{"agent", func(m *memory.Memory) { m.Agent = "other" }, memory.Eq(memory.FieldAgent, "bot")},
		{"consent", func(m *memory.Memory) { m.User = "withdrew" }, memory.Not{Filter: memory.In(memory.FieldUser, "withdrew", "another")}},
		{"as of", func(m *memory.Memory) { m.Created = now }, memory.Cond{Field: memory.FieldCreated, Op: memory.OpLte, Values: []any{start.Add(time.Hour)}}},
		{"retention", func(m *memory.Memory) { m.Created = start.AddDate(-1, 0, 0) }, memory.Cond{Field: memory.FieldCreated, Op: memory.OpGte, Values: []any{start.AddDate(0, -1, 0)}}},
		{"type", func(m *memory.Memory) { m.Type = "event" }, memory.In(memory.FieldType, "fact", "goal")},
		{"tag", func(m *memory.Memory) { m.Tags = nil }, memory.Eq(memory.FieldTags, "kept")},
		{"metadata", func(m *memory.Memory) { m.Metadata = json.RawMessage(`{"n":3}`) }, memory.Cond{Field: memory.FieldMetadata, Key: "n", Op: memory.OpGt, Values: []any{5.0}}},
		{"content", func(m *memory.Memory) { m.Content = "other words" }, memory.Cond{Field: memory.FieldContent, Op: memory.OpContains, Values: []any{"plain"}}},
		{"confidence", func(m *memory.Memory) { m.Confidence = 0.2 }, memory.Cond{Field: memory.FieldConfidence, Op: memory.OpGte, Values: []any{0.5}}},
		{"hold", func(m *memory.Memory) { m.Hold = "case 1" }, memory.Eq(memory.FieldHold, "false")},
	} {
		tenant := "filter " + c.name
		var batch []*memory.Memory
		var texts []string
		for i := range excluded + 3 {
			m := remember(fmt.Sprint("m", i), "plain words", 0)
			m.Tags, m.Metadata = []string{"kept"}, json.RawMessage(`{"n":10}`)
			text := "exactly what is asked for"
			if i >= 3 {
				c.change(m)
			} else {
				text += " and" + fmt.Sprint(" more", i)
			}
			batch, texts = append(batch, m), append(texts, text)
		}
		addWith(t, s, tenant, Space, texts, batch...)
		for _, text := range []string{"", "plain other words"} {
			q := like("exactly what is asked for")
			q.Text, q.Filter = text, c.filter
			q.Limit = 5
			hits, err := s.Search(ctx, tenant, q)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, h := range hits {
				if !memory.Match(c.filter, h.Memory) {
					t.Errorf("%s, %q: %s came through", c.name, text, h.Memory.ID)
				}
				ids = append(ids, h.Memory.ID)
			}
			slices.Sort(ids)
			same(t, c.name+" "+text, ids, []string{"m0", "m1", "m2"})
			if text != "" && len(hits) > 0 && hits[0].Score < 0.95 {
				t.Errorf("%s: the first has the score %f, so what the filter excludes took ranks", c.name, hits[0].Score)
			}
		}
	}
}

func vectorsFollowChanges(t *testing.T, s memory.VectorStore) {
	addWith(t, s, tenantA, Space, []string{"red", "green", "blue"}, remember("m0", "zero", 0), remember("m1", "one", 1), remember("m2", "two", 2))
	add(t, s, tenantA, remember("m3", "three", 3)) // without
	nearest := func(text string) string {
		t.Helper()
		q := like(text)
		q.MinScore = 0.9
		return fmt.Sprint(found(t, s, tenantA, q))
	}
	counts := func(space memory.Space) string {
		t.Helper()
		have, all, err := s.CountVectors(ctx, tenantA, space)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(have, " of ", all)
	}
	missing := func(filter memory.Filter) []string {
		t.Helper()
		var ids []string
		for after := int64(0); ; {
			list, err := s.Unembedded(ctx, tenantA, Space, filter, after, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				return ids
			}
			after = list[0].Seq
			ids = append(ids, list[0].ID)
		}
	}
	same(t, "missing", missing(nil), []string{"m3"})
	if got := nearest("red") + nearest("blue") + counts(Space) + counts(otherSpace); got != "[m0][m2]3 of 40 of 4" {
		t.Error(got)
	}
	set := func(want int, space memory.Space, list ...memory.Embedded) {
		t.Helper()
		if n, err := s.SetVectors(ctx, tenantA, space, list); err != nil || n != want {
			t.Errorf("%d of %d stored, %v", n, want, err)
		}
	}
	// Of what is gone, of a version that is not there, and of another length, nothing is stored.
	set(1, Space, memory.Embedded{ID: "m3", Version: 1, Vector: vector("black")}, memory.Embedded{ID: "none", Version: 1, Vector: vector("x")},
		memory.Embedded{ID: "m0", Version: 2, Vector: vector("x")}, memory.Embedded{ID: "m1", Version: 1, Vector: vector("x")[:7]})
	if got := nearest("black") + nearest("red") + nearest("x"); got != "[m3][m0][]" {
		t.Error(got)
	}
	// A text that changes loses its vector, another change does not.
	edit := func(id string, change func(*memory.Memory)) {
		t.Helper()
		if _, err := memory.Update(ctx, s, tenantA, by, id, nil, func(m *memory.Memory) error { change(m); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	edit("m0", func(m *memory.Memory) { m.Content = "zero changed" })
	edit("m1", func(m *memory.Memory) { m.Tags, m.Confidence = []string{"t"}, 1 })
	if got := nearest("red") + nearest("green"); got != "[][m1]" {
		t.Error(got)
	}
	same(t, "missing", missing(nil), []string{"m0"})
	same(t, "missing of a filter", missing(memory.Cond{Field: memory.FieldContent, Op: memory.OpContains, Values: []any{"three"}}), nil)
	// Another model's vectors are never compared with these.
	set(1, otherSpace, memory.Embedded{ID: "m2", Version: 1, Vector: vector("blue")})
	if got := nearest("blue") + counts(Space) + counts(otherSpace); got != "[]2 of 41 of 4" {
		t.Error(got)
	}
	same(t, "missing", missing(nil), []string{"m0", "m2"})
	set(1, Space, memory.Embedded{ID: "m2", Version: 1, Vector: vector("indigo")})
	if got := nearest("blue") + nearest("indigo") + counts(otherSpace); got != "[][m2]0 of 4" {
		t.Error(got)
	}
	// A vector goes with its memory.
	if err := s.DeleteIDs(ctx, tenantA, by, []string{"m2"}, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Delete(ctx, tenantA, memory.Write{By: "officer", At: start, Forget: true}, memory.Eq(memory.FieldID, "m3")); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if got := nearest("indigo") + nearest("black") + counts(Space); got != "[][]1 of 2" {
		t.Error(got)
	}
	if _, err := s.DropTenant(ctx, tenantA); err != nil {
		t.Fatal(err)
	}
	addWith(t, s, tenantA, Space, []string{"white"}, remember("m1", "one", 1))
	if got := nearest("green") + nearest("white") + counts(Space); got != "[][m1]1 of 1" {
		t.Error(got)
	}
	if list, err := s.Unembedded(ctx, "nobody", Space, nil, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if have, all, err := s.CountVectors(ctx, "nobody", Space); err != nil || have+all != 0 {
		t.Errorf("%d, %d, %v", have, all, err)
	}
}
