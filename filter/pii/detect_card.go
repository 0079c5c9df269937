package pii

// card looks for a payment card's number at the first group.
func card(s *Scanner, b []byte, g *digitGroups) candidate {
	if g.total < 12 || g.digits()[0] == 0 || g.digits()[0] > 6 && g.digits()[0] != 8 {
		return candidate{}
	}
	if g.size(0) >= 12 {
		return cardOf(s, b, g, 1)
	}
	if g.n < 2 || g.sep(0) != ' ' && g.sep(0) != '-' {
		return candidate{}
	}
	k := 0
	switch g.shape(0, 2) {
	case 0x44:
		if g.n > 3 && g.size(2) == 4 && g.size(3) == 4 {
			k = 4
		}
	case 0x46:
		if g.n > 2 && (g.size(2) == 5 || g.size(2) == 4) {
			k = 3
		}
	case 0x43:
		if g.n > 3 && g.size(2) == 3 && g.size(3) == 3 {
			k = 4
		}
	case 0x6d:
		k = 2
	}
	if k == 0 || !g.joined(0, k-1, g.sep(0)) {
		return candidate{}
	}
	if c := cardOf(s, b, g, k); c.score > 0 || k != 4 || g.n == 4 || g.size(4) != 3 || g.sep(3) != g.sep(0) {
		return c
	}
	return cardOf(s, b, g, 5)
}

// cardOf validates the number in the first k groups.
func cardOf(s *Scanner, b []byte, g *digitGroups, k int) candidate {
	n := 0
	for m := range k {
		n += g.size(m)
	}
	d := g.digits()[:min(n, maxDigits)]
	score := issued(d)
	if i := g.start(0); k == 1 && i > 0 && b[i-1] == '-' && (i == 1 || b[i-2] != '\n') {
		return candidate{} // a negative number
	}
	if score == 0 || !luhn(d) || !rightBounded(b, g.end(k-1)) {
		return candidate{}
	}
	return candidate{CreditCard, g.start(0), g.end(k - 1), s.adjust(b, g.start(0), CreditCard, score)}
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B).
func luhn(d []byte) bool {
	sum, k := 0, len(d)-1
	for ; k > 0; k -= 2 {
		sum += int(d[k]) + int(doubled[d[k-1]&15])
	}
	if k == 0 {
		sum += int(d[0])
	}
	return sum%10 == 0
}

// doubled has the sums of the digits of each digit's double.
var doubled = [16]byte{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}

// issued says how much a prefix with this many digits looks like one that an issuer
// uses: 0 for not at all.
func issued(d []byte) float32 {
	n := len(d)
	if n < 12 || n > 19 {
		return 0
	}
	const (
		usual = 0.85
		rare  = 0.6
		vague = 0.3 // believed beside a word that says card
	)
	p := 0
	for _, v := range d[:4] {
		p = p*10 + int(v)
	}
	long := float32(usual)
	if n > 16 {
		long = vague
	}
	switch p2 := p / 100; {
	case d[0] == 4: // Visa
		switch n {
		case 16:
			return usual
		case 13, 19:
			return rare
		}
	case n == 16 && (p2 >= 51 && p2 <= 55 || p >= 2221 && p <= 2720): // Mastercard
		return usual
	case n == 15 && (p2 == 34 || p2 == 37): // American Express
		return usual
	case n >= 16 && (p == 6011 || p >= 6440 && p <= 6599): // Discover
		return long
	case n >= 16 && (p2 == 62 || p >= 8100 && p <= 8171): // UnionPay
		return long
	case n >= 16 && p2 == 35, n == 15 && (p == 2131 || p == 1800): // JCB
		return long
	case (n == 14 || n == 16) && (p >= 3000 && p <= 3059 || p == 3095 || p2 == 36 || p2 == 38 || p2 == 39): // Diners Club
		return usual
	case n >= 16 && p >= 2200 && p <= 2204: // Mir
		return long
	}
	switch p {
	case 5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763: // Maestro
		if n >= 16 {
			return long
		}
		return rare
	}
	switch p / 100 {
	case 50, 56, 57, 58, 63, 67: // Maestro and national schemes
		return vague
	}
	return 0
}
