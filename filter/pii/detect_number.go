package pii

const (
	maxGroups = 8
	maxDigits = 20 // one more than the longest card number has
	// lookAhead is how many bytes behind a number can say what it is: the rest of
	// a date with the month's name, a prefix length, a letter that checks it.
	lookAhead = 32
)

// digitGroups is a run of digit groups joined by single separators, as cards, phones
// and addresses are written.
type digitGroups struct {
	n          int // groups
	total      int // digits
	start, end [maxGroups]int
	sep        [maxGroups]byte // sep[k] stands between group k and k+1
	digit      [maxDigits]byte // the values of all digits
	open       bool            // more groups may follow than were read
}

func (g *digitGroups) size(k int) int { return g.end[k] - g.start[k] }

// joined says whether the groups from k to m are all joined by c.
func (g *digitGroups) joined(k, m int, c byte) bool {
	for ; k < m; k++ {
		if g.sep[k] != c {
			return false
		}
	}
	return true
}

// shape packs the sizes of groups k to m-1 into a number, four bits each: 3-3-4 is 0x334.
func (g *digitGroups) shape(k, m int) int {
	s := 0
	for ; k < m; k++ {
		s = s<<4 | min(g.size(k), 15)
	}
	return s
}

// read reads the groups that begin at b[i], a digit. What was read before is used
// again where i is the second of its groups, so that a list of numbers is read once.
func (g *digitGroups) read(b []byte, i int, final bool) verdict {
	if g.n > 1 && g.start[1] == i {
		first := g.size(0)
		g.n--
		g.total -= first
		copy(g.start[:], g.start[1:])
		copy(g.end[:], g.end[1:])
		copy(g.sep[:], g.sep[1:])
		copy(g.digit[:], g.digit[first:])
		if !g.open {
			return found
		}
		return g.grow(b, final)
	}
	g.n, g.total, g.open = 0, 0, false
	if v := g.group(b, i, final); v != found {
		return v
	}
	return g.grow(b, final)
}

// group reads the group that begins at b[i]. It returns none when it does not fit.
func (g *digitGroups) group(b []byte, i int, final bool) verdict {
	j := i
	for j < len(b) && kind[b[j]]&isDigit != 0 {
		if g.total+j-i == maxDigits {
			return none
		}
		g.digit[g.total+j-i] = b[j] - '0'
		j++
	}
	if j == len(b) && !final {
		g.n = 0
		return more
	}
	g.start[g.n], g.end[g.n] = i, j
	g.total += j - i
	g.sep[g.n] = 0
	g.n++
	return found
}

// grow reads the groups behind those that there are.
func (g *digitGroups) grow(b []byte, final bool) verdict {
	for {
		j := g.end[g.n-1]
		g.sep[g.n-1] = 0
		g.open = g.n == maxGroups
		if j == len(b) || g.open {
			return found
		}
		c := b[j]
		i := j + 1
		if i >= len(b) || kind[b[i]]&isDigit == 0 || c != ' ' && c != '-' && c != '.' {
			var width int
			c, width = separator(b, j)
			if j+width >= len(b) && width > 0 {
				if !final {
					g.n = 0
					return more
				}
				return found
			}
			if width == 0 {
				if !final && len(b)-j < 4 && b[j] >= 0xC2 {
					g.n = 0
					return more // perhaps the beginning of a longer separator
				}
				return found
			}
			i = j + width
			if kind[b[i]]&isDigit == 0 {
				return found
			}
		}
		g.sep[g.n-1] = c
		switch g.group(b, i, final) {
		case more:
			return more
		case none:
			g.sep[g.n-1] = 0
			g.open = true
			return found // without this group
		}
	}
}

// separator returns what stands at b[j] between groups of digits, and its width in
// bytes: one of space, '-', '.', '/', '(' and ')', the last two with a space,
// hyphen or dot beside them. No-break spaces and typographic hyphens count as plain ones.
func separator(b []byte, j int) (c byte, width int) {
	switch c = b[j]; c {
	case ' ', '-':
		if j+1 < len(b) && b[j+1] == '(' {
			return '(', 2
		}
		return c, 1
	case '.', '/', '(':
		return c, 1
	case ')':
		if j+1 < len(b) && (b[j+1] == ' ' || b[j+1] == '-' || b[j+1] == '.') {
			return ')', 2
		}
		return ')', 1
	case 0xC2:
		if j+1 < len(b) && b[j+1] == 0xA0 {
			return ' ', 2
		}
	case 0xE2:
		if j+2 < len(b) && b[j+1] == 0x80 {
			switch b[j+2] {
			case 0xAF:
				return ' ', 3
			case 0x90, 0x91, 0x93:
				return '-', 3
			}
		}
	}
	return 0, 0
}

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
		// A run that has letters as well.
		if j < len(b) && kind[b[j]]&isLetter != 0 && j-i <= maxDigits {
			c, v := s.run(b, i, final)
			if v != none || !phoneBounded(b, j) {
				return c, v
			}
		}
	}
	g := &s.groups
	before := g.n
	v := g.read(b, i, final)
	s.work += g.total
	if before > 0 && g.n > 0 {
		s.work -= min(g.total, before)
	}
	switch v {
	case more:
		return candidate{start: start}, more
	case none:
		return candidate{end: alnumEnd(b, i)}, none
	}
	named := start == i && s.named(b, i, g.size(0))
	if g.n == 1 && g.total < 7 && !named {
		if !final && g.total <= 2 && len(b)-g.end[0] < monthAhead {
			return candidate{start: start}, more // perhaps a day before its month
		}
		return candidate{end: g.end[0]}, none
	}
	if !final && len(b)-g.end[g.n-1] < lookAhead {
		return candidate{start: start}, more
	}
	var best candidate
	switch {
	case start == i && g.digit[0] != 0:
		best = s.plain(b, g, i)
		s.national(&best, b, g)
	case start == i || leftBounded(b, i):
		best = stronger(stronger(ipv4(s, b, g), card(s, b, g)), ssn(s, b, g))
		if start == i {
			s.national(&best, b, g)
		}
		fallthrough
	default:
		if best.score < certain {
			best = stronger(best, phone(s, b, g, start))
		}
	}
	if named {
		s.namedDate(&best, b, i, g.size(0))
	}
	if best.score < Threshold {
		return candidate{end: g.end[0]}, none
	}
	return best, found
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
	if g.sep[0] == '.' {
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
		return !allAlnum(w[1:])
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
		return !allAlnum(w[2:])
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
