package pii

// card looks for a payment card's number at the first group.
func card(b []byte, g *digitGroups) candidate {
	if g.total < 12 || g.digit[0] < 2 || g.digit[0] > 6 {
		return candidate{}
	}
	if g.size(0) >= 12 {
		return cardOf(b, g, 1)
	}
	if g.n < 2 || g.sep[0] != ' ' && g.sep[0] != '-' {
		return candidate{}
	}
	for k := 2; k <= min(g.n, 5); k++ {
		if !g.joined(0, k-1, g.sep[0]) {
			break
		}
		switch g.shape(0, k) {
		case 0x4444, 0x465, 0x464, 0x4333, 0x44443, 0x6d:
			if c := cardOf(b, g, k); c.score > 0 {
				return c
			}
		}
	}
	return candidate{}
}

// cardOf validates the number in the first k groups.
func cardOf(b []byte, g *digitGroups, k int) candidate {
	n := 0
	for m := range k {
		n += g.size(m)
	}
	d := g.digit[:min(n, maxDigits)]
	if !issued(d) || !luhn(d) || !rightBounded(b, g.end[k-1]) {
		return candidate{}
	}
	score := float32(0.85)
	if n == 12 || n == 13 || n > 16 {
		score = 0.6
	}
	return candidate{CreditCard, g.start[0], g.end[k-1], adjust(b, g.start[0], CreditCard, score)}
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B).
func luhn(d []byte) bool {
	sum := 0
	double := false
	for k := len(d) - 1; k >= 0; k-- {
		v := int(d[k])
		if double {
			v *= 2
			if v > 9 {
				v -= 9
			}
		}
		sum += v
		double = !double
	}
	return sum%10 == 0
}

// issued says whether an issuer uses this prefix with this many digits.
func issued(d []byte) bool {
	n := len(d)
	if n < 12 || n > 19 {
		return false
	}
	p := 0
	for _, v := range d[:6] {
		p = p*10 + int(v)
	}
	p4 := p / 100
	switch {
	case d[0] == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case p4 >= 5100 && p4 <= 5599, p4 >= 2221 && p4 <= 2720: // Mastercard
		return n == 16
	case p4/100 == 34, p4/100 == 37: // American Express
		return n == 15
	case p4 == 6011, p4 >= 6440 && p4 <= 6599: // Discover
		return n >= 16
	case p4 >= 6200 && p4 <= 6299, p4 >= 8100 && p4 <= 8171: // UnionPay
		return n >= 16
	case p4 >= 3528 && p4 <= 3589: // JCB
		return n >= 16
	case p4 >= 3000 && p4 <= 3059, p4 == 3095, p4/100 == 36, p4/100 == 38, p4/100 == 39: // Diners Club
		return n == 14 || n == 16
	case p4 >= 2200 && p4 <= 2204: // Mir
		return n >= 16
	case p4 == 5018, p4 == 5020, p4 == 5038, p4 == 5893, p4 == 6304, p4 == 6759, p4 >= 6761 && p4 <= 6763: // Maestro
		return true
	}
	return false
}
