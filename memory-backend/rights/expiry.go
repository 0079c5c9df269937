package rights

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// expiryKind is the kind of the records of agents' expiry policies.
const expiryKind = "expiry"

// Never is the duration after which nothing expires.
const Never = "never"

// Expiry says when memories of an agent are no longer taken for true: after how long each type is, and by rules, of which the
// first that matches counts before the types. Nothing expires but when it is applied. It has the shape of MEMANTO's policies.
type Expiry struct {
	Version   int               `json:"version"`
	Retention map[string]string `json:"retention"` // durations by type
	Rules     []ExpiryRule      `json:"rules"`
	Purge     string            `json:"purge_expired_after"` // how long what has expired is kept
}

// ExpiryRule is a rule with a name, which what it expires is stamped with.
type ExpiryRule struct {
	Name  string      `json:"name"`
	Match ExpiryMatch `json:"match"`
	After string      `json:"expire_after"`
}

// ExpiryMatch is what a memory has to be for a rule; what is nil is not asked for.
type ExpiryMatch struct {
	Type       []string `json:"type,omitempty"`
	Tags       []string `json:"tags,omitempty"` // one of them
	Source     []string `json:"source,omitempty"`
	Provenance []string `json:"provenance,omitempty"`
	Below      *float64 `json:"confidence_below,omitempty"`
}

// units of durations. A month has 30 days, and a year 365.
var units = []struct {
	name string
	is   time.Duration
}{{"mo", 30 * 24 * time.Hour}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"y", 365 * 24 * time.Hour}}

// ParseAge reads a duration such as 12h, 30d, 3mo or never, which is 0. It may be 100 years at most.
func ParseAge(s string) (time.Duration, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == Never || s == "" {
		return 0, true
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 32)
		if err != nil || n == 0 || strings.HasPrefix(digits, "+") || n > uint64(100*365*24*time.Hour/u.is) {
			return 0, false
		}
		return time.Duration(n) * u.is, true
	}
	return 0, false
}

// Empty reports whether the policy never expires anything.
func (e *Expiry) Empty() bool {
	if len(e.Rules) > 0 {
		return false
	}
	for _, after := range e.Retention {
		if d, _ := ParseAge(after); d > 0 {
			return false
		}
	}
	return true
}

func (x *ExpiryMatch) matches(m *memory.Memory) bool {
	one := func(list []string, value string) bool { return list == nil || slices.Contains(list, value) }
	tagged := x.Tags == nil || slices.ContainsFunc(x.Tags, func(t string) bool { return slices.Contains(m.Tags, t) })
	return tagged && one(x.Type, m.Type) && one(x.Source, m.Source) && one(x.Provenance, m.Provenance) && (x.Below == nil || m.Confidence < *x.Below)
}

// due returns by what an active memory expires now; "" if it does not. Its age counts from its last change.
func (e *Expiry) due(m *memory.Memory, now time.Time) string {
	since := m.Updated
	if since.IsZero() {
		since = m.Created
	}
	if since.IsZero() {
		return ""
	}
	old := func(after string) bool {
		d, _ := ParseAge(after)
		return d > 0 && now.Sub(since) >= d
	}
	for i := range e.Rules {
		if r := &e.Rules[i]; r.Match.matches(m) {
			if old(r.After) {
				return r.Name
			}
			return ""
		}
	}
	if old(e.Retention[m.Type]) {
		return "retention." + m.Type
	}
	return ""
}

// Expiry returns the expiry policy of an agent; of one that has none, an empty one.
func (g *Guard) Expiry(ctx context.Context, tenant, agent string) (*Expiry, error) {
	e := &Expiry{Version: 1, Retention: map[string]string{}, Rules: []ExpiryRule{}, Purge: Never}
	data, err := g.Store.Record(ctx, tenant, expiryKind, agent)
	if err == nil && data != nil {
		if json.Unmarshal(data, e) != nil {
			err = memory.ErrCorrupt
		}
	}
	return e, err
}

// SetExpiry replaces the expiry policy of an agent; nil takes it away. ErrTooMany if it is too large.
func (g *Guard) SetExpiry(ctx context.Context, tenant, agent string, e *Expiry) error {
	var data []byte
	if e != nil {
		var err error
		if data, err = json.Marshal(e); err != nil {
			return err
		}
		if len(data) > maxPolicy {
			return ErrTooMany
		}
	}
	return g.Store.EditRecords(ctx, tenant, expiryKind, []string{agent}, func(string, []byte) ([]byte, error) { return data, nil })
}

