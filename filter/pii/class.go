package pii

// Triggers: a byte of one of these classes may belong to a value, and everything
// else is skipped eight bytes at a time.
const (
	trNone uint8 = iota
	trDigit
	trAt
	trColon
	trUnderscore
	trHyphen
	trDot
	trEqual
	trUpperA // AWS access keys
	trUpperJ // JWT: base64url of {" is eyJ
)

// Kinds of bytes, for the grammars.
const (
	isDigit uint8 = 1 << iota
	isUpper
	isLower
	isHex    // 0-9 a-f A-F
	isLocal  // of an e-mail address's local part, and of whatever a trigger looks back over
	isB64URL // A-Z a-z 0-9 - _
	isB64    // A-Z a-z 0-9 + / =
	isValue  // of a secret, before its first digit

	isLetter = isUpper | isLower
	isAlnum  = isLetter | isDigit
)

var (
	trigger = triggers()
	kind    = kinds()
)

func triggers() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = trDigit
	}
	t['@'] = trAt
	t[':'] = trColon
	t['_'] = trUnderscore
	t['-'] = trHyphen
	t['.'] = trDot
	t['='] = trEqual
	t['A'] = trUpperA
	t['J'] = trUpperJ
	return t
}

func kinds() (k [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		k[c] = isDigit | isHex | isLocal | isB64URL | isB64 | isValue
	}
	for c := 'A'; c <= 'Z'; c++ {
		k[c] = isUpper | isLocal | isB64URL | isB64 | isValue
		k[c|0x20] = isLower | isLocal | isB64URL | isB64 | isValue
	}
	for c := 'A'; c <= 'F'; c++ {
		k[c] |= isHex
		k[c|0x20] |= isHex
	}
	for _, c := range "._%+-'" {
		k[c] |= isLocal
	}
	for _, c := range "_-.+/~!@#$%^*" {
		k[c] |= isValue
	}
	for _, c := range "-_" {
		k[c] |= isB64URL
	}
	for _, c := range "+/=" {
		k[c] |= isB64
	}
	return k
}

// nextPlace returns the first position from i on where a value may have its trigger,
// or len(b). It passes over triggers that the bytes around them show to be none.
func nextPlace(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			w := b[i : i+8 : i+8]
			if trigger[w[0]]|trigger[w[1]]|trigger[w[2]]|trigger[w[3]]|
				trigger[w[4]]|trigger[w[5]]|trigger[w[6]]|trigger[w[7]] != 0 {
				break
			}
			i += 8
		}
		for i < len(b) && trigger[b[i]] == 0 {
			i++
		}
		if i < 2 || i+8 > len(b) {
			return i
		}
		// The bytes from two before the trigger to seven after it.
		p, q, w := b[i-1], b[i-2], b[i:i+8:i+8]
		next := w[1]
		switch trigger[w[0]] {
		case trDigit:
			switch {
			case word(p):
				// A run of letters and digits: a value when it is long enough, or
				// the country and check digits of an account.
				if q == '\\' {
					return i
				}
				j := i + 1
				for j < len(b) && kind[b[j]]&isAlnum != 0 {
					j++
				}
				if kind[p]&isLetter != 0 && (j-i >= minRest || j-i == 2) {
					return i
				}
				i = j
				continue
			case p == '-' && word(q):
				if q|0x20 >= 'x' && q|0x20 <= 'z' && kind[w[6]]&isDigit != 0 {
					return i
				}
				fallthrough
			case (p == '.' || p == ':') && kind[q]&isDigit != 0:
				j := i + 1
				for j < len(b) && kind[b[j]]&isDigit != 0 {
					j++
				}
				if j < len(b) && kind[b[j]]&isLetter != 0 && kind[b[i-1]]&isDigit == 0 {
					return i // the rest of a secret, perhaps
				}
				i = j
				continue
			case p == '(' || p == '+':
				return i
			}
			if !hopeless(w) || p == ' ' && w[2] == ' ' && kind[q]&isUpper != 0 && kind[next]&isDigit != 0 {
				return i
			}
			i++
			for i < len(b) && kind[b[i]]&isAlnum != 0 {
				i++
			}
			continue
		case trAt:
			if kind[p]&isLocal != 0 || p >= 0x80 {
				return i
			}
		case trColon:
			if next == ':' && p != ':' || kind[next]&kind[p]&isHex != 0 || next == '/' && w[2] == '/' {
				return i
			}
		case trUnderscore:
			if tokenTailP[p]&tokenTailQ[q]&tailUnderscore != 0 {
				return i
			}
		case trHyphen:
			if tokenTailP[p]&tokenTailQ[q]&tailHyphen != 0 || next == '-' && w[5] == 'B' || w[3] == '-' && kind[next]&kind[w[2]]&kind[p]&kind[q]&isHex != 0 {
				return i
			}
		case trDot:
			if tokenTailP[p]&tokenTailQ[q]&tailDot != 0 {
				return i
			}
		case trEqual:
			switch p | 0x20 {
			case 'd', 'e', 'g', 'n', 's', 't', 'y', 'h':
				if next > ' ' && next != '=' {
					return i
				}
			}
		case trUpperA:
			if !(word(p) && q != '\\') && (next == 'K' || next == 'S' || next == 'B' || next == 'C' || next == '3' || next == 'I') {
				return i
			}
		case trUpperJ:
			if p == 'y' && q == 'e' {
				return i
			}
		}
		i++
	}
}

// word says whether c is an ASCII letter, a digit or an underscore. Bytes of other
// scripts are not: text without spaces between words, such as Chinese, may touch a
// value.
func word(c byte) bool { return kind[c]&isAlnum != 0 || c == '_' }

// lower returns the ASCII letter c in lower case.
func lower(c byte) byte {
	if kind[c]&isUpper != 0 {
		return c | 0x20
	}
	return c
}

// hasPrefix compares b[i:] with prefix. It returns more when b ends before they differ.
func hasPrefix(b []byte, i int, prefix string, final bool) verdict {
	n := min(len(b)-i, len(prefix))
	if string(b[i:i+n]) != prefix[:n] {
		return none
	}
	if n == len(prefix) {
		return found
	}
	if final {
		return none
	}
	return more
}
