package qdrant

import (
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// where returns a condition that holds for every memory that the filter selects, and whether it holds for no other;
// nil for one that always holds. What Qdrant cannot decide on hashes is decided when the memories are opened.
func where(k *crypt.Tenant, f memory.Filter) (cond *qdrant.Condition, exact bool, err error) {
	switch f := f.(type) {
	case nil:
		return nil, true, nil
	case memory.And:
		all := &qdrant.Filter{}
		exact = true
		for _, part := range f {
			c, e, err := where(k, part)
			if err != nil {
				return nil, false, err
			}
			if exact = exact && e; c != nil {
				all.Must = append(all.Must, c)
			}
		}
		if len(all.Must) == 0 {
			return nil, exact, nil
		}
		return qdrant.NewFilterAsCondition(all), exact, nil
	case memory.Or:
		any := &qdrant.Filter{}
		exact = true
		for _, part := range f {
			c, e, err := where(k, part)
			if err != nil || c == nil {
				return nil, e && err == nil, err
			}
			exact = exact && e
			any.Should = append(any.Should, c)
		}
		if len(any.Should) == 0 {
			return nothing(), true, nil
		}
		return qdrant.NewFilterAsCondition(any), exact, nil
	case memory.Not:
		c, e, err := where(k, f.Filter)
		switch {
		case err != nil || !e:
			return nil, false, err
		case c == nil:
			return nothing(), true, nil
		}
		return not(c), true, nil
	case memory.Cond:
		return whereCond(k, f)
	}
	return nothing(), true, nil
}

// not holds where a condition does not.
func not(c *qdrant.Condition) *qdrant.Condition {
	return qdrant.NewFilterAsCondition(&qdrant.Filter{MustNot: []*qdrant.Condition{c}})
}

// nothing is a condition that no point meets.
func nothing() *qdrant.Condition { return qdrant.NewMatchKeyword(fieldKind, "none") }

func whereCond(k *crypt.Tenant, c memory.Cond) (*qdrant.Condition, bool, error) {
	equal := c.Op == memory.OpEq || c.Op == memory.OpIn
	for _, f := range times {
		if f.field == c.Field {
			return whereTime(c, f.name), true, nil
		}
	}
	var words []string
	hash := func(domain, value string) error {
		h, err := hashed(k, domain, value)
		words = append(words, h)
		return err
	}
	var values []string
	for _, v := range c.Values {
		s, ok := v.(string)
		if ok && s == "" {
			return nil, false, nil // what has none is not marked
		}
		if ok {
			values = append(values, s)
		}
	}
	switch c.Field {
	case memory.FieldID:
		if !equal {
			return nil, false, nil
		}
		var ids []*qdrant.PointId
		for _, v := range values {
			id, err := pointID(k, kindMemory, v)
			if err != nil {
				return nil, false, err
			}
			ids = append(ids, qdrant.NewIDUUID(id))
		}
		if len(ids) == 0 {
			return nothing(), true, nil
		}
		return qdrant.NewHasID(ids...), true, nil
	case memory.FieldType, memory.FieldStatus, memory.FieldHeld, memory.FieldHold:
		if !equal {
			return nil, false, nil
		}
		name := map[memory.Field]string{memory.FieldType: "type", memory.FieldStatus: "status", memory.FieldHeld: "held", memory.FieldHold: "hold"}[c.Field]
		return oneOf(name, values), true, nil
	case memory.FieldTags, memory.FieldCategories:
		if !equal && c.Op != memory.OpContains {
			return nil, false, nil
		}
		domain := hashTag
		if c.Field == memory.FieldCategories {
			domain = hashCategory
		}
		for _, v := range values {
			if err := hash(domain, v); err != nil {
				return nil, false, err
			}
		}
		return oneOf(fieldLabels, words), true, nil
	case memory.FieldMetadata:
		if !equal {
			return nil, false, nil
		}
		for _, v := range c.Values {
			value, ok := memory.Member(c.Key, v)
			if !ok {
				return nil, false, nil
			}
			if err := hash(hashMember, value); err != nil {
				return nil, false, err
			}
		}
		return oneOf(fieldLabels, words), false, nil
	}
	for _, f := range keyed {
		if f.field != c.Field {
			continue
		}
		if c.Op == memory.OpExists {
			return not(qdrant.NewIsEmpty(f.name)), true, nil
		}
		if !equal {
			return nil, false, nil
		}
		for _, v := range values {
			if err := hash(f.domain, v); err != nil {
				return nil, false, err
			}
		}
		return oneOf(f.name, words), true, nil
	}
	return nil, false, nil
}

// oneOf holds for points that have one of the words.
func oneOf(field string, words []string) *qdrant.Condition {
	if len(words) == 0 {
		return nothing()
	}
	return qdrant.NewMatchKeywords(field, words...)
}

// whereTime compares microseconds, which a float64 holds exactly.
func whereTime(c memory.Cond, field string) *qdrant.Condition {
	if c.Op == memory.OpExists {
		return not(qdrant.NewIsEmpty(field))
	}
	any := &qdrant.Filter{}
	for _, v := range c.Values {
		t, ok := v.(time.Time)
		if !ok {
			continue
		}
		at, r := qdrant.PtrOf(float64(t.UnixMicro())), &qdrant.Range{}
		switch c.Op {
		case memory.OpEq, memory.OpIn:
			r.Gte, r.Lte = at, at
		case memory.OpGt:
			r.Gt = at
		case memory.OpGte:
			r.Gte = at
		case memory.OpLt:
			r.Lt = at
		case memory.OpLte:
			r.Lte = at
		default:
			continue
		}
		any.Should = append(any.Should, qdrant.NewRange(field, r))
	}
	if len(any.Should) == 0 {
		return nothing()
	}
	return qdrant.NewFilterAsCondition(any)
}
