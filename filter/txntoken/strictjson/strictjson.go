// Package strictjson reads JOSE headers and JWT claims sets: small JSON objects from
// strangers, in which nothing may be ambiguous. It accepts RFC 8259 and refuses what that
// leaves open: names that occur twice in one object at any depth (RFC 7515, section 4;
// RFC 7519, section 4), text that is not UTF-8, lone surrogates, deep nesting and objects
// of very many members. It builds no tree: it validates in one pass and returns the
// outermost members as spans of the input.
package strictjson

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds on what is read.
const (
	// MaxDepth is the deepest nesting of arrays and objects, the outermost counted.
	MaxDepth = 16
	// MaxMembers is the largest number of members of one object.
	MaxMembers = 128
)

// The errors of Members. None holds any of the input.
var (
	ErrSyntax    = errors.New("malformed JSON")
	ErrNotObject = errors.New("not a JSON object")
	ErrDuplicate = errors.New("a member occurs twice")
	ErrTooDeep   = errors.New("nested too deep")
	ErrTooMany   = errors.New("too many members")
)

// Kind is the sort of a value.
type Kind uint8

// The kinds of values. The zero Kind is that of a value that is not there.
const (
	Absent Kind = iota
	String
	Number
	Object
	Array
	Bool
	Null
)

// Value is one valid JSON value as a span of the input.
type Value struct {
	kind Kind
	raw  []byte // with the quotes of a string
}

// Member is one member of an object. Its name is decoded.
type Member struct {
	Name  []byte
	Value Value
}

// Members validates b, which must be one object and nothing else but white space, and
// appends its members to dst in their order. What it returns shares memory with b.
func Members(dst []Member, b []byte) ([]Member, error) {
	p := parser{b: b}
	p.space()
	if p.i == len(b) || b[p.i] != '{' {
		if p.i < len(b) {
			if _, err := p.value(1); err == nil {
				return dst, ErrNotObject
			}
		}
		return dst, ErrSyntax
	}
	dst, err := p.object(dst, 1)
	if err != nil {
		return dst, err
	}
	p.space()
	if p.i != len(b) {
		return dst, ErrSyntax
	}
	return dst, nil
}

// Lookup returns the value of the member called name, or a value of the kind Absent.
func Lookup(members []Member, name string) Value {
	for i := range members {
		if string(members[i].Name) == name {
			return members[i].Value
		}
	}
	return Value{}
}

// Kind returns the sort of the value.
func (v Value) Kind() Kind { return v.kind }

// Text returns the decoded text of a string, and whether it is one.
func (v Value) Text() (string, bool) {
	if v.kind != String {
		return "", false
	}
	return string(unquote(v.raw)), true
}

