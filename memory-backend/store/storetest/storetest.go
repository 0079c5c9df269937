// Package storetest is the conformance suite of memory.Store: what every storage engine must do. An
// engine's test calls Run.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Tenants that the suite uses.
const (
	tenantA = "a"
	tenantB = "b"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC)
)

// Run runs the suite. Each part gets a store of its own from open, which closes it when the test ends.
func Run(t *testing.T, open func(t *testing.T) memory.Store) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, memory.Store)
	}{
		{"AddAndGet", addAndGet},
		{"AddIsAtomic", addIsAtomic},
		{"Update", update},
		{"UpdateAllIsAtomic", updateAllIsAtomic},
		{"Delete", deletion},
		{"DeleteIDsIsAtomic", deleteIDsIsAtomic},
		{"List", list},
		{"Search", searching},
		{"SearchFollowsChanges", searchFollowsChanges},
		{"SearchThroughFilters", searchThroughFilters},
		{"SearchText", searchText},
		{"Filters", filters},
		{"DenseSearch", withVectors(denseSearch)},
		{"DenseFilters", withVectors(denseFilters)},
		{"VectorsFollowChanges", withVectors(vectorsFollowChanges)},
		{"History", history},
		{"Entities", entities},
		{"Agents", agents},
		{"Tenants", tenants},
		{"Versions", versions},
		{"Once", once},
		{"Positions", positions},
		{"Distinct", distinct},
		{"Events", events},
		{"Forget", forget},
		{"ForgetDeleted", forgetDeleted},
		{"Restore", restore},
		{"Records", records},
		{"DropTenant", dropTenant},
		{"MissingTenant", missingTenant},
		{"Concurrency", concurrency},
		{"Cancellation", cancellation},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

var by = memory.Write{By: "writer", At: start}

// remember returns a memory, of agent "bot", created n minutes after start.
func remember(id, content string, n int) *memory.Memory {
	at := start.Add(time.Duration(n) * time.Minute)
	return &memory.Memory{ID: id, Agent: "bot", Content: content, Title: memory.TitleFrom(content), Type: "fact",
		Confidence: 0.8, Status: memory.StatusActive, Source: "agent", Provenance: "explicit_statement", Writer: "writer",
		Created: at, Updated: at}
}

func add(t *testing.T, s memory.Store, tenant string, memories ...*memory.Memory) {
	t.Helper()
	if err := s.Add(ctx, tenant, by, memories); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func idsOf(memories []*memory.Memory) []string {
	ids := []string{}
	for _, m := range memories {
		ids = append(ids, m.ID)
	}
	return ids
}

func found(t *testing.T, s memory.Store, tenant string, q memory.SearchQuery) []string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 10
	}
	hits, err := s.Search(ctx, tenant, q)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for i, h := range hits {
		ids = append(ids, h.Memory.ID)
		if h.Score <= 0 || h.Score > 1 || i > 0 && h.Score > hits[i-1].Score {
			t.Errorf("score %v of hit %d", h.Score, i)
		}
	}
	return ids
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func addAndGet(t *testing.T, s memory.Store) {
	full := remember("m1", "quotes ' \" and % and emoji 🦀 and\nlines", 0)
	full.User, full.App, full.Run, full.Actor, full.Role = "u", "p", "r", "someone", "user"
	full.Tags, full.Category = []string{"x y", "é", `a"b`}, []string{"food"}
	full.Metadata = json.RawMessage(`{"n":12345678901234567890,"s":"<&>"}`)
	full.Status, full.ExpiredAt, full.ExpiredBy = memory.StatusExpired, start.Add(time.Microsecond), "me"
	full.Expires, full.SourceRef = start.Add(time.Hour), "ref"
	full.Trust, full.Provisional, full.Held, full.Finding, full.Hold = memory.TrustUnconfirmed, start.Add(time.Minute), true, "score=7", "case 12"
	bare := remember("m2", "x", 1)
	bare.Agent = ""
	add(t, s, tenantA, full, bare)
	for _, want := range []*memory.Memory{full, bare} {
		got, err := s.Get(ctx, tenantA, want.ID, nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	_, err := s.Get(ctx, tenantA, "m1", memory.Eq(memory.FieldAgent, "other"))
	wantErr(t, err, memory.ErrNotFound)
	_, err = s.Get(ctx, tenantA, "m3", nil)
	wantErr(t, err, memory.ErrNotFound)
	if err := s.Add(ctx, tenantA, by, nil); err != nil {
		t.Error(err)
	}
}

func addIsAtomic(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "first", 0))
	if err := s.Add(ctx, tenantA, by, []*memory.Memory{remember("m2", "second", 0), remember("m1", "again", 0)}); err == nil {
		t.Fatal("an id was accepted twice")
	}
	_, err := s.Get(ctx, tenantA, "m2", nil)
	wantErr(t, err, memory.ErrNotFound)
	same(t, "second", found(t, s, tenantA, memory.SearchQuery{Text: "second again"}), nil)
}

func update(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "green tea", 0))
	got, err := memory.Update(ctx, s, tenantA, by, "m1", memory.Eq(memory.FieldAgent, "bot"), func(m *memory.Memory) error {
		m.Content, m.Tags, m.Updated = "black coffee", []string{"drink"}, start.Add(time.Hour)
		return nil
	})
	if err != nil || got.Content != "black coffee" {
		t.Fatalf("%+v, %v", got, err)
	}
	stored, err := s.Get(ctx, tenantA, "m1", nil)
	if err != nil || !reflect.DeepEqual(stored, got) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	refused := errors.New("refused")
	_, err = memory.Update(ctx, s, tenantA, by, "m1", nil, func(m *memory.Memory) error { m.Content = "lost"; return refused })
	wantErr(t, err, refused)
	if m, err := s.Get(ctx, tenantA, "m1", nil); err != nil || m.Content != "black coffee" {
		t.Errorf("%+v, %v", m, err)
	}
	never := func(*memory.Memory) error { t.Error("edit was called"); return nil }
	_, err = memory.Update(ctx, s, tenantA, by, "m1", memory.Eq(memory.FieldAgent, "other"), never)
	wantErr(t, err, memory.ErrNotFound)
	_, err = memory.Update(ctx, s, "nobody", by, "m1", nil, never)
	wantErr(t, err, memory.ErrNotFound)
}

