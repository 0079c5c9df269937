package pii

// Triggers: a byte with any of these bits may belong to a value, and everything
// else is skipped eight bytes at a time.
const (
	trDigit uint8 = 1 << iota
	trAt
	trColon
	trUnderscore
	trHyphen
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
	t['A'] = trUpperA
	t['J'] = trUpperJ
	return t
}

func kinds() (k [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		k[c] = isDigit | isHex | isLocal | isB64URL | isB64
	}
	for c := 'A'; c <= 'Z'; c++ {
		k[c] = isUpper | isLocal | isB64URL | isB64
		k[c|0x20] = isLower | isLocal | isB64URL | isB64
	}
	for c := 'A'; c <= 'F'; c++ {
		k[c] |= isHex
		k[c|0x20] |= isHex
	}
	for _, c := range "._%+-'" {
		k[c] |= isLocal
	}
	for _, c := range "-_" {
		k[c] |= isB64URL
	}
	for _, c := range "+/=" {
		k[c] |= isB64
	}
	return k
}

// nextTrigger returns the first position from i on whose byte is a trigger, or len(b).
func nextTrigger(b []byte, i int) int {
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
	return i
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
