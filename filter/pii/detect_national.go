package pii

// national looks at the groups for what is numbers alone and told by how many digits
// the groups have: identifiers of people and companies, accounts, and dates. Most of
// them have a checksum of one digit, which every tenth number passes, and so need a
// word beside them.
func (s *Scanner) national(best *candidate, b []byte, g *digitGroups) {
	start := g.start(0)
	var end int
	take := func(e Entity, score float32) {
		if score <= best.score && score+0.35 <= best.score {
			return
		}
		if score = s.adjust(b, start, e, score); score > best.score {
			*best = candidate{e, start, end, score}
		}
	}
	d := g.digits()[:min(g.total, maxDigits)]
	n := g.size(0)
	end = g.end(0)
	if n >= 7 {
		if n == 8 && g.n == 1 {
			s.nifHyphen(best, b, g)
		}
		if n == 8 && g.n > 1 && g.size(1) == 4 && g.sep(0) == '-' && rightBounded(b, g.end(1)) && personnummer(d[2:12]) {
			end = g.end(1)
			take(SEPersonnummer, 0.85)
			return
		}
		if !rightBounded(b, end) {
			return
		}
		d = d[:n]
		if n >= 8 && n <= 17 {
			take(USBankNumber, 0.2)
		}
		switch n {
		case 7, 8:
			take(USDriverLicense, 0.2)
		case 9:
			take(USPassport, 0.22)
			take(USDriverLicense, 0.2)
			if itin(d) {
				take(USITIN, 0.25)
			}
			if bsn(d) {
				take(NLBSN, 0.3)
			}
			if acn(d) {
				take(AUACN, 0.3)
			}
			if tfn(d) {
				take(AUTFN, 0.3)
			}
		case 10:
			if nhs(d) {
				take(UKNHS, 0.3)
			}
			if medicare(d) {
				take(AUMedicare, 0.3)
			}
			if personnummer(d) {
				take(SEPersonnummer, 0.3)
			}
		case 11:
			if pesel(d) {
				take(PLPESEL, 0.4)
			}
			if germanTax(d) {
				take(DETaxID, 0.4)
			}
			if abn(d) {
				take(AUABN, 0.4)
			}
			if cpf(d) {
				take(BRCPF, 0.45)
			}
		case 12:
			if aadhaar(d) {
				take(INAadhaar, 0.4)
			}
			if (year(d)) && personnummer(d[2:]) {
				take(SEPersonnummer, 0.5)
			}
		case 13:
			if rrn(d) {
				take(KRRRN, 0.4)
			}
			if nirStart(d) {
				take(FRNIR, 0.2)
			}
		case 15:
			if nirStart(d) && nirCheck(b[start:end]) {
				take(FRNIR, 0.8)
			}
		}
		return
	}
	if g.n < 2 {
		return
	}
	sizes := g.shape(0, 2)
	switch sizes {
	case 0x22, 0x63, 0x64, 0x23:
		s.letters(best, b, g)
	}
	// ends says whether a value of k groups can end where they do.
	ends := func(k int) bool {
		end = g.end(k - 1)
		return rightBounded(b, end)
	}
	switch sizes {
	case 0x64:
		if c := g.sep(0); (c == '-' || c == ' ') && ends(2) && personnummer(d[:10]) {
			take(SEPersonnummer, 0.55)
			if c == '-' {
				take(SEPersonnummer, 0.75)
			}
		}
	case 0x67:
		if c := g.sep(0); (c == '-' || c == ' ') && ends(2) && rrn(d[:13]) {
			if rrnCheck(d) {
				take(KRRRN, 0.85)
			} else {
				take(KRRRN, 0.5)
			}
		}
	}
	switch sizes {
	case 0x11, 0x12, 0x21, 0x22, 0x41, 0x42, 0x43:
		s.dates(best, b, g)
	}
	if g.n < 3 {
		return
	}
	c := g.sep(0)
	switch g.shape(0, 3) {
	case 0x324:
		if c == g.sep(1) && (c == '-' || c == ' ') && ends(3) && itin(d) {
			if c == '-' {
				take(USITIN, 0.75)
			} else {
				take(USITIN, 0.5)
			}
		}
	case 0x333:
		if g.n > 3 && g.size(3) == 2 && (c == '.' && g.sep(1) == '.' && (g.sep(2) == '-' || g.sep(2) == '.')) && ends(4) && cpf(d[:11]) {
			take(BRCPF, 0.92)
			return
		}
		if c != g.sep(1) || c == '/' || c == '(' || c == ')' || !ends(3) {
			return
		}
		if acn(d[:9]) {
			take(AUACN, 0.35)
		}
		if tfn(d[:9]) {
			take(AUTFN, 0.35)
		}
		if bsn(d[:9]) {
			take(NLBSN, 0.3)
		}
	case 0x334:
		if c == g.sep(1) && (c == ' ' || c == '-') && ends(3) && nhs(d[:10]) {
			take(UKNHS, 0.45)
		}
	case 0x423:
		if c == '.' && g.sep(1) == '.' && ends(3) && bsn(d[:9]) {
			take(NLBSN, 0.6)
		}
	case 0x444:
		if c == g.sep(1) && (c == ' ' || c == '-') && (g.n == 3 || g.sep(2) != c) && !continued(b, start) && ends(3) && aadhaar(d[:12]) {
			take(INAadhaar, 0.65)
		}
	case 0x451:
		if c == g.sep(1) && (c == ' ' || c == '-') && ends(3) && medicare(d[:10]) {
			take(AUMedicare, 0.7)
		}
	case 0x233:
		if g.n > 3 && g.size(3) == 3 && c == ' ' && g.joined(0, 3, ' ') && ends(4) {
			if germanTax(d[:11]) {
				take(DETaxID, 0.6)
			}
			if abn(d[:11]) {
				take(AUABN, 0.62)
			}
		}
	case 0x122:
		if g.n >= 6 && g.shape(2, 6) == 0x2233 && (c == ' ' || c == '-' || c == '.') && g.joined(0, 5, c) && nirStart(d[:13]) {
			if g.n > 6 && g.size(6) == 2 && g.sep(5) == c && ends(7) {
				n := 0
				for _, x := range d[:13] {
					n = n*10 + int(x)
				}
				if 97-n%97 == int(d[13])*10+int(d[14]) {
					take(FRNIR, 0.9)
				}
			} else if ends(6) {
				take(FRNIR, 0.4)
			}
		}
	}
}

