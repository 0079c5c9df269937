package jsonstream

// number is how far the grammar of a number (RFC 8259, section 6) has come.
type number uint8

const (
	numMinus   number = iota // a digit must follow
	numZero                  // a leading zero: no digit may follow
	numInt                   // digits of the integer
	numDot                   // a digit must follow
	numFrac                  // digits of the fraction
	numE                     // a digit or sign must follow
	numExpSign               // a digit must follow
	numExp                   // digits of the exponent
)

func (n number) complete() bool {
	return n == numZero || n == numInt || n == numFrac || n == numExp
}

// repeats reports whether any number of digits may follow without a change.
func (n number) repeats() bool { return n == numInt || n == numFrac || n == numExp }

// step returns the state behind c, and false when c is not of the number.
func (n number) step(c byte) (number, bool) {
	digit := c-'0' < 10
	switch n {
	case numMinus:
		if c == '0' {
			return numZero, true
		}
		return numInt, digit
	case numZero, numInt:
		switch {
		case digit:
			return n, n == numInt
		case c == '.':
			return numDot, true
		case c|0x20 == 'e':
			return numE, true
		}
	case numDot, numFrac:
		switch {
		case digit:
			return numFrac, true
		case c|0x20 == 'e':
			return numE, n == numFrac
		}
	case numE:
		if c == '+' || c == '-' {
			return numExpSign, true
		}
		return numExp, digit
	default:
		return numExp, digit
	}
	return n, false
}

// Literals, by their first byte.
const (
	litTrue  = "true"
	litFalse = "false"
	litNull  = "null"
)

// scalar begins a number or literal with the byte c at the position.
func (l *Lexer) scalar(c byte) bool {
	switch c {
	case 't':
		l.lit = litTrue
	case 'f':
		l.lit = litFalse
	case 'n':
		l.lit = litNull
	case '-':
		// Its part begins with the sign, which nextNumber does not expect.
		l.state, l.num, l.fresh = inNumber, numMinus, first
		return true
	default:
		l.num = numMinus
		l.state, l.fresh = inNumber, first
		return c-'0' < 10
	}
	l.state = inLiteral
	return true
}

// nextNumber returns the next part of the number that the lexer is in.
func (l *Lexer) nextNumber() Kind {
	b := l.chunk[l.pos:]
	n := 0
	if l.fresh != 0 && len(b) > 0 && b[0] == '-' {
		n = 1
	}
	for n < len(b) {
		if b[n]-'0' < 10 && l.num.repeats() {
			n++
			continue
		}
		next, ok := l.num.step(b[n])
		if !ok {
			if !l.num.complete() {
				if n > 0 {
					return l.numberPart(n, false)
				}
				return l.fail(ErrSyntax)
			}
			return l.numberPart(n, true)
		}
		l.num = next
		n++
	}
	if n == 0 {
		return More
	}
	return l.numberPart(n, false)
}

// numberPart is an event of the next n bytes.
func (l *Lexer) numberPart(n int, ends bool) Kind {
	l.text = l.chunk[l.pos : l.pos+n]
	l.start = l.base + l.pos
	l.pos += n
	l.end = l.start + n
	l.part, l.fresh = l.fresh, 0
	if ends {
		l.part |= last
		l.valueDone()
	}
	return Number
}

// nextLiteral reads on in a literal, which is an event when it is complete.
func (l *Lexer) nextLiteral() Kind {
	for l.pos < len(l.chunk) {
		if l.chunk[l.pos] != l.lit[l.npend] {
			l.unread()
			return l.fail(ErrSyntax)
		}
		l.pend[l.npend] = l.chunk[l.pos]
		l.npend++
		l.pos++
		if l.npend < len(l.lit) {
			continue
		}
		l.text = l.pend[:l.npend]
		l.end = l.base + l.pos
		l.start = l.end - l.npend
		l.npend = 0
		l.part = whole
		l.valueDone()
		return Literal
	}
	return More
}
