package qdrant

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// Restore implements memory.Store.
func (s *Store) Restore(ctx context.Context, tenant string, by memory.Write, items []memory.Exported) (stored int, err error) {
	err = s.write(ctx, tenant, true, func(w *writing) error {
		stored = 0
		for _, item := range items {
			m := item.Memory
			switch _, err := w.find(ctx, m.ID, nil); {
			case err == nil:
				continue
			case !errors.Is(err, memory.ErrNotFound):
				return err
			}
			m.Version, m.Seq = max(m.Version, 1), w.next()
			if err := w.putMemory(m, nil); err != nil {
				return err
			}
			if len(item.Changes) > 0 {
				if err := w.silence(ctx, m.ID, true); err != nil {
					return err
				}
			}
			for _, c := range item.Changes {
				if err := w.putChange(c, m.Agent, w.next()); err != nil {
					return err
				}
			}
			if _, err := w.putAgent(ctx, memory.Agent{ID: m.Agent, Pattern: "tool", Created: by.At}); err != nil {
				return err
			}
			stored++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// Entities implements memory.Store.
func (s *Store) Entities(ctx context.Context, tenant string, filter memory.Filter, limit int) (list []memory.Entity, err error) {
	kinds := []memory.EntityKind{memory.EntityUser, memory.EntityAgent, memory.EntityApp, memory.EntityRun}
	_, err = s.read(ctx, tenant, func(r *reading) error {
		list = nil
		groups := make(map[memory.EntityKind]map[string]*memory.Entity)
		if err := r.each(ctx, filter, func(m *memory.Memory) error {
			for i, name := range []string{m.User, m.Agent, m.App, m.Run} {
				if name == "" {
					continue
				}
				if groups[kinds[i]] == nil {
					groups[kinds[i]] = make(map[string]*memory.Entity)
				}
				e := groups[kinds[i]][name]
				if e == nil {
					e = &memory.Entity{Kind: kinds[i], Name: name, Created: m.Created}
					groups[kinds[i]][name] = e
				}
				e.Memories++
				if m.Created.Before(e.Created) {
					e.Created = m.Created
				}
				if m.Updated.After(e.Updated) {
					e.Updated = m.Updated
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for _, kind := range kinds {
			var found []memory.Entity
			for _, e := range groups[kind] {
				found = append(found, *e)
			}
			slices.SortFunc(found, func(a, b memory.Entity) int { return strings.Compare(a.Name, b.Name) })
			list = append(list, found[:min(len(found), limit-len(list))]...)
		}
		return nil
	})
	return list, err
}

// putAgent registers an agent, if its name is one, and reports whether it was not registered yet.
func (w *writing) putAgent(ctx context.Context, a memory.Agent) (bool, error) {
	if !memory.ValidAgentID(a.ID) {
		return false, nil
	}
	id, err := pointID(w.keys, kindAgent, a.ID)
	if err != nil {
		return false, err
	}
	if p, err := w.at(ctx, id); err != nil || p != nil {
		return false, err
	}
	a.Memories = 0
	p, err := newPoint(w.keys, w.name, kindAgent, a.ID, w.next(), a)
	if err == nil {
		w.put(p)
	}
	return true, err
}

// CreateAgent implements memory.Store.
func (s *Store) CreateAgent(ctx context.Context, tenant string, by memory.Write, a memory.Agent) error {
	return s.write(ctx, tenant, true, func(w *writing) error {
		if err := w.once(ctx, by); err != nil {
			return err
		}
		created, err := w.putAgent(ctx, a)
		if err == nil && !created {
			err = memory.ErrExists
		}
		return err
	})
}

// agent opens the point of an agent.
func (r *reading) agent(ctx context.Context, p *stored, count bool) (a memory.Agent, err error) {
	if err := open(r.keys, kindAgent, p, &a); err != nil || !count {
		return a, err
	}
	h, err := hashed(r.keys, "agent", a.ID)
	if err == nil {
		a.Memories, err = r.count(ctx, kindMemory, qdrant.NewMatchKeyword("agent", h))
	}
	return a, err
}

// Agent implements memory.Store.
func (s *Store) Agent(ctx context.Context, tenant, id string, count bool) (*memory.Agent, error) {
	var a memory.Agent
	found, err := s.read(ctx, tenant, func(r *reading) error {
		at, err := pointID(r.keys, kindAgent, id)
		if err != nil {
			return err
		}
		p, err := r.at(ctx, at)
		if err != nil || p == nil {
			return errors.Join(err, notFoundIf(err == nil))
		}
		a, err = r.agent(ctx, p, count)
		return err
	})
	if err == nil {
		err = notFoundIf(!found)
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Agents implements memory.Store.
func (s *Store) Agents(ctx context.Context, tenant string, count bool, limit int) (list []memory.Agent, err error) {
	_, err = s.read(ctx, tenant, func(r *reading) error {
		list = nil
		if err := r.scan(ctx, kindAgent, nil, func(p *stored) error {
			a, err := r.agent(ctx, p, false)
			list = append(list, a)
			return err
		}); err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b memory.Agent) int {
			return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
		})
		list = list[:min(limit, len(list))]
		for i := range list {
			if !count {
				break
			}
			h, err := hashed(r.keys, "agent", list[i].ID)
			if err == nil {
				list[i].Memories, err = r.count(ctx, kindMemory, qdrant.NewMatchKeyword("agent", h))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// DeleteAgent implements memory.Store.
func (s *Store) DeleteAgent(ctx context.Context, tenant string, by memory.Write, id string, memories bool) error {
	return s.write(ctx, tenant, false, func(w *writing) error {
		at, err := pointID(w.keys, kindAgent, id)
		if err != nil {
			return err
		}
		if p, err := w.at(ctx, at); err != nil || p == nil {
			return errors.Join(err, notFoundIf(err == nil))
		}
		w.remove(at)
		if memories {
			_, err = w.deleteWhere(ctx, by, memory.Eq(memory.FieldAgent, id))
		}
		return err
	})
}

// onceKept is what is sealed of a write that happens once.
type onceKept struct {
	Request, Answer []byte
	Until           time.Time
}

// once notes a write that is to happen once, and fails if it did.
func (w *writing) once(ctx context.Context, by memory.Write) error {
	o := by.Once
	if o == nil {
		return nil
	}
	request, err := w.keys.Hash("request", string(o.Request))
	if err != nil {
		return err
	}
	id, err := pointID(w.keys, kindOnce, o.Key)
	if err != nil {
		return err
	}
	p, err := w.at(ctx, id)
	if err != nil {
		return err
	}
	if p != nil {
		var known onceKept
		if err := open(w.keys, kindOnce, p, &known); err != nil {
			return err
		}
		switch {
		case !known.Until.After(by.At):
		case !bytes.Equal(known.Request, request):
			return memory.ErrReused
		default:
			return &memory.ReplayedError{Answer: known.Answer}
		}
	}
	until := by.At.Add(o.For)
	fresh, err := newPoint(w.keys, w.name, kindOnce, o.Key, w.next(), onceKept{request, o.Answer, until})
	if err != nil {
		return err
	}
	fresh.payload[fieldUntil] = qdrant.NewValueInt(until.UnixMicro())
	w.put(fresh)
	// Whoever asks for more than fits loses the oldest.
	n, err := w.count(ctx, kindOnce)
	if err != nil || n < memory.MaxOnce {
		return err
	}
	return w.store.call(ctx, func(ctx context.Context) error {
		oldest, err := w.store.client.Scroll(ctx, &qdrant.ScrollPoints{CollectionName: w.store.Collection, Filter: w.filter(kindOnce),
			Limit: qdrant.PtrOf(uint32(n - memory.MaxOnce + 1)), OrderBy: &qdrant.OrderBy{Key: fieldUntil}})
		for _, p := range oldest {
			if old := p.GetId().GetUuid(); old != id {
				w.remove(old)
			}
		}
		return err
	})
}

// recordName is the name of a record's point.
func recordName(kind, name string) string { return kind + "\x00" + name }

func (r *reading) openRecord(p *stored) (rec memory.Record, err error) {
	if p == nil {
		return rec, nil
	}
	err = open(r.keys, kindRecord, p, &rec)
	rec.Seq = p.seq()
	return rec, err
}

// Record implements memory.Store.
func (s *Store) Record(ctx context.Context, tenant, kind, name string) (value []byte, err error) {
	_, err = s.read(ctx, tenant, func(r *reading) error {
		id, err := pointID(r.keys, kindRecord, recordName(kind, name))
		if err != nil {
			return err
		}
		p, err := r.at(ctx, id)
		if err != nil {
			return err
		}
		rec, err := r.openRecord(p)
		value = rec.Value
		return err
	})
	return value, err
}

// EditRecords implements memory.Store.
func (s *Store) EditRecords(ctx context.Context, tenant, kind string, names []string, edit func(name string, old []byte) ([]byte, error)) error {
	return s.write(ctx, tenant, true, func(w *writing) error {
		of, err := hashed(w.keys, "record", kind)
		if err != nil {
			return err
		}
		for _, name := range names {
			id, err := pointID(w.keys, kindRecord, recordName(kind, name))
			if err != nil {
				return err
			}
			p, err := w.at(ctx, id)
			if err != nil {
				return err
			}
			old, err := w.openRecord(p)
			if err != nil {
				return err
			}
			value, err := edit(name, old.Value)
			switch {
			case err != nil:
				return err
			case len(value) > memory.MaxRecord:
				return fmt.Errorf("qdrant: a record of %d bytes is too long", len(value))
			case value == nil:
				if p != nil {
					w.remove(id)
				}
				continue
			}
			seq := old.Seq
			if p == nil {
				seq = w.next()
			}
			fresh, err := newPoint(w.keys, w.name, kindRecord, recordName(kind, name), seq, memory.Record{Name: name, Value: value})
			if err != nil {
				return err
			}
			fresh.payload[fieldOf] = qdrant.NewValueString(of)
			w.put(fresh)
		}
		return nil
	})
}

// Records implements memory.Store.
func (s *Store) Records(ctx context.Context, tenant, kind string, after int64, limit int) (list []memory.Record, err error) {
	_, err = s.read(ctx, tenant, func(r *reading) error {
		list = nil
		of, err := hashed(r.keys, "record", kind)
		if err != nil {
			return err
		}
		behind := qdrant.NewRange(fieldSeq, &qdrant.Range{Gt: qdrant.PtrOf(float64(after))})
		page, err := r.page(ctx, kindRecord, []*qdrant.Condition{qdrant.NewMatchKeyword(fieldOf, of), behind},
			&qdrant.OrderBy{Key: fieldSeq, Direction: qdrant.Direction_Asc.Enum()}, limit)
		if err != nil {
			return err
		}
		for _, p := range page {
			rec, err := r.openRecord(p)
			if err != nil {
				return err
			}
			list = append(list, rec)
		}
		return nil
	})
	return list, err
}

// Compact implements memory.Store: it deletes what was overwritten. When Qdrant gives the room back to the disk is
// for its optimizer to say; what is there until then was sealed.
func (s *Store) Compact(ctx context.Context, tenant string) error {
	return s.deletePoints(ctx, &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(tenant), qdrant.NewMatchKeyword(fieldKind, kindGone)}})
}

// DropTenant implements memory.Store.
func (s *Store) DropTenant(ctx context.Context, name string) (memory.Dropped, error) {
	dropped := memory.Dropped{Memories: -1}
	state := s.state(name)
	select {
	case <-state.turn:
		defer func() { state.turn <- struct{}{} }()
	case <-ctx.Done():
		return dropped, ctx.Err()
	}
	if _, err := s.lease.hold(ctx); err != nil {
		return dropped, err
	}
	r := reading{store: s, name: name}
	if n, err := r.count(ctx, kindMemory); err == nil {
		dropped.Memories = n
	}
	ids, err := s.Keys.Destroy(name)
	found := err == nil
	if err != nil && !errors.Is(err, crypt.ErrNoKeys) {
		return dropped, err
	}
	dropped.Keys, state.last = ids, -1
	mine := &qdrant.Filter{Must: []*qdrant.Condition{ofTenant(name)}}
	left := uint64(0)
	if err := s.call(ctx, func(ctx context.Context) (err error) {
		left, err = s.client.Count(ctx, &qdrant.CountPoints{CollectionName: s.Collection, Filter: mine, Exact: qdrant.PtrOf(true)})
		return err
	}); err != nil {
		return dropped, err
	}
	if !found && left == 0 {
		return dropped, memory.ErrNotFound
	}
	return dropped, s.deletePoints(ctx, mine)
}

// Tenants implements memory.Store: those that have keys.
func (s *Store) Tenants(ctx context.Context, yield func(tenant string) bool) error {
	err := s.Keys.List(func(k crypt.Status) bool { return ctx.Err() != nil || k.Damaged || yield(k.Tenant) })
	return errors.Join(ctx.Err(), err)
}
