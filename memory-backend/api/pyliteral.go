package api

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mem0's client puts a filter that is given to delete_all into the query as Python prints it, for
// example {'user_id': 'alice'}. Dropping such a filter would delete too much, so it is understood.

var errLiteral = errors.New("api: not a literal")

// parseLiteral parses a JSON value or what Python's repr prints for dict, list, str, float, int, bool and
// None. It refuses everything else. Values have the types of parseJSON.
func parseLiteral(s string) (any, error) {
	if v, err := parseJSON([]byte(s)); err == nil {
		return v, nil
	}
	if !utf8.ValidString(s) {
		return nil, errLiteral
	}
	p := &literal{s: s}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.s != "" {
		return nil, errLiteral
	}
	return v, nil
}

type literal struct{ s string }

func (p *literal) skip() { p.s = strings.TrimLeft(p.s, " \t\r\n") }

func (p *literal) take(prefix string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.s, prefix)
	p.s = rest
	return ok
}

func (p *literal) value(depth int) (any, error) {
	p.skip()
	switch {
	case depth > maxDepth || p.s == "":
		return nil, errLiteral
	case p.take("None"):
		return nil, nil
	case p.take("True"):
		return true, nil
	case p.take("False"):
		return false, nil
	case p.s[0] == '\'' || p.s[0] == '"':
		return p.text()
	case p.take("["):
		list := []any{}
		for !p.take("]") {
			if len(list) > 0 && !p.take(",") {
				return nil, errLiteral
			}
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case p.take("{"):
		members := map[string]any{}
		for !p.take("}") {
			if len(members) > 0 && !p.take(",") {
				return nil, errLiteral
			}
			p.skip()
			name, err := p.text()
			if err != nil {
				return nil, err
			}
			if _, twice := members[name]; twice || !p.take(":") {
				return nil, errLiteral
			}
			if members[name], err = p.value(depth + 1); err != nil {
				return nil, err
			}
		}
		return members, nil
	}
	end := strings.IndexFunc(p.s, func(r rune) bool { return !strings.ContainsRune("+-0123456789.eE", r) })
	if end < 0 {
		end = len(p.s)
	}
	n, err := strconv.ParseFloat(p.s[:end], 64)
	if err != nil {
		return nil, errLiteral
	}
	p.s = p.s[end:]
	return n, nil
}

// text parses a quoted string.
func (p *literal) text() (string, error) {
	if p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
		return "", errLiteral
	}
	quote := p.s[0]
	var b strings.Builder
	for rest := p.s[1:]; rest != ""; {
		switch {
		case rest[0] == quote:
			p.s = rest[1:]
			return b.String(), nil
		case rest[0] == '\\':
			r, _, tail, err := strconv.UnquoteChar(rest, quote)
			if err != nil {
				if len(rest) < 2 || rest[1] != '\'' && rest[1] != '"' {
					return "", errLiteral
				}
				r, tail = rune(rest[1]), rest[2:]
			}
			if !utf8.ValidRune(r) {
				return "", errLiteral
			}
			b.WriteRune(r)
			rest = tail
		case rest[0] < 0x20:
			return "", errLiteral
		default:
			r, n := utf8.DecodeRuneInString(rest)
			b.WriteRune(r)
			rest = rest[n:]
		}
	}
	return "", errLiteral
}
