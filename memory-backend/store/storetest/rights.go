package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

func eventsOf(t *testing.T, s memory.Store, id string) []string {
	t.Helper()
	changes, err := s.History(ctx, tenantA, id, "")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range changes {
		list = append(list, string(c.Event)+" "+c.Writer)
	}
	return list
}

// events names changes in histories.
func events(t *testing.T, s memory.Store) {
	m := remember("m1", "one", 0)
	m.Held = true
	add(t, s, tenantA, m)
	w := memory.Write{By: "reviewer", At: start, Event: memory.EventRelease}
	if _, err := memory.Update(ctx, s, tenantA, w, "m1", memory.Eq(memory.FieldHeld, "true"), func(m *memory.Memory) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.Update(ctx, s, tenantA, w, "m1", nil, func(m *memory.Memory) error { m.Held = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, total, err := s.List(ctx, tenantA, memory.ListQuery{Filter: memory.Eq(memory.FieldHeld, "true"), Limit: 1, Total: true}); err != nil || total != 0 {
		t.Errorf("%d held, %v", total, err)
	}
	w.Event = memory.EventReject
	if err := s.DeleteIDs(ctx, tenantA, w, []string{"m1"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "events", eventsOf(t, s, "m1"), []string{"ADD writer", "RELEASE reviewer", "RELEASE reviewer", "REJECT reviewer"})
}

// forget leaves nothing of a memory: no history, no access record, no kept answer, and the space is given back.
func forget(t *testing.T, s memory.Store) {
	w := by
	w.Once = &memory.Once{Key: "k", Request: []byte("r"), Answer: []byte("one"), For: time.Hour}
	if err := s.Add(ctx, tenantA, w, []*memory.Memory{remember("m1", "one", 0), remember("m2", "two", 0)}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"m1", "m2"} {
		if err := s.EditRecords(ctx, tenantA, memory.RecordAccess, []string{id}, func(string, []byte) ([]byte, error) { return []byte("read"), nil }); err != nil {
			t.Fatal(err)
		}
	}
	forgetful := memory.Write{By: "officer", At: start, Forget: true}
	if n, err := s.Delete(ctx, tenantA, forgetful, memory.Eq(memory.FieldID, "m1")); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if err := s.Compact(ctx, tenantA); err != nil {
		t.Error(err)
	}
	if err := s.Compact(ctx, "nobody"); err != nil {
		t.Error(err)
	}
	_, err := s.History(ctx, tenantA, "m1", "")
	wantErr(t, err, memory.ErrNotFound)
	if v, err := s.Record(ctx, tenantA, memory.RecordAccess, "m1"); err != nil || v != nil {
		t.Errorf("who read it: %q, %v", v, err)
	}
	if v, err := s.Record(ctx, tenantA, memory.RecordAccess, "m2"); err != nil || string(v) != "read" {
		t.Errorf("who read the other: %q, %v", v, err)
	}
	w.Once = &memory.Once{Key: "k", Request: []byte("r"), Answer: []byte("new"), For: time.Hour}
	if err := s.Add(ctx, tenantA, w, []*memory.Memory{remember("m3", "three", 0)}); err != nil {
		t.Errorf("the answer is kept: %v", err)
	}
	same(t, "left", found(t, s, tenantA, memory.SearchQuery{Text: "one two three"}), []string{"m3", "m2"})
}

// forgetDeleted drops what is left of memories that were deleted before.
func forgetDeleted(t *testing.T, s memory.Store) {
	for i, who := range [][2]string{{"u1", "bot"}, {"u2", "bot"}, {"u2", "other"}, {"u1", "other"}} {
		m := remember(fmt.Sprint("m", i), "words", i)
		m.User, m.Agent = who[0], who[1]
		add(t, s, tenantA, m)
	}
	if err := s.DeleteIDs(ctx, tenantA, by, []string{"m0", "m1", "m2"}, nil); err != nil {
		t.Fatal(err)
	}
	left := func() (ids string) {
		for i := range 4 {
			if _, err := s.History(ctx, tenantA, fmt.Sprint("m", i), ""); err == nil {
				ids += fmt.Sprint(i)
			}
		}
		return ids
	}
	w := by
	w.Forget, w.ForgetUser = true, "u1"
	if n, err := s.Delete(ctx, tenantA, w, memory.Eq(memory.FieldUser, "nobody")); err != nil || n != 0 || left() != "123" {
		t.Errorf("%d, %v: left %s", n, err, left())
	}
	w.ForgetUser, w.ForgetAgent = "", "bot"
	if n, err := s.Delete(ctx, tenantA, w, memory.Eq(memory.FieldUser, "nobody")); err != nil || n != 0 || left() != "23" {
		t.Errorf("%d, %v: left %s", n, err, left())
	}
}

// restore brings memories from one tenant to another as they are.
func restore(t *testing.T, s memory.Store) {
	m := remember("m1", "one", 0)
	m.User, m.Metadata, m.Trust = "u", json.RawMessage(`{"is":"one"}`), memory.TrustTrusted
	add(t, s, tenantA, m, remember("m2", "two words", 1))
	if _, err := memory.Update(ctx, s, tenantA, memory.Write{By: "editor", At: start.Add(time.Minute)}, "m1", nil, func(m *memory.Memory) error {
		m.Content, m.Metadata = "uno words", json.RawMessage(`{"is":"uno"}`)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var items []memory.Exported
	for _, id := range []string{"m1", "m2"} {
		m, err := s.Get(ctx, tenantA, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := s.History(ctx, tenantA, id, "")
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, memory.Exported{Memory: m, Changes: changes})
	}
	add(t, s, tenantB, remember("m2", "already here", 0))
	for _, want := range []int{1, 0} {
		if n, err := s.Restore(ctx, tenantB, by, items); err != nil || n != want {
			t.Fatalf("%d of %d stored, %v", n, want, err)
		}
	}
	got, err := s.Get(ctx, tenantB, "m1", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := items[0].Memory.Clone()
	if want.Seq = got.Seq; !reflect.DeepEqual(got, want) || got.Version != 2 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if changes, err := s.History(ctx, tenantB, "m1", ""); err != nil || !reflect.DeepEqual(changes, items[0].Changes) {
		t.Errorf("history %+v, %v\nwant %+v", changes, err, items[0].Changes)
	}
	same(t, "found", found(t, s, tenantB, memory.SearchQuery{Text: "uno words already"}), []string{"m1", "m2"})
	if m, err := s.Get(ctx, tenantB, "m2", nil); err != nil || m.Content != "already here" {
		t.Errorf("%+v, %v", m, err)
	}
	if n, err := s.Restore(ctx, "new", by, items); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Agent(ctx, "new", "bot", false); err != nil {
		t.Error(err)
	}
}

func records(t *testing.T, s memory.Store) {
	get := func(tenant, kind, name string) string {
		t.Helper()
		v, err := s.Record(ctx, tenant, kind, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	if v := get("nobody", "k", "n"); v != "" {
		t.Errorf("%q", v)
	}
	appendName := func(name string, old []byte) ([]byte, error) { return append(old, name...), nil }
	for range 2 {
		if err := s.EditRecords(ctx, tenantA, "k", []string{"é\x00", "b"}, appendName); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := get(tenantA, "k", "é\x00"), get(tenantA, "k", "b"); a != "é\x00é\x00" || b != "bb" {
		t.Errorf("%q, %q", a, b)
	}
	if get(tenantA, "other", "b")+get(tenantB, "k", "b")+get(tenantA, "k", "") != "" {
		t.Error("found under another kind, tenant or name")
	}
	refused := errors.New("refused")
	wantErr(t, s.EditRecords(ctx, tenantA, "k", []string{"b", "c"}, func(name string, _ []byte) ([]byte, error) {
		if name == "c" {
			return nil, refused
		}
		return []byte("lost"), nil
	}), refused)
	if err := s.EditRecords(ctx, tenantA, "k", []string{"b"}, func(string, []byte) ([]byte, error) {
		return make([]byte, memory.MaxRecord+1), nil
	}); err == nil {
		t.Error("a record that is too long was taken")
	}
	if v := get(tenantA, "k", "b"); v != "bb" {
		t.Errorf("%q", v)
	}
	for i := range 5 {
		if err := s.EditRecords(ctx, tenantA, "k", []string{fmt.Sprint(i)}, appendName); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.EditRecords(ctx, tenantA, "k", []string{"2", "none"}, func(string, []byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	var names []string
	for after := int64(0); ; {
		list, err := s.Records(ctx, tenantA, "k", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, r := range list {
			if r.Seq <= after || len(r.Value) == 0 {
				t.Errorf("%+v", r)
			}
			after = r.Seq
			names = append(names, r.Name)
		}
	}
	if got := strings.Join(names, ","); got != "é\x00,b,0,1,3,4" {
		t.Errorf("%q", got)
	}
}
