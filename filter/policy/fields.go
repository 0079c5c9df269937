package policy

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// field is what the tags of one struct field say. They drive decoding, the
// defaults, the JSON Schema and the reference, so that these cannot differ.
type field struct {
	name     string
	index    int
	typ      reflect.Type
	doc      string
	def      string   // default, in the form of the file; lists by commas
	enum     []string // the only values, when not empty
	min, max string   // bounds, in the form of the file; "" for none
	required bool
}

// fieldsOf lists the fields of a struct that the file can set.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, ok := sf.Tag.Lookup("yaml")
		if !ok || name == "-" {
			continue
		}
		f := field{
			name: name, index: i, typ: sf.Type,
			doc: sf.Tag.Get("doc"), def: sf.Tag.Get("default"),
			min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
			required: sf.Tag.Get("required") == "true",
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		out = append(out, f)
	}
	return out
}

// asScalar returns the scalar that v holds, if its type is one.
func asScalar(v reflect.Value) (scalar, bool) {
	if !v.CanAddr() {
		return nil, false
	}
	s, ok := v.Addr().Interface().(scalar)
	return s, ok
}

// fillDefaults sets the fields of the struct v to their defaults, and those of
// the structs in it. Pointers stay nil: what they point to is optional.
func fillDefaults(v reflect.Value, fields func(reflect.Type) []field) error {
	for _, f := range fields(v.Type()) {
		member := v.Field(f.index)
		if member.Kind() == reflect.Struct {
			if err := fillDefaults(member, fields); err != nil {
				return err
			}
		}
		if f.def == "" {
			continue
		}
		if err := setText(member, f.def); err != nil {
			return fmt.Errorf("default of %s.%s: %w", v.Type().Name(), f.name, err)
		}
	}
	return nil
}

// setText sets v from the text of a tag.
func setText(v reflect.Value, text string) error {
	if s, ok := asScalar(v); ok {
		return s.parse(text)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
	case reflect.Bool:
		v.SetBool(text == "true")
	case reflect.Slice:
		parts := strings.Split(text, ",")
		v.Set(reflect.MakeSlice(v.Type(), len(parts), len(parts)))
		for i, part := range parts {
			if err := setText(v.Index(i), part); err != nil {
				return err
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, part := range strings.Split(text, ",") {
			key, value, _ := strings.Cut(part, "=")
			elem := reflect.New(v.Type().Elem()).Elem()
			if err := setText(elem, value); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key), elem)
		}
	default:
		return fmt.Errorf("%s cannot have a default", v.Type())
	}
	return nil
}

// outOfRange says how v is outside of the bounds of f, or "".
func (f *field) outOfRange(v reflect.Value) string {
	for _, bound := range [...]struct{ text, word string }{{f.min, "at least"}, {f.max, "at most"}} {
		if bound.text == "" || !v.CanInt() {
			continue
		}
		limit := reflect.New(v.Type()).Elem()
		if err := setText(limit, bound.text); err != nil {
			return "has a bound that cannot be read: " + err.Error()
		}
		if bound.word == "at least" && v.Int() < limit.Int() || bound.word == "at most" && v.Int() > limit.Int() {
			return "must be " + bound.word + " " + bound.text
		}
	}
	return ""
}
