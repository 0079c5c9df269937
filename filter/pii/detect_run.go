package pii

const (
	// maxLead is how many letters can stand before the first digit of a value that
	// is a run of letters and digits.
	maxLead = 24
	// maxRun is the longest such value.
	maxRun = 224
	// minRest is how many bytes it has at least from the first digit on, but for
	// the country and check digits of an account.
	minRest = 4
	// minRun is the shortest that begins with a digit.
	minRun = 8
)

// run looks at the run of letters and digits whose first digit is b[i]. What it is is
// told by its length and by which of its bytes are letters.
func (s *Scanner) run(b []byte, i int, final bool) (candidate, verdict) {
	start := i
	for start > 0 && i-start < maxLead && kind[b[start-1]]&isLetter != 0 {
		start--
	}
	s.work += i - start
	if start > 0 && kind[b[start-1]]&isAlnum != 0 {
		return candidate{end: alnumEnd(b, i)}, none // not its first digit, or too long
	}
	if start+1 < i && escaped(b, start+1) {
		start++
	}
	end := i
	var mask uint32 // of the first letters
	for k := start; k < i; k++ {
		mask |= 1 << (k - start)
	}
	for end < len(b) && kind[b[end]]&isAlnum != 0 && end-start <= maxRun {
		if kind[b[end]]&isLetter != 0 && end-start < 32 {
			mask |= 1 << (end - start)
		}
		end++
	}
	s.work += end - i
	if end-start > maxRun {
		return candidate{end: alnumEnd(b, end)}, none
	}
	if !final && len(b)-end < 4 {
		return candidate{start: start}, more
	}
	n := end - start
	if i == start && n < minRun || i > start && end-i < minRest && end-i != 2 {
		return candidate{end: end}, none
	}
	var best candidate
	if start == 0 || !word(b[start-1]) || escaped(b, start) {
		switch {
		case n > 3 && mask&15 == 3 && n <= 34:
			if c, v := s.iban(b, start+2, final); v != none {
				return c, v
			}
		case n < 8:
			return candidate{end: end}, none
		}
		if n >= 12 && kind[b[start]]&isLetter != 0 {
			if c, v := s.prefixed(b, start, end, final); v != none {
				return c, v
			}
		}
		if n >= 20 {
			if c, v := s.long(b, start, end); v != none {
				return c, v
			}
		} else if leftBounded(b, start) && rightBounded(b, end) {
			s.identity(&best, b, start, end, mask)
		}
	}
	if c, v := s.secret(b, start, i, end, final); v == more || v == found && c.score > best.score {
		return c, v
	}
	if best.score >= Threshold {
		return best, found
	}
	return candidate{end: end}, none
}

// identity looks at b[start:end] for the identifiers of people that have letters.
func (s *Scanner) identity(best *candidate, b []byte, start, end int, mask uint32) {
	v := b[start:end]
	take := func(e Entity, score float32) {
		if score = s.adjust(b, start, e, score); score > best.score {
			*best = candidate{e, start, end, score}
		}
	}
	switch len(v) {
	case 8:
		if mask == 1 || mask == 3 {
			take(USDriverLicense, 0.2)
		}
	case 9:
		switch mask {
		case 0x103:
			if ninoPrefix(v[0], v[1]) && lower(v[8]) <= 'd' {
				take(UKNINO, cased(v, 0.7, 0.4))
			}
		case 0x101:
			if nricCheck(v) {
				take(SGNRICFIN, cased(v, 0.8, 0.4))
			}
			if nieCheck(v) {
				take(ESNIE, cased(v, 0.8, 0.4))
			}
		case 0x100:
			if nifLetter(v[:8]) == upper(v[8]) {
				take(ESNIF, cased(v, 0.6, 0.3))
			}
		case 1:
			take(USPassport, 0.2)
			take(USDriverLicense, 0.2)
		case 3:
			if deaCheck(v) {
				take(MedicalLicense, 0.5)
			}
			take(USDriverLicense, 0.2)
		}
	case 10:
		if mask == 0x21f && panHolder(v[3]) {
			take(INPAN, cased(v, 0.75, 0.4))
		}
	case 11:
		if mask&^0x400 == 0x40 && hetuCheck(v) {
			take(FIPersonalIdentityCode, 0.9)
		}
	case 12, 13:
		if mask == 1 {
			take(USDriverLicense, 0.2)
		}
	case 15:
		if mask == 0x40 && nirCheck(v) {
			take(FRNIR, 0.9)
		}
		if mask == 1 {
			take(USDriverLicense, 0.2)
		}
	case 16:
		if mask&0x893f == 0x893f && fiscalCheck(v) {
			take(ITFiscalCode, cased(v, 0.95, 0.85))
		}
	}
}

// long looks at the run b[start:end] for wallets' addresses.
func (s *Scanner) long(b []byte, start, end int) (candidate, verdict) {
	v := b[start:end]
	n := len(v)
	switch c := v[0]; {
	case c == '0' && n == 42 && v[1] == 'x' && allHex(v[2:]):
		return candidate{Crypto, start, end, s.adjust(b, start, Crypto, 0.7)}, found
	case (c == '1' || c == '3') && n >= 25 && n <= 35 && base58Check(v):
		return candidate{Crypto, start, end, 0.97}, found
	case (c == 'b' || c == 'B') && (n == 42 || n == 62) && bech32Check(v):
		return candidate{Crypto, start, end, 0.97}, found
	}
	return candidate{}, none
}

// prefixed looks at the run b[start:end] for tokens whose prefix has no separator.
func (s *Scanner) prefixed(b []byte, start, end int, final bool) (candidate, verdict) {
	for k := range runRules {
		rule := &runRules[k]
		if b[start] == rule.prefix[0] && end-start >= len(rule.prefix) && string(b[start:start+len(rule.prefix)]) == rule.prefix {
			if c, v := s.readToken(rule, b, start, final); v != none {
				return c, v
			}
		}
	}
	return candidate{}, none
}

// cased returns the first score when the letters of v are capitals, as they are in
// documents, and the second otherwise.
func cased(v []byte, capitals, others float32) float32 {
	for _, c := range v {
		if kind[c]&isLower != 0 {
			return others
		}
	}
	return capitals
}

func allHex(v []byte) bool {
	for _, c := range v {
		if kind[c]&isHex == 0 {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if kind[c]&isLower != 0 {
		return c &^ 0x20
	}
	return c
}

// hyphenated looks at the digit at b[i] behind a letter and a hyphen, as in X-1234567-L.
func (s *Scanner) hyphenated(b []byte, i int, final bool) (candidate, verdict) {
	start, end := i-2, digitsEnd(b, i)
	s.work += end - i
	if b[i-1] != '-' || start < 0 {
		return candidate{end: end}, none
	}
	if end == len(b) && !final && end-i <= 7 {
		return candidate{start: start}, more
	}
	if c := upper(b[start]); c < 'X' || c > 'Z' || end-i != 7 || !leftBounded(b, start) {
		return candidate{end: end}, none
	}
	if !final && len(b)-end < 4 {
		return candidate{start: start}, more
	}
	last := end
	if last < len(b) && b[last] == '-' {
		last++
	}
	if last == len(b) || kind[b[last]]&isLetter == 0 || !rightBounded(b, last+1) {
		return candidate{end: end}, none
	}
	var v [9]byte
	v[0], v[8] = b[start], b[last]
	copy(v[1:], b[i:end])
	if !nieCheck(v[:]) {
		return candidate{end: end}, none
	}
	return candidate{ESNIE, start, last + 1, s.adjust(b, start, ESNIE, 0.8)}, found
}
