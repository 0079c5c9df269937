package storetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// filters compares the engine with memory.Match over every combination of memories and conditions.
func filters(t *testing.T, s memory.Store) {
	var all []*memory.Memory
	metadata := []string{``, `{"a":"x"}`, `{"a":["x","Y"],"n":5}`, `{"n":5.5,"b":true}`, `{"b":false,"a":null}`,
		`{"a":"XYZ","n":"5"}`, `{"k.\"'[0]$":"x","n":-1}`, `{"é":"É","n":10000000000}`}
	for i, meta := range metadata {
		m := remember(fmt.Sprintf("m%d", i), fmt.Sprintf("Content %% number_%d É", i), i)
		if meta != "" {
			m.Metadata = json.RawMessage(meta)
		}
		if i%2 == 0 {
			m.User, m.Tags = "u1", []string{"red", "Blue"}
		}
		if i%3 == 0 {
			m.User, m.Category, m.Type = "u2", []string{"food"}, "event"
		}
		if i%4 == 0 {
			m.Agent, m.Status, m.ExpiredAt = "", memory.StatusExpired, start
		}
		if i%5 == 0 {
			m.App, m.Run, m.Expires = "app", "run'; --", start.Add(time.Duration(i)*time.Minute)
			m.Held, m.Provisional = true, start.Add(time.Duration(i+1)*time.Minute)
		}
		m.Confidence = float64(i) / 8
		if i%3 == 1 {
			m.Hold = "case"
		}
		all = append(all, m)
	}
	add(t, s, tenantA, all...)
	var conds []memory.Filter
	ops := []memory.Op{memory.OpEq, memory.OpGt, memory.OpGte, memory.OpLt, memory.OpLte, memory.OpIn, memory.OpContains, memory.OpIContains, memory.OpExists}
	texts := map[memory.Field][]any{
		memory.FieldID: {"m3"}, memory.FieldAgent: {"bot", ""}, memory.FieldUser: {"u1", "u2", "", "U"}, memory.FieldApp: {"app"},
		memory.FieldRun: {"run'; --", "run"}, memory.FieldType: {"event", "fact"}, memory.FieldStatus: {"active"},
		memory.FieldContent: {"number_1", "Content % number_1 É", "NUMBER", "%", "É", ""}, memory.FieldTags: {"red", "blue", "Blue", ""},
		memory.FieldCategories: {"food", "FOOD"}, memory.FieldCreated: {start.Add(3 * time.Minute), "text"},
		memory.FieldHeld: {"true", "false"}, memory.FieldHold: {"true", "no"}, memory.FieldProvisional: {start.Add(6 * time.Minute)}, memory.FieldExpiredAt: {start},
		memory.FieldConfidence: {0.0, 0.25, 0.3, 0.875, "0.25"}, memory.FieldUpdated: {start}, memory.FieldExpires: {start.Add(5 * time.Minute), start.Add(time.Microsecond)},
	}
	for field, values := range texts {
		for _, op := range ops {
			for _, v := range values {
				conds = append(conds, memory.Cond{Field: field, Op: op, Values: []any{v}})
			}
			conds = append(conds, memory.Cond{Field: field, Op: op, Values: nil}, memory.Cond{Field: field, Op: op, Values: []any{4.5}})
		}
		conds = append(conds, memory.Cond{Field: field, Op: memory.OpIn, Values: values})
	}
	for _, key := range []string{"a", "n", "b", `k."'[0]$`, "é", "none", "$", "a.b", ""} {
		for _, op := range ops {
			for _, v := range []any{"x", "X", "xy", "5", "É", 5.0, 5.5, 1e10, true, false, ""} {
				conds = append(conds, memory.Cond{Field: memory.FieldMetadata, Key: key, Op: op, Values: []any{v}})
			}
		}
		conds = append(conds, memory.Cond{Field: memory.FieldMetadata, Key: key, Op: memory.OpIn, Values: []any{"x", 5.0, true}})
	}
	combined := []memory.Filter{nil, memory.And{}, memory.Or{}, memory.Not{}, memory.Not{Filter: memory.Or{}}, memory.Cond{},
		memory.Expired(start), memory.Expired(start.Add(5 * time.Minute)),
		memory.Lapsed(start.Add(time.Minute)), memory.Lapsed(start.Add(time.Hour)), memory.In(memory.FieldID, "m1", "m2", "nothing")}
	for i, c := range conds {
		combined = append(combined, c, memory.Not{Filter: c},
			memory.And{c, memory.Or{conds[(i*7+1)%len(conds)], memory.Not{Filter: conds[(i*13+2)%len(conds)]}}})
	}
	// Steps of a number that shares no factor with three take some of each kind.
	step := max(1, len(combined)/Size(len(combined)))
	for step > 1 && step%3 == 0 {
		step++
	}
	for i := 0; i < len(combined); i += step {
		f := combined[i]
		want := []string{}
		for _, m := range all {
			if memory.Match(f, m) {
				want = append(want, m.ID)
			}
		}
		got, total, err := s.List(ctx, tenantA, memory.ListQuery{Filter: f, Order: memory.OldestFirst, Limit: 100, Total: true})
		if err != nil || total != len(want) || !reflect.DeepEqual(idsOf(got), want) {
			t.Fatalf("%#v: got %v (%d), %v; want %v", f, idsOf(got), total, err, want)
		}
	}
}

