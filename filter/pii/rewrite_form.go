package pii

// form is how far a form has been read.
type form struct {
	value bool // in a value, not in a name
	begun bool // the name or value has had a part
	// decoded is what an escape stands for.
	decoded [1]byte
	// bracket says that the rest of the name is an index.
	bracket bool
}

// readForm reads a piece of application/x-www-form-urlencoded (WHATWG URL,
// section 5.1): names and values between '&' and '=', in which '+' is a space and
// %XX a byte. A percent sign that begins nothing stands for itself. It returns how
// much it has read: all but an escape that the end splits.
func (r *Rewriter) readForm(dst, text []byte, offset int) ([]byte, int) {
	i := 0
	for i < len(text) && r.err == nil {
		n := 1
		switch c := text[i]; {
		case c == '&':
			dst = r.formPairEnd(dst)
			r.form = form{}
			r.clearContext()
			if r.hide != nil {
				r.hide.reset()
				r.hide.at.Open(true)
			}
			if r.limit != nil {
				r.limit.formName()
			}
			if r.named != nil {
				r.named.pair()
			}
		case c == '=' && !r.form.value:
			dst = r.formEnd(dst)
			if r.named != nil {
				r.named.at.Name(nil, true)
			}
			if r.hide != nil {
				r.hide.at.Name(nil, true)
			}
			r.form.value = true
		case c == '+':
			r.form.decoded[0] = ' '
			dst = r.formPart(dst, r.form.decoded[:], offset+i, 1)
		case c == '%':
			r.form.decoded[0], n = unpercent(text[i:])
			if n == 0 {
				return dst, i
			}
			dst = r.formPart(dst, r.form.decoded[:], offset+i, n)
		default:
			for i+n < len(text) && !r.formSpecial(text[i+n]) {
				n++
			}
			dst = r.formPart(dst, text[i:i+n], offset+i, n)
		}
		i += n
	}
	return dst, i
}

func (r *Rewriter) formSpecial(c byte) bool {
	return c == '&' || c == '+' || c == '%' || c == '=' && !r.form.value
}

// closeForm ends the form.
func (r *Rewriter) closeForm(dst []byte) []byte {
	if r.npend > 0 {
		dst = r.formPart(dst, r.pend[:r.npend], r.chunkAt-r.npend, r.npend)
		r.npend = 0
	}
	if r.err == nil {
		dst = r.formPairEnd(dst)
	}
	return dst
}

// formPairEnd ends a pair of a name and a value.
func (r *Rewriter) formPairEnd(dst []byte) []byte {
	value := r.form.value
	dst = r.formEnd(dst)
	if r.named != nil && r.err == nil {
		if !value {
			r.named.at.Name(nil, true)
		}
		r.err = r.named.pairEnd()
	}
	return dst
}

// formPart takes a part of a name or value, which n bytes at the offset stand
// for.
func (r *Rewriter) formPart(dst, text []byte, offset, n int) []byte {
	first := !r.form.begun
	r.form.begun = true
	plain := len(text) == n
	var err error
	if r.limit != nil {
		var fits int
		fits, err = r.limit.formPart(text, r.form.value, first, offset, n)
		if err != nil {
			text = text[:fits]
		}
	}
	if r.named != nil && err == nil {
		var fits int
		if fits, err = r.named.formPart(text, r.form.value); err != nil {
			text = text[:fits]
		}
	}
	if r.cfg.Texts != nil {
		r.tell(text, false)
	}
	if r.search && !r.formHidden(&dst, text, first, offset, n) {
		if first {
			r.begin(r.context, offset)
		}
		if plain {
			dst = r.plain(dst, text)
		} else if len(text) > 0 {
			dst = r.escape(dst, text, n)
		}
	}
	if err != nil && r.err == nil {
		if r.inText {
			dst = r.scan(dst, false)
		}
		if r.err == nil {
			r.err = err
		}
	}
	return dst
}

// formEnd ends a name or value. A name is context of its value.
func (r *Rewriter) formEnd(dst []byte) []byte {
	if r.limit != nil && !r.form.value {
		r.limit.at.Name(nil, true)
	}
	if r.cfg.Texts != nil {
		r.tell(nil, true)
	}
	if r.inText {
		dst = r.finish(dst)
		if !r.form.value {
			r.setContext(r.win.buf)
		}
	}
	r.form.begun = false
	return dst
}

// unpercent decodes the percent escape at the start of b (RFC 3986, section 2.1)
// and returns its length: 0 if b ends too early to know, 1 if there is none.
func unpercent(b []byte) (byte, int) {
	var c byte
	for i := 1; i < 3; i++ {
		if i == len(b) {
			return 0, 0
		}
		switch d := b[i]; {
		case d-'0' < 10:
			c = c<<4 | (d - '0')
		case d|0x20-'a' < 6:
			c = c<<4 | (d | 0x20 - 'a' + 10)
		default:
			return b[0], 1
		}
	}
	return c, 3
}

// appendFormEscaped appends ASCII text in percent encoding (WHATWG URL, section
// 1.3, the application/x-www-form-urlencoded set).
func appendFormEscaped(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range text {
		switch {
		case c-'0' < 10, c|0x20-'a' < 26, c == '*', c == '-', c == '.', c == '_':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
