package pii

import (
	"bytes"
	"unicode/utf8"
)

// maxNested is how many backslashes in a row are read as one: four JSON strings
// within each other, counted from the second.
const maxNested = 15

// nested sees through the escapes of JSON that is the value of a string of JSON, or
// deeper: {"a":"{\"mail\":\"jane\\u0040example.com\"}"}. The lexer has decoded the
// outer ones. A string is read so when it begins like an object, an array or a string.
type nested struct {
	decided, on bool
	str         bool   // in a string of the first inner JSON
	pend        []byte // what may be the beginning of an escape: backslashes, u, digits
	slashes     int
	code        rune // of its digits
	raw         int  // bytes of the body that pend stands for
}

func (n *nested) begin() { *n = nested{pend: n.pend[:0]} }

// decide looks at the beginning of a string.
func (n *nested) decide(text []byte) {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{', '[', '"':
			n.on = true
		}
		n.decided = true
		return
	}
}

// nestedPart takes a part of a string of inner JSON, for which size bytes stand in the
// body.
func (r *Rewriter) nestedPart(dst, text []byte, size int, escaped bool) []byte {
	n := &r.nested
	if escaped {
		return r.nestedUnit(dst, text, size)
	}
	for len(n.pend) > 0 && len(text) > 0 && r.err == nil {
		dst = r.nestedUnit(dst, text[:1], 1)
		text = text[1:]
	}
	if len(text) > 0 && r.err == nil {
		dst = r.plain(dst, text)
	}
	return dst
}

// nestedUnit takes a byte, or what an escape decodes to.
func (r *Rewriter) nestedUnit(dst, text []byte, size int) []byte {
	n := &r.nested
	switch n.next(text[0]) {
	case escapeNone:
		if text[0] == '"' {
			n.str = !n.str
		}
		return r.unit(dst, text, size)
	case escapeMore:
		n.raw += size
		return dst
	case escapeDone:
		r.scratch = utf8.AppendRune(r.scratch[:0], n.code)
		return r.nestedEscape(dst, r.scratch, size)
	}
	dst = r.nestedFlush(dst)
	if r.err != nil {
		return dst
	}
	return r.nestedUnit(dst, text, size)
}

// escapeStep says what a byte is to the escapes of inner JSON.
type escapeStep uint8

const (
	escapeNone   escapeStep = iota // it stands for itself
	escapeMore                     // it is in pend now
	escapeDone                     // with it pend stands for code
	escapeBroken                   // what is in pend stands for itself, and it is to be looked at again
)

// next takes the next byte.
func (n *nested) next(c byte) escapeStep {
	if len(n.pend) == n.slashes { // no u so far
		switch {
		case c == '\\' && n.slashes < maxNested:
			n.slashes++
			n.pend = append(n.pend, c)
			return escapeMore
		case n.slashes == 0:
			return escapeNone
		case c == 'u':
			n.pend, n.code = append(n.pend, c), 0
			return escapeMore
		case c == '"' || c == '/':
			n.code = rune(c)
			return escapeDone
		case n.slashes&1 == 1 && bytes.IndexByte([]byte("bfnrt"), c) >= 0:
			n.code = '\n'
			return escapeDone
		}
		return escapeBroken
	}
	digit, ok := hexDigit(c)
	if !ok {
		return escapeBroken
	}
	n.pend, n.code = append(n.pend, c), n.code<<4|digit
	if len(n.pend) < n.slashes+5 {
		return escapeMore
	}
	return escapeDone
}

// unit takes text that size bytes of the body stand for.
func (r *Rewriter) unit(dst, text []byte, size int) []byte {
	if len(text) == size {
		return r.plain(dst, text)
	}
	dst = r.escape(dst, text, size)
	if len(text) == 1 && text[0] == '"' {
		r.win.segs[len(r.win.segs)-1].bare = !r.nested.str
	}
	return dst
}

// nestedEscape takes what an inner escape stands for, which is complete with the last
// size bytes of the body.
func (r *Rewriter) nestedEscape(dst, text []byte, size int) []byte {
	n := &r.nested
	size += n.raw
	n.pend, n.slashes, n.raw = n.pend[:0], 0, 0
	return r.escape(dst, text, size)
}

// nestedFlush takes what turned out to be no escape, as it stands.
func (r *Rewriter) nestedFlush(dst []byte) []byte {
	n := &r.nested
	if len(n.pend) == 0 {
		return dst
	}
	dst = r.escape(dst, n.pend, n.raw)
	n.pend, n.slashes, n.raw = n.pend[:0], 0, 0
	return dst
}

// hexDigit returns the value of a hexadecimal digit, or false.
func hexDigit(c byte) (rune, bool) {
	switch {
	case c-'0' < 10:
		return rune(c - '0'), true
	case c|0x20-'a' < 6:
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}

// bare reports whether a finding is a number of inner JSON, so that what stands for it
// has to become a string there.
func (w *window) bare(text []byte, f Finding) bool {
	return !f.More && !f.Continued && w.segs[w.find(f.Start, 0)].bare && bareAt(text, f)
}

// bareAt reports whether a finding stands where a number of JSON can.
func bareAt(text []byte, f Finding) bool {
	before := bytes.TrimRight(text[:f.Start], " \t\r\n")
	behind := bytes.TrimLeft(text[f.End:], " \t\r\n")
	return len(before) > 0 && bytes.IndexByte([]byte(":,["), before[len(before)-1]) >= 0 &&
		len(behind) > 0 && bytes.IndexByte([]byte(",]}"), behind[0]) >= 0
}