func updateAllIsAtomic(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "one", 0), remember("m2", "two", 0))
	edit := func(i int, m *memory.Memory) error { m.Content = fmt.Sprintf("changed%d", i); return nil }
	wantErr(t, s.UpdateAll(ctx, tenantA, by, []string{"m1", "m3"}, nil, edit), memory.ErrNotFound)
	same(t, "after failure", found(t, s, tenantA, memory.SearchQuery{Text: "one changed0"}), []string{"m1"})
	if m, err := s.Get(ctx, tenantA, "m1", nil); err != nil || m.Content != "one" {
		t.Errorf("%+v, %v", m, err)
	}
	if err := s.UpdateAll(ctx, tenantA, by, []string{"m2", "m1"}, nil, edit); err != nil {
		t.Fatal(err)
	}
	same(t, "first", found(t, s, tenantA, memory.SearchQuery{Text: "changed0"}), []string{"m2"})
}

func deletion(t *testing.T, s memory.Store) {
	var all []*memory.Memory
	for i := 0; i < 783; i++ {
		m := remember(fmt.Sprintf("m%04d", i), "common text", i)
		if i%3 == 0 {
			m.User = "u"
		}
		all = append(all, m)
	}
	for _, m := range all[:10] { // enough of them one by one
		add(t, s, tenantA, m)
	}
	add(t, s, tenantA, all[10:]...)
	n, err := s.Delete(ctx, tenantA, by, memory.Not{Filter: memory.Eq(memory.FieldUser, "u")})
	if err != nil || n != 522 { // more than an engine removes at a time
		t.Fatalf("removed %d, %v", n, err)
	}
	hits := found(t, s, tenantA, memory.SearchQuery{Text: "common", Limit: 2000})
	if len(hits) != 261 || hits[0] != "m0780" {
		t.Errorf("%d hits, first %v", len(hits), hits[:1])
	}
	if n, err := s.Delete(ctx, tenantA, by, nil); err != nil || n != 261 {
		t.Errorf("removed %d, %v", n, err)
	}
	same(t, "all gone", found(t, s, tenantA, memory.SearchQuery{Text: "common"}), nil)
	if n, err := s.Delete(ctx, "nobody", by, nil); err != nil || n != 0 {
		t.Errorf("removed %d of nobody, %v", n, err)
	}
	add(t, s, tenantA, remember("m0000", "common again", 0))
	same(t, "used again", found(t, s, tenantA, memory.SearchQuery{Text: "common"}), []string{"m0000"})
}