// expiryStep is how many memories are stamped or forgotten in one write.
const expiryStep = memory.MaxBatch

// Due is a memory that a policy expires or forgets, and why.
type Due struct {
	Memory *memory.Memory
	By     string
}

// ExpiryReport says what a policy did, or would do.
type ExpiryReport struct {
	Scanned int   // active memories that were looked at
	Expired int   // memories that had expired before
	Due     []Due // what the policy is about, at most maxDue
	Matched int   // how many these are
	Done    int   // how many of them were stamped, or forgotten

	By map[string]int // how many these are, by why
}

// maxDue is how many memories a report names.
const maxDue = 1000

// ApplyExpiry stamps what an agent's policy says has expired; a dry run only tells. What is under a legal hold stays as it is.
func (g *Guard) ApplyExpiry(ctx context.Context, tenant, agent string, w memory.Write, dry bool) (r ExpiryReport, e *Expiry, err error) {
	r.By = map[string]int{}
	if e, err = g.Expiry(ctx, tenant, agent); err != nil {
		return r, e, err
	}
	scope, err := g.scope(ctx, tenant, memory.Eq(memory.FieldAgent, agent))
	if err != nil {
		return r, e, err
	}
	gone := memory.Both(scope, memory.Expired(w.At))
	if r.Expired, err = g.total(ctx, tenant, gone); err != nil {
		return r, e, err
	}
	due := make(map[string]string)
	var ids []string
	err = g.each(ctx, tenant, memory.Both(scope, memory.Not{Filter: memory.Expired(w.At)}), func(m *memory.Memory) {
		r.Scanned++
		if by := e.due(m, w.At); by != "" && m.Hold == "" {
			ids, due[m.ID] = append(ids, m.ID), by
			r.add(m, by)
		}
	})
	if err != nil || dry {
		return r, e, err
	}
	for part := range slices.Chunk(ids, expiryStep) {
		err := g.Store.UpdateAll(ctx, tenant, w, part, nil, func(_ int, m *memory.Memory) error {
			if m.Hold != "" || m.StatusAt(w.At) != memory.StatusActive {
				return nil // changed meanwhile
			}
			m.Status, m.ExpiredAt, m.ExpiredBy = memory.StatusExpired, w.At, due[m.ID]
			return nil
		})
		if err != nil && !errors.Is(err, memory.ErrNotFound) {
			return r, e, err
		}
		if err == nil {
			r.Done += len(part)
		}
	}
	return r, e, nil
}

// PurgeExpired forgets what expired longer ago than an agent's policy keeps it; a dry run only tells. Without such a time it forgets
// nothing, and what is under a legal hold stays.
func (g *Guard) PurgeExpired(ctx context.Context, tenant, agent string, w memory.Write, dry bool) (r ExpiryReport, e *Expiry, err error) {
	r.By = map[string]int{}
	if e, err = g.Expiry(ctx, tenant, agent); err != nil {
		return r, e, err
	}
	keep, _ := ParseAge(e.Purge)
	if keep == 0 {
		return r, e, nil
	}
	scope, err := g.scope(ctx, tenant, memory.Eq(memory.FieldAgent, agent))
	if err != nil {
		return r, e, err
	}
	old := memory.And{scope, memory.Eq(memory.FieldStatus, memory.StatusExpired), memory.Eq(memory.FieldHold, "false"),
		memory.Cond{Field: memory.FieldExpiredAt, Op: memory.OpLte, Values: []any{w.At.Add(-keep)}}}
	if err := g.each(ctx, tenant, old, func(m *memory.Memory) { r.add(m, m.ExpiredBy) }); err != nil || dry {
		return r, e, err
	}
	w.Forget = true
	r.Done, err = g.Store.Delete(ctx, tenant, w, old)
	return r, e, err
}

func (r *ExpiryReport) add(m *memory.Memory, by string) {
	r.By[by]++
	if r.Matched++; len(r.Due) < maxDue {
		r.Due = append(r.Due, Due{m, by})
	}
}

// each calls do with everything that a filter selects, oldest first.
func (g *Guard) each(ctx context.Context, tenant string, f memory.Filter, do func(*memory.Memory)) error {
	q := memory.ListQuery{Filter: f, Order: memory.OldestFirst, Limit: exportStep}
	for {
		list, _, err := g.Store.List(ctx, tenant, q)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, m := range list {
			do(m)
		}
		last := list[len(list)-1]
		q.After = &memory.Position{Created: last.Created, Seq: last.Seq}
	}
}
