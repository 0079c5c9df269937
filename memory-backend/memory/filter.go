package memory

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Field is a property of a memory that a filter can test.
type Field uint8

// The fields that a filter can test. FieldTags and FieldCategories hold lists; FieldMetadata needs a Key.
const (
	FieldID Field = iota + 1
	FieldAgent
	FieldUser
	FieldApp
	FieldRun
	FieldType
	FieldStatus // as stamped; see ExpiredAt for the status at a time
	FieldContent
	FieldTags
	FieldCategories
	FieldCreated
	FieldUpdated
	FieldExpires
	FieldMetadata
	FieldProvisional // a time
	FieldExpiredAt   // when it was stamped expired
	FieldHeld        // "true" or "false"
	FieldHold        // "true" or "false": whether there is a legal hold
	FieldConfidence  // a number from 0 to 1
)

// Op compares a field with a value.
type Op uint8

// The comparisons. On a list OpEq and OpContains mean that one element is equal; OpIContains on text
// and lists ignores case. Ordering applies to times, to the confidence and, in metadata, to numbers and to text (by bytes).
const (
	OpEq Op = iota + 1
	OpGt
	OpGte
	OpLt
	OpLte
	OpIn        // equal to one of Values
	OpContains  // text holds it, or a list has it
	OpIContains // the same, ignoring the case of ASCII letters
	OpExists    // the field is set; Values are ignored
)

// Filter selects memories. It is one of And, Or, Not and Cond; nil selects everything.
type Filter interface{ filter() }

// And selects what every part selects; an empty And selects everything.
type And []Filter

// Or selects what any part selects; an empty Or selects nothing.
type Or []Filter

// Not selects what its part does not.
type Not struct{ Filter Filter }

// Cond compares one field. Values holds string, float64, bool or time.Time: exactly one for every
// operator but OpIn (any number) and OpExists (none).
type Cond struct {
	Field  Field
	Key    string // of the metadata's member; only for FieldMetadata
	Op     Op
	Values []any
}

func (And) filter()  {}
func (Or) filter()   {}
func (Not) filter()  {}
func (Cond) filter() {}

// Eq returns the condition that a field equals a value.
func Eq(f Field, v any) Cond { return Cond{Field: f, Op: OpEq, Values: []any{v}} }

// In returns the condition that a field equals one of the values.
func In(f Field, values ...string) Cond {
	c := Cond{Field: f, Op: OpIn, Values: make([]any, len(values))}
	for i, v := range values {
		c.Values[i] = v
	}
	return c
}

// Expired returns the filter for memories that are expired at the given time, whether they were stamped
// or ran out. Those under a legal hold do not run out.
func Expired(now time.Time) Filter {
	return Or{
		Eq(FieldStatus, StatusExpired),
		And{Eq(FieldHold, "false"), Or{
			Cond{Field: FieldExpires, Op: OpLte, Values: []any{now}},
			Cond{Field: FieldProvisional, Op: OpLte, Values: []any{now}},
		}},
	}
}

// Lapsed returns the filter for memories that nobody confirmed in time.
func Lapsed(now time.Time) Filter {
	return And{Cond{Field: FieldProvisional, Op: OpLte, Values: []any{now}}, Eq(FieldHold, "false")}
}

// Both joins two filters, either of which may be nil.
func Both(a, b Filter) Filter {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return And{a, b}
}

// Match reports whether the filter selects the memory. It is the meaning that each engine must give to
// a filter, and what the conformance suite compares engines with.
func Match(f Filter, m *Memory) bool {
	switch f := f.(type) {
	case nil:
		return true
	case And:
		for _, p := range f {
			if !Match(p, m) {
				return false
			}
		}
		return true
	case Or:
		for _, p := range f {
			if Match(p, m) {
				return true
			}
		}
		return false
	case Not:
		return !Match(f.Filter, m)
	case Cond:
		return f.match(m)
	}
	return false
}

