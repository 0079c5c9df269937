package pii

import "github.com/memgate/memgate/filter/jsonstream"

// Lengths of a number or literal, in bytes.
const (
	// minNumber is the length of the shortest integer that could be found.
	minNumber = 7
	// maxScalar is how long a number can be that is searched. The lenient way
	// of reading goes back by as much when a scalar turns out to be text.
	maxScalar = 128
)

// scalar is the number or literal that was read last.
type scalar struct {
	start int
	// open means that it is held back: as a number that has not ended, or as
	// what may be the beginning of text.
	open bool
	// number means that it is short enough to be searched, and is in the window.
	number bool
	// integer means that it is digits so far and nothing else.
	integer bool
}

// contextEnd stands between a name and its value in the left context of the value.
const contextEnd = ": "

// json reads what the lexer was fed.
func (r *Rewriter) json(dst []byte) []byte {
	for {
		k := r.lex.Next()
		if r.limit != nil {
			if n, err := r.limit.event(k, &r.lex); err != nil {
				return r.exceeded(dst, k, n, err)
			}
		}
		if r.named != nil {
			if n, err := r.named.event(k, &r.lex); err != nil {
				return r.exceeded(dst, k, n, err)
			}
		}
		switch k {
		case jsonstream.More:
			if r.inText {
				dst = r.scan(dst, false)
			}
			return dst
		case jsonstream.Failed:
			return r.failed(dst)
		}
		if r.cfg.Texts != nil && (k == jsonstream.String || k == jsonstream.Key) {
			r.tell(r.lex.Text(), r.lex.Last())
		}
		if !r.search {
			continue
		}
		var aside bool
		if dst, aside = r.aside(dst, k); aside {
			r.scalar.open = false
			continue
		}
		if k == jsonstream.String && (len(r.skips) > 0 || r.skipping) && r.skip(&dst) {
			r.scalar.open = false
			continue
		}
		if (k == jsonstream.Key || k == jsonstream.String) && r.lex.Whole() && r.cfg.Policy.Custom == nil && r.harmless(r.lex.Text()) {
			r.scalar.open = false
			if k == jsonstream.Key {
				r.name = r.lex.Text()
			}
			continue
		}
		if dst = r.event(dst, k); r.err != nil {
			return dst
		}
	}
}

// tell hands a part of a text to who reads all of them.
func (r *Rewriter) tell(text []byte, last bool) {
	if len(text) > 0 {
		r.cfg.Texts.Write(text)
	}
	if last {
		r.cfg.Texts.End()
	}
}

// skip reports whether the string at hand is one of those that are left as they are,
// and notes where it comes to stand.
func (r *Rewriter) skip(dst *[]byte) bool {
	if r.lex.First() {
		start, _ := r.lex.Span()
		if r.skipping = len(r.skips) > 0 && r.skips[0] == start; r.skipping {
			*dst = r.emit(*dst, start)
			r.skips, r.skipped = r.skips[1:], append(r.skipped, len(*dst))
		}
	}
	skipped := r.skipping
	if r.lex.Last() {
		r.skipping = false
	}
	return skipped
}

// harmless reports whether a whole string needs no search.
func (r *Rewriter) harmless(text []byte) bool {
	if !harmless(text) {
		return false
	}
	if !r.reveals {
		return true
	}
	start, _ := nextPseudonym(text, 0)
	return start == len(text)
}

// harmless reports whether nothing can be found in a whole string: it has no place
// that the scanner would look at, wherever it stands. Most strings of most bodies have
// none. A full stop at the end has nothing behind it, as a value would.
func harmless(text []byte) bool {
	if n := len(text); n > 0 && text[n-1] == '.' {
		text = text[:n-1]
	}
	return len(text) < direct && nextPlace(text, 0) == len(text) && !folds(text)
}

// closeJSON ends the input of the lexer.
func (r *Rewriter) closeJSON(dst []byte) []byte {
	for {
		k := r.lex.Finish()
		if r.limit != nil {
			if _, err := r.limit.event(k, &r.lex); err != nil {
				r.err = err
				return dst
			}
		}
		if r.named != nil {
			if _, err := r.named.event(k, &r.lex); err != nil {
				r.err = err
				return dst
			}
		}
		switch k {
		case jsonstream.End:
			return dst
		case jsonstream.Failed:
			return r.failed(dst)
		}
		if !r.search {
			continue
		}
		var aside bool
		if dst, aside = r.aside(dst, k); aside {
			continue
		}
		if dst = r.event(dst, k); r.err != nil {
			return dst
		}
	}
}

