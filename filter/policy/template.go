package policy

import (
	"errors"
	"fmt"
	"strings"
)

// MaxParams is the most parameters that a path template may have.
const MaxParams = 8

const (
	maxTemplate = 2048 // bytes of a template
	maxSegments = 64   // segments of a template
)

// segmentKind tells what a segment of a template matches.
type segmentKind uint8

const (
	exact segmentKind = iota // itself
	param                    // one segment that is not empty
	rest                     // all that is left, be it empty
)

// segment is one part of a template between slashes. The last one is exact and
// empty when the template ends in a slash.
type segment struct {
	kind segmentKind
	text string // of an exact segment, or the name of a parameter
}

// parseTemplate reads a path template: literal segments, {name} for one
// segment, and a last {name...} for the rest of the path.
func parseTemplate(path string) ([]segment, error) {
	switch {
	case path == "":
		return nil, errors.New("must not be empty")
	case path[0] != '/':
		return nil, errors.New("must start with /")
	case len(path) > maxTemplate:
		return nil, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	parts := strings.Split(path[1:], "/")
	if len(parts) > maxSegments {
		return nil, fmt.Errorf("has more than %d segments", maxSegments)
	}
	out := make([]segment, len(parts))
	names := make(map[string]bool)
	for i, part := range parts {
		s, err := parseSegment(part, i == len(parts)-1)
		if err != nil {
			return nil, err
		}
		if s.kind != exact {
			if names[s.text] {
				return nil, fmt.Errorf("has two parameters {%s}", s.text)
			}
			names[s.text] = true
		}
		out[i] = s
	}
	if len(names) > MaxParams {
		return nil, fmt.Errorf("has more than %d parameters", MaxParams)
	}
	return out, nil
}

func parseSegment(text string, last bool) (segment, error) {
	name, braced := strings.CutPrefix(text, "{")
	if !braced {
		return literal(text, last)
	}
	name, closed := strings.CutSuffix(name, "}")
	if !closed {
		return segment{}, errors.New("has a { without }: a parameter is a whole segment")
	}
	kind := param
	if bare, ok := strings.CutSuffix(name, "..."); ok {
		if !last {
			return segment{}, errors.New("has a {name...} that is not the last segment")
		}
		name, kind = bare, rest
	}
	if !isEnvName(name) || len(name) > 64 {
		return segment{}, errors.New("has a parameter whose name is not made of letters, digits and _")
	}
	return segment{kind, name}, nil
}

func literal(text string, last bool) (segment, error) {
	switch {
	case text == "" && !last:
		return segment{}, errors.New("has an empty segment; Envoy merges slashes, so nothing could match it")
	case text == "." || text == "..":
		return segment{}, errors.New("has a segment of dots; Envoy resolves them, so nothing could match it")
	case strings.Contains(text, "*"):
		return segment{}, errors.New("has a *; write {name} for one segment or {name...} for the rest")
	case strings.HasPrefix(text, ":"):
		return segment{}, fmt.Errorf("has a segment that starts with a colon; write {%s}", strings.Trim(text, ":"))
	}
	for i := range len(text) {
		if c := text[i]; !isAlnum(c) && !strings.ContainsRune("-._~!$&'()+,=:@", rune(c)) {
			if c == '{' || c == '}' {
				return segment{}, errors.New("has a brace inside a segment: a parameter is a whole segment")
			}
			return segment{}, errors.New("has a character that is not allowed; a template has no query, no escapes and no spaces")
		}
	}
	return segment{exact, text}, nil
}

// covers reports whether each path that b matches is matched by a.
func covers(a, b []segment) bool {
	for i := range a {
		if a[i].kind == rest {
			return len(b) > i
		}
		if i >= len(b) || b[i].kind == rest {
			return false
		}
		switch {
		case a[i].kind == exact:
			if b[i] != a[i] {
				return false
			}
		case b[i].kind == exact && b[i].text == "":
			return false
		}
	}
	return len(a) == len(b)
}

// intersect reports whether some path is matched by both a and b.
func intersect(a, b []segment) bool {
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x.kind == rest || y.kind == rest:
			return true
		case x.kind == exact && y.kind == exact:
			if x.text != y.text {
				return false
			}
		case x.kind == exact && x.text == "" || y.kind == exact && y.text == "":
			return false
		}
	}
	return len(a) == len(b)
}