func (c Cond) match(m *Memory) bool {
	switch c.Field {
	case FieldID:
		return matchText(c, m.ID)
	case FieldAgent:
		return matchText(c, m.Agent)
	case FieldUser:
		return matchText(c, m.User)
	case FieldApp:
		return matchText(c, m.App)
	case FieldRun:
		return matchText(c, m.Run)
	case FieldType:
		return matchText(c, m.Type)
	case FieldStatus:
		return matchText(c, m.Status)
	case FieldContent:
		return matchText(c, m.Content)
	case FieldTags:
		return matchList(c, m.Tags)
	case FieldCategories:
		return matchList(c, m.Category)
	case FieldCreated:
		return matchTime(c, m.Created)
	case FieldUpdated:
		return matchTime(c, m.Updated)
	case FieldExpires:
		return matchTime(c, m.Expires)
	case FieldMetadata:
		return matchMetadata(c, m.Metadata)
	case FieldProvisional:
		return matchTime(c, m.Provisional)
	case FieldExpiredAt:
		return matchTime(c, m.ExpiredAt)
	case FieldHeld:
		return matchText(c, strconv.FormatBool(m.Held))
	case FieldHold:
		return matchText(c, strconv.FormatBool(m.Hold != ""))
	case FieldConfidence:
		return matchNumber(c, m.Confidence)
	}
	return false
}

func matchText(c Cond, s string) bool {
	if c.Op == OpExists {
		return s != ""
	}
	for _, v := range c.Values {
		if w, ok := v.(string); ok && compareText(c.Op, s, w) {
			return true
		}
	}
	return false
}

func compareText(op Op, s, w string) bool {
	switch op {
	case OpEq, OpIn:
		return s == w
	case OpGt:
		return s > w
	case OpGte:
		return s >= w
	case OpLt:
		return s < w
	case OpLte:
		return s <= w
	case OpContains:
		return strings.Contains(s, w)
	case OpIContains:
		return strings.Contains(lowerASCII(s), lowerASCII(w))
	}
	return false
}

func matchList(c Cond, list []string) bool {
	if c.Op == OpExists {
		return len(list) > 0
	}
	for _, v := range c.Values {
		w, ok := v.(string)
		if !ok {
			continue
		}
		for _, s := range list {
			switch c.Op {
			case OpEq, OpIn, OpContains:
				if s == w {
					return true
				}
			case OpIContains:
				if lowerASCII(s) == lowerASCII(w) {
					return true
				}
			}
		}
	}
	return false
}

func matchTime(c Cond, t time.Time) bool {
	if c.Op == OpExists {
		return !t.IsZero()
	}
	if t.IsZero() {
		return false
	}
	for _, v := range c.Values {
		w, ok := v.(time.Time)
		if ok && compareNumber(c.Op, float64(t.UnixMicro()), float64(w.UnixMicro())) {
			return true
		}
	}
	return false
}

func matchNumber(c Cond, n float64) bool {
	if c.Op == OpExists {
		return true
	}
	for _, v := range c.Values {
		if w, ok := v.(float64); ok && compareNumber(c.Op, n, w) {
			return true
		}
	}
	return false
}

func compareNumber(op Op, a, b float64) bool {
	switch op {
	case OpEq, OpIn:
		return a == b
	case OpGt:
		return a > b
	case OpGte:
		return a >= b
	case OpLt:
		return a < b
	case OpLte:
		return a <= b
	}
	return false
}

func matchMetadata(c Cond, metadata json.RawMessage) bool {
	var members map[string]any
	if len(metadata) == 0 || json.Unmarshal(metadata, &members) != nil {
		return false
	}
	got, ok := members[c.Key]
	if !ok {
		return false
	}
	if c.Op == OpExists {
		return got != nil
	}
	for _, want := range c.Values {
		switch want := want.(type) {
		case string:
			switch got := got.(type) {
			case string:
				if compareText(c.Op, got, want) {
					return true
				}
			case []any:
				if c.Op == OpContains || c.Op == OpIContains {
					for _, e := range got {
						if s, ok := e.(string); ok && (s == want || c.Op == OpIContains && lowerASCII(s) == lowerASCII(want)) {
							return true
						}
					}
				}
			}
		case float64:
			if n, ok := got.(float64); ok && compareNumber(c.Op, n, want) {
				return true
			}
		case bool:
			if b, ok := got.(bool); ok && (c.Op == OpEq || c.Op == OpIn) && b == want {
				return true
			}
		}
	}
	return false
}

func lowerASCII(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, []byte(s)))
}
