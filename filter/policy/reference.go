package policy

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the Markdown reference of the policy file, made from the same
// tags as the decoder.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`# The policy file

<!-- Generated from filter/policy. Do not edit. -->

` + "`memgate.yaml`" + ` is the only file that a user edits. Decoding is strict: an unknown key or a wrong
type is an error with file, line and column. ` + "`memgate check`" + ` shows all of them, and what is unwise;
` + "`memgate schema`" + ` prints a JSON Schema for editors. YAML anchors, aliases and tags are not supported.
Relative paths are relative to the policy file.

## Values

| kind | written as |
| --- | --- |
| time | ` + "`30s`, `10m`, `6h`" + ` |
| size | ` + "`64KiB`, `1MiB`, `5000`" + ` (bytes) |
| rate | ` + "`60/m`, `120/m burst 20`" + `; the units are s, m, h and d; without burst the whole limit may come at once |
| secret | ` + "`env:NAME` or `file:PATH`" + `, at most 64KiB, one trailing newline is cut off; never the secret itself |
| claim | ` + "`org_id`, `{ claim: org_id }`" + `, or a JSON pointer, ` + "`/realm_access/tenant`" + ` |
| entity | one of [the entities](entities.md), a group of them (` + codes(groupNames()) + `), or ` + "`default`" + ` |
| action | ` + codes(actionNames()) + ` |
`)
	writeSection(&b, reflect.TypeFor[Policy](), "", "The top level")

	b.WriteString(`
## What memgate check finds

An error keeps the policy from being used; a running memgate then keeps the one it has.

| rule | | found |
| --- | --- | --- |
`)
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, r.Severity, r.Doc)
	}
	return []byte(b.String())
}

// writeSection writes the table of a struct, and those of the structs in it.
func writeSection(b *strings.Builder, t reflect.Type, path, title string) {
	fmt.Fprintf(b, "\n## %s\n\n| key | kind | default | |\n| --- | --- | --- | --- |\n", title)
	fields := fieldsOf(t)
	for _, f := range fields {
		def := "–"
		switch {
		case f.required:
			def = "required"
		case f.def != "":
			def = "`" + defaultText(&f) + "`"
		case f.typ.Kind() == reflect.Bool:
			def = "`false`"
		}
		doc := f.doc
		if bounds := f.bounds(); bounds != "" && f.name != "version" {
			doc += " (" + bounds + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.name, kindOf(f.typ), def, cell(doc))
	}
	for _, f := range fields {
		inner, innerPath := f.typ, join(path, f.name)
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				innerPath += "[]"
			}
			inner = inner.Elem()
		}
		if kindOf(inner) == "section" {
			writeSection(b, inner, innerPath, "`"+innerPath+"`")
		}
	}
}

// kindOf names a type for readers.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "time"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Rate]():
		return "rate"
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[Claim]():
		return "claim"
	case reflect.TypeFor[Actions]():
		return "entity to action"
	}
	switch t.Kind() {
	case reflect.Pointer:
		if kind := kindOf(t.Elem()); kind != "section" {
			return kind
		}
		return "section, off when absent"
	case reflect.Struct:
		return "section"
	case reflect.Slice:
		if kindOf(t.Elem()) == "section" {
			return "list of sections"
		}
		return "list of " + kindOf(t.Elem())
	case reflect.Map:
		return "name to " + kindOf(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	}
	return "text"
}

// defaultText is the default of f in YAML's flow style.
func defaultText(f *field) string {
	switch f.typ.Kind() {
	case reflect.Slice:
		return "[" + strings.ReplaceAll(f.def, ",", ", ") + "]"
	case reflect.Map:
		return "{ " + strings.ReplaceAll(strings.ReplaceAll(f.def, "=", ": "), ",", ", ") + " }"
	}
	return f.def
}

func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
