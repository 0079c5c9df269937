package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func TestSchemaGolden(t *testing.T) { golden(t, "testdata/schema.json", Schema()) }

// violations checks a value against the part of JSON Schema that [Schema] uses.
func violations(t *testing.T, schema map[string]any, value any, path string) []string {
	var out []string
	fail := func(format string, args ...any) { out = append(out, path+": "+fmt.Sprintf(format, args...)) }
	for _, word := range sortedKeys(schema) {
		rule := schema[word]
		switch word {
		case "$schema", "$id", "title", "description", "default", "examples":
		case "type":
			kinds := map[string]bool{}
			switch value.(type) {
			case map[string]any:
				kinds["object"] = true
			case []any:
				kinds["array"] = true
			case string:
				kinds["string"] = true
			case bool:
				kinds["boolean"] = true
			case int:
				kinds["integer"], kinds["number"] = true, true
			case float64:
				kinds["number"] = true
			}
			if !kinds[rule.(string)] {
				fail("is no %s", rule)
			}
		case "enum":
			if !slices.Contains(rule.([]any), value) {
				fail("is not in the enum")
			}
		case "pattern":
			if s, ok := value.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(s) {
				fail("%q does not match %s", s, rule)
			}
		case "minLength":
			if s, ok := value.(string); ok && utf8.RuneCountInString(s) < int(rule.(float64)) {
				fail("is too short")
			}
		case "minimum", "maximum":
			if n, ok := value.(float64); ok && (word == "minimum" && n < rule.(float64) || word == "maximum" && n > rule.(float64)) {
				fail("violates %s", word)
			}
			if n, ok := value.(int); ok && (word == "minimum" && n < int(rule.(float64)) || word == "maximum" && n > int(rule.(float64))) {
				fail("violates %s", word)
			}
		case "minItems":
			if list, ok := value.([]any); ok && len(list) < int(rule.(float64)) {
				fail("has too few items")
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				out = append(out, violations(t, rule.(map[string]any), item, element(path, i))...)
			}
		case "anyOf":
			best := []string(nil)
			for i, option := range rule.([]any) {
				found := violations(t, option.(map[string]any), value, path)
				if i == 0 || len(found) < len(best) {
					best = found
				}
			}
			out = append(out, best...)
		case "required":
			members, ok := value.(map[string]any)
			for _, name := range rule.([]any) {
				if _, has := members[name.(string)]; ok && !has {
					fail("%s is missing", name)
				}
			}
		case "propertyNames":
			members, _ := value.(map[string]any)
			for _, name := range sortedKeys(members) {
				out = append(out, violations(t, rule.(map[string]any), name, path+" key")...)
			}
		case "properties", "additionalProperties":
		default:
			t.Errorf("the schema uses %q, which this test does not know", word)
		}
	}
	members, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range sortedKeys(members) {
		if property, ok := properties[name].(map[string]any); ok {
			out = append(out, violations(t, property, members[name], join(path, name))...)
			continue
		}
		switch others := schema["additionalProperties"].(type) {
		case bool:
			if !others {
				fail("%s is not known", name)
			}
		case map[string]any:
			out = append(out, violations(t, others, members[name], join(path, name))...)
		}
	}
	return out
}

// What the decoder takes the schema takes; what it refuses for the form of a
// member, the schema refuses too.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	form := []string{"unknown-key", "type", "enum", "entity", "action", "required", "value", "later", "fail-open"}
	files := []string{}
	for _, path := range []string{"../../memgate.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(data))
	}
	for _, row := range rows {
		if row.text == "" {
			files = append(files, write(row.change))
		}
	}
	refused := make(map[string]int)
	for _, text := range files {
		_, _, err := Parse([]byte(text), "f", "")
		var value any
		if yaml.Unmarshal([]byte(text), &value) != nil {
			continue
		}
		found := violations(t, schema, value, "")
		var rules []string
		for _, f := range Findings(err) {
			rules = append(rules, f.Rule)
		}
		if err == nil && len(found) > 0 {
			t.Errorf("the schema refuses what the decoder takes: %q\n%.500s", found, text)
		}
		if len(rules) == 1 && slices.Contains(form, rules[0]) {
			refused[rules[0]]++
			if len(found) == 0 && !strings.Contains(text, "<<") {
				t.Errorf("the schema takes what the decoder refuses: %v\n%.500s", err, text)
			}
		}
	}
	for _, rule := range form {
		if refused[rule] == 0 {
			t.Errorf("nothing was refused for %s", rule)
		}
	}
}

func TestReferenceIsComplete(t *testing.T) {
	text := string(Reference())
	for _, r := range Rules() {
		if !strings.Contains(text, "| `"+r.Name+"` | "+string(r.Severity)+" |") {
			t.Errorf("rule %s is missing", r.Name)
		}
	}
	for _, title := range []string{"## `server`", "## `upstream.credential`", "## `identity.issuers[]`", "## `identity.sessions`", "## `routes[].content`", "[the entities](entities.md)", "`SECRET`"} {
		if !strings.Contains(text, title) {
			t.Errorf("%s is missing", title)
		}
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if kindOf(typ) != "section" {
			return
		}
		for _, f := range fieldsOf(typ) {
			if !strings.Contains(text, "| `"+f.name+"` | "+kindOf(f.typ)) {
				t.Errorf("%s.%s is missing", typ.Name(), f.name)
			}
			walk(f.typ)
		}
	}
	walk(reflect.TypeFor[Policy]())
	for i, line := range strings.Split(text, "\n") {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); strings.HasPrefix(line, "|") && cells != 3 && cells != 4 && cells != 5 {
			t.Errorf("line %d has %d bars: %s", i+1, cells, line)
		}
	}
}
