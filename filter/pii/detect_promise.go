package pii

// Which words speak for what is only taken for a value beside such a word.
const (
	aboutBirth = 1 << subBirth
	aboutPhone = 1 << subPhone
	aboutAll   = 1<<64 - 1
)

// promising says whether a value may begin with the first of the groups, before which is
// neither '+' nor '('. It asks of sizes, separators and first digits what the detectors do,
// at once and of all of them together, and whether there is such a word at all where a value
// needs one: nearly all numbers in a list end here. It may say yes to what is none, and never
// no to what the detectors would find.
func (s *Scanner) promising(b []byte, g *digitGroups) bool {
	i := g.start(0)
	d := g.digits()
	first, second := g.sizes>>60, g.sizes>>56&15
	c := g.sep(0)
	switch {
	case first >= 7:
		end := g.end(0)
		return first >= 12 || first == 8 && (c == '-' || end < len(b) && b[end] == '-') || s.hears(b, i, aboutAll)
	case g.n == 1:
		return first <= 2 && s.hears(b, i, aboutBirth)
	case c == '.' && g.n > 3 && g.seps>>40 == '.'<<16|'.'<<8|'.' && g.sizes>>48&0xCCCC == 0:
		return true // an address
	case (first <= 2 || first == 4 && second <= 2) && s.hears(b, i, aboutBirth):
		return true
	}
	three, four := int(g.sizes>>52), int(g.sizes>>48) // the sizes of so many groups, if there are so many
	if d[0] == 0 {
		switch {
		case d[1] == 0 && g.total > 2: // perhaps what is dialled for other countries
			if first > 1 && c != '.' && d[2] != 0 {
				return true
			}
		case first == 3 && d[1] == 1 && d[2] == 1, first == 3 && three == 0x334:
			return true
		case first > 1 && first < 6:
			if s.promisingPhone(b, g) {
				return true
			}
		}
	}
	switch g.sizes >> 56 {
	case 0x13:
		return d[0] == 1 && (four == 0x1334 || three == 0x137) && (d[1] > 1 && d[4] > 1 && four == 0x1334 || s.hears(b, i, aboutPhone))
	case 0x12:
		return (d[0] == 1 || d[0] == 2) && g.sizes>>36 == 0x1222332 || g.sizes>>40 == 0x122233 && s.hears(b, i, 1<<subNIR)
	case 0x22:
		return three == 0x222 && i > 2 && kind[b[i-2]]&isUpper != 0
	case 0x23:
		return three == 0x233 && (c == '.' || four == 0x2333)
	case 0x24, 0x25:
		return three&15 == 4 && s.hears(b, i, aboutPhone)
	case 0x32:
		return three == 0x324
	case 0x33:
		switch three {
		case 0x334:
			return !(c == ' ' && g.sep(1) == ' ' && i > 1 && b[i-1] == ' ' && kind[b[i-2]]&isDigit != 0) || s.hears(b, i, 1<<subNHS)
		case 0x333:
			return four == 0x3332 && c == '.' || s.hears(b, i, aboutPhone|1<<subACN|1<<subTFN|1<<subBSN)
		}
	case 0x34:
		return three == 0x344 && d[0] == 1 && d[1] > 2 || s.hears(b, i, aboutPhone)
	case 0x37, 0x55:
		return s.hears(b, i, aboutPhone)
	case 0x42:
		return three == 0x423 && c == '.'
	case 0x43:
		return four == 0x4333 && luhn(d[:13])
	case 0x44:
		if four == 0x4444 && luhn(d[:16]) || g.n > 4 && g.sizes>>44 == 0x44443 && luhn(d[:19]) {
			return true
		}
		return three == 0x444 && d[0] > 1 && (g.n == 3 || g.sep(2) != c) || g.n == 2 && s.hears(b, i, aboutPhone)
	case 0x45:
		return three == 0x451
	case 0x46:
		return three == 0x465 && luhn(d[:15]) || three == 0x464 && luhn(d[:14])
	case 0x63:
		return c == '-' && g.n == 2
	case 0x64, 0x67:
		return true
	case 0x6d:
		return luhn(d[:19])
	}
	return false
}

// promisingPhone says whether a phone number with the prefix 0 may begin with the groups.
func (s *Scanner) promisingPhone(b []byte, g *digitGroups) bool {
	total, perhaps := int(g.sizes>>60), false
	for k := 1; k < min(g.n, 5); k++ {
		size := int(g.sizes >> (60 - 4*k) & 15)
		if total += size; size < 2 || total > 12 {
			break
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
