package pii

const (
	maxLocal  = 64  // RFC 5321, section 4.5.3.1.1
	maxDomain = 253 // RFC 1035, section 2.3.4, in text form
	maxLabel  = 63
)

// Two-byte UTF-8 sequences from firstLatinLead to lastLatinLead are the letters of
// U+00C0 to U+024F: Latin with diacritics, which belong to the word they stand in.
const (
	firstLatinLead = 0xC3
	lastLatinLead  = 0xC9
)

func latin(lead, next byte) bool {
	return lead >= firstLatinLead && lead <= lastLatinLead && next >= 0x80 && next <= 0xBF &&
		(lead != 0xC3 || next != 0x97 && next != 0xB7) // × and ÷
}

// email looks at the '@' at b[at]: it looks back for the local part and forward
// for the domain.
func (s *Scanner) email(b []byte, at int, final bool) (candidate, verdict) {
	start := localStart(b, at)
	s.work += at - start
	if start == at {
		return candidate{}, none
	}
	if at+1 == len(b) {
		if final {
			return candidate{}, none
		}
		return candidate{start: start}, more
	}
	end, v := s.domainEnd(b, at+1, final)
	if v != found {
		return candidate{start: start}, v
	}
	if string(b[start:at]) == "git" && end < len(b) && b[end] == ':' {
		return candidate{}, none // the address of a repository
	}
	if end == len(b) && !final {
		return candidate{start: start}, more
	}
	return candidate{EmailAddress, start, end, 0.95}, found
}

// localStart returns where the local part that ends at b[at] begins; at when there is none.
func localStart(b []byte, at int) int {
	s := at
	for s > 0 && at-s <= maxLocal {
		c := b[s-1]
		switch {
		case kind[c]&isLocal != 0:
			if c == '\'' && (s < 2 || s == at || kind[b[s-2]]&isLetter == 0 || kind[b[s]]&isLetter == 0) {
				return trimLocal(b, s, at)
			}
			if c == '.' && (s == at || b[s] == '.') {
				return trimLocal(b, s, at)
			}
			s--
		case c >= 0x80 && s > 1 && latin(b[s-2], c):
			s -= 2
		default:
			return trimLocal(b, s, at)
		}
	}
	if at-s > maxLocal {
		return at
	}
	return trimLocal(b, s, at)
}

func trimLocal(b []byte, s, at int) int {
	for s < at && (b[s] == '.' || b[s] == '-' || b[s] == '+' || b[s] == '%' || b[s] == '\'') {
		s++
	}
	return s
}

// domainEnd returns where the domain that begins at b[i] ends.
func (s *Scanner) domainEnd(b []byte, i int, final bool) (int, verdict) {
	j := i
	label := i
	dots := 0
scan:
	for {
		if j-i > maxDomain {
			return 0, none
		}
		if j == len(b) {
			if !final {
				return 0, more
			}
			break
		}
		c := b[j]
		switch {
		case kind[c]&isAlnum != 0:
			j++
		case c == '-':
			if j == label {
				break scan
			}
			j++
		case c == '.':
			if j == label || b[j-1] == '-' || j-label > maxLabel {
				break scan
			}
			dots++
			j++
			label = j
		case c >= firstLatinLead && c <= lastLatinLead:
			if j+1 == len(b) {
				if !final {
					return 0, more
				}
				break scan
			}
			if !latin(c, b[j+1]) {
				break scan
			}
			j += 2
		default:
			break scan
		}
	}
	s.work += j - i
	// b[label:j] is the last label, perhaps empty; try it and those before it.
	end := j
	for dots > 0 {
		s.work += end - label
		if e := topLabelEnd(b, i, label, end); e != 0 {
			return e, found
		}
		dots--
		end = label - 1
		label = end
		for label > i && b[label-1] != '.' {
			label--
		}
	}
	return 0, none
}

// topLabelEnd returns where the domain b[i:end] ends when its last label, which begins
// at b[label], can be a top-level domain; otherwise 0.
func topLabelEnd(b []byte, i, label, end int) int {
	l := b[label:end]
	if len(l) > 4 && len(l) <= maxLabel && string(l[:4]) == "xn--" && l[len(l)-1] != '-' {
		return end
	}
	n := 0
	for n < len(l) && kind[l[n]]&isLetter != 0 {
		n++
	}
	if n < 2 || n > 24 || n < len(l) && l[n] != '-' {
		return 0
	}
	l = l[:n]
	uppers := 0
	for _, c := range l {
		uppers += int(kind[c]&isUpper) >> 1
	}
	capital := uppers == 1 && kind[l[0]]&isUpper != 0
	if uppers != 0 && uppers != n && !capital {
		return 0 // camelCase, as in source code
	}
	if capital && kind[b[i]]&isUpper == 0 {
		// A sentence that begins without a space: joe@example.com.Thanks
		for k := i; k < label-1; k++ {
			if b[k] == '.' {
				return 0
			}
		}
	}
	if fileExtension(l) {
		return 0
	}
	return label + n
}

// fileExtension says whether l is the extension of a file's name that is no top-level
// domain, as in icon@2x.png.
func fileExtension(l []byte) bool {
	if len(l) > 7 {
		return false
	}
	var w [7]byte
	for k, c := range l {
		w[k] = lower(c)
	}
	switch string(w[:len(l)]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "pdf", "js", "jsx", "mjs", "ts", "tsx", "css", "scss",
		"json", "html", "xml", "yml", "yaml", "toml", "txt", "exe", "dll", "class", "jar", "service", "tgz", "gz":
		return true
	}
	return false
}
