package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills a value from the nodes of the file, driven by the tags of its
// type.
type decoder struct {
	*report
	places map[string]place
	failed map[string]bool
	cache  map[reflect.Type][]field
}

func (d *decoder) fields(t reflect.Type) []field {
	if f, ok := d.cache[t]; ok {
		return f
	}
	f := fieldsOf(t)
	d.cache[t] = f
	return f
}

// fail reports an error about the member at path.
func (d *decoder) fail(pos position, rule, path, format string, args ...any) {
	d.failed[path] = true
	d.errorf(pos, rule, path, "%s", strings.TrimPrefix(path+" ", " ")+fmt.Sprintf(format, args...))
}

// entry is one key of a mapping.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries lists the keys of n. It reports and leaves out those that are no
// plain words, or that come twice.
func (d *decoder) entries(n *yaml.Node, path string) []entry {
	out := make([]entry, 0, len(n.Content)/2)
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		if key.Kind != yaml.ScalarNode || name == "" {
			d.errorf(at(key), "type", path, "a key must be a word")
			continue
		}
		member := join(path, name)
		if line, ok := seen[name]; ok {
			d.errorf(at(key), "duplicate-key", member, "%s stands here again; it was set in line %d", show(name), line)
			continue
		}
		seen[name] = key.Line
		d.places[member] = place{key: at(key), value: at(value)}
		out = append(out, entry{name, key, value})
	}
	return out
}

// mapping decodes n into the struct v.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	fields := d.fields(v.Type())
	seen := make(map[string]bool, len(fields))
next:
	for _, e := range d.entries(n, path) {
		seen[e.name] = true
		for i := range fields {
			if f := &fields[i]; f.name == e.name {
				if d.present(e, path) {
					d.value(e.value, v.Field(f.index), join(path, e.name), f)
				}
				continue next
			}
		}
		d.unknown(e, fields, path)
	}
	for i := range fields {
		if f := &fields[i]; f.required && !seen[f.name] {
			d.failed[join(path, f.name)] = true
			d.errorf(d.near(path), "required", join(path, f.name), "%q is required%s: %s", f.name, in(path), f.doc)
		}
	}
}

// present reports whether e has a value. None at all could mean the default or
// nothing, so it is an error.
func (d *decoder) present(e entry, path string) bool {
	if e.value.Kind != yaml.ScalarNode || e.value.Tag != "!!null" {
		return true
	}
	member := join(path, e.name)
	d.failed[member] = true
	d.errorf(at(e.key), "no-value", member, "%s has no value%s; give it one ({} for the defaults of a section) or remove it", show(e.name), in(path))
	return false
}

// near is the position of path, or of the closest member around it.
func (d *decoder) near(path string) position { return near(d.places, path) }

func near(places map[string]place, path string) position {
	for path != "" {
		if p, ok := places[path]; ok {
			if p.key.line != 0 {
				return p.key
			}
			return p.value
		}
		path = parent(path)
	}
	if places == nil { // not from a file
		return position{}
	}
	return position{1, 1}
}

// parent is the path of what holds the member at path.
func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)]
}

// unknown reports a key that nothing reads.
func (d *decoder) unknown(e entry, fields []field, path string) {
	if len(d.findings) > maxFindings {
		d.dropped++
		return
	}
	pos, member := at(e.key), join(path, e.name)
	if rule, message := laterKey(e.name, path); rule != "" {
		d.errorf(pos, rule, member, "%s", message)
		return
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	hint := didYouMean(e.name, names)
	if hint == "" {
		if home := homes(reflect.TypeFor[Policy](), "", e.name); len(home) > 0 && len(home) <= 3 {
			hint = "; it belongs in " + oneOf(home)
		} else {
			hint = "; the keys are " + strings.Join(names, ", ")
		}
	}
	d.errorf(pos, "unknown-key", member, "unknown key %s%s%s", show(e.name), in(path), hint)
}

// homes lists the sections of the file that have a key of that name.
func homes(t reflect.Type, path, name string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[scalar]()) {
		return nil
	}
	var out []string
	for _, f := range fieldsOf(t) {
		if f.name == name {
			home := path
			if home == "" {
				home = "the top level"
			}
			out = append(out, home)
		}
		out = append(out, homes(f.typ, join(path, f.name), name)...)
	}
	return out
}