func deleteIDsIsAtomic(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "one", 0), remember("m2", "two", 0), remember("m3", "three", 0))
	wantErr(t, s.DeleteIDs(ctx, tenantA, by, []string{"m1", "m9"}, nil), memory.ErrNotFound)
	wantErr(t, s.DeleteIDs(ctx, tenantA, by, []string{"m1"}, memory.Eq(memory.FieldAgent, "other")), memory.ErrNotFound)
	wantErr(t, s.DeleteIDs(ctx, "nobody", by, []string{"m1"}, nil), memory.ErrNotFound)
	if err := s.DeleteIDs(ctx, tenantA, by, []string{"m1", "m3", "m1"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "left", found(t, s, tenantA, memory.SearchQuery{Text: "one two three"}), []string{"m2"})
}

func list(t *testing.T, s memory.Store) {
	for i := 0; i < 10; i++ {
		m := remember(fmt.Sprintf("m%d", i), "x", i/2) // pairs of the same time
		if i == 9 {
			m.Agent = "other"
		}
		add(t, s, tenantA, m)
	}
	bot := memory.Eq(memory.FieldAgent, "bot")
	for _, c := range []struct {
		q     memory.ListQuery
		want  []string
		total int
	}{
		{memory.ListQuery{Filter: bot, Limit: 3, Total: true}, []string{"m8", "m7", "m6"}, 9},
		{memory.ListQuery{Filter: bot, Limit: 3, Offset: 7, Total: true}, []string{"m1", "m0"}, 9},
		{memory.ListQuery{Limit: 2, Order: memory.OldestFirst}, []string{"m0", "m1"}, -1},
		{memory.ListQuery{Limit: 2, Offset: 100, Total: true}, []string{}, 10},
		{memory.ListQuery{Filter: memory.Or{}, Limit: 2, Total: true}, []string{}, 0},
	} {
		got, total, err := s.List(ctx, tenantA, c.q)
		if err != nil || total != c.total {
			t.Errorf("%+v: total %d, %v", c.q, total, err)
		}
		same(t, "list", idsOf(got), c.want)
	}
}

func searching(t *testing.T, s memory.Store) {
	add(t, s, tenantA,
		remember("tea", "Alice prefers green tea over coffee in the morning", 0),
		remember("trip", "Alice is planning a trip to Japan with her sister", 1),
		remember("dog", "Bob walks his dog every evening in the park", 2),
		remember("piano", "Bob started piano lessons last year", 3),
	)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"What does Alice drink in the mornings?", []string{"tea", "trip"}},
		{"where is she planning to travel?", []string{"trip"}},
		{"dogs", []string{"dog"}},
		{"BOB'S PIANO LESSON", []string{"piano", "dog"}},
		{"the of and", nil},
		{"quantum", nil},
		{"", nil},
		{"7 May 2026", []string{"piano", "trip", "dog", "tea"}},
	} {
		got := found(t, s, tenantA, memory.SearchQuery{Text: c.query})
		if c.query == "7 May 2026" { // all alike but for their length
			if len(got) != 4 {
				t.Errorf("%q: got %v", c.query, got)
			}
			continue
		}
		same(t, c.query, got, c.want)
	}
	same(t, "limit", found(t, s, tenantA, memory.SearchQuery{Text: "Alice tea", Limit: 1}), []string{"tea"})
	same(t, "least score", found(t, s, tenantA, memory.SearchQuery{Text: "Alice drinks tea and coffee", MinScore: 0.4}), []string{"tea"})
	add(t, s, tenantB, remember("solo", "the only memory there is", 0))
	same(t, "the only one", found(t, s, tenantB, memory.SearchQuery{Text: "memory"}), []string{"solo"})
}