// Equals says whether v is the string s.
func (v Value) Equals(s string) bool {
	return v.kind == String && string(unquote(v.raw)) == s
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// Seconds returns a NumericDate (RFC 7519, section 2), rounded down to a whole second,
// and whether v is one between the years 1970 and 9999.
func (v Value) Seconds() (int64, bool) {
	if v.kind != Number {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(v.raw), 10, 64); err == nil {
		return n, n >= 0 && n <= maxSeconds
	}
	f, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || !(f >= 0 && f <= maxSeconds) {
		return 0, false
	}
	return int64(f), true
}

// Members returns the members of an object, appended to dst, and whether v is one.
func (v Value) Members(dst []Member) ([]Member, bool) {
	if v.kind != Object {
		return dst, false
	}
	dst, err := Members(dst, v.raw)
	return dst, err == nil
}

// Elements returns the elements of an array, appended to dst, and whether v is one.
func (v Value) Elements(dst []Value) ([]Value, bool) {
	if v.kind != Array {
		return dst, false
	}
	p := parser{b: v.raw}
	dst, err := p.array(dst, true, 1)
	return dst, err == nil
}

type parser struct {
	b     []byte
	i     int
	names [][]byte // of the objects that are open within the outermost
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// next skips white space and consumes the byte c, if it is what follows.
func (p *parser) next(c byte) bool {
	p.space()
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// object reads an object at p.i and appends its members to dst.
func (p *parser) object(dst []Member, depth int) ([]Member, error) {
	p.i++
	first := len(dst)
	if p.next('}') {
		return dst, nil
	}
	for {
		name, err := p.name()
		if err != nil {
			return dst, err
		}
		for i := first; i < len(dst); i++ {
			if bytes.Equal(dst[i].Name, name) {
				return dst, ErrDuplicate
			}
		}
		if len(dst)-first == MaxMembers {
			return dst, ErrTooMany
		}
		v, err := p.value(depth)
		if err != nil {
			return dst, err
		}
		dst = append(dst, Member{Name: name, Value: v})
		if p.next(',') {
			continue
		}
		if p.next('}') {
			return dst, nil
		}
		return dst, ErrSyntax
	}
}

// check reads an object at p.i as object does, and keeps nothing of it.
func (p *parser) check(depth int) error {
	p.i++
	first := len(p.names)
	if p.next('}') {
		return nil
	}
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		for _, n := range p.names[first:] {
			if bytes.Equal(n, name) {
				return ErrDuplicate
			}
		}
		if len(p.names)-first == MaxMembers {
			return ErrTooMany
		}
		p.names = append(p.names, name)
		if _, err := p.value(depth); err != nil {
			return err
		}
		if p.next(',') {
			continue
		}
		if p.next('}') {
			p.names = p.names[:first]
			return nil
		}
		return ErrSyntax
	}
}

func (p *parser) name() ([]byte, error) {
	p.space()
	if p.i == len(p.b) || p.b[p.i] != '"' {
		return nil, ErrSyntax
	}
	raw, err := p.text()
	if err != nil {
		return nil, err
	}
	if !p.next(':') {
		return nil, ErrSyntax
	}
	return unquote(raw), nil
}

// array reads an array at p.i and, if keep is set, appends its elements to dst.
func (p *parser) array(dst []Value, keep bool, depth int) ([]Value, error) {
	p.i++
	if p.next(']') {
		return dst, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return dst, err
		}
		if keep {
			dst = append(dst, v)
		}
		if p.next(',') {
			continue
		}
		if p.next(']') {
			return dst, nil
		}
		return dst, ErrSyntax
	}
}

// value reads the value after p.i, within depth open arrays and objects.
func (p *parser) value(depth int) (Value, error) {
	p.space()
	if p.i == len(p.b) {
		return Value{}, ErrSyntax
	}
	start := p.i
	kind, err := Absent, error(nil)
	switch c := p.b[p.i]; {
	case c == '"':
		kind = String
		_, err = p.text()
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return Value{}, ErrTooDeep
		}
		if c == '{' {
			kind, err = Object, p.check(depth+1)
		} else {
			kind = Array
			_, err = p.array(nil, false, depth+1)
		}
	case c == '-' || c >= '0' && c <= '9':
		kind, err = Number, p.number()
	case p.word("true"), p.word("false"):
		kind = Bool
	case p.word("null"):
		kind = Null
	default:
		err = ErrSyntax
	}
	if err != nil {
		return Value{}, err
	}
	return Value{kind: kind, raw: p.b[start:p.i]}, nil
}

func (p *parser) word(w string) bool {
	if len(p.b)-p.i >= len(w) && string(p.b[p.i:p.i+len(w)]) == w {
		p.i += len(w)
		return true
	}
	return false
}

func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

func (p *parser) at(c byte) bool { return p.i < len(p.b) && p.b[p.i] == c }

// number reads a number (RFC 8259, section 6).
func (p *parser) number() error {
	if p.at('-') {
		p.i++
	}
	if p.at('0') {
		p.i++
	} else if !p.digits() {
		return ErrSyntax
	}
	if p.at('.') {
		p.i++
		if !p.digits() {
			return ErrSyntax
		}
	}
	if p.at('e') || p.at('E') {
		p.i++
		if p.at('+') || p.at('-') {
			p.i++
		}
		if !p.digits() {
			return ErrSyntax
		}
	}
	return nil
}

// text reads a string at p.i (RFC 8259, section 7) and returns it with its quotes.
func (p *parser) text() ([]byte, error) {
	start := p.i
	ascii := true
	for p.i++; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			raw := p.b[start:p.i]
			if !ascii && !utf8.Valid(raw) {
				return nil, ErrSyntax
			}
			return raw, nil
		case c == '\\':
			if !p.escape() {
				return nil, ErrSyntax
			}
		case c < ' ':
			return nil, ErrSyntax
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, ErrSyntax
}

// escape checks the escape sequence at p.i and moves to its last byte.
func (p *parser) escape() bool {
	p.i++
	if p.i == len(p.b) {
		return false
	}
	switch p.b[p.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		u, ok := hex4(p.b[p.i+1:])
		if !ok {
			return false
		}
		p.i += 4
		if !utf16.IsSurrogate(u) {
			return true
		}
		rest := p.b[p.i+1:]
		if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
			return false
		}
		low, ok := hex4(rest[2:])
		p.i += 6
		return ok && utf16.DecodeRune(u, low) != utf8.RuneError
	}
	return false
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote decodes a valid string with its quotes. Without escapes it copies nothing.
func unquote(raw []byte) []byte {
	s := raw[1 : len(raw)-1]
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u, _ := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(u) {
				low, _ := hex4(s[i+3:])
				u = utf16.DecodeRune(u, low)
				i += 6
			}
			out = utf8.AppendRune(out, u)
		default:
			out = append(out, s[i])
		}
	}
	return out
}