// continued says whether a group of an account's or card's number and a space stand
// before b[i].
func continued(b []byte, i int) bool {
	if i < 2 || b[i-1] != ' ' {
		return false
	}
	if kind[b[i-2]]&isDigit != 0 {
		return true
	}
	if i < 7 || b[i-6] != ' ' || kind[b[i-7]]&isDigit == 0 {
		return false
	}
	return kind[b[i-2]]&kind[b[i-3]]&kind[b[i-4]]&kind[b[i-5]]&isUpper != 0
}

// nifHyphen looks for the letter that checks eight digits behind a hyphen: 12345678-Z.
func (s *Scanner) nifHyphen(best *candidate, b []byte, g *digitGroups) {
	end := g.end(0)
	if end+1 < len(b) && b[end] == '-' && rightBounded(b, end+2) && nifLetter(b[g.start(0):end]) == upper(b[end+1]) {
		if score := s.adjust(b, g.start(0), ESNIF, 0.6); score > best.score {
			*best = candidate{ESNIF, g.start(0), end + 2, score}
		}
	}
}

// letters looks for identifiers whose digits stand between or before letters: AB 12 34
// 56 C, 131052-308T and 12.345.678-Z.
func (s *Scanner) letters(best *candidate, b []byte, g *digitGroups) {
	start, end := g.start(0), g.end(1)
	switch g.shape(0, 2) {
	case 0x22:
		if g.n < 3 || g.size(2) != 2 || g.sep(0) != ' ' || g.sep(1) != ' ' || start < 3 {
			return
		}
		end = g.end(2)
		a := start - 3
		if b[start-1] != ' ' || kind[b[a]]&isUpper == 0 || kind[b[a+1]]&isUpper == 0 || !leftBounded(b, a) || !ninoPrefix(b[a], b[a+1]) ||
			end+1 >= len(b) || b[end] != ' ' || b[end+1] < 'A' || b[end+1] > 'D' || !rightBounded(b, end+2) {
			return
		}
		*best = stronger(*best, candidate{UKNINO, a, end + 2, 0.9})
	case 0x63:
		if g.sep(0) == '-' && end < len(b) && kind[b[end]]&isAlnum != 0 && rightBounded(b, end+1) && end+1-start == 11 && hetuCheck(b[start:end+1]) {
			*best = stronger(*best, candidate{FIPersonalIdentityCode, start, end + 1, 0.9})
		}
	case 0x64:
		if g.sep(0) == '-' && end-start == 11 && rightBounded(b, end) && hetuCheck(b[start:end]) {
			if score := s.adjust(b, start, FIPersonalIdentityCode, 0.6); score > best.score {
				*best = candidate{FIPersonalIdentityCode, start, end, score}
			}
		}
	case 0x23:
		if g.n < 3 || g.size(2) != 3 || g.sep(0) != '.' || g.sep(1) != '.' {
			return
		}
		end = g.end(2)
		var v [8]byte
		for k, x := range g.digits()[:8] {
			v[k] = '0' + x
		}
		last := end
		if last < len(b) && b[last] == '-' {
			last++
		}
		if last < len(b) && rightBounded(b, last+1) && nifLetter(v[:]) == upper(b[last]) {
			*best = stronger(*best, candidate{ESNIF, start, last + 1, 0.9})
		}
	}
}
