package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/memgate/memgate/memory-backend/memory"
)

// maxExpiresIn is the longest time after which a memory can be said to expire, in seconds: ten years.
const maxExpiresIn = 10 * 366 * 24 * 3600

// maxFilters is how many types or tags a recall can name.
const maxFilters = 50

// notBlank is the rule that text says something.
func notBlank(what string) func(string) (string, string) {
	return func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "value_error", "Value error, " + what + " must be a non-empty string"
		}
		return "", ""
	}
}

// label is the rule for who wrote or expired a memory: letters, digits, ".", "_" and "-".
func label(s string) (string, string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '.' && c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "string_pattern_mismatch", "String should match pattern '^[A-Za-z0-9._-]+$'"
		}
	}
	return "", ""
}

// tag is the rule for a tag: no comma, no line break or control character, no leading "#".
func tag(s string) (string, string) {
	bad := strings.ContainsFunc(s, func(r rune) bool {
		return r == ',' || r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029
	})
	switch {
	case bad:
		return "string_pattern_mismatch", `String should match pattern '^[^,\x00-\x1f\x7f\x85\u2028\u2029]+$'`
	case s[0] == '#':
		return "value_error", "Value error, a tag must not start with '#'"
	}
	return "", ""
}

var (
	contentRule = rule{max: memory.MaxContent, check: notBlank("Memory content")}
	titleRule   = rule{max: memory.MaxTitle}
	typeRule    = rule{oneOf: memory.Types()}
	tagRule     = rule{trim: true, min: 1, max: memory.MaxTag, check: tag}
	sourceRule  = rule{trim: true, min: 1, max: memory.MaxSource, check: label}
	statusRule  = rule{oneOf: []string{memory.StatusActive, memory.StatusExpired}}
)

// readMemory reads one memory to store; what it lacks has its default.
func (s *Server) readMemory(f *form) (*memory.Memory, error) {
	required, strict := contentRule, sourceRule
	required.required, strict.strict = true, true
	m := &memory.Memory{Confidence: memory.DefaultConfidence, Status: memory.StatusActive, Source: "agent", Provenance: "explicit_statement"}
	m.Content, _ = f.text("content", required)
	m.Type, _ = f.text("type", typeRule)
	m.Title, _ = f.text("title", titleRule)
	if n, ok := f.number("confidence", true, 0, 1); ok {
		m.Confidence = n
	}
	m.Tags, _ = f.texts("tags", memory.MaxTags, tagRule)
	if v, ok := f.text("status", statusRule); ok {
		m.Status = v
	}
	m.ExpiredAt = f.moment("expired_at", false)
	m.ExpiredBy, _ = f.text("expired_by", rule{trim: true, min: 1, max: memory.MaxSource, check: label})
	if v, ok := f.text("source", strict); ok {
		m.Source = v
	}
	if v, ok := f.text("provenance", rule{strict: true}); ok {
		if memory.ValidProvenance(v) {
			m.Provenance = v
		} else {
			f.fail("provenance", "value_error", "Value error, Invalid provenance. Must be one of: "+strings.Join(memory.Provenances(), ", ")+".")
		}
	}
	if m.Status == memory.StatusExpired && (m.ExpiredAt.IsZero() || m.ExpiredBy == "") {
		*f.issues = append(*f.issues, issue{"value_error", f.loc, "Value error, An expired memory must have both expired_at and expired_by"})
	}
	if seconds, ok := f.integer("expires_in", 1); ok {
		if seconds > maxExpiresIn {
			f.fail("expires_in", "less_than_equal", "Input should be at most "+strconv.Itoa(maxExpiresIn)+" seconds")
		}
		m.Expires = s.now().Add(time.Duration(seconds) * time.Second)
	}
	if m.Status == memory.StatusActive {
		m.ExpiredAt, m.ExpiredBy = time.Time{}, ""
	}
	return m, s.complete(m)
}

// complete fills in what follows from the rest, and an id.
func (s *Server) complete(m *memory.Memory) (err error) {
	if m.Type == "" {
		m.Type = memory.Classify(m.Content)
	}
	if m.Title = memory.OneLine(m.Title); m.Title == "" {
		m.Title = memory.TitleFrom(m.Content)
	}
	m.ID, err = s.newID()
	return err
}

func (s *Server) remember(c *call) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	m, err := s.readMemory(f)
	if err := errors.Join(f.err(), err); err != nil {
		return nil, err
	}
	if err := s.mark(c, m); err != nil {
		return nil, err
	}
	return s.store(c, f, agent, []*memory.Memory{m}, func() any {
		answer := map[string]any{
			"memory_id": m.ID, "agent_id": agent, "session_id": c.id.Session, "namespace": namespace(agent),
			"status": written(m), "provenance": m.Provenance, "confidence": m.Confidence, "type": m.Type,
		}
		if m.Conflict != "" {
			answer["conflict_with"] = m.Conflict
		}
		return answer
	})
}

