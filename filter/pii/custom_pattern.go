package pii

import (
	"math/bits"
	"strconv"
)

// maxPositions is how many places of a byte a pattern has, its repeats written out.
const maxPositions = 128

// bitset is a set of positions.
type bitset [maxPositions / 64]uint64

func (s bitset) and(t bitset) bitset { return bitset{s[0] & t[0], s[1] & t[1]} }
func (s bitset) or(t bitset) bitset  { return bitset{s[0] | t[0], s[1] | t[1]} }
func (s bitset) any() bool           { return s[0]|s[1] != 0 }
func (s *bitset) add(n int)          { s[n/64] |= 1 << (n % 64) }

// pattern is a compiled pattern: an automaton without empty steps whose states are the
// positions (Glushkov), run with all of its states at once. So matching takes a bounded
// time for each byte, whatever the pattern and the text are.
type pattern struct {
	first, last bitset
	accept      [256]bitset // positions that take a byte
	follow      [maxPositions]bitset
}

// PatternError says what is wrong with a pattern.
type PatternError struct {
	// Offset is where, in bytes.
	Offset int
	// Reason says what it is.
	Reason string
}

func (e *PatternError) Error() string { return "at " + strconv.Itoa(e.Offset) + ": " + e.Reason }

// subpattern is a piece of a pattern, with the positions that it can begin and end with.
type subpattern struct {
	first, last bitset
	empty       bool // it can be empty
}

type patternParser struct {
	text  string
	at    int
	n     int // positions so far
	depth int
	p     *pattern
	err   *PatternError
}

// parsePattern compiles a pattern. Its language is a part of that of regular expressions:
//
//	x         the character x; a special one behind a backslash
//	.         any byte but a line's end
//	[a-z_]    one of a class of ASCII characters; [^...] any other ASCII character
//	\d \w     a digit; a letter, digit or underscore
//	(a|b)     one of several
//	x? x{3}   none or one; that many; between two and five: x{2,5}
//
// Repeats without a bound (*, +) are not in it, nor are anchors, as a value always
// begins and ends where a word does, nor references. A pattern has at most 128
// positions, repeats written out, and does not match what is empty. Letters are equal
// in one case only.
func parsePattern(text string) (*pattern, *PatternError) {
	if len(text) > MaxPattern {
		return nil, &PatternError{MaxPattern, "longer than " + strconv.Itoa(MaxPattern) + " bytes"}
	}
	x := patternParser{text: text, p: new(pattern)}
	whole := x.alternatives()
	if x.err == nil && x.at < len(text) {
		x.fail("a ) that closes nothing")
	}
	if x.err == nil && whole.empty {
		x.at = 0
		x.fail("it matches what is empty")
	}
	if x.err != nil {
		return nil, x.err
	}
	x.p.first, x.p.last = whole.first, whole.last
	return x.p, nil
}

func (x *patternParser) fail(reason string) {
	if x.err == nil {
		x.err = &PatternError{x.at, reason}
	}
}

func (x *patternParser) more() bool { return x.err == nil && x.at < len(x.text) }

func (x *patternParser) alternatives() subpattern {
	if x.depth++; x.depth > 8 {
		x.fail("nested deeper than 8")
		return subpattern{}
	}
	whole := x.sequence()
	for x.more() && x.text[x.at] == '|' {
		x.at++
		other := x.sequence()
		whole = subpattern{whole.first.or(other.first), whole.last.or(other.last), whole.empty || other.empty}
	}
	x.depth--
	return whole
}

func (x *patternParser) sequence() subpattern {
	whole := subpattern{empty: true}
	for x.more() && x.text[x.at] != '|' && x.text[x.at] != ')' {
		whole = x.join(whole, x.repeated())
	}
	return whole
}

// join puts b behind a.
func (x *patternParser) join(a, b subpattern) subpattern {
	for n := range x.n {
		if a.last[n/64]>>(n%64)&1 != 0 {
			x.p.follow[n] = x.p.follow[n].or(b.first)
		}
	}
	out := subpattern{a.first, b.last, a.empty && b.empty}
	if a.empty {
		out.first = out.first.or(b.first)
	}
	if b.empty {
		out.last = out.last.or(a.last)
	}
	return out
}

// repeated reads an atom and how often it stands there. Each time it does it is read
// again, so that each has positions of its own.
func (x *patternParser) repeated() subpattern {
	start := x.at
	one := x.atom()
	if !x.more() {
		return one
	}
	switch x.text[x.at] {
	case '?':
		x.at++
		one.empty = true
		x.onlyOnce()
		return one
	case '*', '+':
		x.fail("repeats need a bound: {1,20} in place of " + x.text[x.at:x.at+1])
		return one
	case '{':
	default:
		return one
	}
	atom := x.at
	x.at++
	least := x.count()
	most := least
	if x.more() && x.text[x.at] == ',' {
		x.at++
		most = x.count()
	}
	if x.err == nil && (x.at == len(x.text) || x.text[x.at] != '}') {
		x.fail("a repeat is {3} or {2,5}")
	}
	if x.err == nil && (most < least || most == 0) {
		x.at = atom
		x.fail("a repeat whose bounds are none")
	}
	if x.err != nil {
		return one
	}
	end := x.at + 1
	whole := subpattern{empty: true}
	for n := range most {
		if n > 0 {
			x.at = start
			one = x.atom()
		}
		if x.err != nil {
			break
		}
		if n >= least {
			one.empty = true
		}
		whole = x.join(whole, one)
	}
	x.at = end
	x.onlyOnce()
	return whole
}

