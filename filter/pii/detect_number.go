package pii

const (
	maxGroups = 8
	maxDigits = 20 // one more than the longest card number has
)

// digitGroups is a run of digit groups joined by single separators, as cards, phones
// and addresses are written.
type digitGroups struct {
	n          int // groups
	total      int // digits
	start, end [maxGroups]int
	sep        [maxGroups]byte // sep[k] stands between group k and k+1
	digit      [maxDigits]byte // the values of all digits
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

// read reads the groups that begin at b[i], a digit.
func (g *digitGroups) read(b []byte, i int, final bool) verdict {
	g.n, g.total = 0, 0
	for {
		j := i
		for j < len(b) && kind[b[j]]&isDigit != 0 {
			if g.total+j-i == maxDigits {
				if g.n == 0 {
					return none
				}
				g.sep[g.n-1] = 0
				return found // without this group
			}
			g.digit[g.total+j-i] = b[j] - '0'
			j++
		}
		if j == len(b) && !final {
			return more
		}
		g.start[g.n], g.end[g.n] = i, j
		g.total += j - i
		g.sep[g.n] = 0
		g.n++
		if j == len(b) || g.n == maxGroups {
			return found
		}
		if c := b[j]; j+1 < len(b) && kind[b[j+1]]&isDigit != 0 && (c == ' ' || c == '-' || c == '.') {
			g.sep[g.n-1] = c
			i = j + 1
			continue
		}
		c, width := separator(b, j)
		if j+width >= len(b) && width > 0 {
			if !final {
				return more
			}
			return found
		}
		if width == 0 {
			if !final && len(b)-j < 4 && b[j] >= 0xC2 {
				return more // perhaps the beginning of a longer separator
			}
			return found
		}
		i = j + width
		if kind[b[i]]&isDigit == 0 {
			return found
		}
		g.sep[g.n-1] = c
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

// detectNumber looks at the digit at b[i]. It uses g to work in.
func detectNumber(b []byte, i int, final bool, g *digitGroups) (candidate, verdict) {
	start := i
	if i > 0 {
		switch c := b[i-1]; {
		case c == ' ':
		case word(c):
			if escaped(b, i) {
				break
			}
			if kind[c]&isLetter != 0 {
				if c, v := detectIBAN(b, i, final); v != none {
					return c, v
				}
			}
			return candidate{end: alnumEnd(b, i)}, none
		case c == '(' || c == '+':
			start = phoneStart(b, i)
		case !leftBounded(b, i):
			return candidate{end: digitsEnd(b, i)}, none
		}
	}
	switch g.read(b, i, final) {
	case more:
		return candidate{start: start}, more
	case none:
		return candidate{end: alnumEnd(b, i)}, none
	}
	if g.n == 1 && g.total < 7 {
		return candidate{end: g.end[0]}, none
	}
	if !final && len(b)-g.end[g.n-1] < 4 {
		return candidate{start: start}, more
	}
	var best candidate
	if start == i && g.digit[0] != 0 {
		best = plain(b, g, i)
	} else {
		if start == i || leftBounded(b, i) {
			best = stronger(stronger(ipv4(b, g), card(b, g)), ssn(b, g))
		}
		if best.score < 0.85 {
			best = stronger(best, phone(b, g, start))
		}
	}
	if best.score < Threshold {
		return candidate{end: g.end[0]}, none
	}
	return best, found
}

// plain tells by the sizes of the first groups which values can begin at b[i], where
// neither '+' nor '(' stands before it and the first digit is not 0.
func plain(b []byte, g *digitGroups, i int) candidate {
	if g.n == 1 || g.size(0) >= 7 {
		switch n := g.size(0); {
		case n == 9:
			return stronger(ssn(b, g), phone(b, g, i))
		case n < 12:
			return phone(b, g, i)
		case n > 13:
			return card(b, g)
		}
		return stronger(card(b, g), phone(b, g, i))
	}
	if g.sep[0] == '.' {
		if c := ipv4(b, g); c.score > 0 {
			return c
		}
		return phone(b, g, i)
	}
	switch g.shape(0, 2) {
	case 0x44:
		if g.n > 2 {
			return card(b, g)
		}
		return phone(b, g, i)
	case 0x46, 0x43, 0x6d:
		return card(b, g)
	case 0x32:
		return ssn(b, g)
	case 0x13, 0x24, 0x25, 0x33, 0x34, 0x37, 0x55:
		return phone(b, g, i)
	}
	return candidate{}
}

// hopeless says, from a number's first digit and the seven bytes after it, that no
// value without '+' or '(' begins there: nearly all numbers in prose.
func hopeless(w []byte) bool {
	_ = w[7]
	switch {
	case kind[w[1]]&isDigit == 0: // one digit: the North American country code, or an address
		switch w[1] {
		case ' ', '-', '/':
			return w[0] != '1' || w[2] != '(' && kind[w[2]]&kind[w[3]]&kind[w[4]]&isDigit == 0
		case '.':
			return kind[w[2]]&isDigit == 0
		case '(', ')', 0xC2, 0xE2:
			return false
		}
		return true
	case kind[w[2]]&isDigit == 0: // two: an area code
		switch w[2] {
		case ' ', '-', '/':
			return w[0] != '0' && kind[w[3]]&kind[w[4]]&kind[w[5]]&kind[w[6]]&isDigit == 0
		case '.':
			return kind[w[3]]&isDigit == 0
		case '(', ')', 0xC2, 0xE2:
			return false
		}
		return true
	case kind[w[3]]&isDigit == 0 || kind[w[4]]&isDigit == 0: // three or four, and no separator
		c := w[3]
		if kind[c]&isDigit != 0 {
			c = w[4]
		}
		switch c {
		case ' ', '-', '.', '/', '(', ')', 0xC2, 0xE2:
			return false
		}
		return true
	}
	return false
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