func history(t *testing.T, s memory.Store) {
	m := remember("m1", "one", 0)
	m.User = "u"
	add(t, s, tenantA, m, remember("m2", "other", 0))
	later := memory.Write{By: "editor", At: start.Add(time.Minute)}
	for _, text := range []string{"two", "three"} {
		if _, err := memory.Update(ctx, s, tenantA, later, "m1", nil, func(m *memory.Memory) error {
			m.Content, m.Metadata = text, json.RawMessage(`{"is":"`+text+`"}`)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...memory.Change) {
		t.Helper()
		got, err := s.History(ctx, tenantA, "m1", "")
		if err != nil || len(got) != len(want) {
			t.Fatalf("%+v, %v", got, err)
		}
		seen := map[string]bool{}
		for i := range got {
			if got[i].ID == "" || seen[got[i].ID] {
				t.Errorf("id %q", got[i].ID)
			}
			seen[got[i].ID] = true
			want[i].ID, want[i].MemoryID, want[i].User = got[i].ID, "m1", "u"
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("change %d: %+v\nwant %+v", i, got[i], want[i])
			}
		}
	}
	check(
		memory.Change{Event: memory.EventAdd, New: "one", Writer: "writer", At: start},
		memory.Change{Event: memory.EventUpdate, Old: "one", New: "two", Metadata: json.RawMessage(`{"is":"two"}`), Writer: "editor", At: later.At},
		memory.Change{Event: memory.EventUpdate, Old: "two", New: "three", Metadata: json.RawMessage(`{"is":"three"}`), Writer: "editor", At: later.At},
	)
	if _, err := s.History(ctx, tenantA, "m1", "bot"); err != nil {
		t.Error(err)
	}
	_, err := s.History(ctx, tenantA, "m1", "other")
	wantErr(t, err, memory.ErrNotFound)
	_, err = s.History(ctx, tenantA, "m9", "")
	wantErr(t, err, memory.ErrNotFound)
	if err := s.DeleteIDs(ctx, tenantA, later, []string{"m1"}, nil); err != nil {
		t.Fatal(err)
	}
	check( // the steps stay, what they said does not
		memory.Change{Event: memory.EventAdd, Writer: "writer", At: start},
		memory.Change{Event: memory.EventUpdate, Writer: "editor", At: later.At},
		memory.Change{Event: memory.EventUpdate, Writer: "editor", At: later.At},
		memory.Change{Event: memory.EventDelete, Writer: "editor", At: later.At},
	)
}

func entities(t *testing.T, s memory.Store) {
	for i, who := range [][4]string{{"u2", "bot", "", ""}, {"u1", "", "app", "r"}, {"u1", "bot", "", ""}} {
		m := remember(fmt.Sprint("m", i), "x", i)
		m.User, m.Agent, m.App, m.Run = who[0], who[1], who[2], who[3]
		add(t, s, tenantA, m)
	}
	got, err := s.Entities(ctx, tenantA, nil, 10)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	want := []memory.Entity{
		{Kind: memory.EntityUser, Name: "u1", Memories: 2, Created: minute(1), Updated: minute(2)},
		{Kind: memory.EntityUser, Name: "u2", Memories: 1, Created: minute(0), Updated: minute(0)},
		{Kind: memory.EntityAgent, Name: "bot", Memories: 2, Created: minute(0), Updated: minute(2)},
		{Kind: memory.EntityApp, Name: "app", Memories: 1, Created: minute(1), Updated: minute(1)},
		{Kind: memory.EntityRun, Name: "r", Memories: 1, Created: minute(1), Updated: minute(1)},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := s.Entities(ctx, tenantA, memory.Eq(memory.FieldAgent, "bot"), 2); err != nil || len(got) != 2 || got[0].Memories != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func agents(t *testing.T, s memory.Store) {
	a := memory.Agent{ID: "made", Pattern: "support", Description: "d", Created: start}
	if err := s.CreateAgent(ctx, tenantA, by, a); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.CreateAgent(ctx, tenantA, by, memory.Agent{ID: "made", Created: start}), memory.ErrExists)
	if got, err := s.Agent(ctx, tenantA, "made", true); err != nil || *got != a {
		t.Errorf("%+v, %v", got, err)
	}
	m := remember("m1", "x", 0)
	m.Agent = "not an agent's id"
	add(t, s, tenantA, m, remember("m2", "x", 0), remember("m3", "x", 0))
	got, err := s.Agents(ctx, tenantA, true, 10)
	if err != nil || len(got) != 2 || got[0].ID != "bot" || got[0].Memories != 2 || got[1].ID != "made" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := s.Agents(ctx, tenantA, false, 1); err != nil || len(got) != 1 || got[0].Memories != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.DeleteAgent(ctx, tenantA, by, "bot", false); err != nil {
		t.Fatal(err)
	}
	_, err = s.Agent(ctx, tenantA, "bot", false)
	wantErr(t, err, memory.ErrNotFound)
	wantErr(t, s.DeleteAgent(ctx, tenantA, by, "bot", true), memory.ErrNotFound)
	if _, err := s.Get(ctx, tenantA, "m2", nil); err != nil {
		t.Errorf("memories are kept: %v", err)
	}
	if err := s.CreateAgent(ctx, tenantA, by, memory.Agent{ID: "bot", Created: start}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAgent(ctx, tenantA, by, "bot", true); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, tenantA, "m2", nil)
	wantErr(t, err, memory.ErrNotFound)
	if _, err := s.Get(ctx, tenantA, "m1", nil); err != nil {
		t.Errorf("another agent's memory: %v", err)
	}
}
