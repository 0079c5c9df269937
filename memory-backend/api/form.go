package api

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// form reads the members of an object and collects what is wrong with them. Members that it is not asked
// for are ignored, as the services whose shapes are answered here do.
type form struct {
	members map[string]any
	raw     []byte // the whole body as it was sent; only of the outermost object
	loc     []any
	issues  *[]issue
}

// err returns everything that was found wrong, as one problem, or nil.
func (f *form) err() error {
	if len(*f.issues) == 0 {
		return nil
	}
	return invalid(*f.issues)
}

func (f *form) at(name any) []any { return append(append([]any(nil), f.loc...), name) }

func (f *form) fail(name any, kind, msg string) {
	*f.issues = append(*f.issues, issue{kind, f.at(name), msg})
}

// has reports whether the member is present and not null.
func (f *form) has(name string) bool { return f.members[name] != nil }

// null reports whether the member is present and null.
func (f *form) null(name string) bool {
	v, ok := f.members[name]
	return ok && v == nil
}

// rule says what a member may be.
type rule struct {
	required bool
	strict   bool // null is not the same as absent
	trim     bool
	min, max int // code points; no maximum when 0
	oneOf    []string
	check    func(string) (kind, msg string) // kind is "" when all is well
}

// absent handles a member without a value, and reports whether it has none.
func (f *form) absent(name string, required, strict bool, kind, msg string) bool {
	v, ok := f.members[name]
	switch {
	case !ok && required:
		f.fail(name, "missing", "Field required")
	case ok && v == nil && (strict || required):
		f.fail(name, kind, msg)
	case v != nil:
		return false
	}
	return true
}

// text reads a string; ok is false when there is none or it is wrong.
func (f *form) text(name string, r rule) (s string, ok bool) {
	if f.absent(name, r.required, r.strict, "string_type", "Input should be a valid string") {
		return "", false
	}
	return f.checkText(name, f.members[name], r)
}

func (f *form) checkText(name any, v any, r rule) (string, bool) {
	s, ok := v.(string)
	if !ok {
		f.fail(name, "string_type", "Input should be a valid string")
		return "", false
	}
	if r.trim {
		s = strings.TrimSpace(s)
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n < r.min:
		f.fail(name, "string_too_short", "String should have at least "+characters(r.min))
		return "", false
	case r.max > 0 && n > r.max:
		f.fail(name, "string_too_long", "String should have at most "+characters(r.max))
		return "", false
	}
	if r.oneOf != nil {
		for _, o := range r.oneOf {
			if s == o {
				return s, true
			}
		}
		f.fail(name, "literal_error", "Input should be "+quoted(r.oneOf))
		return "", false
	}
	if r.check != nil {
		if kind, msg := r.check(s); kind != "" {
			f.fail(name, kind, msg)
			return "", false
		}
	}
	return s, true
}

func characters(n int) string {
	if n == 1 {
		return "1 character"
	}
	return strconv.Itoa(n) + " characters"
}