func searchFollowsChanges(t *testing.T, s memory.Store) {
	// Enough memories with one term that its postings fill several blocks.
	var batch []*memory.Memory
	for i := 0; i < 700; i++ {
		batch = append(batch, remember(fmt.Sprintf("m%03d", i), fmt.Sprintf("shared number%d", i), i))
	}
	add(t, s, tenantA, batch...)
	all := memory.SearchQuery{Text: "shared", Limit: 1000}
	if n := len(found(t, s, tenantA, all)); n != 700 {
		t.Fatalf("%d hits", n)
	}
	for _, i := range []int{0, 191, 192, 350, 699} {
		id := fmt.Sprintf("m%03d", i)
		if _, err := memory.Update(ctx, s, tenantA, by, id, nil, func(m *memory.Memory) error {
			m.Content = "shared shared renamed" + id
			m.Title = memory.TitleFrom(m.Content)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		same(t, "old text", found(t, s, tenantA, memory.SearchQuery{Text: fmt.Sprintf("number%d", i)}), nil)
		same(t, "new text", found(t, s, tenantA, memory.SearchQuery{Text: "renamed" + id}), []string{id})
	}
	if n := len(found(t, s, tenantA, all)); n != 700 {
		t.Fatalf("%d hits after updates", n)
	}
	for i := 0; i < 700; i += 20 {
		var ids []string
		for j := i; j < i+20; j += 2 {
			ids = append(ids, fmt.Sprintf("m%03d", j))
		}
		if err := s.DeleteIDs(ctx, tenantA, by, ids, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(found(t, s, tenantA, all)); n != 350 {
		t.Fatalf("%d hits after deletions", n)
	}
	add(t, s, tenantA, remember("new", "shared", 0))
	if n := len(found(t, s, tenantA, all)); n != 351 {
		t.Fatalf("%d hits in the end", n)
	}
}

func searchThroughFilters(t *testing.T, s memory.Store) {
	var batch []*memory.Memory
	third := Size(2000)
	for i := 0; i < 3*third; i++ {
		m := remember(fmt.Sprintf("m%04d", i), "needle in a haystack", i)
		switch {
		case i%third == 7:
			m.User = "rare"
		case i%2 == 0:
			m.User = "half"
		}
		batch = append(batch, m)
	}
	for len(batch) > 0 {
		n := min(1000, len(batch))
		add(t, s, tenantA, batch[:n]...)
		batch = batch[n:]
	}
	for user, want := range map[string]int{"rare": 3, "half": 10, "none": 0} {
		got := found(t, s, tenantA, memory.SearchQuery{Text: "needle", Filter: memory.Eq(memory.FieldUser, user)})
		if len(got) != want {
			t.Errorf("user %s: got %v", user, got)
		}
		if user == "rare" {
			same(t, "rare", got, []string{fmt.Sprintf("m%04d", 2*third+7), fmt.Sprintf("m%04d", third+7), "m0007"})
		}
	}
}

// searchText tries queries that would mean something else to a query language.
func searchText(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "plain words only", 0), remember("m2", "different things", 1))
	for _, q := range []string{
		`"`, `""`, `'`, `words"`, `words' OR '1'='1`, `words) OR (1=1`, `content:words`, `words*`, `NEAR(plain words, 2)`,
		`^words`, `-other words`, `NOT words`, `plain AND nothing`, `words; DROP TABLE memories; --`, "words\x00", `{words}`,
		`%`, `_`, `\`, `words\`, `🦀 words`, "\xff\xfe words",
	} {
		for _, id := range found(t, s, tenantA, memory.SearchQuery{Text: q}) {
			if id != "m1" && id != "m2" {
				t.Errorf("%q found %v", q, id)
			}
		}
	}
	same(t, "operators are words", found(t, s, tenantA, memory.SearchQuery{Text: `plain AND nothing`}), []string{"m1"})
	same(t, "still there", found(t, s, tenantA, memory.SearchQuery{Text: "different"}), []string{"m2"})
}

func tenants(t *testing.T, s memory.Store) {
	names := []string{tenantA, tenantB, "../../etc/passwd", "A", "a/b", "a\x00b", ".", "", "ä", "-", "con", "a b"}
	for i, name := range names {
		add(t, s, name, remember("same-id", fmt.Sprintf("secret%d shared", i), 0))
	}
	for i, name := range names {
		m, err := s.Get(ctx, name, "same-id", nil)
		if err != nil || m.Content != fmt.Sprintf("secret%d shared", i) {
			t.Errorf("tenant %q: %+v, %v", name, m, err)
		}
		hits, err := s.Search(ctx, name, memory.SearchQuery{Text: "shared secret0 secret1", Limit: 100})
		if err != nil || len(hits) != 1 || hits[0].Memory.Content != m.Content {
			t.Errorf("tenant %q found %v, %v", name, hits, err)
		}
		if l, total, err := s.List(ctx, name, memory.ListQuery{Limit: 100, Total: true}); err != nil || total != 1 || len(l) != 1 {
			t.Errorf("tenant %q lists %d of %d, %v", name, len(l), total, err)
		}
	}
	if n, err := s.Delete(ctx, tenantA, by, nil); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if _, err := s.Get(ctx, tenantB, "same-id", nil); err != nil {
		t.Errorf("deleting in one tenant reached another: %v", err)
	}
}

func missingTenant(t *testing.T, s memory.Store) {
	if l, total, err := s.List(ctx, "nobody", memory.ListQuery{Limit: 1, Total: true}); len(l) != 0 || total != 0 || err != nil {
		t.Errorf("%v, %d, %v", l, total, err)
	}
	same(t, "search", found(t, s, "nobody", memory.SearchQuery{Text: "x"}), nil)
	_, err := s.Get(ctx, "nobody", "x", nil)
	wantErr(t, err, memory.ErrNotFound)
	_, err = s.History(ctx, "nobody", "x", "")
	wantErr(t, err, memory.ErrNotFound)
	_, err = s.Agent(ctx, "nobody", "x", true)
	wantErr(t, err, memory.ErrNotFound)
	wantErr(t, s.DeleteAgent(ctx, "nobody", by, "x", true), memory.ErrNotFound)
	if l, err := s.Agents(ctx, "nobody", true, 10); len(l) != 0 || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	if l, err := s.Entities(ctx, "nobody", nil, 10); len(l) != 0 || err != nil {
		t.Errorf("%v, %v", l, err)
	}
}

func concurrency(t *testing.T, s memory.Store) {
	const writers, each = 6, 15
	var wg sync.WaitGroup
	for w := 0; w < writers; w++ {
		wg.Add(2)
		tenant := []string{tenantA, tenantB}[w%2]
		go func() {
			defer wg.Done()
			for i := 0; i < each; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				if err := s.Add(ctx, tenant, by, []*memory.Memory{remember(id, "written together "+tenant, i)}); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					if _, err := memory.Update(ctx, s, tenant, by, id, nil, func(m *memory.Memory) error { m.Content += " edited"; return nil }); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		go func() {
			defer wg.Done()
			for i := 0; i < each; i++ {
				hits, err := s.Search(ctx, tenant, memory.SearchQuery{Text: "written together", Limit: 100})
				if err != nil {
					t.Error(err)
				}
				for _, h := range hits {
					if m := h.Memory.Content; m != "written together "+tenant && m != "written together "+tenant+" edited" {
						t.Errorf("tenant %s found %q", tenant, m)
					}
				}
			}
		}()
	}
	wg.Wait()
	for _, tenant := range []string{tenantA, tenantB} {
		if n := len(found(t, s, tenant, memory.SearchQuery{Text: "together", Limit: 1000})); n != writers/2*each {
			t.Errorf("tenant %s has %d memories, want %d", tenant, n, writers/2*each)
		}
		if n := len(found(t, s, tenant, memory.SearchQuery{Text: "edited", Limit: 1000})); n != writers/2*each/3 {
			t.Errorf("tenant %s has %d changed memories", tenant, n)
		}
	}
}

func cancellation(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "one", 0))
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Add(done, tenantA, by, []*memory.Memory{remember("m2", "two", 0)}); !errors.Is(err, context.Canceled) {
		t.Errorf("add: %v", err)
	}
	if _, err := s.Search(done, tenantA, memory.SearchQuery{Text: "one", Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("search: %v", err)
	}
	_, err := s.Get(ctx, tenantA, "m2", nil)
	wantErr(t, err, memory.ErrNotFound)
}
