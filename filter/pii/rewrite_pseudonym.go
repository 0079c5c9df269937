package pii

import "unicode/utf8"

// opened is the entity of a pseudonym among findings.
const opened Entity = 0xff

// SetPseudonyms gives the rewriter the tenant's keys of pseudonyms, nil for none. With
// reveal the pseudonyms in the body that these keys made are opened; without it they
// stay, and so do all others. It is called before the first Write.
func (r *Rewriter) SetPseudonyms(p *Pseudonyms, reveal bool) {
	r.pseudonyms, r.reveals = p, reveal && p != nil
	r.search = r.acting || r.reveals
	if r.events != nil {
		r.events.json.SetPseudonyms(p, reveal)
		r.events.text.SetPseudonyms(p, reveal)
	}
	if r.multi != nil {
		r.multi.setPseudonyms(p, reveal)
	}
}

// Opened returns how many pseudonyms were opened since the last Reset.
func (r *Rewriter) Opened() uint32 { return r.opened }

// find is Scanner.Scan, but for pseudonyms: one that is to be opened is a finding, and
// what is found within one that a key made is not.
func (r *Rewriter) find(s *Scanner, dst []Finding, buf []byte, from int, final bool) ([]Finding, int) {
	first := len(dst)
	dst, safe := s.Scan(dst, buf, from, final)
	if !r.reveals {
		if len(dst) == first || r.pseudonyms == nil && !r.cfg.Lenient {
			return dst, safe
		}
		kept := dst[:first]
		for _, f := range dst[first:] {
			if f.More || f.Continued || !r.within(buf, f) {
				kept = append(kept, f)
			}
		}
		return kept, safe
	}
	for at := from; ; {
		start, end := nextPseudonym(buf, at)
		switch {
		case start >= safe:
			return dst, safe
		case end > safe:
			if n := len(dst); final || n > first && dst[n-1].More {
				at = start + 1
				continue
			}
			// It may still come whole: what overlaps it waits, too.
			safe = start
			for n := len(dst); n > first && dst[n-1].End > safe; n-- {
				safe = min(safe, dst[n-1].Start)
				dst = dst[:n-1]
			}
			return dst, safe
		}
		var ok bool
		if r.opening, ok = r.pseudonyms.Open(r.opening[:0], buf[start:end]); !ok {
			at = start + 1
			continue
		}
		dst = insert(dst, first, Finding{Entity: opened, Start: start, End: end, Score: 1})
		at = end
	}
}

// within reports whether a finding is part of a pseudonym: in a response of any, as it
// stays closed there, in a request of one that a key made, so that nobody can hide a
// value in what looks like one.
func (r *Rewriter) within(buf []byte, f Finding) bool {
	word := func(c byte) bool { return base32Values[c] <= 31 || c == '0' }
	for _, c := range buf[f.Start:f.End] {
		if !word(c) {
			return false
		}
	}
	start, end := f.Start, f.End
	for start > 0 && f.End-start < maxPseudonym && word(buf[start-1]) {
		start--
	}
	for end < len(buf) && end-f.Start < maxPseudonym && word(buf[end]) {
		end++
	}
	for at := start; ; at++ {
		from, to := nextPseudonym(buf[:end], at)
		if from > f.Start {
			return false
		}
		if at = from; to < f.End {
			continue
		}
		if r.cfg.Lenient {
			return true
		}
		if to <= end && r.pseudonyms != nil {
			var ok bool
			if r.opening, ok = r.pseudonyms.Open(r.opening[:0], buf[from:to]); ok {
				return true
			}
		}
	}
}

// insert puts a pseudonym among the findings, in place of those within it. One that is
// part of another finding is not put there: it goes with all of that.
func insert(dst []Finding, first int, p Finding) []Finding {
	i := first
	for i < len(dst) && dst[i].End <= p.Start {
		i++
	}
	k := i
	for k < len(dst) && dst[k].Start < p.End {
		if dst[k].Start < p.Start || dst[k].End > p.End {
			return dst
		}
		k++
	}
	if k > i {
		dst[i] = p
		return append(dst[:i+1], dst[k:]...)
	}
	dst = append(dst, Finding{})
	copy(dst[i+1:], dst[i:])
	dst[i] = p
	return dst
}

// reveal appends the value of a pseudonym, as the body has text.
func (r *Rewriter) reveal(dst, token []byte) []byte {
	value, ok := r.pseudonyms.Open(r.opening[:0], token)
	r.opening = value
	if !ok {
		return append(dst, token...)
	}
	r.opened++
	switch r.mode {
	case modeText:
		return append(dst, value...)
	case modeForm:
		return appendFormEscaped(dst, value)
	}
	at := len(dst)
	dst = appendJSONEscaped(dst, value)
	if r.nested.on {
		r.scratch = append(r.scratch[:0], dst[at:]...)
		dst = appendJSONEscaped(dst[:at], r.scratch)
	}
	return dst
}

// appendJSONEscaped appends text as the inside of a JSON string (RFC 8259, section 7).
func appendJSONEscaped(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	for len(text) > 0 {
		switch c := text[0]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			code, n := utf8.DecodeRune(text)
			dst = utf8.AppendRune(dst, code)
			text = text[n:]
			continue
		}
		text = text[1:]
	}
	return dst
}