// value decodes n into v. f has the rules for it, and is nil for the elements
// of lists and maps.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, f *field) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
		if v.Kind() == reflect.Struct {
			if err := fillDefaults(v, d.fields); err != nil {
				d.fail(at(n), "type", path, "%s", err)
			}
		}
	}
	if s, ok := asScalar(v); ok && (n.Kind == yaml.ScalarNode || !isShort(v.Type())) {
		d.scalar(n, s, v, path, f)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if d.isKind(n, yaml.MappingNode, path, "a mapping") {
			d.mapping(n, v, path)
		}
	case reflect.Slice:
		if d.isKind(n, yaml.SequenceNode, path, "a list, such as [a, b]") {
			d.list(n, v, path)
			if f != nil && f.required && v.Len() == 0 {
				d.fail(at(n), "required", path, "must not be empty: %s", f.doc)
			}
		}
	case reflect.Map:
		if d.isKind(n, yaml.MappingNode, path, "a mapping") {
			d.dictionary(n, v, path)
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			d.fail(at(n), "type", path, "must be true or false")
			return
		}
		v.SetBool(n.Value == "true")
	case reflect.Int:
		number, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			d.fail(at(n), "type", path, "must be a whole number")
			return
		}
		v.SetInt(int64(number))
		d.inRange(n, v, path, f)
	case reflect.String:
		d.text(n, v, path, f)
	}
}

// isKind reports whether n is of the kind that path needs.
func (d *decoder) isKind(n *yaml.Node, kind yaml.Kind, path, what string) bool {
	if n.Kind == kind {
		return true
	}
	d.fail(at(n), "type", path, "must be %s", what)
	return false
}

func (d *decoder) inRange(n *yaml.Node, v reflect.Value, path string, f *field) {
	if f == nil {
		return
	}
	if message := f.outOfRange(v); message != "" {
		d.fail(at(n), "range", path, "%s", message)
	}
}

func (d *decoder) scalar(n *yaml.Node, s scalar, v reflect.Value, path string, f *field) {
	_, secret := s.(*Secret)
	_, example := s.pattern()
	if n.Kind != yaml.ScalarNode {
		d.fail(at(n), "type", path, "must be one value, such as %s", example)
		return
	}
	if err := s.parse(n.Value); err != nil {
		rule := "value"
		if secret {
			rule = "secret"
		}
		d.fail(at(n), rule, path, "%s", err)
		return
	}
	d.inRange(n, v, path, f)
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, path string, f *field) {
	if n.Kind != yaml.ScalarNode {
		d.fail(at(n), "type", path, "must be text")
		return
	}
	if n.Tag != "!!str" {
		d.fail(at(n), "type", path, "must be text; put it in quotes")
		return
	}
	if f != nil && f.required && n.Value == "" {
		d.fail(at(n), "required", path, "must not be empty: %s", f.doc)
		return
	}
	if f != nil && len(f.enum) > 0 && !slices.Contains(f.enum, n.Value) {
		d.fail(at(n), "enum", path, "must be %s, not %s%s", oneOf(f.enum), show(n.Value), didYouMean(n.Value, f.enum))
		return
	}
	if looksRandom(n.Value) && !mayBeRandom(path) {
		d.fail(at(n), "secret", path, "looks like a key (its value is not shown); secrets never stand in the file: use env:NAME or file:PATH where one is needed")
		return
	}
	v.SetString(n.Value)
}

// mayBeRandom reports whether the text at path may look like a key without
// being one: names of machines, paths, identifiers that a provider made up, and
// hashes in a Content-Security-Policy.
func mayBeRandom(path string) bool {
	for _, prefix := range [...]string{"server.", "envoy.", "identity.issuers[", "cors.allow_origins[", "headers.override.", "audit."} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return path == "upstream.address" || path == "upstream.audience"
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		member := path + "[" + strconv.Itoa(i) + "]"
		d.places[member] = place{value: at(item)}
		elem := out.Index(i)
		if elem.Kind() == reflect.Struct {
			if err := fillDefaults(elem, d.fields); err != nil {
				d.fail(at(item), "type", member, "%s", err)
			}
		}
		if item.Kind == yaml.ScalarNode && item.Tag == "!!null" {
			d.fail(at(item), "no-value", member, "has no value; give it one or remove it")
			continue
		}
		d.value(item, elem, member, nil)
	}
	v.Set(out)
}

// dictionary decodes n over the entries that the map v has by default.
func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, path string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range d.entries(n, path) {
		member := join(path, e.name)
		if _, ok := v.Interface().(Actions); ok {
			if rule, message := checkAction(e, path); rule != "" {
				pos := at(e.key)
				if rule == "action" {
					pos = at(e.value)
				}
				d.failed[member] = true
				d.errorf(pos, rule, member, "%s", message)
				continue
			}
		}
		if !d.present(e, path) {
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, elem, member, nil)
		if !d.failed[member] {
			v.SetMapIndex(reflect.ValueOf(e.name), elem)
		}
	}
}

// join is the path of the member name of what stands at path. A key that could
// be a credential by mistake is left out of it, as paths are printed.
func join(path, name string) string {
	if len(name) > maxKey || !printable(name) || looksSecret(name) {
		name = hidden
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// in is " in cors", or "" at the top level.
func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}
