package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// mode is one of the recalls that ask for a time instead of a text.
type mode struct {
	name  string // as the answer calls it
	limit int    // results of one that names no limit
	most  int    // results at a time
	since string
	asOf  string
}

var (
	recent       = mode{name: "recent", limit: memory.DefaultLimit, most: memory.MaxLimit}
	all          = mode{name: "recent", limit: 1000, most: 1000} // the reference calls it so too
	asOf         = mode{name: "as_of", limit: memory.DefaultLimit, most: memory.MaxLimit, asOf: "as_of"}
	changedSince = mode{name: "changed_since", limit: memory.DefaultLimit, most: memory.MaxLimit, since: "since"}
)

func (s *Server) recallRecent(c *call) (any, error)       { return s.temporal(c, recent) }
func (s *Server) recallAll(c *call) (any, error)          { return s.temporal(c, all) }
func (s *Server) recallAsOf(c *call) (any, error)         { return s.temporal(c, asOf) }
func (s *Server) recallChangedSince(c *call) (any, error) { return s.temporal(c, changedSince) }

// temporal answers a recall that asks for a time.
func (s *Server) temporal(c *call, m mode) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	at := f.required(m.asOf, true)
	since := f.required(m.since, false)
	after := f.cursor()
	filter, limit, err := s.recallFilter(f, agent, m.limit, m.most)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		filter = append(filter, memory.Cond{Field: memory.FieldCreated, Op: memory.OpLte, Values: []any{at}})
	}
	if !since.IsZero() {
		filter = append(filter, memory.Cond{Field: memory.FieldUpdated, Op: memory.OpGte, Values: []any{since}})
	}
	items, total := []memoryItem{}, 0
	var next *string
	known, err := s.registered(c, agent)
	if err != nil {
		return nil, err
	}
	if known {
		var found []*memory.Memory
		found, total, err = s.Store.List(c.Context(), c.id.Tenant,
			memory.ListQuery{Filter: filter, After: after, Limit: limit + 1, Total: true})
		if err != nil {
			return nil, err
		}
		if len(found) > limit {
			found = found[:limit]
			next = cursorOf(found[limit-1])
		}
		for _, mem := range found {
			item := s.item(mem, nil)
			if !at.IsZero() {
				if item, err = s.itemAt(c, mem, at); err != nil {
					return nil, err
				}
			}
			if !since.IsZero() {
				item.ChangeType = changeType(mem, since)
			}
			items = append(items, item)
		}
	}
	return map[string]any{
		"agent_id": agent, "session_id": c.id.Session, "memories": items, "count": len(items), "total_available": total,
		"temporal_mode": m.name, "as_of_date": stamp(at), "since_date": stamp(since), "next_cursor": next,
	}, nil
}

// itemAt shows a memory as it was at a time: what it said then, and whether it had expired.
func (s *Server) itemAt(c *call, m *memory.Memory, at time.Time) (memoryItem, error) {
	if m.Updated.After(at) {
		changes, err := s.Store.History(c.Context(), c.id.Tenant, m.ID, m.Agent)
		if err != nil {
			return memoryItem{}, err
		}
		for i := len(changes) - 1; i >= 0; i-- {
			if ch := changes[i]; !ch.At.After(at) {
				if m.Title == memory.TitleFrom(m.Content) {
					m.Title = memory.TitleFrom(ch.New)
				}
				m.Content = ch.New
				break
			}
		}
	}
	if m.Status == memory.StatusExpired && m.ExpiredAt.After(at) {
		m.Status, m.ExpiredAt, m.ExpiredBy = memory.StatusActive, time.Time{}, ""
	}
	item := s.item(m, nil)
	if item.Status = m.StatusAt(at); item.Status == memory.StatusActive {
		item.ExpiredAt, item.ExpiredBy = nil, nil
	}
	return item, nil
}

// changeType says how a memory changed since a time.
func changeType(m *memory.Memory, since time.Time) *string {
	kind := "updated"
	if !m.Created.Before(since) {
		kind = "created"
	}
	return &kind
}

// required reads a time that must be there; "" names none. A date is its end if end is set.
func (f *form) required(name string, end bool) time.Time {
	if name == "" {
		return time.Time{}
	}
	if !f.has(name) {
		f.fail(name, "missing", "Field required")
		return time.Time{}
	}
	return f.moment(name, end)
}

// cursorOf names the place behind a memory in a listing. It is opaque to callers.
func cursorOf(m *memory.Memory) *string {
	text := strconv.FormatInt(m.Created.UnixMicro(), 10) + "." + strconv.FormatInt(m.Seq, 10)
	c := base64.RawURLEncoding.EncodeToString([]byte(text))
	return &c
}

// cursor reads what cursorOf wrote.
func (f *form) cursor() *memory.Position {
	text, ok := f.text("cursor", rule{min: 1, max: 100})
	if !ok {
		return nil
	}
	p := decodeCursor(text)
	if p == nil {
		f.fail("cursor", "value_error", "Value error, use the next_cursor of the answer before")
	}
	return p
}

// decodeCursor reads what cursorOf wrote; nil for what it did not.
func decodeCursor(text string) *memory.Position {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	created, seq, found := strings.Cut(string(raw), ".")
	micros, err1 := strconv.ParseInt(created, 10, 64)
	number, err2 := strconv.ParseInt(seq, 10, 64)
	if err != nil || err1 != nil || err2 != nil || !found || number < 0 {
		return nil
	}
	return &memory.Position{Created: time.UnixMicro(micros).UTC(), Seq: number}
}
