package pii

// phoneStart returns where a phone number can begin whose first digit is b[i]: the
// '+' and '(' before it belong to it.
func phoneStart(b []byte, i int) int {
	switch {
	case i > 0 && b[i-1] == '(':
		if i > 1 && b[i-2] == '+' {
			return i - 2
		}
		return i - 1
	case i > 0 && b[i-1] == '+':
		if i > 1 && b[i-2] == '(' {
			return i - 2
		}
		return i - 1
	}
	return i
}

// phone looks for a phone number at the first group. What stands before its first
// digit begins at b[start].
func phone(s *Scanner, b []byte, g *digitGroups, start int) candidate {
	first := g.start(0)
	var plus, open bool
	for _, c := range b[start:first] {
		plus = plus || c == '+'
		open = open || c == '('
	}
	if closed := g.n > 1 && g.sep(0) == ')'; open && !closed {
		open = false // it opens more than the number's first group
		plus = b[first-1] == '+'
		start = first
		if plus {
			start--
		}
	} else if closed && !open {
		return candidate{}
	}
	if !leftBounded(b, start) || plus && start > 0 && b[start-1] == '+' {
		return candidate{}
	}
	p := phoneForm{b: b, g: g, open: open}
	switch {
	case plus:
		p.international(0, 0.85)
	case g.size(0) < 6 && g.digits()[0] == 0 && g.total > 2 && g.digits()[1] == 0 && !open:
		p.international(2, 0.6)
	default:
		if g.size(0) == 3 && g.total > 5 && g.digits()[0] == 0 && g.digits()[1] == 1 && g.digits()[2] == 1 && !open {
			p.international(3, 0.6)
		}
		p.northAmerican()
		if g.digits()[0] == 0 || open {
			p.national()
		}
		p.other()
	}
	if p.score == 0 {
		return candidate{}
	}
	return candidate{PhoneNumber, start, p.end, s.adjust(b, start, PhoneNumber, p.score)}
}

// phoneForm tries forms of phone numbers on a run of groups and keeps the best.
type phoneForm struct {
	b     []byte
	g     *digitGroups
	open  bool // the first group is in parentheses
	end   int
	score float32
}

// take keeps the number that consists of the first k groups, if it may end there.
func (p *phoneForm) take(k int, score float32) bool {
	if score <= p.score || !phoneBounded(p.b, p.g.end(k-1)) {
		return false
	}
	p.end, p.score = p.g.end(k-1), score
	return true
}

// phoneBounded says whether a phone number may end at b[i]: as other numbers, or at
// an extension, which is not part of it.
func phoneBounded(b []byte, i int) bool {
	if rightBounded(b, i) {
		return true
	}
	switch lower(b[i]) {
	case 'x':
		return i+1 < len(b) && (kind[b[i+1]]&isDigit != 0 || b[i+1] == '.' || b[i+1] == ' ')
	case 'e':
		return i+2 < len(b) && lower(b[i+1]) == 'x' && lower(b[i+2]) == 't'
	}
	return false
}

// northAmerican tries the forms of the North American Numbering Plan, with and
// without the country code 1.
func (p *phoneForm) northAmerican() {
	g := p.g
	k, at := 0, 0 // the first group and digit of the area code
	if g.size(0) == 1 && g.digits()[0] == 1 && !p.open {
		k, at = 1, 1
	}
	if g.n < k+2 || g.size(k) != 3 {
		return
	}
	d := g.digits()[at:]
	valid := d[0] > 1 && d[3] > 1
	sep := g.sep(k)
	if k == 1 {
		if opened := g.sep(0) == '('; opened != (sep == ')') {
			return
		}
	} else if sep == '(' || (sep == ')') != p.open {
		return
	}
	var score float32
	var n int
	switch {
	case g.n >= k+3 && g.size(k+1) == 3 && g.size(k+2) == 4:
		n = k + 3
		last := g.sep(k + 1)
		if last != '-' && last != ' ' && last != '.' {
			return
		}
		switch {
		case sep == ')':
			score = 0.85
		case sep == ' ' && last == ' ':
			score = 0.5
			if k == 0 && p.listed() {
				return
			}
		default:
			score = 0.75
		}
	case g.size(k+1) == 7 && (sep == ')' || sep == '-' || sep == ' '):
		n = k + 2
		score = 0.4
		if sep == ')' {
			score = 0.75
		}
	default:
		return
	}
	if !valid {
		score -= 0.25
	}
	if k == 1 {
		score += 0.05
	}
	p.take(n, score)
}

// listed says whether another number and a space stand before the first group.
func (p *phoneForm) listed() bool {
	i := p.g.start(0)
	return i > 1 && p.b[i-1] == ' ' && kind[p.b[i-2]]&isDigit != 0
}

