package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Line is one line of an export (NDJSON): a memory with its history and its readers, what a user agreed to, an
// agent, a tenant's policy, or the end. An export without its end is not whole.
type Line struct {
	Kind    string       `json:"kind"`   // one of the kinds below
	Cursor  string       `json:"cursor"` // an export that starts behind it goes on with the next line
	Memory  *MemoryLine  `json:"memory,omitempty"`
	History []ChangeLine `json:"history,omitempty"` // oldest first
	Access  []Access     `json:"access,omitempty"`  // oldest first
	Consent *Consent     `json:"consent,omitempty"`
	Agent   *AgentLine   `json:"agent,omitempty"`
	Policy  *Policy      `json:"policy,omitempty"`
	Lines   int          `json:"lines,omitempty"` // of the end: how many came before it since the cursor
}

// Kinds of lines, in their order.
const (
	LineMemory  = "memory"
	LineConsent = "consent"
	LineAgent   = "agent"
	LinePolicy  = "policy"
	LineEnd     = "end"
)

// MemoryLine is everything that is held of a memory but its place in the index.
type MemoryLine struct {
	ID          string          `json:"id"`
	Version     int64           `json:"version"`
	Agent       string          `json:"agent_id,omitempty"`
	User        string          `json:"user_id,omitempty"`
	App         string          `json:"app_id,omitempty"`
	Run         string          `json:"run_id,omitempty"`
	Actor       string          `json:"actor_id,omitempty"`
	Role        string          `json:"role,omitempty"`
	Title       string          `json:"title"`
	Content     string          `json:"content"`
	Type        string          `json:"type"`
	Tags        []string        `json:"tags,omitempty"`
	Category    []string        `json:"categories,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Confidence  float64         `json:"confidence"`
	Status      string          `json:"status"`
	Source      string          `json:"source,omitempty"`
	SourceRef   string          `json:"source_ref,omitempty"`
	Provenance  string          `json:"provenance"`
	Writer      string          `json:"principal,omitempty"`
	Created     time.Time       `json:"created_at"`
	Updated     time.Time       `json:"updated_at"`
	ExpiredAt   *time.Time      `json:"expired_at,omitempty"`
	ExpiredBy   string          `json:"expired_by,omitempty"`
	Expires     *time.Time      `json:"expires_at,omitempty"`
	Trust       string          `json:"trust,omitempty"`
	Provisional *time.Time      `json:"provisional_until,omitempty"`
	Held        bool            `json:"held,omitempty"` // in quarantine: not active, whatever its status
	Finding     string          `json:"finding,omitempty"`
	Hold        string          `json:"legal_hold,omitempty"`
	Conflict    string          `json:"conflict_with,omitempty"`
}

// ChangeLine is one step in the history of a memory.
type ChangeLine struct {
	ID       string          `json:"id"`
	Event    string          `json:"event"`
	Before   string          `json:"before,omitempty"`
	After    string          `json:"after,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	User     string          `json:"user_id,omitempty"`
	Writer   string          `json:"principal"`
	At       time.Time       `json:"at"`
}

// AgentLine is a registered agent.
type AgentLine struct {
	ID          string    `json:"id"`
	Pattern     string    `json:"pattern"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created_at"`
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func memoryLine(m *memory.Memory) *MemoryLine {
	return &MemoryLine{ID: m.ID, Version: m.Version, Agent: m.Agent, User: m.User, App: m.App, Run: m.Run, Actor: m.Actor, Role: m.Role,
		Title: m.Title, Content: m.Content, Type: m.Type, Tags: m.Tags, Category: m.Category, Metadata: m.Metadata, Confidence: m.Confidence,
		Status: m.Status, Source: m.Source, SourceRef: m.SourceRef, Provenance: m.Provenance, Writer: m.Writer, Created: m.Created, Updated: m.Updated,
		ExpiredAt: optionalTime(m.ExpiredAt), ExpiredBy: m.ExpiredBy, Expires: optionalTime(m.Expires), Trust: m.Trust,
		Provisional: optionalTime(m.Provisional), Held: m.Held, Finding: m.Finding, Hold: m.Hold, Conflict: m.Conflict}
}

func (l *MemoryLine) memory() *memory.Memory {
	return &memory.Memory{ID: l.ID, Version: l.Version, Agent: l.Agent, User: l.User, App: l.App, Run: l.Run, Actor: l.Actor, Role: l.Role,
		Title: l.Title, Content: l.Content, Type: l.Type, Tags: l.Tags, Category: l.Category, Metadata: l.Metadata, Confidence: l.Confidence,
		Status: l.Status, Source: l.Source, SourceRef: l.SourceRef, Provenance: l.Provenance, Writer: l.Writer,
		Created: timeOf(&l.Created), Updated: timeOf(&l.Updated), ExpiredAt: timeOf(l.ExpiredAt), ExpiredBy: l.ExpiredBy, Expires: timeOf(l.Expires),
		Trust: l.Trust, Provisional: timeOf(l.Provisional), Held: l.Held, Finding: l.Finding, Hold: l.Hold, Conflict: l.Conflict}
}

// ErrCursor says that a cursor is not one that an export gave.
var ErrCursor = errors.New("rights: not a cursor")

// exportStep is how many records are read at a time.
const exportStep = 100

// maxAgents is how many agents an export tells of.
const maxAgents = 100_000

// place is where an export stands: a kind, and the numbers of its cursor.
type place struct {
	kind string
	a, b int64
}

func (p place) String() string {
	return p.kind[:1] + "." + strconv.FormatInt(p.a, 10) + "." + strconv.FormatInt(p.b, 10)
}

func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return place{kind: LineMemory, a: -1 << 62}, nil
	}
	part := strings.Split(cursor, ".")
	if len(part) != 3 || len(cursor) > 64 {
		return p, ErrCursor
	}
	for _, kind := range []string{LineMemory, LineConsent, LineAgent, LinePolicy} {
		if kind[:1] == part[0] {
			p.kind = kind
		}
	}
	var err1, err2 error
	p.a, err1 = strconv.ParseInt(part[1], 10, 64)
	p.b, err2 = strconv.ParseInt(part[2], 10, 64)
	if p.kind == "" || err1 != nil || err2 != nil {
		return p, ErrCursor
	}
	return p, nil
}

