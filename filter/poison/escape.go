package poison

import "unicode/utf8"

// maxEscape is the length of the longest escape, &#1114111; in bytes.
const maxEscape = 10

// readEscape reads the next byte of what may be an escape: %41 (RFC 3986), \u0041, \x41
// and \n as string literals have them, &#65; and &#x41; (HTML).
func (s *Scanner) readEscape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	c := b[0]
	e := append(s.escape[:s.nescape], c)
	r, done, ok := unescape(e)
	switch {
	case !ok:
		s.flushEscape()
		return 0
	case !done:
		s.nescape = len(e)
		return 1
	}
	s.nescape = 0
	s.unescaped(r)
	return 1
}

// unescape returns what an escape stands for, once it is done; ok is false for what
// begins none.
func unescape(e []byte) (r rune, done, ok bool) {
	hex := func(digits []byte, want int) (rune, bool, bool) {
		v := rune(0)
		for _, c := range digits {
			d, ok := hexValue(c)
			if !ok {
				return 0, false, false
			}
			v = v<<4 | rune(d)
		}
		return v, len(digits) == want, true
	}
	if len(e) < 2 {
		return 0, false, true
	}
	switch e[0] {
	case '%':
		return hex(e[1:], 2)
	case '\\':
		switch e[1] {
		case 'n', 'r', 't':
			return '\n', true, true
		case 'u':
			return hex(e[2:], 4)
		case 'x':
			return hex(e[2:], 2)
		}
		return 0, false, false
	}
	if e[1] != '#' { // &#
		return 0, false, false
	}
	last := e[len(e)-1]
	digits := e[2:]
	if last == ';' {
		digits = digits[:len(digits)-1]
	}
	base := rune(10)
	if len(digits) > 0 && digits[0]|0x20 == 'x' {
		base, digits = 16, digits[1:]
	}
	v := rune(0)
	for _, c := range digits {
		d, ok := hexValue(c)
		if !ok || rune(d) >= base {
			return 0, false, false
		}
		v = v*base + rune(d)
	}
	if last == ';' {
		return v, true, len(digits) > 0
	}
	return 0, false, len(e) < maxEscape
}

func hexValue(c byte) (byte, bool) {
	switch {
	case c-'0' < 10:
		return c - '0', true
	case c|0x20-'a' < 6:
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// unescaped takes what an escape stands for: of %41 and \x41 a byte, else a character.
func (s *Scanner) unescaped(r rune) {
	byteOf := s.escape[0] == '%' || s.escape[0] == '\\' && s.escape[1] == 'x'
	if s.npending > 0 && (!byteOf || r&0xC0 != 0x80) {
		s.flushRune()
	}
	s.unescaping = true
	switch {
	case r < 0x80:
		c := byte(r)
		if k := byteKind[c]; k != 0 {
			s.letter(k)
			s.previous = c
		} else if c != '\'' || s.n == 0 {
			s.separate(c)
		}
	case byteOf:
		s.readRune([]byte{byte(r)})
	default:
		if r > utf8.MaxRune {
			r = utf8.RuneError
		}
		if s.previous != 0xFF {
			s.lastRune = rune(s.previous)
		}
		s.rune(r, utf8.RuneLen(max(r, 0x80)))
	}
	s.unescaping = false
}

// flushEscape takes what turned out to be no escape: its first byte stands for itself,
// and the others are read again.
func (s *Scanner) flushEscape() {
	var rest [maxEscape]byte
	n := copy(rest[:], s.escape[1:s.nescape])
	first := s.escape[0]
	s.nescape = 0
	if s.npending > 0 {
		s.flushRune()
	}
	s.separate(first)
	s.write(rest[:n])
}
