package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Schema is the JSON Schema (draft 2020-12) of the policy file, for editors. It
// is made from the same tags as the decoder. What it cannot express, such as
// which routes exclude each other, `memgate check` finds.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[Policy]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = "urn:memgate:schema:policy:" + strconv.Itoa(Version)
	s["title"] = "memgate policy"
	s["description"] = "memgate.yaml: the one file that configures memgate"
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		panic(err) // maps, strings and numbers only
	}
	return out.Bytes()
}

type object = map[string]any

// schemaOf describes a type as it stands in the file.
func schemaOf(t reflect.Type) object {
	switch v := reflect.New(t).Interface().(type) {
	case *Size:
		pattern, _ := v.pattern()
		return object{"anyOf": []any{object{"type": "integer", "minimum": 0}, object{"type": "string", "pattern": pattern}}}
	case *Fraction:
		return object{"type": "number", "minimum": 0, "maximum": 1}
	case *Claim:
		return object{"anyOf": []any{object{"type": "string", "minLength": 1}, structSchema(t)}}
	case *Tenant:
		return object{"anyOf": []any{
			object{"type": "string", "minLength": 1},
			oneForm(t, "claim", "map"), oneForm(t, "template"), oneForm(t, "value"),
		}}
	case scalar:
		pattern, example := v.pattern()
		return object{"type": "string", "pattern": pattern, "examples": []any{example}}
	case *Actions:
		return object{
			"type":                 "object",
			"propertyNames":        object{"enum": ruleNames()},
			"additionalProperties": object{"enum": actionNames()},
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	}
	return object{"type": "string"}
}

func structSchema(t reflect.Type) object {
	properties := object{}
	var required []string
	for _, f := range fieldsOf(t) {
		s := schemaOf(f.typ)
		s["description"] = f.doc
		if len(f.enum) > 0 {
			s["enum"] = f.enum
		}
		if f.typ.Kind() == reflect.Int {
			for word, bound := range map[string]string{"minimum": f.min, "maximum": f.max} {
				if n, err := strconv.Atoi(bound); err == nil {
					s[word] = n
				}
			}
		} else if bounds := f.bounds(); bounds != "" {
			s["description"] = f.doc + " (" + bounds + ")"
		}
		if f.def != "" {
			s["default"] = f.defaultValue()
		}
		if f.required {
			required = append(required, f.name)
			switch f.typ.Kind() {
			case reflect.Slice:
				s["minItems"] = 1
			case reflect.String:
				s["minLength"] = 1
			}
		}
		properties[f.name] = s
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// oneForm is the schema of the struct t with these members alone, of which the
// first is required and a text.
func oneForm(t reflect.Type, names ...string) object {
	out := structSchema(t)
	properties, _ := out["properties"].(object)
	maps.DeleteFunc(properties, func(name string, _ any) bool { return !slices.Contains(names, name) })
	out["required"] = names[:1]
	if first, ok := properties[names[0]].(object); ok {
		first["minLength"] = 1
	}
	return out
}

// bounds says between what the value must be, or "".
func (f *field) bounds() string {
	switch {
	case f.min != "" && f.max != "":
		return "from " + f.min + " to " + f.max
	case f.min != "":
		return "at least " + f.min
	case f.max != "":
		return "at most " + f.max
	}
	return ""
}

// defaultValue is the default as the file would have it.
func (f *field) defaultValue() any {
	v := reflect.New(f.typ).Elem()
	if err := setText(v, f.def); err != nil {
		return f.def // a test rules this out
	}
	if s, ok := asScalar(v); ok {
		if n, ok := s.(*Fraction); ok {
			return n.Float()
		}
		return f.def
	}
	switch v.Kind() {
	case reflect.Int, reflect.Bool, reflect.Slice:
		return v.Interface()
	case reflect.Map:
		out := object{}
		for _, key := range v.MapKeys() {
			elem := v.MapIndex(key).Interface()
			if text, ok := elem.(interface{ String() string }); ok {
				elem = text.String()
			}
			out[key.String()] = elem
		}
		return out
	}
	return f.def
}