// Export gives emit everything that is held of a selection, line by line, from behind a cursor on; "" is the
// start. What a user withdrew does not keep it from them, but memories of users who refuse the purpose that
// the context names are left out. An error of emit ends it.
func (g *Guard) Export(ctx context.Context, tenant string, sel Selection, cursor string, emit func(*Line) error) error {
	at, err := parsePlace(cursor)
	if err != nil {
		return err
	}
	p, err := g.Policy(ctx, tenant)
	if err != nil {
		return err
	}
	filter := sel.Filter
	if purpose, _ := ctx.Value(purposeKey{}).(string); purpose != "" {
		if users := p.refusing(purpose); len(users) > 0 {
			filter = memory.Both(filter, memory.Not{Filter: memory.In(memory.FieldUser, users...)})
		}
	}
	lines := 0
	counted := func(l *Line) error {
		lines++
		return emit(l)
	}
	steps := []struct {
		kind string
		run  func() error
	}{
		{LineMemory, func() error { return g.exportMemories(ctx, tenant, filter, at, counted) }},
		{LineConsent, func() error { return g.exportConsents(ctx, tenant, sel, at.a, counted) }},
		{LineAgent, func() error { return g.exportAgents(ctx, tenant, sel, at.a, counted) }},
		{LinePolicy, func() error {
			if !sel.Tenant || at.kind == LinePolicy {
				return nil
			}
			return counted(&Line{Kind: LinePolicy, Cursor: place{LinePolicy, 0, 0}.String(), Policy: &Policy{KeepDays: p.KeepDays, ExpiredDays: p.ExpiredDays, Required: p.Required}})
		}},
	}
	started := false
	for _, s := range steps {
		if started = started || s.kind == at.kind; !started {
			continue
		}
		if s.kind != at.kind {
			at = place{kind: "later"}
		}
		if err := s.run(); err != nil {
			return err
		}
	}
	return emit(&Line{Kind: LineEnd, Lines: lines})
}

func (g *Guard) exportMemories(ctx context.Context, tenant string, filter memory.Filter, at place, emit func(*Line) error) error {
	var after *memory.Position
	if at.a != -1<<62 {
		after = &memory.Position{Created: time.UnixMicro(at.a).UTC(), Seq: at.b}
	}
	for {
		found, _, err := g.Store.List(ctx, tenant, memory.ListQuery{Filter: filter, Order: memory.OldestFirst, After: after, Limit: exportStep})
		if err != nil || len(found) == 0 {
			return err
		}
		ids := make([]string, len(found))
		for i, m := range found {
			ids[i] = m.ID
		}
		if err := g.read(ctx, tenant, "export", ids...); err != nil {
			return err
		}
		for _, m := range found {
			l := &Line{Kind: LineMemory, Cursor: place{LineMemory, m.Created.UnixMicro(), m.Seq}.String(), Memory: memoryLine(m)}
			changes, err := g.Store.History(ctx, tenant, m.ID, "")
			if errors.Is(err, memory.ErrNotFound) { // it was erased meanwhile
				continue
			} else if err != nil {
				return err
			}
			for _, c := range changes {
				l.History = append(l.History, ChangeLine{c.ID, string(c.Event), c.Old, c.New, c.Metadata, c.User, c.Writer, c.At})
			}
			if l.Access, err = g.Accesses(ctx, tenant, m.ID); err != nil {
				return err
			}
			if err := emit(l); err != nil {
				return err
			}
			after = &memory.Position{Created: m.Created, Seq: m.Seq}
		}
	}
}

