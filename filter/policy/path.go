package policy

import (
	"strings"
	"unicode/utf8"
)

// MaxPath is the most bytes of a request's path that is matched.
const MaxPath = 8 << 10

// cleanPath turns the path of a request, as it stood on the wire, into what
// templates are compared with: without the query, with percent-encoding
// decoded once. It refuses every path that another server could read as a
// different one: bad or overlong escapes, escapes of escapes, encoded slashes, backslashes and
// control characters, dot segments, empty segments, path parameters (a raw
// semicolon), fragments, raw bytes beyond ASCII, and text that is not UTF-8.
func cleanPath(raw string) (string, bool) {
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		raw = raw[:i]
	}
	if raw == "" || raw[0] != '/' || len(raw) > MaxPath {
		return "", false
	}
	escaped := false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '%':
			escaped = true
		case c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '#':
			return "", false
		}
	}
	if escaped {
		var ok bool
		if raw, ok = unescape(raw); !ok {
			return "", false
		}
	}
	return raw, segmentsAreClean(raw)
}

// unescape decodes each escape of s once.
func unescape(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high > 15 || low > 15 {
				return "", false
			}
			c = high<<4 | low
			if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
				return "", false
			}
			// What is an escape once more, a server that decodes twice reads as
			// another path.
			if c == '%' && i+4 < len(s) && unhex(s[i+3]) <= 15 && unhex(s[i+4]) <= 15 {
				return "", false
			}
			i += 2
		}
		out = append(out, c)
	}
	return string(out), utf8.Valid(out)
}

// unhex is the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// segmentsAreClean reports whether no segment of path is empty, but for the
// last one, and none consists of dots.
func segmentsAreClean(path string) bool {
	for rest := path[1:]; ; {
		i := strings.IndexByte(rest, '/')
		segment := rest
		if i >= 0 {
			segment = rest[:i]
		}
		if segment == "" && i >= 0 || segment == "." || segment == ".." {
			return false
		}
		if i < 0 {
			return true
		}
		rest = rest[i+1:]
	}
}
