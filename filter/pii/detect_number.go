package pii

// lookAhead is how many bytes behind a number can say what it is: the rest of
// a date with the month's name, a prefix length, a letter that checks it.
const lookAhead = 32

// number looks at the digit at b[i].
func (s *Scanner) number(b []byte, i int, final bool) (candidate, verdict) {
	start := i
	if i > 0 {
		switch c := b[i-1]; {
		case c == ' ':
		case word(c):
			if escaped(b, i) {
				break
			}
			if kind[c]&isLetter != 0 {
				return s.run(b, i, final)
			}
			return candidate{end: alnumEnd(b, i)}, none
		case c == '(' || c == '+':
			start = phoneStart(b, i)
		case !leftBounded(b, i):
			if j := digitsEnd(b, i); j == len(b) && !final || j < len(b) && kind[b[j]]&isLetter != 0 {
				if c, v := s.hyphenated(b, i, final); v != none {
					return c, v
				}
				return s.run(b, i, final)
			}
			return s.hyphenated(b, i, final)
		}
	}
	if start == i {
		j := digitsEnd(b, i)
		if j < len(b) && b[j] == ':' && j-i >= 8 && j-i <= 10 {
			if c, v := s.telegram(b, i, j, final); v != none {
				return c, v
			}
		}
		if j-i <= 2 && (j == len(b) || kind[b[j]]&isLetter != 0) {
			if len(b)-j < 2 && !final {
				return candidate{start: i}, more
			}
			if ordinalEnd(b, j) > 0 {
				if c, v := s.ordinal(b, i, j-i, final); v != none {
					return c, v
				}
			}
		}
		// A run that has letters as well.
		if j < len(b) && kind[b[j]]&isLetter != 0 && j-i <= maxDigits {
			c, v := s.run(b, i, final)
			if v != none || !phoneBounded(b, j) {
				return c, v
			}
		}
	}
	g := &s.groups
	v, looked := g.read(b, i, final)
	s.work += looked
	switch {
	case v == more:
		return candidate{start: start}, more
	case v == none:
		return candidate{end: alnumEnd(b, i)}, none
	}
	asked := askAll
	if start == i {
		if asked = s.promising(b, g); asked == 0 {
			return candidate{end: s.listed(b, g, final)}, none
		}
	}
	named := start == i && asked&askDate != 0 && s.named(b, i, g.size(0))
	if g.n == 1 && g.total < 7 && !named {
		if !final && g.total <= 2 && len(b)-g.end(0) < monthAhead {
			return candidate{start: start}, more // perhaps a day before its month
		}
		return candidate{end: g.end(0)}, none
	}
	if !final && len(b)-g.end(g.n-1) < lookAhead {
		return candidate{start: start}, more
	}
	var best candidate
	switch {
	case start == i && g.digits()[0] != 0:
		if asked&(askPlain|askPhone) != 0 {
			best = s.plain(b, g, i)
		}
		if asked&(askNational|askDate) != 0 {
			s.national(&best, b, g)
		}
	case start == i || leftBounded(b, i):
		if asked&askPlain != 0 {
			best = stronger(stronger(ipv4(s, b, g), card(s, b, g)), ssn(s, b, g))
		}
		if start == i && asked&(askNational|askDate) != 0 {
			s.national(&best, b, g)
		}
		fallthrough
	default:
		if asked&askPhone != 0 && best.score < certain {
			best = stronger(best, phone(s, b, g, start))
		}
	}
	if named {
		s.namedDate(&best, b, i, g.size(0))
	}
	if best.score < Threshold {
		return candidate{end: g.end(0)}, none
	}
	return best, found
}

// listed passes over the numbers of a list, of which the first is not promising, and returns
// where the first begins that is, or that more than numbers and spaces may stand behind.
func (s *Scanner) listed(b []byte, g *digitGroups, final bool) int {
	for {
		end := g.end(0)
		if g.known < 3 || b[end] != ' ' || g.start(1) != end+1 {
			return end
		}
		g.shift()
		i := end + 1
		if i+8 <= len(b) && hopeless(b[i:i+8]) {
			continue
		}
		v, looked := g.read(b, i, final)
		s.work += looked
		if v != found || s.promising(b, g) != 0 {
			return i
		}
	}
}

