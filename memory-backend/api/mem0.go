package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Bounds of mem0's operations.
const (
	mem0MaxTopK     = 500
	mem0MaxPageSize = 200
	mem0PageSize    = 100
	mem0MaxPage     = 1_000_000
	mem0MaxBatch    = 1000
	mem0MaxEntities = 10_000
)

// scope confines a caller whose session is bound to an agent to the memories of that agent.
func (c *call) scope() memory.Filter {
	if c.id.Agent == "" {
		return nil
	}
	return memory.Eq(memory.FieldAgent, c.id.Agent)
}

// mem0NotFound gives the error of a store its wording.
func mem0NotFound(err error) error {
	if errors.Is(err, memory.ErrNotFound) {
		return notFound("Memory not found!")
	}
	return err
}

// mem0Ping tells a client that it is who it says. The client insists on an organization and a project.
func (s *Server) mem0Ping(c *call) (any, error) {
	return map[string]any{"status": "ok", "message": "pong", "org_id": "memgate", "project_id": c.id.Tenant, "user_email": nil}, nil
}

// entityRule is the rule for the name of an entity.
var entityRule = rule{trim: true, min: 1, check: func(s string) (string, string) {
	switch {
	case len(s) > memory.MaxName:
		return "string_too_long", "String should have at most 256 bytes"
	case s == "*":
		return "value_error", "Value error, '*' cannot be the name of an entity"
	}
	return "", ""
}}

// mem0Owner reads who memories belong to, from the members themselves or from "filters".
func mem0Owner(c *call, f *form) (m memory.Memory, err error) {
	sources := []*form{f}
	if f.has("filters") {
		members, ok := f.members["filters"].(map[string]any)
		if !ok {
			f.fail("filters", "dict_type", "Input should be a valid dictionary")
		}
		sources = append(sources, &form{members: members, loc: f.at("filters"), issues: f.issues})
	}
	for _, src := range sources {
		for name, field := range map[string]*string{"user_id": &m.User, "agent_id": &m.Agent, "app_id": &m.App, "run_id": &m.Run} {
			if v, ok := src.text(name, entityRule); ok {
				if *field != "" && *field != v {
					src.fail(name, "value_error", "Value error, differs from the one beside filters")
				}
				*field = v
			}
		}
	}
	if c.id.Agent != "" {
		if m.Agent != "" && m.Agent != c.id.Agent {
			return m, agentMismatch()
		}
		m.Agent = c.id.Agent
	}
	return m, nil
}

// mem0Text returns the text of a message's content: a string, or the text among its parts.
func mem0Text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case map[string]any:
		if v["type"] == "text" {
			s, ok := v["text"].(string)
			return s, ok
		}
	case []any:
		var parts []string
		for _, p := range v {
			s, ok := mem0Text(p)
			if !ok {
				return "", false
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, "\n"), len(parts) > 0
	}
	return "", false
}

// metadata reads an object to keep beside a memory; nil when there is none.
func (f *form) metadata(name string) json.RawMessage {
	if f.absent(name, false, false, "", "") {
		return nil
	}
	members, ok := f.members[name].(map[string]any)
	if !ok {
		f.fail(name, "dict_type", "Input should be a valid dictionary")
		return nil
	}
	if len(members) == 0 {
		return nil
	}
	data, err := json.Marshal(members)
	if err != nil || len(data) > memory.MaxMetadataBytes {
		f.fail(name, "value_error", "Value error, metadata should have at most 5000 bytes")
		return nil
	}
	return data
}

// fromSeconds converts seconds since 1970, up to the year 9999.
func fromSeconds(v float64) (time.Time, bool) {
	if v < 0 || v > 253402300799 || math.IsNaN(v) {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(v * 1e6)).UTC(), true
}

// timestamp reads when something happened: seconds since 1970, or ISO 8601.
func (f *form) timestamp(name string) time.Time {
	if n, ok := asNumber(f.members[name]); ok {
		t, ok := fromSeconds(n)
		if !ok {
			f.fail(name, "value_error", "Value error, not a time between 1970 and 9999")
		}
		return t
	}
	return f.moment(name, false)
}

