package qdrant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// writing is a write under way: what it will have Qdrant carry out as a whole.
type writing struct {
	reading
	state *tenant
	last  int64
	puts  map[string]*point // by id, in the place of what is stored
	gone  map[string]bool   // ids of points that are taken away
}

// write runs do, which collects changes, and carries them out in one request. The tenant is made when it is missing
// and create is set, else that is ErrNotFound.
func (s *Store) write(ctx context.Context, name string, create bool, do func(*writing) error) error {
	state := s.state(name)
	select {
	case <-state.turn:
		defer func() { state.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := s.lease.hold(ctx); err != nil {
		return err
	}
	s.known(state)
	k, err := s.keys(ctx, name, true)
	if err != nil {
		return err
	}
	if k == nil {
		if !create {
			return memory.ErrNotFound
		}
		// What an earlier tenant of this name left cannot be read, and must not be in the way.
		if err := s.deletePoints(ctx, &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(name)}}); err != nil {
			return err
		}
		if k, err = s.Keys.Create(ctx, name); err != nil {
			return classify(err)
		}
		state.last = 0
	}
	if state.last < 0 {
		if state.last, err = s.lastSeq(ctx, name); err != nil {
			return err
		}
	}
	w := &writing{reading: reading{s, name, k}, state: state, last: state.last, puts: make(map[string]*point), gone: make(map[string]bool)}
	if err := do(w); err != nil {
		return err
	}
	return w.commit(ctx)
}

func (s *Store) state(name string) *tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[name]
	if t == nil {
		t = &tenant{turn: make(chan struct{}, 1), last: -1}
		t.turn <- struct{}{}
		s.tenants[name] = t
	}
	return t
}

// lastSeq returns the greatest number of a tenant, and deletes what an earlier write overwrote.
func (s *Store) lastSeq(ctx context.Context, name string) (last int64, err error) {
	if err := s.deletePoints(ctx, &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(name), qdrant.NewMatchKeyword(fieldKind, kindGone)}}); err != nil {
		return 0, err
	}
	err = s.call(ctx, func(ctx context.Context) error {
		found, err := s.client.Scroll(ctx, &qdrant.ScrollPoints{CollectionName: s.Collection,
			Filter: &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(name)}}, Limit: qdrant.PtrOf(uint32(1)),
			OrderBy:     &qdrant.OrderBy{Key: fieldSeq, Direction: qdrant.Direction_Desc.Enum()},
			WithPayload: qdrant.NewWithPayloadInclude(fieldSeq)})
		if last = 0; err == nil && len(found) > 0 {
			last = found[0].Payload[fieldSeq].GetIntegerValue()
		}
		return err
	})
	return last, err
}

// next returns the next number of the tenant.
func (w *writing) next() int64 { w.last++; return w.last }

func (w *writing) put(p *point) { delete(w.gone, p.id); w.puts[p.id] = p }

func (w *writing) remove(id string) { delete(w.puts, id); w.gone[id] = true }

// commit carries the changes out: points that are taken away lose their content in the same request, and go for
// good after it.
func (w *writing) commit(ctx context.Context) error {
	if len(w.puts)+len(w.gone) == 0 {
		return nil
	}
	points := make([]*qdrant.PointStruct, 0, len(w.puts)+len(w.gone))
	for _, id := range slices.Sorted(maps.Keys(w.puts)) {
		points = append(points, w.puts[id].proto())
	}
	var gone []*qdrant.PointId
	for _, id := range slices.Sorted(maps.Keys(w.gone)) {
		p := point{id: id, payload: map[string]*qdrant.Value{
			fieldTenant: qdrant.NewValueString(crypt.FileName(w.name)), fieldKind: qdrant.NewValueString(kindGone)}}
		points, gone = append(points, p.proto()), append(gone, qdrant.NewIDUUID(id))
	}
	// What was read may have taken long, and have become old.
	if _, err := w.store.lease.hold(ctx); err != nil {
		return err
	}
	if !w.store.known(w.state) {
		return ErrOtherWriter
	}
	// Whatever comes of it, these numbers are not given again.
	w.state.last = w.last
	err := w.store.call(ctx, func(ctx context.Context) error {
		if _, ok := w.store.lease.mine(); !ok { // lost between two tries
			return ErrOtherWriter
		}
		done, err := w.store.client.Upsert(ctx, &qdrant.UpsertPoints{CollectionName: w.store.Collection, Wait: qdrant.PtrOf(true),
			Ordering: &qdrant.WriteOrdering{Type: qdrant.WriteOrderingType_Strong}, Points: points})
		if err == nil && done.GetStatus() != qdrant.UpdateStatus_Completed {
			err = fmt.Errorf("the write is %s", done.GetStatus())
		}
		return err
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	// Done already: what is left of this is empty, and goes when the tenant is next opened for writing.
	_ = w.store.deletePoints(ctx, &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(w.name), qdrant.NewHasID(gone...)}})
	return nil
}

