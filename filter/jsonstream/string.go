package jsonstream

import (
	"math/bits"
	"unicode/utf8"
)

// beginString reads the quote at the position and returns the first part of the
// string: all of it, if it is as simple as most are.
func (l *Lexer) beginString() Kind {
	l.pos++
	b := l.chunk[l.pos:]
	n, ascii := plain(b)
	if n == len(b) || b[n] != '"' || !ascii && !l.opt.Lenient {
		l.fresh = first
		return l.nextString()
	}
	l.text = b[:n]
	l.start = l.base + l.pos
	l.end = l.start + n
	l.pos += n + 1
	l.part = whole
	if l.kind == Key {
		l.state = atColon
	} else {
		l.valueDone()
	}
	return l.kind
}

// nextString returns the next part of the string that the lexer is in.
func (l *Lexer) nextString() Kind {
	if l.npend > 0 {
		return l.resume()
	}
	b := l.chunk[l.pos:]
	n, ascii := plain(b)
	if l.opt.Lenient {
		for n < len(b) && b[n] < 0x20 {
			m, _ := plain(b[n+1:])
			n += 1 + m
		}
	} else if !ascii {
		if valid := validPrefix(b[:n]); valid < n {
			return l.invalid(valid, n == len(b))
		}
	}
	if n == len(b) {
		if n == 0 {
			return More
		}
		return l.stringPart(n)
	}
	switch {
	case b[n] == '"':
		k := l.stringPart(n)
		l.pos++
		l.stringEnd()
		return k
	case n > 0:
		return l.stringPart(n)
	case b[0] == '\\':
		return l.escape()
	}
	return l.fail(ErrSyntax)
}

// stringPart is an event of the next n bytes, which stand for themselves.
func (l *Lexer) stringPart(n int) Kind {
	l.text = l.chunk[l.pos : l.pos+n]
	l.start = l.base + l.pos
	l.pos += n
	l.end = l.start + n
	l.part, l.fresh = l.fresh, 0
	return l.kind
}

// stringEnd makes the part the last one.
func (l *Lexer) stringEnd() {
	l.part |= last
	if l.kind == Key {
		l.state = atColon
	} else {
		l.valueDone()
	}
}

// invalid handles a run of bytes that is UTF-8 only for the first n. The rest
// may be a code point that the end of the chunk cuts off.
func (l *Lexer) invalid(n int, cut bool) Kind {
	if n > 0 {
		return l.stringPart(n)
	}
	rest := l.chunk[l.pos:]
	if cut && !utf8.FullRune(rest) {
		l.npend = copy(l.pend[:], rest)
		l.pos = len(l.chunk)
		return More
	}
	return l.fail(ErrSyntax)
}

// escape reads the escape at the position.
func (l *Lexer) escape() Kind {
	b := l.chunk[l.pos:]
	r, n := unescape(b, l.opt.Lenient)
	switch {
	case n > 0:
		l.start = l.base + l.pos
		l.pos += n
		l.escapePart(r, n)
		return l.kind
	case n < 0:
		return l.fail(ErrSyntax)
	}
	l.npend = copy(l.pend[:], b)
	l.pos = len(l.chunk)
	return More
}

// escapePart is an event of an escape of n bytes from l.start on.
func (l *Lexer) escapePart(r rune, n int) {
	if r < utf8.RuneSelf {
		l.tmp[0] = byte(r)
		l.text = l.tmp[:1]
	} else {
		l.text = l.tmp[:utf8.EncodeRune(l.tmp[:], r)]
	}
	l.end = l.start + n
	l.part, l.fresh = l.fresh|escaped, 0
}

// resume completes the escape or code point that the last chunk cut off.
func (l *Lexer) resume() Kind {
	for {
		p := l.pend[:l.npend]
		if p[0] == '\\' {
			r, n := unescape(p, l.opt.Lenient)
			if n < 0 {
				l.unread()
				return l.fail(ErrSyntax)
			}
			if n > 0 {
				l.start = l.base + l.pos - l.npend
				l.npend = copy(l.pend[:], p[n:])
				if l.npend == 1 && l.pend[0] != '\\' {
					// Only a look ahead, and not the start of another escape.
					l.npend = 0
					l.pos--
				}
				l.escapePart(r, n)
				return l.kind
			}
		} else if utf8.FullRune(p) {
			r, n := utf8.DecodeRune(p)
			if r == utf8.RuneError && n <= 1 {
				l.unread()
				return l.fail(ErrSyntax)
			}
			l.text = l.tmp[:copy(l.tmp[:], p)]
			l.end = l.base + l.pos
			l.start = l.end - n
			l.part, l.fresh, l.npend = l.fresh, 0, 0
			return l.kind
		}
		if l.pos == len(l.chunk) {
			return More
		}
		l.pend[l.npend] = l.chunk[l.pos]
		l.npend++
		l.pos++
	}
}