// expiration reads the last day on which something is valid, and returns the end of that day.
func (f *form) expiration(name string) time.Time {
	s, ok := f.text(name, rule{trim: true})
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1970 {
		f.fail(name, "value_error", "Value error, use YYYY-MM-DD")
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}

func (s *Server) mem0Add(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	base, err := mem0Owner(c, f)
	if err != nil {
		return nil, err
	}
	w := s.change(c)
	base.Metadata = f.metadata("metadata")
	base.Expires = f.expiration("expiration_date")
	base.Created, base.Updated, base.Writer = w.At, w.At, w.By
	if t := f.timestamp("timestamp"); !t.IsZero() {
		base.Created = t
	}
	base.Confidence, base.Status, base.Source, base.Provenance = memory.DefaultConfidence, memory.StatusActive, "mem0", "explicit_statement"
	var memories []*memory.Memory
	for _, item := range f.objects("messages", 1, memory.MaxBatch) {
		m, err := s.mem0Message(item, base)
		if err != nil {
			return nil, err
		}
		if m != nil {
			memories = append(memories, m)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if base.User == "" && base.Agent == "" && base.App == "" && base.Run == "" {
		return nil, badRequest("At least one of user_id, agent_id, app_id and run_id is required.")
	}
	for _, m := range memories {
		if err := s.mark(c, m); err != nil {
			return nil, err
		}
	}
	return s.addOnce(c, f, w, memories, func() any {
		results := make([]mem0Memory, len(memories))
		for i, m := range memories {
			results[i] = mem0Shape(m)
			results[i].Event, results[i].Data = string(memory.EventAdd), &mem0Data{m.Content}
		}
		return map[string]any{"results": results}
	})
}

// mem0Message makes a memory of a message, and none of one that instructs the model.
func (s *Server) mem0Message(f *form, base memory.Memory) (*memory.Memory, error) {
	role, _ := f.text("role", rule{required: true, min: 1, max: 50})
	if role == "system" {
		return nil, nil
	}
	m := base.Clone()
	m.Role = role
	m.Actor, _ = f.text("name", rule{trim: true, max: 100})
	if !f.has("content") {
		f.fail("content", "missing", "Field required")
		return nil, nil
	}
	text, ok := mem0Text(f.members["content"])
	if !ok {
		f.fail("content", "value_error", "Value error, only text can be remembered")
		return nil, nil
	}
	if m.Content, ok = f.checkText("content", text, contentRule); !ok {
		return nil, nil
	}
	return m, s.complete(m)
}

// mem0Filter reads the filters of a search or listing.
func (s *Server) mem0Filter(c *call, f *form) memory.Filter {
	filter := memory.Both(c.scope(), parseFilter(f.members["filters"], f.at("filters"), f.issues))
	if categories, _ := f.texts("categories", maxFilters, rule{}); len(categories) > 0 {
		filter = memory.Both(filter, memory.In(memory.FieldCategories, categories...))
	}
	for name, op := range map[string]memory.Op{"start_date": memory.OpGte, "end_date": memory.OpLte} {
		if t := f.moment(name, op == memory.OpLte); !t.IsZero() {
			filter = memory.Both(filter, memory.Cond{Field: memory.FieldCreated, Op: op, Values: []any{t}})
		}
	}
	// What stands beside filters in older requests narrows as well: it is never dropped.
	for name, field := range entityFields {
		if v, ok := f.text(name, rule{trim: true, min: 1}); ok {
			filter = memory.Both(filter, entityCond(field, v))
		}
	}
	if !f.boolean("show_expired") {
		filter = memory.Both(filter, memory.Not{Filter: memory.Expired(s.now())})
	}
	return filter
}

// entityCond is the condition that a memory belongs to an entity, or to any of its kind for "*".
func entityCond(field memory.Field, name string) memory.Filter {
	if name == "*" {
		return memory.Cond{Field: field, Op: memory.OpExists}
	}
	return memory.Eq(field, name)
}

func (s *Server) mem0Search(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	query, _ := f.text("query", rule{required: true, min: 1, max: memory.MaxContent, check: notBlank("query")})
	filter := s.mem0Filter(c, f)
	limit, ok := f.integer("top_k", 1)
	if !ok {
		limit = memory.DefaultLimit
	}
	if limit > mem0MaxTopK {
		f.fail("top_k", "less_than_equal", "Input should be less than or equal to "+strconv.Itoa(mem0MaxTopK))
	}
	least, _ := f.number("threshold", false, 0, 1)
	fields, _ := f.texts("fields", maxFilters, rule{})
	if err := f.err(); err != nil {
		return nil, err
	}
	hits, err := s.Store.Search(c.Context(), c.id.Tenant, memory.SearchQuery{Text: query, Filter: filter, Limit: limit, MinScore: least})
	if err != nil {
		return nil, err
	}
	results := make([]any, len(hits))
	for i, h := range hits {
		shape := mem0Shape(h.Memory)
		shape.Score = &h.Score
		if results[i], err = project(shape, fields); err != nil {
			return nil, err
		}
	}
	return map[string]any{"results": results}, nil
}

// project keeps the fields that a caller asked for, and the id; all of them when it named none.
func project(m mem0Memory, fields []string) (any, error) {
	if len(fields) == 0 {
		return m, nil
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var all, kept map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	kept = map[string]json.RawMessage{"id": all["id"]}
	for _, name := range fields {
		if v, ok := all[name]; ok {
			kept[name] = v
		}
	}
	return kept, nil
}

// page reads a number of the query.
func page(q url.Values, name string, standard, most int) (int, error) {
	if !q.Has(name) {
		return standard, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 1 {
		return 0, invalid([]issue{{"greater_than_equal", []any{"query", name}, "Input should be a whole number greater than or equal to 1"}})
	}
	return min(n, most), nil
}

func (s *Server) mem0GetAll(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, true)
	if err != nil {
		return nil, err
	}
	filter := s.mem0Filter(c, f)
	if err := f.err(); err != nil {
		return nil, err
	}
	q := c.URL.Query()
	number, err := page(q, "page", 1, mem0MaxPage)
	if err != nil {
		return nil, err
	}
	size, err := page(q, "page_size", mem0PageSize, mem0MaxPageSize)
	if err != nil {
		return nil, err
	}
	found, total, err := s.Store.List(c.Context(), c.id.Tenant,
		memory.ListQuery{Filter: filter, Offset: (number - 1) * size, Limit: size, Total: true})
	if err != nil {
		return nil, err
	}
	results := make([]mem0Memory, len(found))
	for i, m := range found {
		results[i] = mem0Shape(m)
	}
	link := func(there bool, n int) *string {
		if !there {
			return nil
		}
		return optional(c.URL.Path + "?page=" + strconv.Itoa(n) + "&page_size=" + strconv.Itoa(size))
	}
	return map[string]any{
		"count": total, "next": link(number*size < total, number+1), "previous": link(number > 1, number-1), "results": results,
	}, nil
}

func (s *Server) mem0Get(c *call) (any, error) {
	m, err := s.Store.Get(c.Context(), c.id.Tenant, c.PathValue("memory_id"), c.scope())
	if err != nil {
		return nil, mem0NotFound(err)
	}
	c.etag(m)
	return mem0Shape(m), nil
}

// mem0Edit reads the changes to one memory.
func mem0Edit(f *form) func(*memory.Memory) {
	var edits []func(*memory.Memory)
	if text, ok := f.text("text", contentRule); ok {
		edits = append(edits, func(m *memory.Memory) {
			if m.Title == memory.TitleFrom(m.Content) {
				m.Title = memory.TitleFrom(text)
			}
			m.Content = text
		})
	}
	if f.has("metadata") {
		metadata := f.metadata("metadata")
		edits = append(edits, func(m *memory.Memory) { m.Metadata = metadata })
	}
	if t := f.timestamp("timestamp"); !t.IsZero() {
		edits = append(edits, func(m *memory.Memory) { m.Created = t })
	}
	if f.has("expiration_date") || f.null("expiration_date") {
		t := f.expiration("expiration_date")
		edits = append(edits, func(m *memory.Memory) { m.Expires = t })
	}
	if len(edits) == 0 && len(*f.issues) == 0 {
		*f.issues = append(*f.issues, issue{"value_error", f.loc,
			"Value error, at least one of text, metadata, timestamp and expiration_date must be provided"})
	}
	return func(m *memory.Memory) {
		for _, e := range edits {
			e(m)
		}
	}
}

func (s *Server) mem0Update(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	edit := mem0Edit(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	m, err := memory.Update(c.Context(), s.Store, c.id.Tenant, w, c.PathValue("memory_id"), c.scope(), func(m *memory.Memory) error {
		before := m.Content
		edit(m)
		m.Updated = w.At
		return s.remark(c, m, before)
	})
	if err != nil {
		return nil, mem0NotFound(err)
	}
	c.etag(m)
	return struct {
		mem0Memory
		Text string `json:"text"`
	}{mem0Shape(m), m.Content}, nil
}

func (s *Server) mem0Delete(c *call) (any, error) {
	w, err := s.conditional(c)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteIDs(c.Context(), c.id.Tenant, w, []string{c.PathValue("memory_id")}, c.scope()); err != nil {
		return nil, mem0NotFound(err)
	}
	return map[string]string{"message": "Memory deleted successfully!"}, nil
}

func (s *Server) mem0DeleteAll(c *call) (any, error) {
	var issues []issue
	var filter memory.Filter
	for name, values := range c.URL.Query() {
		loc := []any{"query", name}
		field, isEntity := entityFields[name]
		switch {
		case name == "org_id" || name == "project_id": // the tenant is the token's
			continue
		case len(values) != 1 || strings.TrimSpace(values[0]) == "":
			issues = append(issues, issue{"value_error", loc, "Value error, must be given once and not be empty"})
		case isEntity:
			filter = memory.Both(filter, entityCond(field, strings.TrimSpace(values[0])))
		case name == "filters":
			v, err := parseLiteral(values[0])
			members, ok := v.(map[string]any)
			if err != nil || !ok || len(members) == 0 {
				issues = append(issues, issue{"value_error", loc, "Value error, must be an object that is not empty"})
				continue
			}
			filter = memory.Both(filter, parseFilter(members, loc, &issues))
		default: // ignoring it could delete more than was meant
			issues = append(issues, issue{"extra_forbidden", loc, "Memories cannot be deleted by this"})
		}
	}
	if len(issues) > 0 {
		return nil, invalid(issues)
	}
	if filter == nil {
		return nil, badRequest("At least one of user_id, agent_id, app_id, run_id and filters is required.")
	}
	if _, err := s.Store.Delete(c.Context(), c.id.Tenant, s.change(c), memory.Both(c.scope(), filter)); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Memories deleted successfully!"}, nil
}

func (s *Server) mem0History(c *call) (any, error) {
	changes, err := s.Store.History(c.Context(), c.id.Tenant, c.PathValue("memory_id"), c.id.Agent)
	if err != nil {
		return nil, mem0NotFound(err)
	}
	type entry struct {
		ID        string          `json:"id"`
		MemoryID  string          `json:"memory_id"`
		Event     string          `json:"event"`
		OldMemory *string         `json:"old_memory"`
		NewMemory *string         `json:"new_memory"`
		UserID    *string         `json:"user_id"`
		Metadata  json.RawMessage `json:"metadata"`
		CreatedAt *string         `json:"created_at"`
		UpdatedAt *string         `json:"updated_at"`
	}
	list := make([]entry, len(changes))
	for i, ch := range changes {
		list[i] = entry{
			ID: ch.ID, MemoryID: ch.MemoryID, Event: string(ch.Event), OldMemory: optional(ch.Old), NewMemory: optional(ch.New),
			UserID: optional(ch.User), Metadata: ch.Metadata, CreatedAt: stamp(ch.At), UpdatedAt: stamp(ch.At),
		}
		if len(ch.Metadata) == 0 {
			list[i].Metadata = json.RawMessage("null")
		}
	}
	return list, nil
}
