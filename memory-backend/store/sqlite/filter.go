package sqlite

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// selection is a filter as an SQL condition over the table "memories AS m". What comes from the caller goes
// into args only; the text is made of constants.
//
// What is sealed cannot be compared inside SQLite but for equality. A condition on it is left out there so
// that the SQL selects too much rather than too little, and memory.Match decides on each memory that it
// selects: exact says that this is not needed.
type selection struct {
	sql    string
	args   []any
	exact  bool
	filter memory.Filter
}

// where renders a filter.
func where(k sealer, f memory.Filter) (selection, error) {
	w := writer{keys: k, exact: true, over: true}
	w.filter(f)
	return selection{w.sql.String(), w.args, w.exact, f}, w.err
}

// passes reports whether the filter selects a memory that the SQL selected.
func (s *selection) passes(m *memory.Memory) bool { return s.exact || memory.Match(s.filter, m) }

type writer struct {
	keys  sealer
	sql   strings.Builder
	args  []any
	exact bool
	over  bool // what cannot be told counts as selected; not so below an odd number of Nots
	err   error
}

func (w *writer) filter(f memory.Filter) {
	switch f := f.(type) {
	case nil:
		w.sql.WriteString("1")
	case memory.And:
		w.join([]memory.Filter(f), " AND ", "1")
	case memory.Or:
		w.join([]memory.Filter(f), " OR ", "0")
	case memory.Not:
		w.sql.WriteString("NOT (")
		w.over = !w.over
		w.filter(f.Filter)
		w.over = !w.over
		w.sql.WriteByte(')')
	case memory.Cond:
		w.sql.WriteByte('(')
		w.cond(f)
		w.sql.WriteByte(')')
	default:
		w.sql.WriteString("0")
	}
}

func (w *writer) join(parts []memory.Filter, with, empty string) {
	if len(parts) == 0 {
		w.sql.WriteString(empty)
		return
	}
	w.sql.WriteByte('(')
	for i, p := range parts {
		if i > 0 {
			w.sql.WriteString(with)
		}
		w.filter(p)
	}
	w.sql.WriteByte(')')
}

// unknown writes a condition that only the opened memory can answer.
func (w *writer) unknown() {
	w.exact = false
	if w.over {
		w.sql.WriteString("1")
	} else {
		w.sql.WriteString("0")
	}
}

// columns that hold text as it is, which "" means none in.
var textColumns = map[memory.Field]string{
	memory.FieldID: "m.id", memory.FieldType: "m.type", memory.FieldStatus: "m.status",
}

// hashed is a column of hashes, and what they are hashes of.
type hashed struct{ column, domain string }

var hashColumns = map[memory.Field]hashed{
	memory.FieldAgent: {"m.agent", hashAgent}, memory.FieldUser: {"m.user", hashUser},
	memory.FieldApp: {"m.app", hashApp}, memory.FieldRun: {"m.run", hashRun},
}

// columns that count the elements of a list.
var listColumns = map[memory.Field]hashed{
	memory.FieldTags: {"m.tags", hashTag}, memory.FieldCategories: {"m.categories", hashCategory},
}

// columns that hold microseconds, which 0 means none in.
var timeColumns = map[memory.Field]string{
	memory.FieldCreated: "m.created", memory.FieldUpdated: "m.updated", memory.FieldExpires: "m.expires",
	memory.FieldProvisional: "m.provisional", memory.FieldExpiredAt: "m.expired_at",
}

// columns that hold whether something is so; filters compare it as the text "true" or "false".
var flagColumns = map[memory.Field]string{memory.FieldHeld: "m.held", memory.FieldHold: "m.hold"}

func (w *writer) flag(c memory.Cond, column string) {
	if len(c.Values) == 1 && c.Op == memory.OpEq {
		switch c.Values[0] { // lets SQLite use an index
		case "true":
			w.sql.WriteString(column + " = 1")
			return
		case "false":
			w.sql.WriteString(column + " = 0")
			return
		}
	}
	w.text(c, "iif("+column+", 'true', 'false')")
}

var comparisons = map[memory.Op]string{
	memory.OpEq: "=", memory.OpIn: "=", memory.OpGt: ">", memory.OpGte: ">=", memory.OpLt: "<", memory.OpLte: "<=",
}

func (w *writer) cond(c memory.Cond) {
	switch {
	case textColumns[c.Field] != "":
		w.text(c, textColumns[c.Field])
	case flagColumns[c.Field] != "":
		w.flag(c, flagColumns[c.Field])
	case hashColumns[c.Field].column != "":
		w.hashed(c, hashColumns[c.Field])
	case listColumns[c.Field].column != "":
		w.list(c, listColumns[c.Field])
	case timeColumns[c.Field] != "":
		w.time(c, timeColumns[c.Field])
	case c.Field == memory.FieldContent && c.Op == memory.OpExists:
		w.sql.WriteString("length(m.content) > 0")
	case c.Field == memory.FieldContent && (c.Op == memory.OpEq || c.Op == memory.OpIn):
		w.hashed(c, hashed{"m.same", hashContent})
	case c.Field == memory.FieldContent:
		w.unknown()
	case c.Field == memory.FieldMetadata:
		w.metadata(c)
	case c.Field == memory.FieldConfidence:
		w.number(c, "m.confidence")
	default:
		w.sql.WriteString("0")
	}
}