func (g *Guard) exportConsents(ctx context.Context, tenant string, sel Selection, after int64, emit func(*Line) error) error {
	one := func(seq int64, user string, data []byte) error {
		c, err := decodeConsent(user, data)
		if err != nil {
			return err
		}
		return emit(&Line{Kind: LineConsent, Cursor: place{LineConsent, seq, 0}.String(), Consent: c})
	}
	if sel.User != "" {
		data, err := g.Store.Record(ctx, tenant, consentKind, sel.User)
		if err != nil || data == nil || after > 0 {
			return err
		}
		return one(1, sel.User, data)
	}
	for sel.Tenant {
		list, err := g.Store.Records(ctx, tenant, consentKind, after, exportStep)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			if err := one(r.Seq, r.Name, r.Value); err != nil {
				return err
			}
			after = r.Seq
		}
	}
	return nil
}

func (g *Guard) exportAgents(ctx context.Context, tenant string, sel Selection, after int64, emit func(*Line) error) error {
	var agents []memory.Agent
	switch {
	case sel.Agent != "":
		a, err := g.Store.Agent(ctx, tenant, sel.Agent, false)
		if errors.Is(err, memory.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		agents = []memory.Agent{*a}
	case sel.Tenant:
		var err error
		if agents, err = g.Store.Agents(ctx, tenant, false, maxAgents); err != nil {
			return err
		}
		slices.Reverse(agents) // oldest first, so that new ones come behind a cursor
	}
	for i, a := range agents {
		if n := int64(i) + 1; n > after {
			if err := emit(&Line{Kind: LineAgent, Cursor: place{LineAgent, n, 0}.String(), Agent: &AgentLine{a.ID, a.Pattern, a.Description, a.Created}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Imported says what an import stored, and what it left because it was there already.
type Imported struct {
	Memories, Consents, Agents, Skipped int
}

// maxHistory is how many steps of a memory's history are imported, and maxBytes how long a name is.
const (
	maxHistory = 10_000
	maxBytes   = 1024
)

// Import stores what an export told, as far as it is not there: what is there already stays as it is, so that it
// can be repeated. The lines of one call are checked before any is stored.
func (g *Guard) Import(ctx context.Context, tenant string, w memory.Write, lines []*Line) (n Imported, err error) {
	var items []memory.Exported
	accesses := map[string][]Access{}
	for i, l := range lines {
		if err := l.check(); err != nil {
			return n, fmt.Errorf("%w: line %d: %w", ErrLine, i+1, err)
		}
		if l.Kind != LineMemory {
			continue
		}
		item := memory.Exported{Memory: l.Memory.memory()}
		for _, c := range l.History {
			item.Changes = append(item.Changes, memory.Change{ID: c.ID, MemoryID: l.Memory.ID, Event: memory.EventKind(c.Event), Old: c.Before, New: c.After,
				Metadata: c.Metadata, User: c.User, Writer: c.Writer, At: timeOf(&c.At)})
		}
		items = append(items, item)
		if len(l.Access) > 0 {
			accesses[l.Memory.ID] = l.Access
		}
	}
	// Refusals first: nothing of who withdrew is recalled, not for a moment.
	for _, l := range lines {
		if err := g.importOther(ctx, tenant, w, l, &n); err != nil {
			return n, err
		}
	}
	if n.Memories, err = g.Store.Restore(ctx, tenant, w, items); err != nil {
		return n, err
	}
	n.Skipped += len(items) - n.Memories
	if len(accesses) == 0 {
		return n, nil
	}
	names := make([]string, 0, len(accesses))
	for id := range accesses {
		names = append(names, id)
	}
	return n, g.Store.EditRecords(ctx, tenant, memory.RecordAccess, names, func(id string, old []byte) ([]byte, error) {
		if old != nil {
			return old, nil
		}
		return json.Marshal(accesses[id])
	})
}

func (g *Guard) importOther(ctx context.Context, tenant string, w memory.Write, l *Line, n *Imported) error {
	switch l.Kind {
	case LineConsent:
		newer := false
		_, err := g.EditConsent(ctx, tenant, l.Consent.User, func(c *Consent) error {
			if newer = l.Consent.Updated.After(c.Updated); newer {
				*c = *l.Consent
			}
			return nil
		})
		if n.Consents++; err == nil && !newer {
			n.Consents, n.Skipped = n.Consents-1, n.Skipped+1
		}
		return err
	case LineAgent:
		err := g.Store.CreateAgent(ctx, tenant, w, memory.Agent{ID: l.Agent.ID, Pattern: l.Agent.Pattern, Description: l.Agent.Description, Created: timeOf(&l.Agent.Created)})
		if n.Agents++; errors.Is(err, memory.ErrExists) {
			n.Agents, n.Skipped, err = n.Agents-1, n.Skipped+1, nil
		}
		return err
	case LinePolicy:
		return g.EditPolicy(ctx, tenant, func(p *Policy) {
			if p.KeepDays == 0 && p.ExpiredDays == 0 && len(p.Required) == 0 {
				p.KeepDays, p.ExpiredDays, p.Required = l.Policy.KeepDays, l.Policy.ExpiredDays, l.Policy.Required
			}
		})
	}
	return nil
}

// ErrLine says that a line is not one of an export.
var ErrLine = errors.New("rights: not a line of an export")

// check returns what is wrong with a line, without repeating what it says.
func (l *Line) check() error {
	switch {
	case l.Kind == LineMemory && l.Memory != nil:
		return l.checkMemory()
	case l.Kind == LineConsent && l.Consent != nil:
		c := l.Consent
		if c.User == "" || len(c.User) > memory.MaxName || len(c.Purposes) > MaxPurposes {
			return errors.New("a consent without a user, or with too many purposes")
		}
		for name, p := range c.Purposes {
			if name == "" || len(name) > MaxPurpose || len(p.Source) > maxBytes || len(p.By) > maxBytes {
				return errors.New("a purpose is too long")
			}
		}
		if c.Purposes == nil {
			c.Purposes = map[string]Purpose{}
		}
		return nil
	case l.Kind == LineAgent && l.Agent != nil:
		if !memory.ValidAgentID(l.Agent.ID) || !slices.Contains([]string{"support", "project", "tool"}, l.Agent.Pattern) || len(l.Agent.Description) > 4*maxBytes {
			return errors.New("an agent that cannot be")
		}
		return nil
	case l.Kind == LinePolicy && l.Policy != nil:
		p := l.Policy
		if p.KeepDays < 0 || p.KeepDays > MaxDays || p.ExpiredDays < 0 || p.ExpiredDays > MaxDays || len(p.Required) > MaxPurposes {
			return errors.New("a policy that cannot be")
		}
		return nil
	case l.Kind == LineEnd:
		return nil
	}
	return errors.New("unknown kind, or nothing of it")
}

func (l *Line) checkMemory() error {
	m := l.Memory
	for _, s := range []string{m.ID, m.Agent, m.User, m.App, m.Run, m.Actor, m.Role, m.Source, m.SourceRef, m.Writer, m.ExpiredBy, m.Finding, m.Hold, m.Conflict} {
		if len(s) > maxBytes || !utf8.ValidString(s) {
			return errors.New("a name is too long or no UTF-8")
		}
	}
	for _, list := range [][]string{m.Tags, m.Category} {
		for _, s := range list {
			if len(list) > 10*memory.MaxTags || len(s) > maxBytes {
				return errors.New("too many tags, or too long ones")
			}
		}
	}
	switch {
	case m.ID == "" || m.Content == "":
		return errors.New("a memory without id or content")
	case utf8.RuneCountInString(m.Content) > memory.MaxContent || len(m.Title) > 8*memory.MaxTitle || len(m.Metadata) > 2*memory.MaxMetadataBytes:
		return errors.New("content, title or metadata is too long")
	case !memory.ValidType(m.Type) || !memory.ValidProvenance(m.Provenance) || m.Status != memory.StatusActive && m.Status != memory.StatusExpired:
		return errors.New("unknown type, provenance or status")
	case m.Trust != "" && m.Trust != memory.TrustTrusted && m.Trust != memory.TrustUnconfirmed || m.Confidence < 0 || m.Confidence > 1 || m.Version < 1:
		return errors.New("trust, confidence or version out of range")
	case len(m.Metadata) > 0 && (m.Metadata[0] != '{' || !json.Valid(m.Metadata)):
		return errors.New("metadata is no object")
	case len(l.History) > maxHistory || len(l.Access) > MaxAccess:
		return errors.New("too much history, or too many readers")
	}
	for _, t := range []time.Time{m.Created, m.Updated, timeOf(m.ExpiredAt), timeOf(m.Expires), timeOf(m.Provisional)} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 9999) {
			return errors.New("a time is out of range")
		}
	}
	for _, c := range l.History {
		if c.ID == "" || len(c.ID) > maxBytes || len(c.Event) > 20 || len(c.User) > maxBytes || len(c.Writer) > maxBytes ||
			utf8.RuneCountInString(c.Before) > memory.MaxContent || c.At.Year() < 1970 || c.At.Year() > 9999 {
			return errors.New("a step of the history that cannot be")
		}
	}
	return nil
}