func (s *Store) deletePoints(ctx context.Context, f *qdrant.Filter) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.client.Delete(ctx, &qdrant.DeletePoints{CollectionName: s.Collection, Wait: qdrant.PtrOf(true), Points: qdrant.NewPointsSelectorFilter(f)})
		return err
	})
}

// at returns a point as the write will leave it.
func (w *writing) at(ctx context.Context, id string) (*stored, error) {
	if p := w.puts[id]; p != nil {
		return &stored{id: id, payload: p.payload}, nil
	}
	if w.gone[id] {
		return nil, nil
	}
	return w.reading.at(ctx, id)
}

// find returns the memory with an id if the scope selects it.
func (w *writing) find(ctx context.Context, id string, scope memory.Filter) (*memory.Memory, error) {
	at, err := pointID(w.keys, kindMemory, id)
	if err != nil {
		return nil, err
	}
	p, err := w.at(ctx, at)
	if err != nil {
		return nil, err
	}
	return w.selected(p, scope)
}

// putMemory stores a memory. What dense does to its point is done before; nil for nothing.
func (w *writing) putMemory(m *memory.Memory, dense func(*point) error) error {
	p, err := memoryPoint(w.keys, w.name, m)
	if err == nil && dense != nil {
		err = dense(p)
	}
	if err == nil {
		w.put(p)
	}
	return err
}

// change is a step of a history as it is sealed.
type change struct {
	memory.Change
	Raw []byte // the metadata, byte by byte
}

// putChange adds a step to the history of a memory.
func (w *writing) putChange(c memory.Change, agent string, seq int64) error {
	content := change{c, c.Metadata}
	content.Metadata = nil
	p, err := newPoint(w.keys, w.name, kindChange, c.ID, seq, content)
	if err != nil {
		return err
	}
	of, err := hashed(w.keys, "memory", c.MemoryID)
	if err != nil {
		return err
	}
	p.payload[fieldOf] = qdrant.NewValueString(of)
	if agent != "" {
		h, err := hashed(w.keys, "agent", agent)
		if err != nil {
			return err
		}
		p.payload["agent"] = qdrant.NewValueString(h)
	}
	w.put(p)
	return nil
}

// record adds what a write did to the history of a memory.
func (w *writing) record(by memory.Write, event memory.EventKind, m, before *memory.Memory) error {
	id, err := uuid.NewRandomFromReader(w.store.Random)
	if err != nil {
		return err
	}
	c := memory.Change{ID: id.String(), MemoryID: m.ID, Event: event, User: m.User, Writer: by.By, At: by.At}
	if by.Event != "" {
		c.Event = by.Event
	}
	if event != memory.EventDelete {
		c.New, c.Metadata = m.Content, m.Metadata
	}
	if before != nil {
		c.Old = before.Content
	}
	return w.putChange(c, m.Agent, w.next())
}

// Add implements memory.Store.
func (s *Store) Add(ctx context.Context, tenant string, by memory.Write, memories []*memory.Memory) error {
	if len(memories) == 0 {
		return nil
	}
	return s.write(ctx, tenant, true, func(w *writing) error {
		if err := w.once(ctx, by); err != nil {
			return err
		}
		for i, m := range memories {
			if by.Distinct {
				if err := w.distinct(ctx, by, m, i, memories[:i]); err != nil {
					return err
				}
			}
			if _, err := w.find(ctx, m.ID, nil); err == nil {
				return fmt.Errorf("qdrant: memory %s exists", m.ID)
			} else if !errors.Is(err, memory.ErrNotFound) {
				return err
			}
			m.Version, m.Seq = 1, w.next()
			embedded := func(p *point) error {
				if i < len(by.Vectors) {
					p.setDense(s, by.Space, by.Vectors[i])
				}
				return nil
			}
			if err := errors.Join(w.putMemory(m, embedded), w.record(by, memory.EventAdd, m, nil)); err != nil {
				return err
			}
			if _, err := w.putAgent(ctx, memory.Agent{ID: m.Agent, Pattern: "tool", Created: by.At}); err != nil {
				return err
			}
		}
		return nil
	})
}

