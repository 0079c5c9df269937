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
		g.n++
		if j == len(b) || g.n == maxGroups {
			return found
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
// bytes: one of space, '-', '.', '/', '(' and ')', the last two with a space or
// hyphen beside them. No-break spaces and typographic hyphens count as plain ones.
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
		if j+1 < len(b) && (b[j+1] == ' ' || b[j+1] == '-') {
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

// detectNumber looks at the digit at b[i].
func detectNumber(b []byte, i int, final bool) (candidate, verdict) {
	if i > 0 && word(b[i-1]) && !escaped(b, i) {
		if kind[b[i-1]]&isLetter != 0 {
			if c, v := detectIBAN(b, i, final); v != none {
				return c, v
			}
		}
		return candidate{end: alnumEnd(b, i)}, none
	}
	start := phoneStart(b, i)
	var g digitGroups
	switch g.read(b, i, final) {
	case more:
		return candidate{start: start}, more
	case none:
		return candidate{end: alnumEnd(b, i)}, none
	}
	if g.n == 1 && g.total < 7 && start == i {
		return candidate{end: g.end[0]}, none
	}
	if !final && len(b)-g.end[g.n-1] < 4 {
		return candidate{start: start}, more
	}
	var best candidate
	if leftBounded(b, i) {
		best = stronger(best, ipv4(b, &g))
		best = stronger(best, card(b, &g))
		best = stronger(best, ssn(b, &g))
	}
	best = stronger(best, phone(b, &g, start))
	if best.score < Threshold {
		return candidate{end: g.end[0]}, none
	}
	return best, found
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