// store stores new memories of an agent. The answer is what the caller gets.
func (s *Server) store(c *call, f *form, agent string, memories []*memory.Memory, answer func() any) (any, error) {
	prepared := s.change(c)
	for _, m := range memories {
		m.Agent, m.Actor, m.Writer = agent, agent, prepared.By
		m.Created, m.Updated = prepared.At, prepared.At
	}
	return s.addOnce(c, f, prepared, memories, answer)
}

// addOnce stores new memories after a look at what is there already that says nearly the same, of which the answer can
// tell. Stored are they whatever it finds.
func (s *Server) addOnce(c *call, f *form, prepared memory.Write, memories []*memory.Memory, answer func() any) (any, error) {
	if err := s.guard.Prepare(c.Context(), c.id.Tenant, &prepared, memories); err != nil {
		return nil, err
	}
	a := answer()
	w, err := s.once(c, f, http.StatusOK, a)
	if err != nil {
		return nil, err
	}
	w.At, w.Space, w.Vectors = prepared.At, prepared.Space, prepared.Vectors
	return a, s.add(c, w, memories)
}

func (s *Server) batchRemember(c *call) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	var memories []*memory.Memory
	for _, item := range f.objects("memories", 1, memory.MaxBatch) {
		m, err := s.readMemory(item)
		if err != nil {
			return nil, err
		}
		memories = append(memories, m)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	type result struct {
		ID     string  `json:"id"`
		Status string  `json:"status"`
		Action string  `json:"action"`
		Reason string  `json:"reason"`
		Error  *string `json:"error"`
		Type   string  `json:"type"`

		Conflict string `json:"conflict_with,omitempty"`
	}
	for _, m := range memories {
		if err := s.mark(c, m); err != nil {
			return nil, err
		}
	}
	return s.store(c, f, agent, memories, func() any {
		results := make([]result, len(memories))
		for i, m := range memories {
			results[i] = result{ID: m.ID, Status: written(m), Action: "store", Reason: "Stored successfully", Type: m.Type, Conflict: m.Conflict}
			if m.Conflict != "" {
				results[i].Reason = "Stored beside one that says nearly the same"
			}
		}
		return map[string]any{
			"agent_id": agent, "session_id": c.id.Session, "namespace": namespace(agent), "total_submitted": len(memories),
			"successful": len(memories), "failed": 0, "results": results,
		}
	})
}

// recallFilter reads the filters that all recalls share, and the limit.
func (s *Server) recallFilter(f *form, agent string, standard, most int) (filter memory.And, limit int, err error) {
	filter = memory.And{memory.Eq(memory.FieldAgent, agent)}
	if kinds, ok := f.texts("type", maxFilters, rule{check: func(v string) (string, string) {
		if memory.ValidType(v) {
			return "", ""
		}
		return "value_error", "Value error, Invalid memory type filter. Must be one of: " + strings.Join(memory.Types(), ", ") + "."
	}}); ok && len(kinds) > 0 {
		filter = append(filter, memory.In(memory.FieldType, kinds...))
	}
	tags, _ := f.texts("tags", maxFilters, rule{trim: true, min: 1, max: memory.MaxTag, check: label})
	for _, t := range tags {
		filter = append(filter, memory.Eq(memory.FieldTags, t))
	}
	if t := f.moment("created_after", false); !t.IsZero() {
		filter = append(filter, memory.Cond{Field: memory.FieldCreated, Op: memory.OpGte, Values: []any{t}})
	}
	if t := f.moment("created_before", true); !t.IsZero() {
		filter = append(filter, memory.Cond{Field: memory.FieldCreated, Op: memory.OpLte, Values: []any{t}})
	}
	switch status, _ := f.text("status", rule{strict: true, oneOf: []string{"all", "active", "expired"}}); status {
	case "active":
		filter = append(filter, memory.Not{Filter: memory.Expired(s.now())})
	case "expired":
		filter = append(filter, memory.Expired(s.now()))
	}
	if least, ok := f.number("min_confidence", false, 0, 1); ok {
		filter = append(filter, memory.Cond{Field: memory.FieldConfidence, Op: memory.OpGte, Values: []any{least}})
	}
	limit, ok := f.integer("limit", 1)
	if !ok {
		limit = standard
	}
	if err := f.err(); err != nil {
		return nil, 0, err
	}
	if limit > most {
		return nil, 0, badRequest("limit exceeds the maximum of " + strconv.Itoa(most) + ".")
	}
	return filter, limit, nil
}

