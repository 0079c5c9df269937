package pii

// monthAhead is how many bytes behind a day can tell that a month's name follows.
const monthAhead = 8

// dates looks at the groups for a date in digits. It is one of birth only beside a
// word that says so.
func (s *Scanner) dates(best *candidate, b []byte, g *digitGroups) {
	if g.shape(0, 2) == 0x43 && g.sep(0) == '-' && g.n == 2 { // the day of a year
		d := g.digits()
		year, day := int(d[0])*1000+int(d[1])*100+int(d[2])*10+int(d[3]), int(d[4])*100+int(d[5])*10+int(d[6])
		if isYear(year) && day >= 1 && day <= 366 && rightBounded(b, g.end(1)) {
			s.born(best, b, g.start(0), g.end(1))
		}
		return
	}
	if g.n < 3 {
		return
	}
	c := g.sep(0)
	if c != g.sep(1) || c != '-' && c != '/' && c != '.' && c != ' ' {
		return
	}
	d := g.digits()
	num := func(at, size int) int {
		n := 0
		for _, x := range d[at : at+size] {
			n = n*10 + int(x)
		}
		return n
	}
	ok := false
	switch x, y, z := g.size(0), g.size(1), g.size(2); {
	case x > 4 || y > 2 || z > 4 || c == ' ' && z != 4:
	case x == 4 && z <= 2:
		ok = isYear(num(0, 4)) && dayMonth(num(4+y, z), num(4, y))
	case x <= 2 && (z == 4 && isYear(num(x+y, 4)) || z == 2):
		a, m := num(0, x), num(x, y)
		ok = dayMonth(a, m) || dayMonth(m, a)
	}
	if end := g.end(2); ok && rightBounded(b, end) && (end == len(b) || b[end] != '/') {
		s.born(best, b, g.start(0), end)
	}
}

// born takes the date b[start:end] when a word before it says birth.
func (s *Scanner) born(best *candidate, b []byte, start, end int) {
	if score := s.adjust(b, start, DateOfBirth, 0.3); score >= Threshold && score > best.score {
		*best = candidate{DateOfBirth, start, end, score}
	}
}

func dayMonth(day, month int) bool { return day >= 1 && day <= 31 && month >= 1 && month <= 12 }

func isYear(y int) bool { return y >= 1880 && y < 2100 }

// named says whether the day of at most two digits at b[i] stands beside a month's name.
func (s *Scanner) named(b []byte, i, size int) bool {
	if size > 2 {
		return false
	}
	end := i + size
	end += ordinalEnd(b, end)
	if monthBefore(b, i) >= 0 {
		return end < len(b) && (b[end] == ',' || b[end] == ' ')
	}
	k := end
	if k < len(b) && b[k] == '.' {
		k++
	}
	return k < len(b) && (b[k] == ' ' || b[k] == '-' || b[k] == '/') && k+4 <= len(b) && monthLike(b[k+1:])
}

// namedDate reads the rest of a date with a month's name.
func (s *Scanner) namedDate(best *candidate, b []byte, i, size int) {
	day := int(b[i] - '0')
	if size == 2 {
		day = twoDigits(b[i:])
	}
	start, k := i, i+size
	if day < 1 || day > 31 {
		return
	}
	k += ordinalEnd(b, k)
	if m := monthBefore(b, i); m >= 0 {
		start = m
	} else {
		if b[k] == '.' {
			k++
		}
		k = skipOf(b, k+1)
		first := k
		for k < len(b) && k-first < 12 && (kind[b[k]]&isLetter != 0 || b[k] >= 0x80) {
			k++
		}
		if k-first < 3 || k-first == 12 || !month(b[first:]) {
			return
		}
	}
	// What stands before the year.
	for n := 0; k < len(b) && n < 2 && (b[k] == '.' || b[k] == ',' || b[k] == ' ' || b[k] == '-' || b[k] == '/'); n++ {
		k++
	}
	k = skipOf(b, k)
	if k+4 > len(b) || digitsEnd(b[:min(len(b), k+5)], k) != k+4 || !isYear(twoDigits(b[k:])*100+twoDigits(b[k+2:])) || !rightBounded(b, k+4) {
		return
	}
	s.born(best, b, start, k+4)
}

// ordinal looks at the day of size digits at b[i], behind which letters make an ordinal
// number, as in 3rd of March 1990 and March 3rd, 1990.
func (s *Scanner) ordinal(b []byte, i, size int, final bool) (candidate, verdict) {
	if !final && len(b)-i-size < lookAhead {
		return candidate{start: i}, more
	}
	var best candidate
	if s.named(b, i, size) {
		s.namedDate(&best, b, i, size)
	}
	if best.score < Threshold {
		return candidate{}, none
	}
	return best, found
}

// ordinalEnd returns how many bytes at b[i], behind a number, make it an ordinal one in
// English, French (1er), Spanish, Italian or Portuguese (1º); 0 for none.
func ordinalEnd(b []byte, i int) int {
	if i+2 > len(b) {
		return 0
	}
	switch string(b[i : i+2]) {
	case "st", "nd", "rd", "th", "er":
		if i+2 == len(b) || !word(b[i+2]) {
			return 2
		}
	case "\u00ba", "\u00b0":
		return 2
	}
	return 0
}

// skipOf skips the word that some languages have before a month or a year, and English
// before a month.
func skipOf(b []byte, k int) int {
	if k+3 <= len(b) && (string(b[k:k+3]) == "de " || string(b[k:k+3]) == "of ") {
		return k + 3
	}
	return k
}

// monthBefore returns where the English name of the month before the day at b[i] begins, or -1.
func monthBefore(b []byte, i int) int {
	if i < 4 || b[i-1] != ' ' {
		return -1
	}
	j := i - 1
	if b[j-1] == '.' {
		j--
	}
	end := j
	for j > 0 && end-j < 10 && (kind[b[j-1]]&isLetter != 0 || b[j-1] >= 0x80) {
		j--
	}
	if j > 0 && word(b[j-1]) || !englishMonth(b[j:end]) {
		return -1
	}
	return j
}

// englishMonth says whether w is a month's name or its usual abbreviation in English,
// where it can stand before the day.
func englishMonth(w []byte) bool {
	if len(w) < 3 || len(w) > 9 {
		return false
	}
	var m [9]byte
	for k, c := range w {
		m[k] = lower(c)
	}
	switch string(m[:len(w)]) {
	case "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
		"jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec":
		return true
	}
	return false
}

// monthLike says whether w can begin with a month's name, or with what stands before
// one. It has at least three bytes.
func monthLike(w []byte) bool {
	return kind[w[0]]&isLetter != 0 && (month(w) || w[2] == ' ' && (w[0] == 'd' && w[1] == 'e' || w[0] == 'o' && w[1] == 'f'))
}

// month says whether w, of three bytes at least, begins as a month's name does in
// English, German, French, Spanish, Italian, Dutch or Portuguese.
func month(w []byte) bool {
	var m [3]byte
	for k := range m {
		m[k] = lower(w[k])
	}
	switch string(m[:]) {
	case "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
		"m\xc3\xa4", "mai", "okt", "dez", "f\xc3\xa9", "avr", "jui", "ao\xc3", "d\xc3\xa9",
		"ene", "abr", "ago", "dic", "gen", "mag", "giu", "lug", "set", "ott", "mrt", "mei", "fev", "out":
		return true
	}
	return false
}
