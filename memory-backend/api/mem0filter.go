package api

import (
	"sort"
	"strings"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Bounds of a filter in mem0's syntax.
const (
	maxFilterDepth  = 8
	maxFilterNodes  = 200
	maxFilterValues = 500
)

// entityFields are the members of a filter that name who a memory belongs to.
var entityFields = map[string]memory.Field{
	"user_id": memory.FieldUser, "agent_id": memory.FieldAgent, "app_id": memory.FieldApp, "run_id": memory.FieldRun,
}

var filterOps = map[string]memory.Op{
	"eq": memory.OpEq, "ne": memory.OpEq, "gt": memory.OpGt, "gte": memory.OpGte, "lt": memory.OpLt, "lte": memory.OpLte,
	"in": memory.OpIn, "nin": memory.OpIn, "contains": memory.OpContains, "icontains": memory.OpIContains,
}

// filterParser turns mem0's filters into a memory.Filter:
//
//	{"AND": [f, …]} {"OR": [f, …]} {"NOT": f or [f, …]} {field: value} {field: {op: value}}
//
// Several members of an object must all hold. The value "*" stands for any that is set.
type filterParser struct {
	issues *[]issue
	nodes  int
}

// parseFilter parses a filter, which may be null. What is wrong with it goes to issues.
func parseFilter(v any, loc []any, issues *[]issue) memory.Filter {
	if v == nil {
		return nil
	}
	p := &filterParser{issues: issues}
	return p.parse(v, loc, 0)
}

func (p *filterParser) fail(loc []any, msg string) memory.Filter {
	*p.issues = append(*p.issues, issue{"value_error", append([]any(nil), loc...), "Value error, " + msg})
	return memory.Or{} // selects nothing
}

func (p *filterParser) parse(v any, loc []any, depth int) memory.Filter {
	members, ok := v.(map[string]any)
	switch {
	case !ok:
		return p.fail(loc, "a filter must be an object")
	case depth > maxFilterDepth:
		return p.fail(loc, "filters are nested too deep")
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Strings(names)
	all := memory.And{}
	for _, name := range names {
		if p.nodes++; p.nodes > maxFilterNodes {
			return p.fail(loc, "a filter has too many conditions")
		}
		at := append(append([]any(nil), loc...), name)
		all = append(all, p.member(name, members[name], at, depth))
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

func (p *filterParser) member(name string, v any, loc []any, depth int) memory.Filter {
	switch name {
	case "AND", "OR", "NOT":
		parts, ok := v.([]any)
		if !ok {
			if name != "NOT" {
				return p.fail(loc, "must be a list of filters")
			}
			parts = []any{v}
		}
		list := make([]memory.Filter, 0, len(parts))
		for i, part := range parts {
			list = append(list, p.parse(part, append(append([]any(nil), loc...), i), depth+1))
			if len(*p.issues) > 0 {
				return memory.Or{}
			}
		}
		switch name {
		case "AND":
			return memory.And(list)
		case "OR":
			return memory.Or(list)
		}
		return memory.Not{Filter: memory.Or(list)} // none of them
	case "user_id", "agent_id", "app_id", "run_id":
		return p.conditions(entityFields[name], "", v, loc, p.text)
	case "memory_ids", "id":
		return p.conditions(memory.FieldID, "", v, loc, p.text)
	case "categories":
		return p.conditions(memory.FieldCategories, "", v, loc, p.text)
	case "keywords":
		return p.conditions(memory.FieldContent, "", v, loc, p.text)
	case "created_at", "timestamp":
		return p.conditions(memory.FieldCreated, "", v, loc, p.moment)
	case "updated_at":
		return p.conditions(memory.FieldUpdated, "", v, loc, p.moment)
	case "metadata":
		members, ok := v.(map[string]any)
		if !ok {
			return p.fail(loc, "must be an object")
		}
		all := memory.And{}
		for key, want := range members {
			if p.nodes++; p.nodes > maxFilterNodes {
				return p.fail(loc, "a filter has too many conditions")
			}
			all = append(all, p.conditions(memory.FieldMetadata, key, want, append(append([]any(nil), loc...), key), p.scalar))
		}
		return all
	}
	return p.fail(loc, "is not a field that can be filtered by")
}

// conditions parses what a field is compared with: a value, a list of values, or operators.
func (p *filterParser) conditions(field memory.Field, key string, v any, loc []any,
	value func(v any, op memory.Op) (any, bool)) memory.Filter {
	one := func(name string, v any) memory.Filter {
		op, ok := filterOps[name]
		if !ok {
			return p.fail(loc, "is compared by an unknown operator; use eq, ne, gt, gte, lt, lte, in, nin, contains or icontains")
		}
		c := memory.Cond{Field: field, Key: key, Op: op}
		if v == "*" && op == memory.OpEq {
			c.Op = memory.OpExists
		} else {
			values := []any{v}
			if op == memory.OpIn {
				if values, ok = v.([]any); !ok {
					return p.fail(loc, "must be compared with a list by "+name)
				}
				if len(values) > maxFilterValues {
					return p.fail(loc, "has too many values")
				}
			}
			if list, ok := v.([]any); ok && op == memory.OpContains { // has all of these
				all := memory.And{}
				for _, e := range list {
					if p.nodes++; p.nodes > maxFilterNodes {
						return p.fail(loc, "a filter has too many conditions")
					}
					w, ok := value(e, op)
					if !ok {
						return p.fail(loc, "has a value of the wrong kind")
					}
					all = append(all, memory.Cond{Field: field, Key: key, Op: op, Values: []any{w}})
				}
				return all
			}
			for _, e := range values {
				w, ok := value(e, op)
				if !ok {
					return p.fail(loc, "has a value of the wrong kind")
				}
				c.Values = append(c.Values, w)
			}
		}
		if name == "ne" || name == "nin" {
			return memory.Not{Filter: c}
		}
		return c
	}
	switch v := v.(type) {
	case nil:
		return memory.Not{Filter: memory.Cond{Field: field, Key: key, Op: memory.OpExists}}
	case []any:
		return one("in", v)
	case map[string]any:
		if len(v) == 0 {
			return p.fail(loc, "is compared with nothing")
		}
		all := memory.And{}
		for name, w := range v {
			if p.nodes++; p.nodes > maxFilterNodes {
				return p.fail(loc, "a filter has too many conditions")
			}
			all = append(all, one(name, w))
		}
		return all
	}
	if field == memory.FieldContent {
		return one("icontains", v)
	}
	return one("eq", v)
}

func (p *filterParser) text(v any, _ memory.Op) (any, bool) {
	s, ok := v.(string)
	return s, ok
}

// moment reads a time: ISO 8601 or seconds since 1970. A date without time means its end where the
// comparison is "at most" or "after", and its start elsewhere.
func (p *filterParser) moment(v any, op memory.Op) (any, bool) {
	if s, ok := v.(string); ok {
		t, ok := parseMoment(strings.TrimSpace(s), op == memory.OpLte || op == memory.OpGt)
		return t, ok
	}
	if n, ok := asNumber(v); ok {
		t, ok := fromSeconds(n)
		return t, ok
	}
	return nil, false
}

func (p *filterParser) scalar(v any, op memory.Op) (any, bool) {
	switch v.(type) {
	case string:
		return v, true
	case bool:
		return v, op == memory.OpEq || op == memory.OpIn
	}
	n, ok := asNumber(v)
	return n, ok && op != memory.OpContains && op != memory.OpIContains
}
