package qdrant

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/memory"
)

// fieldCreated orders listings. A memory without that time comes before all that have one.
const fieldCreated = "created"

// place orders memories as a listing does.
func place(o memory.Order) func(a, b *memory.Memory) int {
	sign := 1
	if o == memory.NewestFirst {
		sign = -1
	}
	return func(a, b *memory.Memory) int {
		return sign * cmp.Or(cmp.Compare(a.Created.UnixMicro(), b.Created.UnixMicro()), cmp.Compare(a.Seq, b.Seq))
	}
}

// List implements memory.Store. Qdrant orders and hands out a page after the other, so that what is read is about what is
// asked for; all that may be selected is read only to count by a filter that Qdrant cannot decide alone.
func (s *Store) List(ctx context.Context, tenant string, q memory.ListQuery) (list []*memory.Memory, total int, err error) {
	total = -1
	_, err = s.read(ctx, tenant, func(r *reading) error {
		condition, exact, err := where(r.keys, q.Filter)
		if err != nil {
			return err
		}
		list = nil
		if q.Total {
			if total, err = r.total(ctx, q.Filter, condition, exact); err != nil {
				return err
			}
		}
		skip := q.Offset
		return r.inOrder(ctx, condition, q.Order, q.After, q.Offset+q.Limit, func(m *memory.Memory) bool {
			switch {
			case !exact && !memory.Match(q.Filter, m):
			case skip > 0:
				skip--
			default:
				list = append(list, m)
			}
			return len(list) < q.Limit
		})
	})
	if err != nil {
		return nil, 0, err
	}
	if q.Total {
		total = max(total, 0) // no such tenant
	}
	return list, total, nil
}

// total counts what a filter selects.
func (r *reading) total(ctx context.Context, f memory.Filter, condition *qdrant.Condition, exact bool) (n int, err error) {
	if exact {
		return r.count(ctx, kindMemory, condition)
	}
	return n, r.each(ctx, f, func(*memory.Memory) error { n++; return nil })
}

// inOrder calls yield with the memories that meet a condition, in an order and behind a position, until yield returns false. It is
// told about how many are wanted.
//
// Qdrant orders by the time alone, and a page may end among memories of the same moment: these are read whole, and put in order here.
func (r *reading) inOrder(ctx context.Context, condition *qdrant.Condition, o memory.Order, after *memory.Position, want int, yield func(*memory.Memory) bool) error {
	order := place(o)
	// moment yields those of one moment, or those without a time.
	moment := func(at *qdrant.Condition) (more bool, err error) {
		var found []*memory.Memory
		if err := r.scan(ctx, kindMemory, []*qdrant.Condition{condition, at}, func(p *stored) error {
			m, err := openMemory(r.keys, p)
			found = append(found, m)
			return err
		}); err != nil {
			return false, err
		}
		slices.SortFunc(found, order)
		for _, m := range found {
			if after != nil && order(m, &memory.Memory{Created: after.Created, Seq: after.Seq}) <= 0 {
				continue
			}
			if !yield(m) {
				return false, nil
			}
		}
		return true, nil
	}
	undated := qdrant.NewIsEmpty(fieldCreated)
	var behind *float64 // the moment that is done with
	switch {
	case after == nil && o == memory.OldestFirst, after != nil && after.Created.IsZero():
		if more, err := moment(undated); err != nil || !more || o == memory.NewestFirst {
			return err
		}
	case after != nil:
		behind = micros(after.Created)
		if more, err := moment(qdrant.NewRange(fieldCreated, &qdrant.Range{Gte: behind, Lte: behind})); err != nil || !more {
			return err
		}
	}
	direction := qdrant.Direction_Desc
	if o == memory.OldestFirst {
		direction = qdrant.Direction_Asc
	}
	limit := min(want, scanStep) + 1
	for {
		rest := &qdrant.Range{Gt: behind}
		if o == memory.NewestFirst {
			rest = &qdrant.Range{Lt: behind}
		}
		conditions := []*qdrant.Condition{condition}
		if behind != nil {
			conditions = append(conditions, qdrant.NewRange(fieldCreated, rest))
		}
		page, err := r.page(ctx, kindMemory, conditions, &qdrant.OrderBy{Key: fieldCreated, Direction: &direction}, limit)
		if err != nil {
			return err
		}
		found := make([]*memory.Memory, len(page))
		for i, p := range page {
			if found[i], err = openMemory(r.keys, p); err != nil {
				return err
			}
		}
		slices.SortFunc(found, order)
		whole := len(page) < limit
		if !whole { // the last moment may go on behind the page
			last := found[len(found)-1].Created
			found = slices.DeleteFunc(found, func(m *memory.Memory) bool { return m.Created.UnixMicro() == last.UnixMicro() })
			behind = micros(last)
		}
		for _, m := range found {
			if !yield(m) {
				return nil
			}
		}
		if whole {
			break
		}
		if more, err := moment(qdrant.NewRange(fieldCreated, &qdrant.Range{Gte: behind, Lte: behind})); err != nil || !more {
			return err
		}
		limit = scanStep + 1
	}
	if o == memory.NewestFirst {
		_, err := moment(undated)
		return err
	}
	return nil
}

// page returns points of a kind that meet the conditions, in an order, at most limit.
func (r *reading) page(ctx context.Context, kind string, conditions []*qdrant.Condition, by *qdrant.OrderBy, limit int) (list []*stored, err error) {
	err = r.store.call(ctx, func(ctx context.Context) error {
		found, err := r.store.client.Scroll(ctx, &qdrant.ScrollPoints{CollectionName: r.store.Collection, Filter: r.filter(kind, conditions...),
			Limit: qdrant.PtrOf(uint32(limit)), OrderBy: by, WithPayload: qdrant.NewWithPayload(true)})
		list = list[:0]
		for _, p := range found {
			list = append(list, &stored{id: p.GetId().GetUuid(), payload: p.Payload})
		}
		return err
	})
	return list, err
}

// micros is a time as Qdrant compares it. A float64 holds microseconds exactly.
func micros(t time.Time) *float64 { return qdrant.PtrOf(float64(t.UnixMicro())) }
