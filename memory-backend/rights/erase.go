package rights

import (
	"context"
	"errors"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Selection is what is to be erased or held.
type Selection struct {
	Tenant      bool          // everything that is held of the tenant
	User, Agent string        // everything that is held of a user, or of an agent; at most one is set
	Filter      memory.Filter // which memories these are; nil for the tenant
}

// Erased says what was erased, or would be.
type Erased struct {
	Matched   int      // memories that were asked for
	Erased    int      // memories that were erased; would be, for a dry run
	Held      int      // memories that a legal hold kept
	Keys      []string // data keys that were destroyed, with a tenant
	Verified  bool     // a listing afterwards found nothing but what is held
	Compacted bool     // what they left on the disk was given back too
}

// compactTries and compactWait bound how often compaction waits for those who read.
const (
	compactTries = 5
	compactWait  = 200 * time.Millisecond
)

// Erase forgets memories for good, with their histories, the records of who read them, and what is kept of a
// user's consent or of an agent. What is under a legal hold stays, and a tenant that has such memories stays
// whole: ErrHold. A dry run only counts.
func (g *Guard) Erase(ctx context.Context, tenant string, w memory.Write, sel Selection, dry bool) (e Erased, err error) {
	if e.Matched, err = g.total(ctx, tenant, sel.Filter); err != nil {
		return e, err
	}
	held := memory.Both(sel.Filter, memory.Eq(memory.FieldHold, "true"))
	if e.Held, err = g.total(ctx, tenant, held); err != nil {
		return e, err
	}
	e.Erased = e.Matched - e.Held
	if sel.Tenant && e.Held > 0 {
		return e, ErrHold
	}
	if dry {
		return e, nil
	}
	if sel.Tenant {
		dropped, err := g.DropTenant(ctx, tenant)
		if err != nil && !errors.Is(err, memory.ErrNotFound) {
			return e, err
		}
		e.Keys, e.Compacted = dropped.Keys, true
		left, err := g.total(ctx, tenant, nil)
		e.Verified = left == 0
		return e, err
	}
	w.Forget, w.ForgetUser, w.ForgetAgent = true, sel.User, sel.Agent
	free := memory.Both(sel.Filter, memory.Eq(memory.FieldHold, "false"))
	if e.Erased, err = g.Store.Delete(ctx, tenant, w, free); err != nil {
		return e, err
	}
	if sel.Agent != "" && e.Held == 0 {
		if err := g.Store.DeleteAgent(ctx, tenant, w, sel.Agent, false); err != nil && !errors.Is(err, memory.ErrNotFound) {
			return e, err
		}
		if known, err := g.Store.Record(ctx, tenant, expiryKind, sel.Agent); err != nil {
			return e, err
		} else if known != nil {
			if err := g.SetExpiry(ctx, tenant, sel.Agent, nil); err != nil {
				return e, err
			}
		}
	}
	if sel.User != "" && e.Held == 0 {
		if err := g.forgetConsent(ctx, tenant, sel.User); err != nil {
			return e, err
		}
	}
	left, err := g.total(ctx, tenant, free)
	if err != nil {
		return e, err
	}
	e.Verified = left == 0
	e.Compacted, err = g.compact(ctx, tenant)
	return e, err
}

func (g *Guard) total(ctx context.Context, tenant string, f memory.Filter) (int, error) {
	_, n, err := g.Store.List(ctx, tenant, memory.ListQuery{Filter: f, Limit: 1, Total: true})
	return n, err
}

// compact reports whether the space was given back; not so when others read all the while.
func (g *Guard) compact(ctx context.Context, tenant string) (bool, error) {
	for i := 0; ; i++ {
		err := g.Compact(ctx, tenant)
		if !errors.Is(err, memory.ErrBusy) || i == compactTries {
			if errors.Is(err, memory.ErrBusy) {
				return false, nil
			}
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(compactWait):
		}
	}
}

// forgetConsent drops what is known of a user's consent, if there is a tenant that knows of any.
func (g *Guard) forgetConsent(ctx context.Context, tenant, user string) error {
	known, err := g.Store.Record(ctx, tenant, consentKind, user)
	if err != nil || known == nil {
		return err
	}
	if err := g.Store.EditRecords(ctx, tenant, consentKind, []string{user}, func(string, []byte) ([]byte, error) { return nil, nil }); err != nil {
		return err
	}
	return g.EditPolicy(ctx, tenant, func(p *Policy) { delete(p.Refusals, user) })
}

// maxHold is how many memories one call puts under a legal hold.
const maxHold = 10_000

// ErrTooLarge says that a selection has more memories than one call takes.
var ErrTooLarge = errors.New("rights: too many memories at once")

// SetHold puts memories under a legal hold, or takes it off for an empty reason. It returns how many it changed.
// Those in quarantine are held too.
func (g *Guard) SetHold(ctx context.Context, tenant string, w memory.Write, f memory.Filter, reason string) (int, error) {
	other := memory.Both(f, memory.Eq(memory.FieldHold, "true"))
	w.Event = memory.EventUnhold
	if reason != "" {
		other, w.Event = memory.Both(f, memory.Eq(memory.FieldHold, "false")), memory.EventHold
	}
	found, _, err := g.Store.List(ctx, tenant, memory.ListQuery{Filter: other, Limit: maxHold + 1})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if len(found) > maxHold {
		return 0, ErrTooLarge
	}
	ids := make([]string, len(found))
	for i, m := range found {
		ids[i] = m.ID
	}
	return len(ids), g.Store.UpdateAll(ctx, tenant, w, ids, nil, func(_ int, m *memory.Memory) error {
		m.Hold = reason
		return nil
	})
}

// Sweep forgets what is older than the tenant keeps, what ran out long enough ago, and what nobody confirmed in
// time. It returns how many memories these were.
func (g *Guard) Sweep(ctx context.Context, tenant, by string) (int, error) {
	p, err := g.Policy(ctx, tenant)
	if err != nil {
		return 0, err
	}
	now := g.Now().UTC()
	due := memory.Or{memory.Lapsed(now)}
	if p.KeepDays > 0 {
		due = append(due, p.outdated(now))
	}
	if p.ExpiredDays > 0 {
		end := now.AddDate(0, 0, -p.ExpiredDays)
		for _, field := range []memory.Field{memory.FieldExpires, memory.FieldExpiredAt} {
			due = append(due, memory.Cond{Field: field, Op: memory.OpLt, Values: []any{end}})
		}
	}
	filter := memory.And{memory.Eq(memory.FieldHold, "false"), due}
	n, err := g.total(ctx, tenant, filter)
	if err != nil || n == 0 {
		return 0, err
	}
	return g.Store.Delete(ctx, tenant, memory.Write{By: by, At: now, Forget: true}, filter)
}
