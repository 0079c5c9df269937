package pii

// international tries the number as E.164 has it: skip digits of an access code, a
// country code, and a national number of the country's length.
func (p *phoneForm) international(skip int, score float32) {
	g := p.g
	if g.total < skip+3 {
		return
	}
	code, width := countryCode(g.digits()[skip:])
	if code == 0 {
		return
	}
	short, long, known := nationalLength(code)
	if skip > 0 && (!known || g.sep(0) == '.' || g.size(0) < 2 || p.dump()) {
		return
	}
	used := 0
	fallback := 0
	best := 0
	trunk := 0 // digits that are not dialled from abroad, as in +44 (0)20
	for k := range g.n {
		if k > 0 && !p.continues(k) {
			break
		}
		if k > 0 && g.sep(k-1) == '(' && g.size(k) == 1 && g.digits()[used] == 0 {
			trunk = 1
		}
		used += g.size(k)
		n := used - skip - width - trunk
		if n > 0 && trunk == 0 && used > skip+width && g.digits()[skip+width] == 0 && n > long {
			n-- // the trunk prefix, written though it should not be
		}
		if used-skip-trunk > 15 || n > max(long, 12) {
			break
		}
		if !phoneBounded(p.b, g.end(k)) || g.sep(k) == ')' && k+1 < g.n {
			continue
		}
		if n >= short && n <= long {
			best = k + 1
		}
		if skip == 0 && code != 1 && n >= 6 && n <= 12 && (k == 0 || g.sep(0) != '.') {
			fallback = k + 1
		}
	}
	switch {
	case best > 0:
		if code == 1 && (g.digits()[skip+1] < 2 || g.digits()[skip+4] < 2) {
			score -= 0.25
		}
		if skip > 0 && best == 1 {
			score = 0.3
		}
		p.take(best, score)
	case fallback > 1:
		p.take(fallback, score-0.3)
	case fallback == 1:
		p.take(fallback, 0.3)
	}
}

// continues says whether the separator before group k may stand within a number.
func (p *phoneForm) continues(k int) bool {
	g := p.g
	switch g.sep(k - 1) {
	case ' ', '-', '.', '/':
		return true
	case '(':
		return k < g.n && (k+1 == g.n || g.sep(k) == ')')
	case ')':
		return k == 1 && p.open || k > 1 && g.sep(k-2) == '('
	}
	return false
}

// countryCode returns the country code at the beginning of d (ITU-T E.164, annex) and
// its width in digits; 0 when there is none.
func countryCode(d []byte) (code, width int) {
	a, b, c := int(d[0]), int(d[1]), int(d[2])
	switch a {
	case 0:
		return 0, 0
	case 1, 7:
		return a, 1
	}
	two := a*10 + b
	switch two {
	case 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
		60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98:
		return two, 2
	case 21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99:
		return two*10 + c, 3
	}
	return 0, 0
}

// nationalLength returns how many digits a country's national numbers have, and
// whether that is known.
func nationalLength(code int) (short, long int, known bool) {
	switch code {
	case 1, 7, 30, 90, 91:
		return 10, 10, true
	case 27, 31, 33, 34, 41, 48, 61, 84, 212, 213, 254, 351, 380, 420, 421:
		return 9, 9, true
	case 32, 36, 66, 353, 359, 886, 966, 971, 972, 994:
		return 8, 9, true
	case 45, 47, 65, 216, 371, 372, 852:
		return 8, 8, true
	case 44, 51, 57, 81, 92:
		return 9, 10, true
	case 52, 55, 86:
		return 10, 11, true
	case 20, 46, 60, 63, 64, 82, 98, 234:
		return 8, 10, true
	case 39, 43, 49, 62:
		return 6, 12, true
	}
	return 7, 11, false
}
