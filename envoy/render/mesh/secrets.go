package mesh

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/memgate/memgate/filter/policy"
)

// secretsFolder is where the files of Options.FilesSecret appear beside the
// policy.
const secretsFolder = "secrets/"

// files are the members of Options.FilesSecret that the policy names.
func (e *edge) files() []keyPath {
	var out []keyPath
	for _, s := range references(reflect.ValueOf(e.policy)) {
		if name, ok := strings.CutPrefix(string(s), "file:"+secretsFolder); ok && !strings.Contains(name, "/") {
			item := keyPath{name, secretsFolder + name}
			if !slices.Contains(out, item) {
				out = append(out, item)
			}
		}
	}
	slices.SortFunc(out, func(a, b keyPath) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// references are all secrets that a policy names.
func references(v reflect.Value) []policy.Secret {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return references(v.Elem())
		}
	case reflect.Slice:
		var out []policy.Secret
		for i := range v.Len() {
			out = append(out, references(v.Index(i))...)
		}
		return out
	case reflect.String:
		if v.Type() == reflect.TypeFor[policy.Secret]() && v.String() != "" {
			return []policy.Secret{policy.Secret(v.String())}
		}
	case reflect.Struct:
		var out []policy.Secret
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out = append(out, references(v.Field(i))...)
			}
		}
		return out
	}
	return nil
}

// environment are the names of the variables that a policy reads.
func environment(p *policy.Policy) []string {
	names := make(map[string]bool)
	for _, s := range references(reflect.ValueOf(p)) {
		if name, ok := strings.CutPrefix(string(s), "env:"); ok {
			names[name] = true
		}
	}
	return sortedKeys(names)
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
