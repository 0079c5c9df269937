package sqlite

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/memgate/memgate/memory-backend/memory"
)

var entityKinds = []memory.EntityKind{memory.EntityUser, memory.EntityAgent, memory.EntityApp, memory.EntityRun}

// nameOf returns the name of the entity of a kind that a memory belongs to.
func nameOf(kind memory.EntityKind, m *memory.Memory) string {
	switch kind {
	case memory.EntityUser:
		return m.User
	case memory.EntityAgent:
		return m.Agent
	case memory.EntityApp:
		return m.App
	}
	return m.Run
}

// Entities implements memory.Store.
func (s *Store) Entities(ctx context.Context, tenant string, filter memory.Filter, limit int) ([]memory.Entity, error) {
	var list []memory.Entity
	_, err := s.read(ctx, tenant, func(t *readTx) error {
		list = nil
		sel, err := where(t.keys, filter)
		if err != nil {
			return err
		}
		for _, kind := range entityKinds {
			var found []memory.Entity
			if sel.exact {
				found, err = grouped(ctx, t, kind, &sel)
			} else {
				found, err = counted(ctx, t, kind, &sel)
			}
			if err != nil {
				return err
			}
			slices.SortFunc(found, func(a, b memory.Entity) int { return strings.Compare(a.Name, b.Name) })
			list = append(list, found[:min(len(found), limit-len(list))]...)
		}
		return nil
	})
	return list, err
}

// grouped lets SQLite count; the names, which it does not know, are those of one memory of each group.
func grouped(ctx context.Context, t *readTx, kind memory.EntityKind, sel *selection) ([]memory.Entity, error) {
	field, _ := kind.Field()
	column := hashColumns[field].column
	rows, err := t.tx.QueryContext(ctx, `SELECT max(m.seq), count(*), min(m.created), max(m.updated) FROM memories AS m
		WHERE `+column+` <> x'' AND `+sel.sql+` GROUP BY `+column, sel.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	groups := make(map[int64]memory.Entity)
	var seqs []int64
	for rows.Next() {
		e := memory.Entity{Kind: kind}
		var seq, created, updated int64
		if err := rows.Scan(&seq, &e.Memories, &created, &updated); err != nil {
			return nil, err
		}
		e.Created, e.Updated = fromMicros(created), fromMicros(updated)
		groups[seq], seqs = e, append(seqs, seq)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	list := make([]memory.Entity, 0, len(seqs))
	for len(seqs) > 0 {
		n := min(listStep, len(seqs))
		found, err := loadAll(ctx, t, seqs[:n], &selection{sql: "1", exact: true})
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			e := groups[m.Seq]
			e.Name = nameOf(kind, m)
			list = append(list, e)
		}
		seqs = seqs[n:]
	}
	return list, nil
}

// counted opens every memory that may be selected.
func counted(ctx context.Context, t *readTx, kind memory.EntityKind, sel *selection) ([]memory.Entity, error) {
	groups := make(map[string]*memory.Entity)
	var at *memory.Position
	for {
		found, err := listing(ctx, t, sel, memory.OldestFirst, at, listStep, 0)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		last := found[len(found)-1]
		at = &memory.Position{Created: last.Created, Seq: last.Seq}
		for _, m := range found {
			name := nameOf(kind, m)
			if name == "" || !sel.passes(m) {
				continue
			}
			e := groups[name]
			if e == nil {
				e = &memory.Entity{Kind: kind, Name: name, Created: m.Created}
				groups[name] = e
			}
			e.Memories++
			if m.Updated.After(e.Updated) {
				e.Updated = m.Updated
			}
		}
	}
	list := make([]memory.Entity, 0, len(groups))
	for _, e := range groups {
		list = append(list, *e)
	}
	return list, nil
}
