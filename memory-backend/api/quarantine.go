package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// quarantineHeader marks a write that the edge took for an attempt to poison memories. The edge takes off a
// client's own.
const quarantineHeader = "X-Memgate-Quarantine"

const (
	maxFinding = 1024 // bytes of the header
	maxRules   = 32   // rules that one finding names
)

// finding is what the edge found in a write.
type finding struct {
	Score int      `json:"score"`
	Rules []string `json:"rules"`
}

var errFinding = errors.New("api: the quarantine header cannot be read")

// parseFinding reads score=7, rules=("override" "exfiltration"): a dictionary of RFC 9651 with these two
// members, in any order.
func parseFinding(s string) (f finding, err error) {
	f.Rules = []string{}
	if len(s) > maxFinding {
		return f, errFinding
	}
	score, rules := false, false
	for rest := s; ; {
		rest = strings.TrimLeft(rest, " \t")
		name, value, ok := strings.Cut(rest, "=")
		switch {
		case ok && name == "score" && !score:
			end := strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(value)
			}
			if f.Score, err = strconv.Atoi(value[:end]); err != nil || end > 9 {
				return f, errFinding
			}
			score, rest = true, value[end:]
		case ok && name == "rules" && !rules && strings.HasPrefix(value, "("):
			list, after, closed := strings.Cut(value[1:], ")")
			if !closed {
				return f, errFinding
			}
			for _, word := range strings.Fields(list) {
				if len(word) < 3 || word[0] != '"' || word[len(word)-1] != '"' || len(f.Rules) == maxRules || strings.IndexFunc(word[1:len(word)-1], notRule) >= 0 {
					return f, errFinding
				}
				f.Rules = append(f.Rules, word[1:len(word)-1])
			}
			rules, rest = true, after
		default:
			return f, errFinding
		}
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			return f, nil
		}
		if rest[0] != ',' {
			return f, errFinding
		}
		rest = rest[1:]
	}
}