// national tries the forms of other countries: an area code with its trunk prefix 0
// or in parentheses, and two to four groups more.
func (p *phoneForm) national() {
	g := p.g
	if g.n < 2 || g.size(0) < 2 || g.size(0) > 5 {
		return
	}
	switch g.sep(0) {
	case ' ', '-', '/', ')', '.':
	default:
		return
	}
	if p.open && g.size(0) == 4 && year(g.digits()[:4]) || date(g) {
		return
	}
	if i := g.start(0); g.sep(0) == '/' && i > 0 && p.b[i-1] == '/' {
		return // a path
	}
	total := g.size(0)
	for k := 1; k < min(g.n, 5); k++ {
		if total += g.size(k); total > 12 || g.size(k) < 2 || k > 1 && g.sep(k-1) != g.sep(1) {
			break
		}
		switch g.sep(k - 1) {
		case ' ', '-', ')', '.':
		case '/':
			if k > 1 {
				return
			}
		default:
			return
		}
		if total < 9 {
			continue
		}
		score := float32(0.4)
		dotted := g.sep(0) == '.' || k > 1 && g.sep(1) == '.'
		switch shape := g.shape(0, k+1); {
		case shape == 0x22222:
			score = 0.7
			if g.sep(0) != g.sep(1) || p.dump() {
				score = 0.2
			}
		case usualPhone(shape):
			score = 0.6
			if shape < 0x50 {
				score = 0.55
			}
		default:
			dotted = false
		}
		if p.open {
			score += 0.1
		}
		if dotted && g.shape(0, k+1) != 0x22222 {
			score = 0.4
			if k > 1 && g.sep(1) == '.' {
				score = 0.5
			}
		}
		p.take(k+1, score)
	}
}

// usualPhone says whether numbers with the prefix 0 are often grouped so.
func usualPhone(shape int) bool {
	switch shape {
	case 0x56, 0x55, 0x533, 0x434, 0x344, 0x244, 0x433, 0x334, 0x343, 0x3322, 0x3222, 0x235, 0x254, 0x354,
		0x37, 0x38, 0x47, 0x48, 0x46, 0x36, 0x28:
		return true
	}
	return false
}

// dump says whether the groups stand in a list of bytes, such as a hex dump.
func (p *phoneForm) dump() bool {
	g, b := p.g, p.b
	if g.sep(0) != ' ' || g.size(0) != 2 {
		return false
	}
	if g.n > 5 && g.shape(0, 6) == 0x222222 && g.joined(0, 5, ' ') {
		return true
	}
	hex := func(c byte) bool { return kind[c]&isHex != 0 }
	if i := g.start(0); i > 2 && b[i-1] == ' ' && hex(b[i-2]) && hex(b[i-3]) && (kind[b[i-2]]|kind[b[i-3]])&isDigit != 0 && (i == 3 || !word(b[i-4])) {
		return true
	}
	e := g.end(g.n - 1)
	return e+2 < len(b) && b[e] == ' ' && hex(b[e+1]) && hex(b[e+2]) && (e+3 == len(b) || !word(b[e+3])) && (kind[b[e+1]]|kind[b[e+2]])&isDigit != 0
}

// year says whether the four digits are a year of our time.
func year(d []byte) bool {
	return d[0] == 1 && d[1] == 9 || d[0] == 2 && d[1] == 0
}

// date says whether the first groups are a date, as in 01 02 2024.
func date(g *digitGroups) bool {
	return g.n > 2 && g.shape(0, 3) == 0x224 && year(g.digits()[4:8]) &&
		g.digits()[0]*10+g.digits()[1] <= 31 && g.digits()[2]*10+g.digits()[3] <= 31
}

// other tries what is a phone number only where words say so, and mobile numbers as
// some countries write them.
func (p *phoneForm) other() {
	g := p.g
	switch d := g.digits(); {
	case p.open:
	case g.size(0) >= 7:
		n := g.size(0)
		switch {
		case n == 10 && d[0] > 1 && d[3] > 1, n == 11 && d[0] == 1 && d[1] > 1, n == 11 && d[0] == 0, n == 10 && d[0] == 0:
			p.take(1, 0.3)
		case n <= 13:
			p.take(1, 0.2)
		}
	case g.n < 2:
	case g.shape(0, 2) == 0x34 && g.sep(0) == '-' && d[0] > 1:
		p.take(2, 0.3)
	case g.n == 2 && g.shape(0, 2) == 0x44 && d[0] > 1 && g.sep(0) != '/' && !(year(d[:4]) && year(d[4:8])):
		p.take(2, 0.3)
	case g.n >= 3 && g.shape(0, 3) == 0x344 && d[0] == 1 && d[1] >= 3 && g.sep(0) == g.sep(1) && g.sep(0) != '/': // China
		if g.sep(0) != '.' {
			p.take(3, 0.5)
		}
	case g.n >= 3 && (g.shape(0, 3) == 0x244 || g.shape(0, 3) == 0x254) && g.sep(1) == '-' && (g.sep(0) == ' ' || g.sep(0) == '-'): // Brazil
		p.take(3, 0.4)
	case g.shape(0, 2) == 0x55 && d[0] >= 6 && (g.sep(0) == ' ' || g.sep(0) == '-'): // India
		p.take(2, 0.4)
	case g.n >= 3 && g.shape(0, 3) == 0x333 && d[0] >= 6 && g.sep(0) == g.sep(1) && (g.sep(0) == ' ' || g.sep(0) == '-'): // Spain, Poland
		p.take(3, 0.4)
	}
}