// event searches what an event of the lexer has.
func (r *Rewriter) event(dst []byte, k jsonstream.Kind) []byte {
	if k != jsonstream.Number {
		r.scalar.open = false
	}
	switch k {
	case jsonstream.Key:
		return r.key(dst)
	case jsonstream.String:
		return r.string(dst)
	case jsonstream.Number:
		return r.number(dst)
	case jsonstream.Literal:
		start, _ := r.lex.Span()
		r.scalar = scalar{start: start, open: r.cfg.Lenient}
	case jsonstream.ObjectEnd, jsonstream.ArrayEnd, jsonstream.Line:
		r.clearContext()
	}
	return dst
}

// string searches a part of a string value.
func (r *Rewriter) string(dst []byte) []byte {
	if r.lex.First() {
		start, _ := r.lex.Span()
		r.begin(r.useContext(), start)
	}
	return r.stringPart(dst)
}

// key searches a part of a name. When it has ended, it is context of the values
// that follow.
func (r *Rewriter) key(dst []byte) []byte {
	if r.lex.First() {
		start, _ := r.lex.Span()
		r.begin(nil, start)
	}
	dst = r.stringPart(dst)
	if r.lex.Last() {
		r.setContext(r.win.buf)
	}
	return dst
}

// stringPart searches a part of the string that has begun.
func (r *Rewriter) stringPart(dst []byte) []byte {
	text := r.lex.Text()
	if r.lex.First() {
		r.nested.begin()
	}
	if !r.nested.decided {
		r.nested.decide(text)
	}
	switch start, end := r.lex.Span(); {
	case len(text) == 0:
	case r.nested.on:
		dst = r.nestedPart(dst, text, end-start, r.lex.Escaped())
	case r.lex.Escaped():
		dst = r.escape(dst, text, end-start)
	default:
		dst = r.plain(dst, text)
	}
	if r.lex.Last() {
		if r.nested.on && r.err == nil {
			dst = r.nestedFlush(dst)
		}
		dst = r.finish(dst)
		r.nested.on = false
	}
	return dst
}

// setContext makes a name the context of the values that follow, as much of it as
// the scanner looks at.
func (r *Rewriter) setContext(name []byte) {
	r.name = nil
	r.context = append(r.context[:0], name[max(0, len(name)-Context+len(contextEnd)):]...)
	r.context = append(r.context, contextEnd...)
}

// useContext returns the context of a value that begins.
func (r *Rewriter) useContext() []byte {
	if r.name != nil {
		r.setContext(r.name)
	}
	return r.context
}

func (r *Rewriter) clearContext() { r.name, r.context = nil, r.context[:0] }

// number searches a number: an integer as it stands, any other by the digits of its
// integer part, as 4111111111111111.0 and 4.111111111111111e15 say no less. Those
// too long to be anything are left alone.
func (r *Rewriter) number(dst []byte) []byte {
	text := r.lex.Text()
	s := &r.scalar
	if r.lex.First() {
		start, _ := r.lex.Span()
		if r.lex.Whole() && len(text) < minNumber {
			*s = scalar{start: start, open: r.cfg.Lenient}
			return dst
		}
		*s = scalar{start: start, open: true, number: true, integer: true}
		r.win.begin(r.useContext(), start)
	}
	if s.number {
		s.number = len(r.win.buf)-r.win.from+len(text) <= maxScalar
		s.integer = s.integer && digits(text)
		if s.number {
			r.win.plain(text)
		} else {
			s.open = r.cfg.Lenient
		}
	}
	if !r.lex.Last() {
		return dst
	}
	if s.number && len(r.win.buf)-r.win.from >= minNumber {
		end := r.win.end
		if !s.integer {
			// What is searched is not what stands there: a finding takes the
			// whole number's place.
			var room [maxScalar]byte
			whole := integerPart(room[:0], r.win.buf[r.win.from:])
			r.win.begin(r.useContext(), s.start)
			r.win.escape(whole, end-s.start)
		}
		r.scanner.Reset()
		r.findings, _ = r.find(&r.scanner, r.findings[:0], r.win.buf, r.win.from, true)
		if r.acts() {
			dst = append(r.emit(dst, s.start), '"')
			dst = r.apply(dst, r.win.buf)
			if r.err != nil {
				return dst
			}
			dst = append(r.emit(dst, end), '"')
			s.open = false
		}
	}
	s.open = s.open && r.cfg.Lenient
	return dst
}