// distinct fails if an active memory of the same owners has the same content.
func (w *writing) distinct(ctx context.Context, by memory.Write, m *memory.Memory, index int, before []*memory.Memory) error {
	twin := func(other *memory.Memory) bool {
		return other.Content == m.Content && other.Agent == m.Agent && other.User == m.User && other.App == m.App && other.Run == m.Run &&
			other.StatusAt(by.At) == memory.StatusActive && !other.Held
	}
	for _, other := range before {
		if twin(other) {
			return &memory.DuplicateError{ID: other.ID, Index: index}
		}
	}
	same, err := hashed(w.keys, "content", m.Content)
	if err != nil {
		return err
	}
	return w.scan(ctx, kindMemory, []*qdrant.Condition{qdrant.NewMatchKeyword(fieldSame, same)}, func(p *stored) error {
		other, err := openMemory(w.keys, p)
		if err == nil && twin(other) {
			err = &memory.DuplicateError{ID: other.ID, Index: index}
		}
		return err
	})
}

// UpdateAll implements memory.Store.
func (s *Store) UpdateAll(ctx context.Context, tenant string, by memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	return s.write(ctx, tenant, false, func(w *writing) error {
		for i, id := range ids {
			before, err := w.find(ctx, id, scope)
			if err != nil {
				return err
			}
			if by.IfVersion != 0 && by.IfVersion != before.Version {
				return memory.ErrVersion
			}
			m := before.Clone()
			if err := edit(i, m); err != nil {
				return err
			}
			if m.ID != id || !memory.Match(scope, m) {
				return errors.New("qdrant: an edit moved a memory out of its scope")
			}
			m.Seq, m.Version = before.Seq, before.Version+1
			var embedded func(*point) error
			if m.EmbedText() == before.EmbedText() {
				embedded = func(p *point) error { return w.keepDense(ctx, p) }
			}
			if err := errors.Join(w.putMemory(m, embedded), w.record(by, memory.EventUpdate, m, before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete implements memory.Store.
func (s *Store) Delete(ctx context.Context, tenant string, by memory.Write, filter memory.Filter) (removed int, err error) {
	err = s.write(ctx, tenant, false, func(w *writing) (err error) {
		if removed, err = w.deleteWhere(ctx, by, filter); err == nil && by.Forget {
			err = w.forgetDeleted(ctx, by)
		}
		return err
	})
	if errors.Is(err, memory.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func (w *writing) deleteWhere(ctx context.Context, by memory.Write, filter memory.Filter) (int, error) {
	var found []*memory.Memory
	if err := w.each(ctx, filter, func(m *memory.Memory) error { found = append(found, m); return nil }); err != nil {
		return 0, err
	}
	return len(found), w.delete(ctx, by, found)
}

// DeleteIDs implements memory.Store.
func (s *Store) DeleteIDs(ctx context.Context, tenant string, by memory.Write, ids []string, scope memory.Filter) error {
	return s.write(ctx, tenant, false, func(w *writing) error {
		var found []*memory.Memory
		seen := make(map[string]bool, len(ids))
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			m, err := w.find(ctx, id, scope)
			if err != nil {
				return err
			}
			if by.IfVersion != 0 && by.IfVersion != m.Version {
				return memory.ErrVersion
			}
			found = append(found, m)
		}
		return w.delete(ctx, by, found)
	})
}

// delete takes memories away, and what their histories say.
func (w *writing) delete(ctx context.Context, by memory.Write, found []*memory.Memory) error {
	for _, m := range found {
		id, err := pointID(w.keys, kindMemory, m.ID)
		if err != nil {
			return err
		}
		w.remove(id)
		if err := w.silence(ctx, m.ID, by.Forget); err != nil {
			return err
		}
		if !by.Forget {
			if err := w.record(by, memory.EventDelete, m, nil); err != nil {
				return err
			}
			continue
		}
		if id, err = pointID(w.keys, kindRecord, memory.RecordAccess+"\x00"+m.ID); err != nil {
			return err
		}
		w.remove(id)
	}
	if !by.Forget || len(found) == 0 {
		return nil
	}
	return w.scan(ctx, kindOnce, nil, func(p *stored) error { w.remove(p.id); return nil })
}

// silence takes the texts out of the history of a memory, or all of it away.
func (w *writing) silence(ctx context.Context, id string, forget bool) error {
	of, err := hashed(w.keys, "memory", id)
	if err != nil {
		return err
	}
	return w.scan(ctx, kindChange, []*qdrant.Condition{qdrant.NewMatchKeyword(fieldOf, of)}, func(p *stored) error {
		if forget {
			w.remove(p.id)
			return nil
		}
		var c change
		if err := open(w.keys, kindChange, p, &c); err != nil {
			return err
		}
		c.Old, c.New, c.Raw = "", "", nil
		empty, err := newPoint(w.keys, w.name, kindChange, c.ID, p.seq(), c)
		if err != nil {
			return err
		}
		for _, field := range []string{fieldOf, "agent"} {
			if v := p.payload[field]; v != nil {
				empty.payload[field] = v
			}
		}
		w.put(empty)
		return nil
	})
}