// unread moves the position back in front of what is pending, which is where
// the input is at fault. It may lie before the chunk: only offsets are valid
// after it.
func (l *Lexer) unread() { l.pos -= l.npend }

// Values of hex for what is no digit.
const noHex = 0xff

func hex(c byte) rune {
	switch {
	case c-'0' < 10:
		return rune(c - '0')
	case c|0x20-'a' < 6:
		return rune(c|0x20-'a') + 10
	}
	return noHex
}

// unescape decodes the escape sequence at the start of b (RFC 8259, section 7)
// and returns its length: 0 if b ends too early to know, -1 if there is none.
func unescape(b []byte, lenient bool) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, -1
	}
	r, n := unescapeUnit(b)
	if n <= 0 || r < 0xd800 || r > 0xdfff {
		return r, n
	}
	if r < 0xdc00 {
		low, n := unescapeLow(b[6:])
		switch {
		case n == 0:
			return 0, 0
		case n > 0:
			return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
	}
	if lenient {
		return utf8.RuneError, 6
	}
	return 0, -1
}

// Unescape appends what the escape sequence at the start of b stands for and
// returns its length: 0 if b ends too early to know, negative if b does not begin
// with one. Half of a surrogate pair stands for U+FFFD. It is for text that has
// JSON in it and is not JSON.
func Unescape(dst, b []byte) ([]byte, int) {
	if len(b) > 0 && b[0] != '\\' {
		return dst, -1
	}
	r, n := unescape(b, true)
	if n > 0 {
		dst = utf8.AppendRune(dst, r)
	}
	return dst, n
}

// unescapeLow decodes the second half of a surrogate pair.
func unescapeLow(b []byte) (rune, int) {
	if len(b) > 0 && b[0] != '\\' || len(b) > 1 && b[1] != 'u' {
		return 0, -1
	}
	if len(b) < 2 {
		return 0, 0
	}
	r, n := unescapeUnit(b)
	if n > 0 && (r < 0xdc00 || r > 0xdfff) {
		return 0, -1
	}
	return r, n
}

// unescapeUnit decodes \uXXXX.
func unescapeUnit(b []byte) (rune, int) {
	var r rune
	for i := 2; i < 6; i++ {
		if i == len(b) {
			return 0, 0
		}
		h := hex(b[i])
		if h == noHex {
			return 0, -1
		}
		r = r<<4 | h
	}
	return r, 6
}

// validPrefix returns how many bytes at the start of b are whole code points.
func validPrefix(b []byte) int {
	if utf8.Valid(b) {
		return len(b)
	}
	// Most likely only the end of the chunk cuts a code point off.
	for n := len(b) - 1; n >= 0 && n > len(b)-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			if !utf8.FullRune(b[n:]) && utf8.Valid(b[:n]) {
				return n
			}
			break
		}
	}
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns how many bytes at the start of b are neither a quote, a
// backslash nor a control character, and whether all of them are ASCII. It
// looks at eight bytes at once: a subtraction borrows from the top bit of each
// byte that is too small. A borrow can only raise a false alarm behind a true
// one, so the first alarm is always true.
func plain(b []byte) (n int, ascii bool) {
	var all uint64
	for len(b)-n >= 8 {
		c := b[n : n+8 : len(b)]
		w := uint64(c[0]) | uint64(c[1])<<8 | uint64(c[2])<<16 | uint64(c[3])<<24 |
			uint64(c[4])<<32 | uint64(c[5])<<40 | uint64(c[6])<<48 | uint64(c[7])<<56
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		alarm := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if alarm != 0 {
			at := bits.TrailingZeros64(alarm) &^ 7
			all |= w & (1<<at - 1)
			return n + at/8, all&highs == 0
		}
		all |= w
		n += 8
	}
	for n < len(b) {
		c := b[n]
		if c < 0x20 || c == '"' || c == '\\' {
			break
		}
		all |= uint64(c)
		n++
	}
	return n, all&highs == 0
}