// quoted lists choices: 'a', 'b' or 'c'.
func quoted(list []string) string {
	var b strings.Builder
	for i, s := range list {
		switch {
		case i > 0 && i == len(list)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString("'" + s + "'")
	}
	return b.String()
}

// texts reads a list of strings that each keep the rule.
func (f *form) texts(name string, most int, r rule) (list []string, ok bool) {
	if f.absent(name, r.required, r.strict, "list_type", "Input should be a valid list") {
		return nil, false
	}
	values, isList := f.members[name].([]any)
	if !isList {
		f.fail(name, "list_type", "Input should be a valid list")
		return nil, false
	}
	if len(values) > most {
		f.fail(name, "too_long", "List should have at most "+strconv.Itoa(most)+" items after validation, not "+strconv.Itoa(len(values)))
		return nil, false
	}
	item := &form{loc: f.at(name), issues: f.issues}
	before := len(*f.issues)
	list = make([]string, 0, len(values))
	for i, v := range values {
		s, ok := item.checkText(i, v, r)
		if ok {
			list = append(list, s)
		}
	}
	return list, len(*f.issues) == before
}

// number reads a number between min and max.
func (f *form) number(name string, strict bool, min, max float64) (n float64, ok bool) {
	if f.absent(name, false, strict, "float_type", "Input should be a valid number") {
		return 0, false
	}
	n, isNumber := asNumber(f.members[name])
	switch {
	case !isNumber:
		f.fail(name, "float_type", "Input should be a valid number")
	case n < min:
		f.fail(name, "greater_than_equal", "Input should be greater than or equal to "+strconv.FormatFloat(min, 'g', -1, 64))
	case n > max:
		f.fail(name, "less_than_equal", "Input should be less than or equal to "+strconv.FormatFloat(max, 'g', -1, 64))
	default:
		return n, true
	}
	return 0, false
}

// integer reads a whole number of at least min.
func (f *form) integer(name string, min int) (n int, ok bool) {
	if f.absent(name, false, false, "", "") {
		return 0, false
	}
	v, isNumber := asNumber(f.members[name])
	switch {
	case !isNumber:
		f.fail(name, "int_type", "Input should be a valid integer")
	case v != math.Trunc(v) || math.Abs(v) > 1<<53:
		f.fail(name, "int_from_float", "Input should be a valid integer, got a number with a fractional part")
	case v < float64(min):
		f.fail(name, "greater_than_equal", "Input should be greater than or equal to "+strconv.Itoa(min))
	default:
		return int(v), true
	}
	return 0, false
}

// boolean reads true or false.
func (f *form) boolean(name string) bool {
	if f.absent(name, false, false, "", "") {
		return false
	}
	b, ok := f.members[name].(bool)
	if !ok {
		f.fail(name, "bool_type", "Input should be a valid boolean")
	}
	return b
}

// objects reads a list of objects of the given length.
func (f *form) objects(name string, least, most int) []*form {
	if f.absent(name, true, true, "list_type", "Input should be a valid list") {
		return nil
	}
	values, ok := f.members[name].([]any)
	switch {
	case !ok:
		f.fail(name, "list_type", "Input should be a valid list")
		return nil
	case len(values) < least:
		f.fail(name, "too_short", "List should have at least "+strconv.Itoa(least)+" item after validation, not "+strconv.Itoa(len(values)))
		return nil
	case len(values) > most:
		f.fail(name, "too_long", "List should have at most "+strconv.Itoa(most)+" items after validation, not "+strconv.Itoa(len(values)))
		return nil
	}
	list := make([]*form, 0, len(values))
	for i, v := range values {
		loc := append(f.at(name), i)
		members, ok := v.(map[string]any)
		if !ok {
			*f.issues = append(*f.issues, issue{"model_attributes_type", loc, "Input should be a valid object"})
			continue
		}
		list = append(list, &form{members: members, loc: loc, issues: f.issues})
	}
	return list
}

// moment reads a time or a date. A date stands for its start, or for its last microsecond if end is set.
func (f *form) moment(name string, end bool) time.Time {
	if f.absent(name, false, false, "", "") {
		return time.Time{}
	}
	s, ok := f.members[name].(string)
	if ok {
		if t, ok := parseMoment(s, end); ok {
			return t
		}
	}
	f.fail(name, "value_error", "Value error, use YYYY-MM-DD or an ISO 8601 date and time")
	return time.Time{}
}

// parseMoment parses a date or ISO 8601 time; without a zone it is UTC. The year lies between 1 and 9999.
func parseMoment(s string, end bool) (time.Time, bool) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Microsecond)
		}
		return t, t.Year() > 0
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC().Truncate(time.Microsecond)
			return t, t.Year() > 0 && t.Year() < 10000
		}
	}
	return time.Time{}, false
}