// notRule reports what no name of a rule holds.
func notRule(r rune) bool {
	return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// markKey is the key of the mark of a request in its context, which the calls of tools that came in it have too.
type markKey struct{}

// markOf returns what the edge found in a request; "" for nothing. A mark that cannot be read is one.
func markOf(r *http.Request) string {
	values := r.Header.Values(quarantineHeader)
	if len(values) == 0 {
		return ""
	}
	found := strings.Join(values, ", ")
	if _, err := parseFinding(found); err != nil {
		return "unreadable"
	}
	return found
}

// written says what became of a memory that was stored.
func written(m *memory.Memory) string {
	if m.Held {
		return "held"
	}
	return "success"
}

// mark sets what a new memory has from its request: how its writer is trusted, whether it is provisional, and
// whether it is held.
func (s *Server) mark(c *call, m *memory.Memory) error {
	if c.id.Trust != "" && c.id.Trust != memory.TrustTrusted && c.id.Trust != memory.TrustUnconfirmed {
		return unauthenticated("The token says an unknown trust.")
	}
	m.Trust, m.Writer = c.id.Trust, c.id.Subject
	found, known := c.Context().Value(markKey{}).(string)
	if !known {
		return errors.New("api: it is not known whether the edge marked the request")
	}
	m.Finding, m.Held = found, found != ""
	m.Provisional = time.Time{}
	unconfirmed := c.id.Trust == memory.TrustUnconfirmed || c.id.Trust == "" && s.ProvisionalUnstated
	if unconfirmed && s.Provisional > 0 && (m.Type == "fact" || m.Type == "preference") {
		m.Provisional = s.now().Add(s.Provisional)
	}
	return nil
}

// remark is mark for a memory that is changed: what it says now, other than before, is its editor's. Who changes
// no more than what is said about it vouches for nothing.
func (s *Server) remark(c *call, m *memory.Memory, before string) error {
	was := *m
	if err := s.mark(c, m); err != nil {
		return err
	}
	if m.Finding == "" {
		m.Finding = was.Finding
	}
	m.Held = m.Held || was.Held
	if m.Content == before {
		m.Trust, m.Writer, m.Provisional = was.Trust, was.Writer, was.Provisional
	} else if m.Provisional.IsZero() && c.id.Trust != memory.TrustTrusted {
		m.Provisional = was.Provisional
	}
	return nil
}

// add stores new memories, and confirms provisional ones that say the same and are another writer's.
func (s *Server) add(c *call, w memory.Write, memories []*memory.Memory) error {
	if s.Provisional > 0 {
		for _, m := range memories {
			if m.Held {
				continue
			}
			if confirmed, err := s.confirmSame(c, w, m); err != nil {
				return err
			} else if confirmed {
				m.Provisional = time.Time{}
			}
		}
	}
	return s.Store.Add(c.Context(), c.id.Tenant, w, memories)
}

// confirmSame confirms provisional memories of other writers that say the same about the same.
func (s *Server) confirmSame(c *call, w memory.Write, m *memory.Memory) (bool, error) {
	found, _, err := s.raw.List(c.Context(), c.id.Tenant, memory.ListQuery{Limit: 10, Filter: memory.And{
		memory.Eq(memory.FieldContent, m.Content), memory.Eq(memory.FieldAgent, m.Agent), memory.Eq(memory.FieldUser, m.User),
		memory.Eq(memory.FieldApp, m.App), memory.Eq(memory.FieldRun, m.Run), memory.Eq(memory.FieldHeld, "false"),
		memory.Cond{Field: memory.FieldProvisional, Op: memory.OpGt, Values: []any{w.At}},
	}})
	if err != nil {
		return false, err
	}
	var ids []string
	for _, o := range found {
		if o.Writer != w.By {
			ids = append(ids, o.ID)
		}
	}
	if len(ids) == 0 {
		return false, nil
	}
	w = memory.Write{By: w.By, At: w.At, Event: memory.EventConfirm}
	err = s.Store.UpdateAll(c.Context(), c.id.Tenant, w, ids, nil, func(_ int, m *memory.Memory) error {
		m.Provisional = time.Time{}
		return nil
	})
	if errors.Is(err, memory.ErrNotFound) { // gone meanwhile
		return false, nil
	}
	return err == nil, err
}

// confirmMemory makes a provisional memory valid for good. Its writer cannot.
func (s *Server) confirmMemory(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	w.Event = memory.EventConfirm
	m, err := memory.Update(c.Context(), s.Store, c.id.Tenant, w, id, memory.Eq(memory.FieldAgent, agent), func(m *memory.Memory) error {
		if m.Writer == w.By {
			return newProblem(http.StatusConflict, "same-principal", "Same principal", "Only another principal than its writer can confirm a memory.")
		}
		m.Provisional = time.Time{}
		return nil
	})
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	c.etag(m)
	return s.item(m, nil), nil
}

// heldItem is a memory in quarantine, as a reviewer sees it.
type heldItem struct {
	memoryItem
	User    *string `json:"user_id"`
	Finding finding `json:"finding"`
}

// heldScope selects what is in quarantine within the reach of the caller.
func (c *call) heldScope() memory.Filter {
	return memory.Both(memory.Eq(memory.FieldHeld, "true"), c.scope())
}

func (s *Server) listQuarantine(c *call) (any, error) {
	q := c.URL.Query()
	limit, err := page(q, "limit", memory.DefaultLimit, memory.MaxLimit)
	if err != nil {
		return nil, err
	}
	var after *memory.Position
	if q.Has("cursor") {
		if after = decodeCursor(q.Get("cursor")); after == nil {
			return nil, badCursor()
		}
	}
	found, total, err := s.raw.List(c.Context(), c.id.Tenant, memory.ListQuery{Filter: c.heldScope(), Order: memory.OldestFirst, After: after,
		Limit: limit + 1, Total: true})
	if err != nil {
		return nil, err
	}
	var next *string
	if len(found) > limit {
		found = found[:limit]
		next = cursorOf(found[limit-1])
	}
	items := make([]heldItem, len(found))
	for i, m := range found {
		f, _ := parseFinding(m.Finding) // of one that cannot be read nothing is known
		items[i] = heldItem{s.item(m, nil), optional(m.User), f}
	}
	return map[string]any{"memories": items, "count": len(items), "total_available": total, "next_cursor": next}, nil
}

func badCursor() error {
	return invalid([]issue{{"value_error", []any{"query", "cursor"}, "Value error, use the next_cursor of the answer before"}})
}

func (s *Server) release(c *call) (any, error) {
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	w.Event = memory.EventRelease
	m, err := s.review(c, w, func(m *memory.Memory) error {
		m.Held, m.Updated = false, w.At
		if !m.Provisional.IsZero() { // a reviewer vouches for it
			m.Provisional = time.Time{}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.etag(m)
	return map[string]any{"memory_id": m.ID, "agent_id": optional(m.Agent), "status": "released"}, nil
}

// review changes a memory that is in quarantine.
func (s *Server) review(c *call, w memory.Write, edit func(*memory.Memory) error) (*memory.Memory, error) {
	scope := c.heldScope()
	var reviewed *memory.Memory
	err := s.raw.UpdateAll(c.Context(), c.id.Tenant, w, []string{c.PathValue("memory_id")}, nil, func(_ int, m *memory.Memory) error {
		if !memory.Match(scope, m) {
			return memory.ErrNotFound
		}
		reviewed = m
		return edit(m)
	})
	if errors.Is(err, memory.ErrNotFound) {
		err = notFound("There is no such memory in quarantine.")
	}
	return reviewed, err
}

func (s *Server) reject(c *call) (any, error) {
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	w.Event = memory.EventReject
	id := c.PathValue("memory_id")
	scope := memory.Both(c.heldScope(), memory.Eq(memory.FieldHold, "false"))
	if err := s.raw.DeleteIDs(c.Context(), c.id.Tenant, w, []string{id}, scope); errors.Is(err, memory.ErrNotFound) {
		return nil, notFound("There is no such memory in quarantine that may be deleted.")
	} else if err != nil {
		return nil, err
	}
	return map[string]any{"memory_id": id, "status": "rejected"}, nil
}