// registered reports whether the agent exists. Memories of an agent that was deleted without them are
// kept, but out of reach until it is created again.
func (s *Server) registered(c *call, agent string) (bool, error) {
	_, err := s.Store.Agent(c.Context(), c.id.Tenant, agent, false)
	if errors.Is(err, memory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Server) recall(c *call) (any, error) {
	agent, err := c.agent()
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	query, _ := f.text("query", rule{required: true, min: 1, check: notBlank("query")})
	least, _ := f.number("min_similarity", false, 0, 1)
	filter, limit, err := s.recallFilter(f, agent, memory.DefaultLimit, memory.MaxLimit)
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(query) > memory.MaxQuery {
		return nil, newProblem(http.StatusRequestEntityTooLarge, "query-too-long", "Query too long",
			"The query exceeds the maximum length of 1000 characters.")
	}
	items := []memoryItem{}
	known, err := s.registered(c, agent)
	if err != nil {
		return nil, err
	}
	if known {
		hits, err := s.Store.Search(c.Context(), c.id.Tenant, memory.SearchQuery{Text: query, Filter: filter, Limit: limit, MinScore: least})
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			items = append(items, s.item(h.Memory, &h.Score))
		}
	}
	return map[string]any{"agent_id": agent, "session_id": c.id.Session, "query": query, "memories": items, "count": len(items)}, nil
}

// one returns the agent and memory that the path names.
func (s *Server) one(c *call) (agent, id string, err error) {
	if agent, err = c.agent(); err != nil {
		return "", "", err
	}
	id = c.PathValue("memory_id")
	known, err := s.registered(c, agent)
	if err == nil && !known {
		err = memoryNotFound(agent)
	}
	return agent, id, err
}

func memoryNotFound(agent string) error {
	return notFound("The memory was not found for agent '" + agent + "'.")
}

func (s *Server) getMemory(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	m, err := s.Store.Get(c.Context(), c.id.Tenant, id, memory.Eq(memory.FieldAgent, agent))
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	c.etag(m)
	return s.item(m, nil), nil
}

func (s *Server) editMemory(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	// In the order of the reference, so that updated_fields is in it too.
	edits, fields := []func(*memory.Memory){}, []string{}
	edit := func(name string, apply func(*memory.Memory)) {
		edits, fields = append(edits, apply), append(fields, name)
	}
	if v, ok := f.text("title", titleRule); ok {
		edit("title", func(m *memory.Memory) {
			if m.Title = memory.OneLine(v); m.Title == "" {
				m.Title = memory.TitleFrom(m.Content)
			}
		})
	}
	content, hasContent := f.text("content", rule{max: memory.MaxContent})
	if hasContent {
		edit("content", func(m *memory.Memory) {
			if m.Title == memory.TitleFrom(m.Content) {
				m.Title = memory.TitleFrom(content) // the title was derived: it follows
			}
			m.Content = content
		})
	}
	if v, ok := f.text("type", typeRule); ok {
		edit("type", func(m *memory.Memory) { m.Type = v })
	}
	if v, ok := f.number("confidence", false, 0, 1); ok {
		edit("confidence", func(m *memory.Memory) { m.Confidence = v })
	}
	if v, ok := f.texts("tags", memory.MaxTags, tagRule); ok {
		edit("tags", func(m *memory.Memory) { m.Tags = v })
	}
	if v, ok := f.text("source", sourceRule); ok {
		edit("source", func(m *memory.Memory) { m.Source = v })
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if len(edits) == 0 {
		return nil, badRequest("Provide at least one field to update.")
	}
	if hasContent && strings.TrimFunc(content, unicode.IsSpace) == "" {
		return nil, badRequest("Memory content must be a non-empty string.")
	}
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	m, err := memory.Update(c.Context(), s.Store, c.id.Tenant, w, id, memory.Eq(memory.FieldAgent, agent), func(m *memory.Memory) error {
		before := m.Content
		for _, apply := range edits {
			apply(m)
		}
		m.Updated = w.At
		return s.remark(c, m, before)
	})
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	c.etag(m)
	return map[string]any{
		"agent_id": agent, "session_id": c.id.Session, "namespace": namespace(agent), "memory_id": id,
		"status": written(m), "action": "updated", "updated_fields": fields,
	}, nil
}

func (s *Server) deleteMemory(c *call) (any, error) {
	agent, id, err := s.one(c)
	if err != nil {
		return nil, err
	}
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	err = s.Store.DeleteIDs(c.Context(), c.id.Tenant, w, []string{id}, memory.Eq(memory.FieldAgent, agent))
	if errors.Is(err, memory.ErrNotFound) {
		return nil, memoryNotFound(agent)
	} else if err != nil {
		return nil, err
	}
	return map[string]any{"agent_id": agent, "memory_id": id, "namespace": namespace(agent), "status": "deleted"}, nil
}
