package pii

const (
	maxJWTHeader = 1024
	// longToken is the length at which a token with a valid header is believed
	// before its end is seen, and from which it is reported in parts.
	longToken = 3072
)

// jwt looks at the 'J' at b[i]: a token in compact form begins with eyJ, which
// is {" in base64url.
func (s *Scanner) jwt(b []byte, i int, final bool) (candidate, verdict) {
	if i < 2 || b[i-1] != 'y' || b[i-2] != 'e' {
		return candidate{}, none
	}
	start := i - 2
	if start > 0 && kind[b[start-1]]&isB64URL != 0 && !escaped(b, start) {
		return candidate{}, none
	}
	j := i + 1
	for j < len(b) && kind[b[j]]&isB64URL != 0 {
		if j-start >= maxJWTHeader {
			return candidate{}, none
		}
		j++
	}
	s.work += j - start
	if j == len(b) {
		if final {
			return candidate{}, none
		}
		return candidate{start: start}, more
	}
	if b[j] != '.' {
		return candidate{}, none
	}
	var h joseHeader
	if !h.parse(b[start:j]) {
		return candidate{end: j}, none
	}
	// The parts after the header. A signed token (JWS) has two, of which the first
	// begins with { too; an encrypted one (JWE) has four, of which the first may be empty.
	payload := j + 1
	var ends [4]int
	parts := 0
	j++
	for {
		for j < len(b) && kind[b[j]]&isB64URL != 0 && j-start < longToken {
			j++
		}
		if j-start >= longToken {
			return candidate{JWT, start, start + longToken, 1}, found
		}
		if j == len(b) && !final {
			return candidate{start: start}, more
		}
		ends[parts] = j
		parts++
		if parts == len(ends) || j == len(b) || b[j] != '.' {
			break
		}
		j++
	}
	s.work += 2 * (j - start)
	c := candidate{JWT, start, 0, 0.97}
	switch signed := object(b, payload); {
	case parts == 4 && !signed && ends[3] > ends[2]+1 && ends[2] > ends[1]+1:
		c.end = ends[3]
	case parts >= 2 && ends[0] > payload && ends[1] > ends[0]+1:
		c.end = ends[1]
	case parts >= 2 && signed && h.none: // unsecured: the last part is empty
		c.end = ends[1]
	default:
		return candidate{}, none
	}
	return c, found
}

// object says whether the base64url at b[i] begins with {.
func object(b []byte, i int) bool {
	return i+1 < len(b) && b[i] == 'e' && b[i+1] >= 'w' && b[i+1] <= 'z' || i+1 < len(b) && b[i] == 'e' && (b[i+1] == '3')
}

// joseHeader is what matters here of a token's header (RFC 7515, section 4).
type joseHeader struct{ none bool }

// parse decodes the header and says whether it is a JSON object, by its looks, with
// the member alg.
func (h *joseHeader) parse(b64 []byte) bool {
	if len(b64) < 14 || len(b64)%4 == 1 {
		return false
	}
	var buf [maxJWTHeader]byte
	n, bits, have := 0, 0, 0
	for _, c := range b64 {
		bits = bits<<6 | sextet(c)
		if have += 6; have >= 8 {
			have -= 8
			buf[n] = byte(bits >> have)
			bits &= 1<<have - 1
			n++
		}
	}
	text := buf[:n]
	if text[0] != '{' || text[n-1] != '}' {
		return false
	}
	alg := -1
	for k, c := range text {
		if c < 0x20 && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
		if c == '"' && k+5 <= n && string(text[k:k+5]) == `"alg"` {
			alg = k
		}
	}
	if alg < 0 {
		return false
	}
	for k := alg + 5; k+4 <= n && k < alg+12; k++ {
		if string(text[k:k+4]) == "none" {
			h.none = true
		}
	}
	return true
}

// sextet returns the value of a base64url digit.
func sextet(c byte) int {
	switch {
	case c >= 'a':
		return int(c-'a') + 26
	case c == '_':
		return 63
	case c >= 'A':
		return int(c - 'A')
	case c >= '0':
		return int(c-'0') + 52
	}
	return 62
}
