package pii

import (
	"bytes"

	"github.com/memgate/memgate/filter/jsonstream"
)

// maxEscape is the length of the longest escape, a surrogate pair, in bytes.
const maxEscape = 12

// text reads a piece of text, or of a form, that is at the offset of the body.
func (r *Rewriter) text(dst, text []byte, offset int) []byte {
	if r.cfg.Texts != nil && r.mode != modeForm && r.events == nil {
		r.tell(text, false)
	}
	if r.mode != modeForm {
		if !r.search {
			return dst
		}
		if !r.inText {
			r.begin(r.context, offset)
		}
	}
	if r.mode == modeText {
		dst = r.plain(dst, text)
	} else {
		dst = r.joined(dst, text, offset)
	}
	if r.inText {
		dst = r.scan(dst, false)
	}
	return dst
}

// closeText ends the text or form.
func (r *Rewriter) closeText(dst []byte) []byte {
	if r.mode == modeForm {
		return r.closeForm(dst)
	}
	if r.cfg.Texts != nil && r.events == nil {
		r.tell(nil, true)
	}
	if r.inText {
		dst = r.plain(dst, r.pend[:r.npend])
		r.npend = 0
		dst = r.finish(dst)
	}
	return dst
}

// joined reads a piece of text with escapes, the first of which may have begun in
// the piece before.
func (r *Rewriter) joined(dst, text []byte, offset int) []byte {
	var used int
	if r.npend > 0 {
		// As many bytes as an escape has at most decide about what was left.
		both := append(append(r.joint[:0], r.pend[:r.npend]...), text[:min(maxEscape, len(text))]...)
		dst, used = r.escapes(dst, both, offset-r.npend)
		if used < r.npend {
			r.npend = copy(r.pend[:], both[used:])
			return dst
		}
		text = text[used-r.npend:]
		offset += used - r.npend
		r.npend = 0
	}
	dst, used = r.escapes(dst, text, offset)
	r.npend = copy(r.pend[:], text[used:])
	return dst
}

// escapes reads text up to its end, or up to an escape that its end splits, and
// returns how much it has read.
func (r *Rewriter) escapes(dst, text []byte, offset int) ([]byte, int) {
	if r.mode == modeForm {
		return r.readForm(dst, text, offset)
	}
	return r.backslashes(dst, text)
}

// backslashes reads text in which a backslash begins what could be an escape of
// a JSON string. One that begins none stands for itself.
func (r *Rewriter) backslashes(dst, text []byte) ([]byte, int) {
	at := 0
	for at < len(text) && r.err == nil {
		n := bytes.IndexByte(text[at:], '\\')
		if n < 0 {
			dst = r.plain(dst, text[at:])
			return dst, len(text)
		}
		if n > 0 {
			dst = r.plain(dst, text[at:at+n])
			at += n
		}
		r.scratch, n = jsonstream.Unescape(r.scratch[:0], text[at:])
		switch {
		case n == 0:
			return dst, at
		case n < 0:
			n = 1
			dst = r.plain(dst, text[at:at+1])
		default:
			dst = r.escape(dst, r.scratch, n)
		}
		at += n
	}
	return dst, len(text)
}
