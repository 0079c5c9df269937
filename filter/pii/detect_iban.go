package pii

// iban looks at the digit at b[i], the first of two check digits after two
// letters of a country.
func (s *Scanner) iban(b []byte, i int, final bool) (candidate, verdict) {
	if i < 2 {
		return candidate{}, none
	}
	start := i - 2
	want := ibanLength(lower(b[start]), lower(b[start+1]))
	if want == 0 || start > 0 && word(b[start-1]) && !escaped(b, start) {
		return candidate{}, none
	}
	// Remainder of the number, rotated left by four and with letters as two digits,
	// modulo 97: read the country and check digits last.
	n, rest := 4, 0
	j := i
	for range 2 {
		if j == len(b) {
			if final {
				return candidate{}, none
			}
			return candidate{start: start}, more
		}
		if kind[b[j]]&isDigit == 0 {
			return candidate{}, none
		}
		j++
	}
	var gap byte
	for n < want {
		if j == len(b) {
			if final {
				return candidate{}, none
			}
			return candidate{start: start}, more
		}
		c := b[j]
		switch {
		case kind[c]&isDigit != 0:
			rest = (rest*10 + int(c-'0')) % 97
		case kind[c]&isLetter != 0:
			rest = (rest*100 + int(lower(c)-'a') + 10) % 97
		case n%4 == 0 && (c == ' ' || c == '-') && (gap == c || gap == 0 && n == 4) && b[j-1] != c:
			gap = c
			j++
			continue
		default:
			return candidate{}, none
		}
		if gap != 0 && n%4 == 0 && b[j-1] != gap {
			return candidate{}, none
		}
		n++
		j++
	}
	for _, c := range b[start : start+2] {
		rest = (rest*100 + int(lower(c)-'a') + 10) % 97
	}
	rest = (rest*100 + int(b[i]-'0')*10 + int(b[i+1]-'0')) % 97
	if rest != 1 {
		return candidate{}, none
	}
	if j == len(b) {
		if !final {
			return candidate{start: start}, more
		}
	} else if word(b[j]) {
		return candidate{}, none
	}
	return candidate{IBANCode, start, j, s.adjust(b, start, IBANCode, 0.9)}, found
}

// ibanLength returns how long the numbers of a country are (the registry of ISO 13616
// by SWIFT), 0 when it has none. The letters are in lower case.
func ibanLength(a, b byte) int {
	switch string([]byte{a, b}) {
	case "no":
		return 15
	case "be":
		return 16
	case "dk", "fo", "fi", "gl", "nl", "fk", "sd":
		return 18
	case "mk", "si":
		return 19
	case "at", "ba", "ee", "kz", "lt", "lu", "xk", "mn":
		return 20
	case "ch", "cr", "hr", "lv", "li":
		return 21
	case "bh", "bg", "ge", "de", "gb", "ie", "me", "rs", "va":
		return 22
	case "il", "ae", "gi", "iq", "tl", "om", "so":
		return 23
	case "ad", "cz", "md", "pk", "ro", "sa", "sk", "es", "se", "tn", "vg":
		return 24
	case "pt", "st", "ly":
		return 25
	case "is", "tr":
		return 26
	case "fr", "gr", "it", "mc", "mr", "sm", "bi", "dj":
		return 27
	case "al", "az", "by", "cy", "do", "gt", "hu", "lb", "pl", "sv", "ni":
		return 28
	case "br", "eg", "ps", "qa", "ua":
		return 29
	case "jo", "kw", "mu", "ye":
		return 30
	case "mt", "sc":
		return 31
	case "lc":
		return 32
	case "ru":
		return 33
	}
	return 0
}
