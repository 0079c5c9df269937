package poison

// kinds of characters beyond ASCII, as fold_table.go has them.
const (
	kindOther     = 0 // a letter that stands for itself
	kindSeparator = 1
	kindHidden    = 2
	kindMark      = 3 // of the letter before
	kindDropped   = 4 // an apostrophe
	foldFirst     = 5 // the first of foldSeveral
	foldLast      = foldFirst + len(foldSeveral) - 1
	foldAlike     = 0x80 // beside a letter: it is of another script or style
)

//go:generate go run ./generate

// kindOf returns the letter or digit of ASCII that a character stands for, or its kind.
func kindOf(r rune) byte {
	if r >= 0x20000 {
		if r >= 0xE0000 && r < 0xE1000 {
			return kindHidden
		}
		return kindOther
	}
	return foldPages[int(foldIndex[r>>8])<<8|int(r&0xFF)]
}

// emoji reports whether a character is one, or can be made one by a variation selector,
// or belongs to one.
func emoji(r rune) bool {
	switch {
	case r >= 0x1F000 && r <= 0x1FAFF, r >= 0x2190 && r <= 0x21FF, r >= 0x2300 && r <= 0x2BFF, r >= 0x3030 && r <= 0x303D,
		r == 0x3297, r == 0x3299, r == 0xA9, r == 0xAE, r == 0x203C, r == 0x2049, r == 0x2122, r == 0x2139, r == 0x20E3,
		r >= '0' && r <= '9', r == '#', r == '*', r == 0xFE0F:
		return true
	}
	return false
}

// joins reports whether letters of the script of r are written with joiners and
// non-joiners: Arabic, the scripts of India and South-East Asia, Mongolian.
func joins(r rune) bool {
	return r >= 0x600 && r <= 0x8FF || r >= 0x900 && r <= 0x109F || r >= 0x1780 && r <= 0x18AF || r >= 0x1A00 && r <= 0x1CFF ||
		r >= 0xA800 && r <= 0xABFF || r >= 0xFB50 && r <= 0xFDFF || r >= 0xFE70 && r <= 0xFEFC
}

// unspaced reports whether words of the script of r stand without spaces, so that
// zero-width ones say where lines break.
func unspaced(r rune) bool {
	return r >= 0xE00 && r <= 0xEFF || r >= 0x1000 && r <= 0x109F || r >= 0x1780 && r <= 0x17FF || r >= 0x2E80 && r <= 0x9FFF
}

// rightToLeft reports whether a letter is of a script that is written so.
func rightToLeft(r rune) bool {
	return r >= 0x590 && r <= 0x8FF || r >= 0xFB1D && r <= 0xFDFF || r >= 0xFE70 && r <= 0xFEFC || r >= 0x10800 && r <= 0x10FFF || r >= 0x1E800 && r <= 0x1EFFF
}

// ideograph reports whether a character has forms that variation selectors choose from.
func ideograph(r rune) bool {
	return r >= 0x2E80 && r <= 0xA4CF || r >= 0xF900 && r <= 0xFAFF || r >= 0x20000 && r <= 0x3FFFF || r >= 0x1820 && r <= 0x18AF ||
		r >= 0x2200 && r <= 0x22FF || r >= 0x1000 && r <= 0x109F
}

// selector returns the number of a variation selector, from 0 on, or -1.
func selector(r rune) int {
	switch {
	case r >= 0xFE00 && r <= 0xFE0F:
		return int(r - 0xFE00)
	case r >= 0xE0100 && r <= 0xE01EF:
		return int(r-0xE0100) + 16
	}
	return -1
}

// hiddenLimits are how many characters that do not show make the rule invisible: between
// the letters of words, and anywhere.
const (
	hiddenInside = 3
	hiddenAll    = 8
)

// hide takes a character that does not show.
func (s *Scanner) hide(r rune) {
	last := s.lastRune
	if n := selector(r); n >= 0 {
		s.selects(n, last)
		return
	}
	switch {
	case r >= 0xE0020 && r <= 0xE007F:
		s.tag(byte(r - 0xE0000))
		return
	case r == 0xAD: // soft hyphen
		return
	case r == 0x200D && (emoji(last) || joins(last)), r == 0x200C && joins(last), r == 0x200B && unspaced(last):
		return
	case (r == 0x200E || r == 0x200F || r == 0x61C) && (s.rightToLeft || rightToLeft(last)):
		return
	case r == 0xFEFF && s.atStart:
		return
	case r >= 0x180B && r <= 0x180F && joins(last):
		return
	case r == 0x202D || r == 0x202E:
		s.hit(bidi)
		return
	case r == 0x202A || r == 0x202B || r == 0x2066 || r == 0x2067:
		s.embedded = true
		return
	case r == 0x202C || r == 0x2068 || r == 0x2069:
		return
	}
	s.unseen()
}

// unseen counts a character that does not show where there is no reason for it.
func (s *Scanner) unseen() {
	if s.hidden++; s.hidden == hiddenAll {
		s.hit(invisible)
	}
	if s.n > 0 {
		s.inside = true
	}
}

// selects takes a variation selector behind the character last. One belongs to a
// character that has variants; several in a row carry something else.
func (s *Scanner) selects(n int, last rune) {
	if selector(last) >= 0 {
		if s.selectors == 0 {
			s.carry(byte(selector(last)))
		}
		s.carry(byte(n))
		if s.selectors++; s.selectors == 2 {
			s.hit(smuggled)
		}
		return
	}
	s.selectors = 0
	if !emoji(last) && !ideograph(last) {
		s.unseen()
	}
}

// maxFlag is the number of tags behind a black flag that make the flag of a region.
const maxFlag = 7

// tag takes a tag character, which stands for one of ASCII.
func (s *Scanner) tag(c byte) {
	if s.lastRune == 0x1F3F4 {
		s.flag = 1
		return
	}
	if s.flag > 0 {
		if s.flag++; s.flag <= maxFlag {
			if c == 0x7F {
				s.flag = 0
			}
			return
		}
	}
	if c != 0x7F {
		s.carry(c)
	}
	s.hit(smuggled)
}

// maxCarried bounds the text in characters that do not show that is read, in bytes.
const maxCarried = 1024

// carry takes a byte of a text in characters that do not show.
func (s *Scanner) carry(c byte) {
	if len(s.carried) < maxCarried {
		s.carried = append(s.carried, c)
	}
}