// plain tells by the sizes of the first groups which values can begin at b[i], where
// neither '+' nor '(' stands before it and the first digit is not 0.
func (s *Scanner) plain(b []byte, g *digitGroups, i int) candidate {
	if g.n == 1 || g.size(0) >= 7 {
		switch n := g.size(0); {
		case n == 9:
			return stronger(ssn(s, b, g), phone(s, b, g, i))
		case n < 12:
			return phone(s, b, g, i)
		case n > 13:
			return card(s, b, g)
		}
		return stronger(card(s, b, g), phone(s, b, g, i))
	}
	if g.sep(0) == '.' {
		if c := ipv4(s, b, g); c.score > 0 {
			return c
		}
		return phone(s, b, g, i)
	}
	switch g.shape(0, 2) {
	case 0x44:
		if g.n > 2 {
			return card(s, b, g)
		}
		return phone(s, b, g, i)
	case 0x46, 0x43, 0x6d:
		return card(s, b, g)
	case 0x32:
		return ssn(s, b, g)
	case 0x13, 0x24, 0x25, 0x33, 0x34, 0x37, 0x55:
		return phone(s, b, g, i)
	}
	return candidate{}
}

// hopeless says, from a number's first digit and the seven bytes after it, that no
// value without '+' or '(' begins there: nearly all numbers in prose.
func hopeless(w []byte) bool {
	_ = w[7]
	digit := func(k int) bool { return kind[w[k]]&isDigit != 0 }
	switch {
	case !digit(1): // one digit: the North American country code, an address, a day, or a French number
		switch c := w[1]; c {
		case ' ':
			return !(w[0] == '1' && (w[2] == '(' || digit(2) && digit(3) && digit(4)) ||
				w[0] <= '2' && digit(2) && digit(3) && w[4] == ' ' && digit(5) && digit(6) ||
				monthLike(w[2:]))
		case '-', '/':
			return !(w[0] == '1' && (w[2] == '(' || digit(2) && digit(3) && digit(4)) || digit(2) && (w[3] == c || w[4] == c) || monthLike(w[2:]))
		case '.':
			return !digit(2) && !(w[2] == ' ' && monthLike(w[3:]))
		case ',':
			return w[2] != ' ' || !digit(3)
		case '(', ')', 0xC2, 0xE2:
			return false
		}
		return !allAlnum(w[1:]) && ordinalEnd(w, 1) == 0
	case !digit(2): // two: an area code, or a day
		switch c := w[2]; c {
		case ' ':
			return w[0] != '0' && !(digit(3) && digit(4) && digit(5) && (digit(6) || w[6] == ' ')) && !monthLike(w[3:])
		case '-', '/':
			return w[0] != '0' && !(digit(3) && (digit(4) && digit(5) && digit(6) || w[4] == c || w[5] == c)) && !monthLike(w[3:])
		case '.':
			return !digit(3) && !(w[3] == ' ' && monthLike(w[4:]))
		case ',':
			return w[3] != ' ' || !digit(4)
		case '(', ')', 0xC2, 0xE2:
			return false
		}
		return !allAlnum(w[2:]) && ordinalEnd(w, 2) == 0
	case !digit(3) || !digit(4): // three or four, and no separator
		c := w[3]
		if kind[c]&isDigit != 0 {
			c = w[4]
		}
		switch c {
		case ' ', '-', '.', '/', '(', ')', 0xC2, 0xE2:
			return false
		}
		return !allAlnum(w[3:])
	}
	return false
}

func allAlnum(w []byte) bool {
	for _, c := range w {
		if kind[c]&isAlnum == 0 {
			return false
		}
	}
	return true
}

// digitsEnd returns the end of the run of digits at b[i].
func digitsEnd(b []byte, i int) int {
	for i < len(b) && kind[b[i]]&isDigit != 0 {
		i++
	}
	return i
}

func stronger(a, b candidate) candidate {
	if b.score > a.score {
		return b
	}
	return a
}

// alnumEnd returns the end of the run of letters and digits at b[i].
func alnumEnd(b []byte, i int) int {
	for i < len(b) && kind[b[i]]&isAlnum != 0 {
		i++
	}
	return i
}

// escaped says whether the letter before b[i] is that of an escape, as in \n: text
// within text.
func escaped(b []byte, i int) bool {
	return i > 1 && b[i-2] == '\\' && (b[i-1] == 'n' || b[i-1] == 't' || b[i-1] == 'r')
}

// leftBounded says whether a number may begin at b[i]: not in a word, a decimal
// fraction or a compound such as a UUID.
func leftBounded(b []byte, i int) bool {
	if i == 0 {
		return true
	}
	switch c := b[i-1]; {
	case word(c):
		return escaped(b, i)
	case c == '.' || c == ':':
		return i < 2 || kind[b[i-2]]&isDigit == 0
	case c == '-':
		return i < 2 || !word(b[i-2])
	}
	return true
}

// rightBounded says whether a number may end at b[i].
func rightBounded(b []byte, i int) bool {
	if i == len(b) {
		return true
	}
	c := b[i]
	if word(c) {
		return false
	}
	if i+1 < len(b) {
		switch d := b[i+1]; c {
		case '.':
			return kind[d]&isDigit == 0
		case '-':
			return kind[d]&isAlnum == 0
		}
	}
	return true
}
