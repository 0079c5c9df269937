package pii

const (
	maxScheme    = 16
	maxAuthority = 320
)

// url looks at the ':' at b[i] of "://" for an address with a user's password in it:
// scheme://user:password@host.
func (s *Scanner) url(b []byte, i int, final bool) (candidate, verdict) {
	start := i
	for start > 0 && i-start <= maxScheme && (kind[b[start-1]]&isAlnum != 0 || b[start-1] == '+' || b[start-1] == '-' || b[start-1] == '.') {
		start--
	}
	for start < i && kind[b[start]]&isLetter == 0 {
		start++
	}
	s.work += i - start
	if start == i || i-start > maxScheme {
		return candidate{}, none
	}
	if v := hasPrefix(b, i, "://", final); v != found {
		return candidate{start: start}, v
	}
	password, at := 0, 0 // behind the first ':', and the last '@'
	j := i + 3
scan:
	for ; ; j++ {
		if j-i > maxAuthority {
			s.work += j - i
			return candidate{}, none
		}
		if j == len(b) {
			if !final {
				return candidate{start: start}, more
			}
			break
		}
		switch c := b[j]; {
		case c == ':':
			if password == 0 {
				password = j + 1
			}
		case c == '@':
			at = j
		case c <= ' ' || c == '/' || c == '?' || c == '#' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' || c == '\\' || c == ')' || c == ']' && at > 0 && !literal(b[at:j]) || c == '}' || c == ',' && at > 0:
			break scan
		}
	}
	s.work += j - i
	if password == 0 || at <= password || b[password] == '$' || b[password] == '{' || b[password] == '<' || b[password] == '*' {
		return candidate{}, none
	}
	end := j
	for end > at+1 && (b[end-1] == '.' || b[end-1] == ',' || b[end-1] == ';' || b[end-1] == ':' || b[end-1] == '!') {
		end--
	}
	if end == at+1 {
		return candidate{}, none
	}
	e := ConnectionString
	if scheme := b[start:i]; equalFold(scheme, "http") || equalFold(scheme, "https") || equalFold(scheme, "ftp") || equalFold(scheme, "ws") || equalFold(scheme, "wss") {
		e = URL
	}
	return candidate{e, start, end, 0.97}, found
}

// literal says whether an IPv6 address in brackets is open in v.
func literal(v []byte) bool {
	for _, c := range v {
		if c == '[' {
			return true
		}
	}
	return false
}

// mac looks at the separator at b[i], the first of a hardware address: six or eight
// pairs joined by colons or hyphens.
func (s *Scanner) mac(b []byte, i int, final bool) (candidate, verdict) {
	c := b[i]
	if i < 2 || kind[b[i-1]]&kind[b[i-2]]&isHex == 0 {
		return candidate{}, none
	}
	start := i - 2
	if start > 0 && (word(b[start-1]) && !escaped(b, start) || b[start-1] == c) {
		return candidate{}, none
	}
	pairs, j := 1, i
	for {
		if j == len(b) {
			if !final {
				return candidate{start: start}, more
			}
			break
		}
		if b[j] != c {
			break
		}
		if j+2 >= len(b) {
			if !final {
				return candidate{start: start}, more
			}
			return candidate{}, none
		}
		if kind[b[j+1]]&kind[b[j+2]]&isHex == 0 {
			if kind[b[j+1]]&isHex != 0 {
				return candidate{}, none
			}
			break
		}
		if pairs++; pairs > 8 {
			return candidate{}, none
		}
		j += 3
	}
	s.work += j - i
	if pairs != 6 && pairs != 8 || j < len(b) && word(b[j]) {
		return candidate{}, none
	}
	end := j
	zeros := true
	for _, x := range b[start:end] {
		zeros = zeros && (x == '0' || kind[x]&isHex == 0)
	}
	if zeros {
		return candidate{}, none
	}
	return candidate{MACAddress, start, end, 0.9}, found
}
