package pii

// Which words speak for what is only taken for a value beside such a word.
const (
	aboutBirth = 1 << subBirth
	aboutPhone = 1 << subPhone
	aboutAll   = 1<<64 - 1
)

// asks says which detectors of numbers are asked.
type asks uint8

const (
	askPlain    asks = 1 << iota // for addresses, cards and social security numbers
	askPhone                     // for phone numbers
	askNational                  // for what national looks for but dates
	askDate
	askAll = askPlain | askPhone | askNational | askDate
)

// promising says which detectors may find a value that begins with the first of the groups,
// before which is neither '+' nor '('. It asks of sizes, separators and first digits what
// they do, of all of them together, and whether there is a word at all where a value
// needs one: nearly all numbers in a list end here. It may name detectors that find nothing,
// and leaves out none that finds something.
func (s *Scanner) promising(b []byte, g *digitGroups) (asked asks) {
	i := g.start(0)
	d := g.digits()
	first, second := g.sizes>>60, g.sizes>>56&15
	c := g.sep(0)
	about := func(subjects uint64, a asks) {
		if s.hears(b, i, subjects) {
			asked |= a
		}
	}
	switch {
	case first >= 7:
		end := g.end(0)
		if first >= 12 || first == 8 && (c == '-' || end < len(b) && b[end] == '-') || s.hears(b, i, aboutAll) {
			return askAll
		}
		return 0
	case g.n == 1:
		if first <= 2 {
			about(aboutBirth, askDate)
		}
		return asked
	case c == '.' && g.n > 3 && g.seps>>40 == '.'<<16|'.'<<8|'.' && g.sizes>>48&0xCCCC == 0:
		asked = askPlain // an address
	}
	if first <= 2 || first == 4 && second <= 3 {
		about(aboutBirth, askDate)
	}
	three, four := int(g.sizes>>52), int(g.sizes>>48) // the sizes of so many groups, if there are so many
	if d[0] == 0 {
		switch {
		case d[1] == 0 && g.total > 2: // perhaps what is dialled for other countries
			if first > 1 && c != '.' && d[2] != 0 {
				asked |= askPhone
			}
		case first == 3 && d[1] == 1 && d[2] == 1, three == 0x334, first > 1 && first < 6 && s.promisingPhone(b, g):
			asked |= askPhone
		}
	}
	switch g.sizes >> 56 {
	case 0x13:
		switch {
		case d[0] != 1:
		case four == 0x1334 && (d[1] > 1 && d[4] > 1 || g.sep(1) != ' ' || g.sep(2) != ' '), three == 0x137 && c == '(':
			asked |= askPhone
		case four == 0x1334, three == 0x137:
			about(aboutPhone, askPhone)
		}
	case 0x12:
		switch {
		case d[0] != 1 && d[0] != 2:
		case g.sizes>>36 == 0x1222332:
			asked |= askNational
		case g.sizes>>40 == 0x122233:
			about(1<<subNIR, askNational)
		}
	case 0x22:
		if three == 0x222 && i > 2 && kind[b[i-2]]&isUpper != 0 {
			asked |= askNational
		}
	case 0x23:
		if three == 0x233 && (c == '.' || four == 0x2333) {
			asked |= askNational
		}
	case 0x24, 0x25:
		if three&15 == 4 {
			about(aboutPhone, askPhone)
		}
	case 0x32:
		if three == 0x324 {
			asked |= askPlain | askNational
		}
	case 0x33:
		switch three {
		case 0x334:
			if c != ' ' || g.sep(1) != ' ' || i < 2 || b[i-1] != ' ' || kind[b[i-2]]&isDigit == 0 { // not in a list
				asked |= askPhone
			}
			about(1<<subNHS, askNational)
		case 0x333:
			if four == 0x3332 && c == '.' {
				asked |= askNational
			}
			about(aboutPhone, askPhone)
			about(1<<subACN|1<<subTFN|1<<subBSN, askNational)
		}
	case 0x34:
		if three == 0x344 && d[0] == 1 && d[1] > 2 {
			asked |= askPhone
		}
		about(aboutPhone, askPhone)
	case 0x37, 0x55:
		about(aboutPhone, askPhone)
	case 0x42:
		if three == 0x423 && c == '.' {
			asked |= askNational
		}
	case 0x43:
		if four == 0x4333 && (luhn(d[:13]) || g.sizes>>44 == 0x43333 && luhn(d[:16])) {
			asked |= askPlain
		}
	case 0x44:
		if four == 0x4444 && luhn(d[:16]) || g.sizes>>44 == 0x44443 && luhn(d[:19]) {
			asked |= askPlain
		}
		if three == 0x444 && d[0] > 1 && (g.n == 3 || g.sep(2) != c) {
			asked |= askNational
		}
		if g.n == 2 {
			about(aboutPhone, askPhone)
		}
	case 0x45:
		if three == 0x451 {
			asked |= askNational
		}
	case 0x46:
		if three == 0x465 && luhn(d[:15]) || three == 0x464 && luhn(d[:14]) {
			asked |= askPlain
		}
	case 0x63:
		if c == '-' && g.n == 2 {
			asked |= askNational
		}
	case 0x64, 0x67:
		asked |= askNational
	case 0x6d:
		if luhn(d[:19]) {
			asked |= askPlain
		}
	}
	return asked
}

// promisingPhone says whether a phone number with the prefix 0 may begin with the groups.
func (s *Scanner) promisingPhone(b []byte, g *digitGroups) bool {
	total, perhaps := int(g.sizes>>60), false
groups:
	for k := 1; k < min(g.n, 5); k++ {
		size := int(g.sizes >> (60 - 4*k) & 15)
		if total += size; size < 2 || total > 12 || k > 1 && g.sep(k-1) != g.sep(1) {
			break
		}
		switch c := g.sep(k - 1); {
		case c == ' ', c == '-', c == '.', c == ')' && k > 1, c == '/' && k == 1:
		default:
			break groups
		}
		if total < 9 {
			continue
		}
		shape := g.sizes >> (60 - 4*k)
		switch {
		case usualPhone(int(shape)), g.sep(0) == '.', g.sep(1) == '.':
			return true
		case shape == 0x22222 && !(g.n > 5 && g.sizes>>40 == 0x222222 && g.joined(0, 5, ' ')): // no list of bytes
			return true
		}
		perhaps = true
	}
	return perhaps && s.hears(b, g.start(0), aboutPhone)
}

// hears says whether a word left of b[i], where a number begins, speaks of one of the
// subjects, near enough for what is nothing without it.
func (s *Scanner) hears(b []byte, i int, subjects uint64) bool {
	s.listenAt(b, i)
	return (s.words.near.pro|s.words.near.perhaps)&subjects != 0
}

// listenAt reads the words left of b[start], unless what is known holds there too: between
// the numbers of a run there are none.
func (s *Scanner) listenAt(b []byte, start int) {
	w := &s.words
	if w.start == start || s.groups.known > 0 && w.start >= s.groups.begin && w.start < start && start <= s.groups.start(0) && start < w.until {
		return
	}
	s.readContext(b, start)
}
