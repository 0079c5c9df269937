// Package mention finds what a request says of itself: the tenant and the agent that its
// headers and its query name. Nobody believes that; it is compared with those of the
// verified principal, so that a service that does believe it is not led astray.
//
// Each occurrence of a name counts, since services differ in which one they take. The
// package is pure.
package mention

import (
	"errors"
	"strings"

	"github.com/memgate/memgate/filter/headers"
)

// MaxPlaces is the number of headers, or of parameters, of one [Places].
const MaxPlaces = 16

// Places are the headers and the parameters of a query that name a thing.
type Places struct {
	// Headers are names of header fields. Case does not count, and an underscore is a
	// hyphen.
	Headers []string
	// Query are decoded names of parameters. The case of ASCII letters does not count,
	// and neither does what stands in brackets behind a name: ids[], ids[0].
	Query []string
}

// Empty says that nothing is named anywhere.
func (p *Places) Empty() bool { return len(p.Headers) == 0 && len(p.Query) == 0 }

// ErrQuery says that a query cannot be decoded, or that servers read it differently.
var ErrQuery = errors.New("the query cannot be decoded in one way only")

// Found is what the places of a request hold. The zero value is that they hold nothing.
type Found struct {
	first  string
	any    bool
	differ bool
}

// Add takes one more value, which may be empty.
func (f *Found) Add(value string) {
	if !f.any {
		f.first, f.any = value, true
	}
	f.differ = f.differ || value != f.first
}

// Any says whether something was named.
func (f *Found) Any() bool { return f.any }

// Is says that nothing but s was named, if anything. An empty value is another than s,
// unless s is empty, too.
func (f *Found) Is(s string) bool { return !f.any || !f.differ && f.first == s }

// First returns what was named first, or "".
func (f *Found) First() string { return f.first }

// Same returns what was named, or "" for nothing, an empty value, or different ones.
func (f *Found) Same() string {
	if f.differ {
		return ""
	}
	return f.first
}

// ValidHeader says whether a header of that name can name something: a token (RFC 9110,
// section 5.6.2) in ASCII letters, digits and hyphens.
func ValidHeader(name string) bool {
	return headers.IsToken(name) && len(name) <= headers.MaxName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// ValidParameter says whether a parameter can name something: 1 to 128 bytes of printable
// ASCII without a bracket.
func ValidParameter(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == '[' || c == ']' {
			return false
		}
	}
	return true
}

// header says whether a header of a request is one of p.
func (p *Places) header(name string) bool {
next:
	for _, want := range p.Headers {
		if len(want) != len(name) {
			continue
		}
		for i := range len(name) {
			c := name[i]
			if c == '_' {
				c = '-'
			}
			if lower(c) != lower(want[i]) {
				continue next
			}
		}
		return true
	}
	return false
}

// Header takes a header of a request into account. White space around a value does not
// belong to it (RFC 9110, section 5.5).
func (p *Places) Header(f *Found, name, value string) {
	if p.header(name) {
		f.Add(strings.Trim(value, " \t"))
	}
}

func (p *Places) parameter(name string) bool {
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
next:
	for _, want := range p.Query {
		if len(want) != len(name) {
			continue
		}
		for i := range len(name) {
			if lower(name[i]) != lower(want[i]) {
				continue next
			}
		}
		return true
	}
	return false
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Query finds the parameters of a path, as it stood on the wire, that name what a and b do.
// It is read as a form is (WHATWG URL, section 5.1), but strictly: a broken escape, a raw
// semicolon (some servers part by it), a fragment, white space, control characters and
// raw bytes beyond ASCII are ErrQuery. A parameter without a value has an empty one.
func Query(path string, a, b *Places, inA, inB *Found) error {
	_, query, _ := strings.Cut(path, "?")
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, ok := decode(name)
		if !ok {
			return ErrQuery
		}
		if value, ok = decode(value); !ok {
			return ErrQuery
		}
		if a.parameter(name) {
			inA.Add(value)
		}
		if b.parameter(name) {
			inB.Add(value)
		}
	}
	return nil
}

// decode decodes the name or value of a parameter. Most have nothing to decode, and are
// not copied.
func decode(s string) (string, bool) {
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%' || c == '+':
			plain = false
		case c <= ' ' || c > '~' || c == ';' || c == '#':
			return "", false
		}
	}
	if plain {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			high, low := digit(s[i+1]), digit(s[i+2])
			if high > 15 || low > 15 {
				return "", false
			}
			c = high<<4 | low
			i += 2
		}
		out = append(out, c)
	}
	return string(out), true
}

// digit is the value of a hexadecimal digit, or more than 15.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case lower(c) >= 'a' && lower(c) <= 'f':
		return lower(c) - 'a' + 10
	}
	return 255
}