func (w *writer) text(c memory.Cond, column string) {
	switch c.Op {
	case memory.OpExists:
		w.sql.WriteString(column + " <> ''")
		return
	case memory.OpIn:
		list := make([]string, 0, len(c.Values))
		for _, v := range c.Values {
			if s, ok := v.(string); ok {
				list = append(list, s)
			}
		}
		w.sql.WriteString(column + " IN (SELECT value FROM json_each(?))")
		w.args = append(w.args, jsonText(list))
		return
	}
	w.sql.WriteString("0")
	for _, v := range c.Values {
		s, ok := v.(string)
		if !ok {
			continue
		}
		switch {
		case c.Op == memory.OpContains:
			w.sql.WriteString(" OR instr(" + column + ", ?) > 0")
		case c.Op == memory.OpIContains:
			w.sql.WriteString(" OR instr(lower(" + column + "), lower(?)) > 0") // lower() is ASCII only
		case comparisons[c.Op] != "":
			w.sql.WriteString(" OR " + column + " " + comparisons[c.Op] + " ?")
		default:
			continue
		}
		w.args = append(w.args, s)
	}
}

// jsonText returns strings as a JSON array.
func jsonText(list []string) string {
	b, _ := json.Marshal(list) // strings always encode
	return string(b)
}

func (w *writer) hash(domain, value string) {
	h, err := hashOf(w.keys, domain, value)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.args = append(w.args, h)
}

func (w *writer) hashed(c memory.Cond, h hashed) {
	switch c.Op {
	case memory.OpExists:
		w.sql.WriteString(h.column + " <> x''")
	case memory.OpEq, memory.OpIn:
		values := texts(c.Values)
		if len(values) == 1 && values[0] != "" {
			w.sql.WriteString(h.column + " <> x'' AND ") // lets SQLite use the partial index
		}
		w.sql.WriteString(h.column + " IN (")
		for i, v := range values {
			if i > 0 {
				w.sql.WriteByte(',')
			}
			w.sql.WriteByte('?')
			w.hash(h.domain, v)
		}
		w.sql.WriteByte(')')
	default:
		w.unknown()
	}
}

func texts(values []any) []string {
	var list []string
	for _, v := range values {
		if s, ok := v.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

const hasLabel = "EXISTS (SELECT 1 FROM labels AS l WHERE l.label = ? AND l.seq = m.seq)"

func (w *writer) list(c memory.Cond, h hashed) {
	switch c.Op {
	case memory.OpExists:
		w.sql.WriteString(h.column + " > 0")
	case memory.OpEq, memory.OpIn, memory.OpContains:
		w.sql.WriteString("0")
		for _, v := range texts(c.Values) {
			w.sql.WriteString(" OR " + hasLabel)
			w.label(h.domain, v)
		}
	case memory.OpIContains:
		w.unknown()
	default:
		w.sql.WriteString("0")
	}
}

// label adds the hash of a label, which unlike a column's can be that of "".
func (w *writer) label(domain, value string) {
	h, err := w.keys.Hash(domain, value)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.args = append(w.args, h)
}

func (w *writer) time(c memory.Cond, column string) {
	if c.Op == memory.OpExists {
		w.sql.WriteString(column + " <> 0")
		return
	}
	w.sql.WriteString(column + " <> 0 AND (0")
	for _, v := range c.Values {
		t, ok := v.(time.Time)
		if !ok || comparisons[c.Op] == "" {
			continue
		}
		w.sql.WriteString(" OR " + column + " " + comparisons[c.Op] + " ?")
		w.args = append(w.args, t.UnixMicro())
	}
	w.sql.WriteByte(')')
}

func (w *writer) number(c memory.Cond, column string) {
	if c.Op == memory.OpExists {
		w.sql.WriteString("1")
		return
	}
	w.sql.WriteString("0")
	for _, v := range c.Values {
		n, ok := v.(float64)
		if !ok || comparisons[c.Op] == "" {
			continue
		}
		w.sql.WriteString(" OR " + column + " " + comparisons[c.Op] + " ?")
		w.args = append(w.args, n)
	}
}

func (w *writer) metadata(c memory.Cond) {
	switch c.Op {
	case memory.OpExists:
		w.sql.WriteString(hasLabel)
		w.label(hashKey, c.Key)
	case memory.OpEq, memory.OpIn:
		w.sql.WriteString("0")
		for _, v := range c.Values {
			if value, ok := memory.Member(c.Key, v); ok {
				w.sql.WriteString(" OR " + hasLabel)
				w.label(hashMember, value)
			}
		}
	default:
		w.unknown()
	}
}
