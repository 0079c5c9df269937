package sqlite

import (
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// where renders a filter as an SQL condition over the table "memories AS m". What comes from the caller
// goes into args only; the text is made of constants.
func where(f memory.Filter) (condition string, args []any) {
	var w writer
	w.filter(f)
	return w.sql.String(), w.args
}

type writer struct {
	sql  strings.Builder
	args []any
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
		w.filter(f.Filter)
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

// columns that hold text, which "" means none in.
var textColumns = map[memory.Field]string{
	memory.FieldID: "m.id", memory.FieldAgent: "m.agent", memory.FieldUser: "m.user", memory.FieldApp: "m.app",
	memory.FieldRun: "m.run", memory.FieldType: "m.type", memory.FieldStatus: "m.status", memory.FieldContent: "m.content",
}

var listColumns = map[memory.Field]string{memory.FieldTags: "m.tags", memory.FieldCategories: "m.categories"}

// columns that hold microseconds, which 0 means none in.
var timeColumns = map[memory.Field]string{
	memory.FieldCreated: "m.created", memory.FieldUpdated: "m.updated", memory.FieldExpires: "m.expires",
}

var comparisons = map[memory.Op]string{
	memory.OpEq: "=", memory.OpIn: "=", memory.OpGt: ">", memory.OpGte: ">=", memory.OpLt: "<", memory.OpLte: "<=",
}

func (w *writer) cond(c memory.Cond) {
	switch {
	case textColumns[c.Field] != "":
		w.text(c, textColumns[c.Field])
	case listColumns[c.Field] != "":
		w.list(c, listColumns[c.Field])
	case timeColumns[c.Field] != "":
		w.time(c, timeColumns[c.Field])
	case c.Field == memory.FieldMetadata:
		w.metadata(c)
	default:
		w.sql.WriteString("0")
	}
}

func (w *writer) text(c memory.Cond, column string) {
	if c.Op == memory.OpExists {
		w.sql.WriteString(column + " <> ''")
		return
	}
	if c.Op == memory.OpEq && len(c.Values) == 1 {
		if s, ok := c.Values[0].(string); ok {
			if s != "" {
				w.sql.WriteString(column + " <> '' AND ") // lets SQLite use the partial index
			}
			w.sql.WriteString(column + " = ?")
			w.args = append(w.args, s)
			return
		}
	}
	if c.Op == memory.OpIn {
		w.sql.WriteString(column + " IN (SELECT value FROM json_each(?))")
		w.args = append(w.args, jsonStrings(c.Values))
		return
	}
	w.any(c.Values, func(v any) bool {
		s, ok := v.(string)
		if ok {
			w.compareText(c.Op, column, s)
		}
		return ok
	})
}

// any writes the alternatives that write has for values; a value that it refuses selects nothing.
func (w *writer) any(values []any, write func(v any) bool) {
	w.sql.WriteString("0")
	for _, v := range values {
		mark, args := w.sql.String(), len(w.args)
		w.sql.WriteString(" OR ")
		if !write(v) {
			w.sql.Reset()
			w.sql.WriteString(mark)
			w.args = w.args[:args]
		}
	}
}

func (w *writer) compareText(op memory.Op, column, s string) {
	switch op {
	case memory.OpContains:
		w.sql.WriteString("instr(" + column + ", ?) > 0")
	case memory.OpIContains:
		w.sql.WriteString("instr(lower(" + column + "), lower(?)) > 0") // lower() is ASCII only
	default:
		if comparisons[op] == "" {
			w.sql.WriteString("0")
			return
		}
		w.sql.WriteString(column + " " + comparisons[op] + " ?")
	}
	w.args = append(w.args, s)
}

// jsonStrings returns the strings among the values as a JSON array.
func jsonStrings(values []any) string {
	list := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			list = append(list, s)
		}
	}
	return encodeList(list)
}

func (w *writer) list(c memory.Cond, column string) {
	if c.Op == memory.OpExists {
		w.sql.WriteString(column + " <> '[]'")
		return
	}
	if c.Op == memory.OpIn {
		w.sql.WriteString("EXISTS (SELECT 1 FROM json_each(" + column + ") AS e WHERE e.value IN (SELECT value FROM json_each(?)))")
		w.args = append(w.args, jsonStrings(c.Values))
		return
	}
	w.any(c.Values, func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		switch c.Op {
		case memory.OpEq, memory.OpContains:
			w.sql.WriteString("EXISTS (SELECT 1 FROM json_each(" + column + ") AS e WHERE e.value = ?)")
		case memory.OpIContains:
			w.sql.WriteString("EXISTS (SELECT 1 FROM json_each(" + column + ") AS e WHERE lower(e.value) = lower(?))")
		default:
			return false
		}
		w.args = append(w.args, s)
		return true
	})
}

func (w *writer) time(c memory.Cond, column string) {
	if c.Op == memory.OpExists {
		w.sql.WriteString(column + " <> 0")
		return
	}
	w.sql.WriteString(column + " <> 0 AND (")
	w.any(c.Values, func(v any) bool {
		t, ok := v.(time.Time)
		if !ok || comparisons[c.Op] == "" {
			return false
		}
		w.sql.WriteString(column + " " + comparisons[c.Op] + " ?")
		w.args = append(w.args, t.UnixMicro())
		return true
	})
	w.sql.WriteByte(')')
}

func (w *writer) metadata(c memory.Cond) {
	w.sql.WriteString("EXISTS (SELECT 1 FROM json_each(m.metadata) AS d WHERE d.key = ? AND (")
	w.args = append(w.args, c.Key)
	if c.Op == memory.OpExists {
		w.sql.WriteString("d.type <> 'null'))")
		return
	}
	w.any(c.Values, func(v any) bool {
		switch v := v.(type) {
		case string:
			w.sql.WriteString("d.type = 'text' AND ")
			w.compareText(c.Op, "d.value", v)
			switch c.Op {
			case memory.OpContains:
				w.sql.WriteString(" OR d.type = 'array' AND EXISTS (SELECT 1 FROM json_each(d.value) AS e WHERE e.type = 'text' AND e.value = ?)")
				w.args = append(w.args, v)
			case memory.OpIContains:
				w.sql.WriteString(" OR d.type = 'array' AND EXISTS (SELECT 1 FROM json_each(d.value) AS e WHERE e.type = 'text' AND lower(e.value) = lower(?))")
				w.args = append(w.args, v)
			}
			return true
		case float64:
			if comparisons[c.Op] == "" {
				return false
			}
			w.sql.WriteString("d.type IN ('integer', 'real') AND d.value " + comparisons[c.Op] + " ?")
			w.args = append(w.args, v)
			return true
		case bool:
			if c.Op != memory.OpEq && c.Op != memory.OpIn {
				return false
			}
			w.sql.WriteString("d.type = ?")
			if v {
				w.args = append(w.args, "true")
			} else {
				w.args = append(w.args, "false")
			}
			return true
		}
		return false
	})
	w.sql.WriteString("))")
}