// onlyOnce refuses a repeat of a repeat.
func (x *patternParser) onlyOnce() {
	if x.more() && (x.text[x.at] == '?' || x.text[x.at] == '*' || x.text[x.at] == '+' || x.text[x.at] == '{') {
		x.fail("a repeat of a repeat; put it in parentheses")
	}
}

func (x *patternParser) count() int {
	n, digits := 0, 0
	for x.more() && kind[x.text[x.at]]&isDigit != 0 && digits < 3 {
		n = n*10 + int(x.text[x.at]-'0')
		x.at++
		digits++
	}
	// To other engines a bound that begins with 0 makes the braces literal.
	if digits == 0 || digits > 1 && x.text[x.at-digits] == '0' {
		x.fail("a repeat is {3} or {2,5}")
	}
	return n
}

func (x *patternParser) atom() subpattern {
	if !x.more() {
		return subpattern{}
	}
	var set [256]bool
	switch c := x.text[x.at]; c {
	case '(':
		open := x.at
		x.at++
		whole := x.alternatives()
		if x.err == nil && (x.at == len(x.text) || x.text[x.at] != ')') {
			x.at = open
			x.fail("a ( that is not closed")
		}
		x.at++
		return whole
	case '[':
		x.class(&set)
	case '.':
		x.at++
		for b := range set {
			set[b] = b != '\n' && b != '\r'
		}
	case '\\':
		x.escape(&set)
	case ']', '}', '{', '*', '+', '?', '^', '$':
		x.fail("put a backslash before " + string(rune(c)))
	default:
		x.at++
		set[c] = true
	}
	if x.err != nil {
		return subpattern{}
	}
	if x.n == maxPositions {
		x.fail("more than " + strconv.Itoa(maxPositions) + " positions, repeats written out")
		return subpattern{}
	}
	for b, in := range set {
		if in {
			x.p.accept[b].add(x.n)
		}
	}
	var self bitset
	self.add(x.n)
	x.n++
	return subpattern{first: self, last: self}
}

// escape reads what a backslash begins, and returns the byte that it stands for when it
// is one.
func (x *patternParser) escape(set *[256]bool) (c byte, single bool) {
	x.at++
	if x.at == len(x.text) {
		x.fail("nothing behind the backslash")
		return 0, false
	}
	c = x.text[x.at]
	switch {
	case c == 'd' || c == 'w':
		for b := range set {
			if kind[b]&isDigit != 0 || c == 'w' && word(byte(b)) {
				set[b] = true
			}
		}
		x.at++
		return 0, false
	case kind[c]&isAlnum != 0:
		x.fail("unknown escape \\" + string(rune(c)))
		return 0, false
	}
	set[c] = true
	x.at++
	return c, true
}

func (x *patternParser) class(set *[256]bool) {
	open := x.at
	x.at++
	negated := x.more() && x.text[x.at] == '^'
	if negated {
		x.at++
	}
	for first := true; ; first = false {
		if !x.more() {
			x.at = open
			x.fail("a [ that is not closed")
			return
		}
		c, single := x.text[x.at], true
		switch {
		case c == ']' && !first:
			x.at++
			if negated {
				for b := range set {
					set[b] = !set[b] && b < 0x80 && b != '\n' && b != '\r'
				}
			}
			return
		case c == '\\':
			c, single = x.escape(set)
		case c >= 0x80 || c == '[' || c == ']':
			x.fail("a class has ASCII characters, brackets behind a backslash")
		default:
			x.at++
		}
		if x.err != nil {
			return
		}
		if !single {
			continue
		}
		to := c
		if x.at+1 < len(x.text) && x.text[x.at] == '-' && x.text[x.at+1] != ']' {
			x.at++
			if to = x.text[x.at]; to >= 0x80 || to == '\\' || to < c {
				x.fail("a range of a class from low to high")
				return
			}
			x.at++
		}
		for b := int(c); b <= int(to); b++ {
			set[b] = true
		}
	}
}

// longest returns the end of the longest value at b[i] that ends where a word does.
func (p *pattern) longest(b []byte, i int, final bool) (end int, v verdict) {
	states := p.first
	for j := i; ; j++ {
		if j == len(b) {
			if !final {
				return 0, more
			}
			break
		}
		states = states.and(p.accept[b[j]])
		if !states.any() {
			break
		}
		if states.and(p.last).any() {
			if j+1 == len(b) && !final {
				return 0, more
			}
			if j+1 == len(b) || !word(b[j]) || !word(b[j+1]) {
				end = j + 1
			}
		}
		var next bitset
		for k, x := range states {
			for ; x != 0; x &= x - 1 {
				next = next.or(p.follow[k*64+bits.TrailingZeros64(x)])
			}
		}
		if states = next; !states.any() {
			break
		}
	}
	if end == 0 {
		return 0, none
	}
	return end, found
}
