package rights

import (
	"context"
	"errors"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Guard is a store as those see it who ask for memories: without what is in quarantine, what nobody confirmed
// in time, what is older than its tenant keeps, and what its user does not want to be used. What it does not
// show it does not change or delete either.
type Guard struct {
	memory.Store
	Now func() time.Time
	// Access makes the guard record who read each memory. A read that cannot be recorded fails.
	Access bool
}

var _ memory.Store = (*Guard)(nil)

type (
	purposeKey struct{}
	readerKey  struct{}
)

// For returns a context in which memories are used for a purpose; "" is the service itself.
func For(ctx context.Context, purpose string) context.Context {
	return context.WithValue(ctx, purposeKey{}, purpose)
}

// By returns a context in which a verified subject reads memories.
func By(ctx context.Context, subject string) context.Context {
	return context.WithValue(ctx, readerKey{}, subject)
}

// Scope returns what the rights of a tenant let the service itself use.
func (g *Guard) Scope(ctx context.Context, tenant string) (memory.Filter, error) {
	return g.scope(For(ctx, ""), tenant, nil)
}

// preparer is a store that can look at memories before they are added.
type preparer interface {
	Prepare(ctx context.Context, tenant string, w *memory.Write, memories []*memory.Memory, scope memory.Filter)
}

// Prepare fills in what the store can tell of memories before they are added: their vectors, in w, and what says nearly
// the same as each, among what the caller may see. It fails as Add does for users who did not consent, of whom nothing is
// shown to anyone.
func (g *Guard) Prepare(ctx context.Context, tenant string, w *memory.Write, memories []*memory.Memory) error {
	p, ok := g.Store.(preparer)
	if !ok {
		return nil
	}
	if err := g.consented(ctx, tenant, memories); err != nil {
		return err
	}
	scope, err := g.scope(ctx, tenant, nil)
	if err == nil {
		p.Prepare(ctx, tenant, w, memories, scope)
	}
	return err
}

// scope adds to a filter what the rights of a tenant ask for.
func (g *Guard) scope(ctx context.Context, tenant string, f memory.Filter) (memory.Filter, error) {
	p, err := g.Policy(ctx, tenant)
	if err != nil {
		return nil, err
	}
	purpose, _ := ctx.Value(purposeKey{}).(string)
	visible := p.visible(g.Now(), purpose)
	if f != nil {
		visible = append(visible, f)
	}
	return visible, nil
}

// Add implements memory.Store: it fails with ErrConsent if a user whom a memory is about did not consent.
func (g *Guard) Add(ctx context.Context, tenant string, w memory.Write, memories []*memory.Memory) error {
	if err := g.consented(ctx, tenant, memories); err != nil {
		return err
	}
	return g.Store.Add(ctx, tenant, w, memories)
}

// Get implements memory.Store.
func (g *Guard) Get(ctx context.Context, tenant, id string, scope memory.Filter) (*memory.Memory, error) {
	scope, err := g.scope(ctx, tenant, scope)
	if err != nil {
		return nil, err
	}
	m, err := g.Store.Get(ctx, tenant, id, scope)
	if err != nil {
		return nil, err
	}
	return m, g.read(ctx, tenant, "get", m.ID)
}

// UpdateAll implements memory.Store.
func (g *Guard) UpdateAll(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	scope, err := g.scope(ctx, tenant, scope)
	if err != nil {
		return err
	}
	return g.update(ctx, tenant, w, ids, scope, edit)
}

// update lets an edit take a memory out of sight, for example into quarantine, which a store would not: it
// checks the scope before the edit, and the store's is that there is such a memory.
func (g *Guard) update(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	return g.Store.UpdateAll(ctx, tenant, w, ids, nil, func(i int, m *memory.Memory) error {
		if !memory.Match(scope, m) {
			return memory.ErrNotFound
		}
		return edit(i, m)
	})
}

// DeleteIDs implements memory.Store: it fails with ErrHold if one is under a legal hold.
func (g *Guard) DeleteIDs(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter) error {
	scope, err := g.scope(ctx, tenant, scope)
	if err != nil {
		return err
	}
	free := memory.And{scope, memory.Eq(memory.FieldHold, "false")}
	err = g.Store.DeleteIDs(ctx, tenant, w, ids, free)
	if errors.Is(err, memory.ErrNotFound) {
		held := memory.And{scope, memory.Eq(memory.FieldHold, "true"), memory.In(memory.FieldID, ids...)}
		if l, _, err := g.Store.List(ctx, tenant, memory.ListQuery{Filter: held, Limit: 1}); err != nil {
			return err
		} else if len(l) > 0 {
			return ErrHold
		}
	}
	return err
}

// Delete implements memory.Store: it deletes nothing and fails with ErrHold if one is under a legal hold.
func (g *Guard) Delete(ctx context.Context, tenant string, w memory.Write, filter memory.Filter) (int, error) {
	scope, err := g.scope(ctx, tenant, filter)
	if err != nil {
		return 0, err
	}
	if err := g.unheld(ctx, tenant, scope); err != nil {
		return 0, err
	}
	return g.Store.Delete(ctx, tenant, w, memory.And{scope, memory.Eq(memory.FieldHold, "false")})
}

// unheld fails with ErrHold if the filter selects what is under a legal hold.
func (g *Guard) unheld(ctx context.Context, tenant string, f memory.Filter) error {
	l, _, err := g.Store.List(ctx, tenant, memory.ListQuery{Filter: memory.Both(f, memory.Eq(memory.FieldHold, "true")), Limit: 1})
	if err == nil && len(l) > 0 {
		err = ErrHold
	}
	return err
}

// DeleteAgent implements memory.Store: it fails with ErrHold if a memory that would go is under a legal hold.
func (g *Guard) DeleteAgent(ctx context.Context, tenant string, w memory.Write, id string, memories bool) error {
	if memories {
		if err := g.unheld(ctx, tenant, memory.Eq(memory.FieldAgent, id)); err != nil {
			return err
		}
	}
	return g.Store.DeleteAgent(ctx, tenant, w, id, memories)
}

// List implements memory.Store.
func (g *Guard) List(ctx context.Context, tenant string, q memory.ListQuery) ([]*memory.Memory, int, error) {
	var err error
	if q.Filter, err = g.scope(ctx, tenant, q.Filter); err != nil {
		return nil, 0, err
	}
	l, total, err := g.Store.List(ctx, tenant, q)
	if err != nil {
		return nil, 0, err
	}
	ids := make([]string, len(l))
	for i, m := range l {
		ids[i] = m.ID
	}
	return l, total, g.read(ctx, tenant, "list", ids...)
}

// Search implements memory.Store.
func (g *Guard) Search(ctx context.Context, tenant string, q memory.SearchQuery) ([]memory.Hit, error) {
	var err error
	if q.Filter, err = g.scope(ctx, tenant, q.Filter); err != nil {
		return nil, err
	}
	hits, err := g.Store.Search(ctx, tenant, q)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.Memory.ID
	}
	return hits, g.read(ctx, tenant, "search", ids...)
}

// History implements memory.Store. That of a deleted memory has no text, so everyone sees it.
func (g *Guard) History(ctx context.Context, tenant, id, agent string) ([]memory.Change, error) {
	m, err := g.Store.Get(ctx, tenant, id, nil)
	switch {
	case errors.Is(err, memory.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		scope, err := g.scope(ctx, tenant, nil)
		if err != nil {
			return nil, err
		}
		if !memory.Match(scope, m) {
			return nil, memory.ErrNotFound
		}
		if err := g.read(ctx, tenant, "history", id); err != nil {
			return nil, err
		}
	}
	return g.Store.History(ctx, tenant, id, agent)
}

// Entities implements memory.Store.
func (g *Guard) Entities(ctx context.Context, tenant string, filter memory.Filter, limit int) ([]memory.Entity, error) {
	filter, err := g.scope(ctx, tenant, filter)
	if err != nil {
		return nil, err
	}
	return g.Store.Entities(ctx, tenant, filter, limit)
}
