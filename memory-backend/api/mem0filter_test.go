package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

func mustParse(t *testing.T, text string) memory.Filter {
	t.Helper()
	v, err := parseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var issues []issue
	f := parseFilter(v, []any{"filters"}, &issues)
	if len(issues) > 0 {
		t.Fatalf("%s: %+v", text, issues)
	}
	return f
}

func TestFilters(t *testing.T) {
	m := &memory.Memory{
		ID: "id1", User: "alice", Run: "r1", Content: "Loves Tea", Category: []string{"food", "drink"},
		Metadata: json.RawMessage(`{"topic":"Tea","level":3,"ok":true,"tags":["x","y"]}`),
		Created:  time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC), Updated: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	}
	for text, want := range map[string]bool{
		`null`:                                      true,
		`{}`:                                        true,
		`{"user_id":"alice"}`:                       true,
		`{"user_id":"bob"}`:                         false,
		`{"user_id":"*"}`:                           true,
		`{"agent_id":"*"}`:                          false,
		`{"agent_id":null}`:                         true,
		`{"user_id":null}`:                          false,
		`{"user_id":"alice","run_id":"r2"}`:         false,
		`{"user_id":{"in":["x","alice"]}}`:          true,
		`{"user_id":["x","alice"]}`:                 true,
		`{"user_id":{"nin":["x","alice"]}}`:         false,
		`{"user_id":{"ne":"bob"}}`:                  true,
		`{"agent_id":{"ne":"bob"}}`:                 true,
		`{"AND":[{"user_id":"alice"}]}`:             true,
		`{"AND":[]}`:                                true,
		`{"OR":[]}`:                                 false,
		`{"OR":[{"user_id":"x"},{"run_id":"r1"}]}`:  true,
		`{"NOT":{"user_id":"alice"}}`:               false,
		`{"NOT":[{"user_id":"x"},{"run_id":"x"}]}`:  true,
		`{"NOT":[{"user_id":"x"},{"run_id":"r1"}]}`: false,
		`{"AND":[{"OR":[{"user_id":"alice"},{"user_id":"bob"}]},{"NOT":{"run_id":"r9"}}]}`: true,
		`{"categories":{"contains":"food"}}`:                                               true,
		`{"categories":{"in":["sport","drink"]}}`:                                          true,
		`{"categories":["sport"]}`:                                                         false,
		`{"categories":{"icontains":"FOOD"}}`:                                              true,
		`{"categories":{"contains":["food","drink"]}}`:                                     true,
		`{"categories":{"contains":["food","sport"]}}`:                                     false,
		`{"keywords":"tea"}`:                                                               true,
		`{"keywords":{"contains":"tea"}}`:                                                  false,
		`{"keywords":{"icontains":"tea"}}`:                                                 true,
		`{"memory_ids":["id1","id2"]}`:                                                     true,
		`{"created_at":{"gte":"2026-05-07","lte":"2026-05-07"}}`:                           true,
		`{"created_at":{"gt":"2026-05-07"}}`:                                               false,
		`{"created_at":{"lt":"2026-05-07"}}`:                                               false,
		`{"created_at":{"gte":1778155200}}`:                                                true,
		`{"created_at":{"gt":"2026-05-07T12:00:00Z"}}`:                                     false,
		`{"updated_at":{"gt":"2026-05-07"}}`:                                               true,
		`{"metadata":{"topic":"Tea"}}`:                                                     true,
		`{"metadata":{"topic":"Tea","level":4}}`:                                           false,
		`{"metadata":{"level":{"gte":3,"lt":4}}}`:                                          true,
		`{"metadata":{"ok":true}}`:                                                         true,
		`{"metadata":{"ok":false}}`:                                                        false,
		`{"metadata":{"topic":{"icontains":"te"}}}`:                                        true,
		`{"metadata":{"tags":{"contains":"x"}}}`:                                           true,
		`{"metadata":{"topic":"*"}}`:                                                       true,
		`{"metadata":{"none":"*"}}`:                                                        false,
		`{"metadata":{}}`:                                                                  true,
	} {
		if got := memory.Match(mustParse(t, text), m); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestBadFilters(t *testing.T) {
	deep := strings.Repeat(`{"AND":[`, 12) + `{"user_id":"x"}` + strings.Repeat(`]}`, 12)
	wide := `{"OR":[` + strings.Repeat(`{"user_id":"x"},`, 300) + `{}]}`
	values := `{"user_id":{"in":[` + strings.Repeat(`"x",`, 600) + `"y"]}}`
	for _, text := range []string{
		`[]`, `"user_id"`, `{"colour":"red"}`, `{"AND":{}}`, `{"OR":"x"}`, `{"user_id":5}`, `{"user_id":{}}`, `{"user_id":{"like":"x"}}`,
		`{"user_id":{"in":"x"}}`, `{"user_id":[1]}`, `{"created_at":"never"}`, `{"created_at":{"gte":true}}`, `{"created_at":-1}`,
		`{"metadata":"x"}`, `{"metadata":{"a":{"b":1}}}`, `{"metadata":{"a":{"gt":true}}}`, `{"metadata":{"a":{"contains":5}}}`,
		`{"NOT":5}`, `{"NOT":[5]}`, `{"user_id":{"eq":null}}`, deep, wide, values,
	} {
		v, err := parseJSON([]byte(text))
		if err != nil {
			t.Fatal(text, err)
		}
		var issues []issue
		f := parseFilter(v, []any{"body", "filters"}, &issues)
		if len(issues) == 0 {
			t.Errorf("%.60s was accepted as %#v", text, f)
		}
	}
}

// FuzzFilter checks that a filter either is refused or means the same to every reader, within bounds.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{`{"user_id":"alice"}`, `{"AND":[{"OR":[]},{"NOT":{"a":1}}]}`, `{"metadata":{"k":{"gte":1}}}`,
		`{"created_at":{"gte":"2026-01-01","lt":1e9}}`, `{"user_id":{"in":["a","b"]},"categories":["x"]}`, `{"keywords":"x' OR 1=1"}`} {
		f.Add(s)
	}
	memories := []*memory.Memory{{ID: "1"}, {ID: "2", User: "alice", Metadata: json.RawMessage(`{"k":2}`), Created: time.Unix(1e9, 0)}}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseJSON([]byte(s))
		if err != nil {
			return
		}
		var issues []issue
		filter := parseFilter(v, nil, &issues)
		if len(issues) > 0 {
			return
		}
		if n := nodes(filter); n > 10*maxFilterNodes {
			t.Fatalf("%d nodes", n)
		}
		for _, m := range memories {
			if memory.Match(filter, m) == memory.Match(memory.Not{Filter: filter}, m) {
				t.Fatalf("%q both selects and rejects %s", s, m.ID)
			}
		}
	})
}

func nodes(f memory.Filter) int {
	n := 1
	switch f := f.(type) {
	case memory.And:
		for _, p := range f {
			n += nodes(p)
		}
	case memory.Or:
		for _, p := range f {
			n += nodes(p)
		}
	case memory.Not:
		n += nodes(f.Filter)
	}
	return n
}
