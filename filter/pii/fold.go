package pii

// Text can hide a value from detectors, though not from readers, by other forms of its
// characters, or by characters that do not show. For the search, and only for it, they
// are folded: full-width forms (U+FF01 to U+FF5E) and digits of other scripts stand for
// those of ASCII, and what does not show stands for nothing.

// maxFold is the longest sequence that is folded, in bytes.
const maxFold = 4

// foldLead marks the first bytes of what can be folded.
var foldLead = foldLeads()

func foldLeads() (t [256]bool) {
	for _, c := range []byte{0xC2, 0xCD, 0xD9, 0xDB, 0xE0, 0xE1, 0xE2, 0xE3, 0xEF, 0xF0} {
		t[c] = true
	}
	return t
}

// nextFold returns the first place from i on where something may be folded, or len(b).
func nextFold(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			w := b[i : i+8 : i+8]
			if (w[0]|w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7])&0x80 != 0 {
				break
			}
			i += 8
		}
		stop := min(i+8, len(b))
		for ; i < stop; i++ {
			if foldLead[b[i]] {
				return i
			}
		}
		if i == len(b) {
			return i
		}
	}
}

// fold says what the sequence at b[i] stands for: an ASCII character, or none when it
// does not show. It returns more when b ends within a sequence that may be one.
func fold(b []byte, i int) (c byte, shows bool, width int, v verdict) {
	need := 3
	switch lead := b[i]; {
	case lead < 0xE0:
		need = 2
	case lead == 0xF0:
		need = 4
	}
	if len(b)-i < need {
		for _, x := range b[i+1:] {
			if x&0xC0 != 0x80 {
				return 0, false, 0, none
			}
		}
		return 0, false, 0, more
	}
	x, y := b[i+1], byte(0)
	if need > 2 {
		y = b[i+2]
	}
	digit := func(zero, c byte) (byte, bool, int, verdict) {
		if c < zero || c > zero+9 {
			return 0, false, 0, none
		}
		return '0' + c - zero, true, need, found
	}
	hidden := false
	switch b[i] {
	case 0xC2: // soft hyphen
		hidden = x == 0xAD
	case 0xCD: // combining grapheme joiner
		hidden = x == 0x8F
	case 0xD9: // Arabic-Indic digits
		return digit(0xA0, x)
	case 0xDB: // their eastern forms
		return digit(0xB0, x)
	case 0xE0:
		switch x {
		case 0xA5, 0xA7, 0xA9, 0xAB, 0xAD, 0xAF, 0xB1, 0xB3, 0xB5: // Devanagari to Malayalam
			return digit(0xA6, y)
		case 0xB9: // Thai
			return digit(0x90, y)
		case 0xBB: // Lao
			return digit(0x90, y)
		}
	case 0xE1: // Mongolian vowel separator
		hidden = x == 0xA0 && y == 0x8E
	case 0xE2: // zero-width spaces and joiners, marks of direction, word joiner and invisible operators
		hidden = x == 0x80 && (y >= 0x8B && y <= 0x8F || y >= 0xAA && y <= 0xAE) || x == 0x81 && y >= 0xA0 && y <= 0xAF
	case 0xE3: // ideographic space
		if x == 0x80 && y == 0x80 {
			return ' ', true, need, found
		}
	case 0xEF:
		switch {
		case x == 0xBB && y == 0xBF: // zero-width no-break space
			hidden = true
		case x == 0xB8 && y >= 0x80 && y <= 0x8F: // variation selectors
			hidden = true
		case x == 0xBC && y >= 0x81 && y <= 0xBF:
			return y - 0x81 + '!', true, need, found
		case x == 0xBD && y >= 0x80 && y <= 0x9E:
			return y - 0x80 + '`', true, need, found
		}
	case 0xF0: // mathematical digits, U+1D7CE to U+1D7FF
		if z := b[i+3]; x == 0x9D && y == 0x9F && z >= 0x8E && z <= 0xBF {
			return '0' + (z-0x8E)%10, true, need, found
		}
	}
	if hidden {
		return 0, false, need, found
	}
	return 0, false, 0, none
}

// folds reports whether something in the text is folded, or may be.
func folds(text []byte) bool {
	for i := nextFold(text, 0); i < len(text); i = nextFold(text, i+1) {
		if _, _, _, v := fold(text, i); v != none {
			return true
		}
	}
	return false
}

// folded takes a part of a text that stands for itself but for what is folded in it.
func (r *Rewriter) folded(dst, text []byte) []byte {
	if r.nfold > 0 {
		// What the last part ended within.
		var both [2 * maxFold]byte
		n := copy(both[:], r.pendFold[:r.nfold])
		n += copy(both[n:maxFold], text)
		c, shows, width, v := fold(both[:n], 0)
		switch {
		case v == more:
			r.nfold = copy(r.pendFold[:], both[:n])
			return dst
		case v == none:
			dst = r.flushFold(dst)
		default:
			text = text[width-r.nfold:]
			r.nfold = 0
			dst = r.foldTo(dst, c, shows, width)
		}
	}
	for at := 0; ; {
		i := at
		c, shows, width, v := byte(0), false, 0, none
		for i = nextFold(text, i); i < len(text); i = nextFold(text, i+1) {
			if c, shows, width, v = fold(text, i); v != none {
				break
			}
		}
		if i > at {
			if dst = r.unfolded(dst, text[at:i]); r.err != nil {
				return dst
			}
		}
		switch v {
		case none:
			return dst
		case more:
			r.nfold = copy(r.pendFold[:], text[i:])
			return dst
		}
		dst = r.foldTo(dst, c, shows, width)
		at = i + width
	}
}

// foldTo takes a sequence of that width that stands for c, or for nothing.
func (r *Rewriter) foldTo(dst []byte, c byte, shows bool, width int) []byte {
	var text [1]byte
	if !shows {
		return r.decoded(dst, nil, width)
	}
	text[0] = c
	return r.decoded(dst, text[:], width)
}

// flushFold takes the beginning of a sequence that turned out to be another.
func (r *Rewriter) flushFold(dst []byte) []byte {
	n := r.nfold
	r.nfold = 0
	if n == 0 {
		return dst
	}
	return r.unfolded(dst, r.pendFold[:n])
}
