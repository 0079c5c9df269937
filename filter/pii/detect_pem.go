package pii

const (
	minArmoured   = 16  // bytes of base64 in a row that show a key's body by themselves
	maxFiller     = 64  // bytes between the lines of a key: indentation, quotes
	maxLabelPEM   = 40  // bytes between BEGIN and the dashes
	maxHeaderLine = 128 // as Proc-Type: 4,ENCRYPTED (RFC 1421, section 4.6)
	maxHeaderPEM  = 8   // such lines
)

// detectPEM looks at the '-' at b[i] for "-----BEGIN ... PRIVATE KEY-----" (RFC 7468)
// and the beginning of a body. What is found ends there; openValue goes on.
func detectPEM(b []byte, i int, final bool) (candidate, verdict) {
	j, v := boundary(b, i, "-----BEGIN ", final)
	if v != found {
		return candidate{start: i}, v
	}
	p := pem{b: b, final: final, headers: maxHeaderPEM}
	end, v := p.line(j)
	if v != found {
		return candidate{start: i}, v
	}
	return candidate{PrivateKey, i, end, 1}, found
}

// boundary reads an encapsulation boundary of a private key at b[i] and returns its end.
func boundary(b []byte, i int, begin string, final bool) (int, verdict) {
	if v := hasPrefix(b, i, begin, final); v != found {
		return 0, v
	}
	const dashes = "-----"
	label := i + len(begin)
	j := label
	for j < len(b) && (kind[b[j]]&(isUpper|isDigit) != 0 || b[j] == ' ') {
		if j-label > maxLabelPEM {
			return 0, none
		}
		j++
	}
	v := hasPrefix(b, j, dashes, final)
	if v == found && !private(b[label:j]) {
		return 0, none
	}
	return j + len(dashes), v
}

// private says whether the label is that of a private key.
func private(label []byte) bool {
	const key, block = "PRIVATE KEY", " BLOCK"
	if n := len(label) - len(block); n > 0 && string(label[n:]) == block { // OpenPGP, RFC 9580
		label = label[:n]
	}
	n := len(label) - len(key)
	return n >= 0 && string(label[n:]) == key
}

// pem reads the body of an armoured key line by line.
type pem struct {
	b       []byte
	final   bool
	headers int  // lines before the base64 that may still come
	ended   bool // the last line that was read is the end of the block
}

// line reads what comes next at b[i], up to the end of a line of base64 or of the
// closing boundary, whose end it returns. It returns none when the block, if there is
// one, ends at b[i] without a boundary.
func (p *pem) line(i int) (int, verdict) {
	b := p.b
	for {
		j, v := p.filler(i)
		if v != found {
			return 0, v
		}
		if end, v := boundary(b, j, "-----END ", p.final); v != none {
			p.ended = v == found
			return end, v
		}
		k := j
		for k < len(b) && kind[b[k]]&isB64 != 0 && k-j < minArmoured {
			k++
		}
		if k-j == minArmoured {
			return p.run(k), found
		}
		if k == len(b) && !p.final {
			return 0, more
		}
		if p.headers > 0 {
			end, v := p.header(j)
			if v == more {
				return 0, more
			}
			if v == found {
				p.headers--
				i = end
				continue
			}
		}
		return p.last(j, k)
	}
}

// last reads the last, short line of a block, b[j:k], with a checksum line as OpenPGP
// has it perhaps, and the boundary that must follow.
func (p *pem) last(j, k int) (int, verdict) {
	for range 2 {
		if k == j {
			return 0, none
		}
		next, v := p.filler(k)
		if v != found {
			return 0, v
		}
		if end, v := boundary(p.b, next, "-----END ", p.final); v != none {
			p.ended = v == found
			return end, v
		}
		if next == k {
			return 0, none
		}
		j = next
		for k = j; k < len(p.b) && kind[p.b[k]]&isB64 != 0; k++ {
			if k-j == minArmoured {
				return 0, none
			}
		}
		if k == len(p.b) && !p.final {
			return 0, more
		}
	}
	return 0, none
}

// run returns the end of the run of base64 at b[i].
func (p *pem) run(i int) int {
	for i < len(p.b) && kind[p.b[i]]&isB64 != 0 {
		i++
	}
	return i
}

// filler skips what may stand between two lines: blanks, line ends, also escaped,
// quotes of source code, and dots of an ellipsis.
func (p *pem) filler(i int) (int, verdict) {
	b := p.b
	for j := i; ; j++ {
		if j-i > maxFiller {
			return 0, none
		}
		if j == len(b) {
			if p.final {
				return j, found
			}
			return 0, more
		}
		switch b[j] {
		case ' ', '\t', '\r', '\n', '"', '\'', ',', '\\', '.', '>', '|':
			continue
		case 'n', 'r', 't':
			if j > i && b[j-1] == '\\' {
				continue
			}
		case '-':
			// The boundary's own dashes are not filler.
		}
		return j, found
	}
}

// header reads a line such as "DEK-Info: AES-128-CBC,0011" and returns its end.
func (p *pem) header(i int) (int, verdict) {
	b := p.b
	for _, name := range [...]string{"Proc-Type: ", "DEK-Info: ", "Version: ", "Comment: ", "Hash: ", "Charset: ", "MessageID: "} {
		switch hasPrefix(b, i, name, p.final) {
		case more:
			return 0, more
		case found:
			for j := i; j-i <= maxHeaderLine; j++ {
				if j == len(b) {
					if p.final {
						return 0, none
					}
					return 0, more
				}
				if b[j] == '\n' || b[j] == '\\' {
					return j, found
				}
			}
			return 0, none
		}
	}
	return 0, none
}
