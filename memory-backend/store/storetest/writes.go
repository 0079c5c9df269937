package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

func versions(t *testing.T, s memory.Store) {
	m1, m2 := remember("m1", "one", 0), remember("m2", "two", 0)
	m1.Version = 7 // is not the caller's to say
	add(t, s, tenantA, m1, m2)
	if m1.Version != 1 || m2.Version != 1 || m1.Seq <= 0 || m2.Seq <= m1.Seq {
		t.Errorf("versions %d, %d, numbers %d, %d", m1.Version, m2.Version, m1.Seq, m2.Seq)
	}
	at := func(v int64) memory.Write { return memory.Write{By: "w", At: start, IfVersion: v} }
	edit := func(m *memory.Memory) error { m.Content += "!"; m.Version, m.Seq = 99, 99; return nil }
	got, err := memory.Update(ctx, s, tenantA, at(1), "m1", nil, edit)
	if err != nil || got.Version != 2 || got.Seq != m1.Seq {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = memory.Update(ctx, s, tenantA, at(1), "m1", nil, edit)
	wantErr(t, err, memory.ErrVersion)
	wantErr(t, s.UpdateAll(ctx, tenantA, at(1), []string{"m2", "m1"}, nil, func(_ int, m *memory.Memory) error { return edit(m) }), memory.ErrVersion)
	if m, err := s.Get(ctx, tenantA, "m2", nil); err != nil || m.Content != "two" || m.Version != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if got, err := memory.Update(ctx, s, tenantA, at(0), "m1", nil, edit); err != nil || got.Version != 3 || got.Content != "one!!" {
		t.Errorf("%+v, %v", got, err)
	}
	wantErr(t, s.DeleteIDs(ctx, tenantA, at(2), []string{"m1"}, nil), memory.ErrVersion)
	if err := s.DeleteIDs(ctx, tenantA, at(3), []string{"m1"}, nil); err != nil {
		t.Error(err)
	}
}

func once(t *testing.T, s memory.Store) {
	write := func(key, request string, at time.Time) memory.Write {
		return memory.Write{By: "w", At: at, Once: &memory.Once{Key: key, Request: []byte(request), Answer: []byte("answer to " + request), For: time.Hour}}
	}
	try := func(w memory.Write, id string) error {
		return s.Add(ctx, tenantA, w, []*memory.Memory{remember(id, "written", 0)})
	}
	if err := try(write("k", "r", start), "m1"); err != nil {
		t.Fatal(err)
	}
	var replayed *memory.ReplayedError
	if err := try(write("k", "r", start.Add(time.Minute)), "m2"); !errors.As(err, &replayed) || string(replayed.Answer) != "answer to r" {
		t.Errorf("%v", err)
	}
	wantErr(t, try(write("k", "other", start.Add(time.Minute)), "m2"), memory.ErrReused)
	same(t, "stored", found(t, s, tenantA, memory.SearchQuery{Text: "written"}), []string{"m1"})
	if err := s.Add(ctx, tenantB, write("k", "other", start), []*memory.Memory{remember("m1", "x", 0)}); err != nil {
		t.Errorf("another tenant's key: %v", err)
	}
	// A write that fails uses up nothing.
	if err := try(write("failed", "r", start), "m1"); err == nil {
		t.Error("an id was accepted twice")
	}
	if err := try(write("failed", "other", start), "m3"); err != nil {
		t.Error(err)
	}
	if err := try(write("k", "other", start.Add(time.Hour)), "m4"); err != nil {
		t.Errorf("after its time: %v", err)
	}
	agent := memory.Agent{ID: "made", Pattern: "tool", Created: start}
	if err := s.CreateAgent(ctx, tenantA, write("agent", "r", start), agent); err != nil {
		t.Error(err)
	}
	if err := s.CreateAgent(ctx, tenantA, write("agent", "r", start), agent); !errors.As(err, &replayed) {
		t.Error(err)
	}
}

func positions(t *testing.T, s memory.Store) {
	var all []*memory.Memory
	for i := 0; i < 20; i++ {
		m := remember(fmt.Sprintf("m%02d", i), "text number", i/3)
		if i%4 == 0 {
			m.Content = "other"
		}
		all = append(all, m)
	}
	add(t, s, tenantA, all...)
	for _, order := range []memory.Order{memory.OldestFirst, memory.NewestFirst} {
		for _, filter := range []memory.Filter{nil, memory.Cond{Field: memory.FieldContent, Op: memory.OpContains, Values: []any{"number"}}} {
			q := memory.ListQuery{Filter: filter, Order: order, Limit: 100, Total: true}
			whole, total, err := s.List(ctx, tenantA, q)
			if err != nil {
				t.Fatal(err)
			}
			var paged []*memory.Memory
			for q.Limit = 3; ; {
				page, n, err := s.List(ctx, tenantA, q)
				if err != nil || n != total {
					t.Fatalf("%d of %d, %v", n, total, err)
				}
				if len(page) == 0 {
					break
				}
				paged = append(paged, page...)
				last := page[len(page)-1]
				q.After = &memory.Position{Created: last.Created, Seq: last.Seq}
				q.Total = true
			}
			same(t, "pages", idsOf(paged), idsOf(whole))
			q.After = &memory.Position{Created: whole[4].Created, Seq: whole[4].Seq}
			q.Offset, q.Total = 2, false
			page, n, err := s.List(ctx, tenantA, q)
			if err != nil || n != -1 {
				t.Fatalf("%d, %v", n, err)
			}
			same(t, "behind and further", idsOf(page), idsOf(whole[7:10]))
		}
	}
}

func dropTenant(t *testing.T, s memory.Store) {
	add(t, s, tenantA, remember("m1", "gone words", 0), remember("m2", "gone too", 0))
	add(t, s, tenantB, remember("m1", "kept words", 0))
	names := func() map[string]bool {
		got := map[string]bool{}
		if err := s.Tenants(ctx, func(name string) bool { got[name] = true; return true }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := names(); len(got) != 2 || !got[tenantA] || !got[tenantB] {
		t.Errorf("tenants %v", got)
	}
	d, err := s.DropTenant(ctx, tenantA)
	if err != nil || d.Memories != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	_, err = s.Get(ctx, tenantA, "m1", nil)
	wantErr(t, err, memory.ErrNotFound)
	same(t, "gone", found(t, s, tenantA, memory.SearchQuery{Text: "gone words"}), nil)
	same(t, "kept", found(t, s, tenantB, memory.SearchQuery{Text: "words"}), []string{"m1"})
	if got := names(); len(got) != 1 || !got[tenantB] {
		t.Errorf("tenants %v", got)
	}
	_, err = s.DropTenant(ctx, tenantA)
	wantErr(t, err, memory.ErrNotFound)
	add(t, s, tenantA, remember("m1", "new words", 0))
	same(t, "new", found(t, s, tenantA, memory.SearchQuery{Text: "words gone"}), []string{"m1"})
}

func distinct(t *testing.T, s memory.Store) {
	w := memory.Write{By: "w", At: start, Distinct: true}
	if err := s.Add(ctx, tenantA, w, []*memory.Memory{remember("m1", "the same", 0), remember("m2", "the same!", 0)}); err != nil {
		t.Fatal(err)
	}
	var twice *memory.DuplicateError
	err := s.Add(ctx, tenantA, w, []*memory.Memory{remember("m3", "another", 0), remember("m4", "the same", 0)})
	if !errors.As(err, &twice) || twice.ID != "m1" || twice.Index != 1 {
		t.Errorf("%v", err)
	}
	err = s.Add(ctx, tenantA, w, []*memory.Memory{remember("m3", "twice", 0), remember("m4", "twice", 0)})
	if !errors.As(err, &twice) || twice.ID != "m3" {
		t.Errorf("%v", err)
	}
	_, err = s.Get(ctx, tenantA, "m3", nil)
	wantErr(t, err, memory.ErrNotFound)
	other, user, gone := remember("m5", "the same", 0), remember("m6", "the same", 0), remember("m7", "expired", 0)
	other.Agent, user.User, gone.Expires = "other", "u", start
	if err := s.Add(ctx, tenantA, w, []*memory.Memory{other, user, gone, remember("m8", "expired", 0)}); err != nil {
		t.Errorf("another owner, and one that has expired: %v", err)
	}
	if err := s.Add(ctx, tenantB, w, []*memory.Memory{remember("m1", "the same", 0)}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	w.Distinct = false
	if err := s.Add(ctx, tenantA, w, []*memory.Memory{remember("m9", "the same", 0)}); err != nil {
		t.Errorf("when it may repeat: %v", err)
	}
}