// integerPart appends the digits of a number's integer part, as it is without an
// exponent, to dst: 4111 of -4.1112e3. It appends nothing of a number whose
// exponent makes it longer than dst has room.
func integerPart(dst, number []byte) []byte {
	point, exponent, negative := -1, 0, false
	i := 0
	for ; i < len(number) && number[i]|0x20 != 'e'; i++ {
		switch c := number[i]; {
		case c == '.':
			point = len(dst)
		case c-'0' <= 9:
			dst = append(dst, c)
		}
	}
	for ; i < len(number); i++ {
		switch c := number[i]; {
		case c == '-':
			negative = true
		case c-'0' <= 9:
			exponent = min(exponent*10+int(c-'0'), maxScalar)
		}
	}
	if point < 0 {
		point = len(dst)
	}
	if negative {
		exponent = -exponent
	}
	point += exponent
	if point < 0 || point > cap(dst) {
		return dst[:0]
	}
	for len(dst) < point {
		dst = append(dst, '0')
	}
	return dst[:point]
}

func digits(text []byte) bool {
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// acts reports whether something is done with any of the findings.
func (r *Rewriter) acts() bool {
	for i := range r.findings {
		if r.cfg.Policy.action(r.findings[i].Entity) != Allow {
			return true
		}
	}
	return false
}

// exceeded refuses the body at an event of which the first n bytes are within all
// limits. What is blocked in front of that is found first, as it would have been if
// the body had come in smaller pieces.
func (r *Rewriter) exceeded(dst []byte, k jsonstream.Kind, n int, err error) []byte {
	if r.search && (k == jsonstream.String || k == jsonstream.Key) {
		if r.inText && r.nested.on {
			dst = r.nestedFlush(dst)
		}
		if r.lex.First() {
			start, _ := r.lex.Span()
			var context []byte
			if k == jsonstream.String {
				context = r.useContext()
			}
			r.begin(context, start)
		}
		if !r.lex.Escaped() && n > 0 {
			dst = r.plain(dst, r.lex.Text()[:n])
		}
	}
	if r.inText && r.err == nil {
		dst = r.scan(dst, false)
	}
	if r.err == nil {
		r.err = err
	}
	return dst
}

// failed deals with JSON that cannot be read on.
func (r *Rewriter) failed(dst []byte) []byte {
	if r.inText && r.nested.on {
		dst = r.nestedFlush(dst)
		r.nested.on = false
	}
	if !r.cfg.Lenient {
		if r.inText {
			dst = r.scan(dst, false)
		}
		if r.err == nil {
			r.err = ErrMalformed
			if r.lex.Err() == jsonstream.ErrDepth {
				r.err = ErrTooDeep
			}
		}
		return dst
	}
	// What was a string goes on as text, and so does a scalar, as it may have
	// been the beginning of "4111 1111 1111 1111". All else begins here.
	offset := r.lex.Offset()
	r.mode = modeEscapedText
	if r.search && !r.inText {
		if r.scalar.open && offset-r.scalar.start <= maxScalar {
			r.begin(nil, r.scalar.start)
			dst = r.between(dst, r.scalar.start, offset)
		} else {
			r.begin(nil, offset)
		}
	}
	r.scalar.open = false
	pending := r.lex.Pending()
	r.resume = offset + len(pending)
	return r.text(dst, pending, offset)
}

// between takes bytes of the body that were read before as plain text.
func (r *Rewriter) between(dst []byte, start, end int) []byte {
	if start < r.chunkAt {
		n := min(end, r.chunkAt)
		dst = r.plain(dst, r.held[start-r.heldAt:n-r.heldAt])
		start = n
	}
	if start < end && r.err == nil {
		dst = r.plain(dst, r.chunk[start-r.chunkAt:end-r.chunkAt])
	}
	return dst
}
