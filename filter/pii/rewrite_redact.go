package pii

import (
	"bytes"

	"github.com/memgate/memgate/filter/jsonstream"
)

// Redacted stands in place of a value that [Config.Redact] names; in JSON as a string.
const Redacted = "[REDACTED]"

// redactedForm is the same in a form.
const redactedForm = "%5BREDACTED%5D"

// aside deals with what the lexer read if that is not to be searched: it belongs to a
// member that is always redacted, or to an identifier.
func (r *Rewriter) aside(dst []byte, k jsonstream.Kind) ([]byte, bool) {
	hide := r.hide != nil && r.hide.event(k, &r.lex)
	spare := r.spare != nil && r.spare.event(k, &r.lex)
	if hide && k != jsonstream.Key { // names are searched
		return r.redact(dst, k), true
	}
	return dst, spare
}

// redact replaces a part of a value. It takes the same place whatever pieces the value
// comes in: what stands for it is written with its first byte.
func (r *Rewriter) redact(dst []byte, k jsonstream.Kind) []byte {
	start, end := r.lex.Span()
	text := r.lex.Text()
	if r.lex.First() {
		r.hidden = false
	}
	switch {
	case len(text) == 0 || k == jsonstream.Literal && r.lex.First() && text[0] == 'n': // an empty string, null
	case r.hidden:
	case k == jsonstream.String:
		dst = r.redactAt(dst, start, Redacted)
	case r.lex.First():
		dst = r.redactAt(dst, start, `"`+Redacted+`"`)
	}
	if r.hidden {
		r.done = max(r.done, end)
	}
	return dst
}

// redactAt writes what stands for the value that begins at the offset.
func (r *Rewriter) redactAt(dst []byte, start int, text string) []byte {
	r.hidden = true
	r.counts[Custom]++
	return append(r.emit(dst, start), text...)
}

// formHidden reports whether a part of a form belongs to a value that is always
// redacted, and replaces it.
func (r *Rewriter) formHidden(dst *[]byte, text []byte, first bool, offset, n int) bool {
	if r.hide == nil {
		return false
	}
	if !r.form.value {
		// What stands in brackets behind a name makes a list or a map of it.
		if i := bytes.IndexByte(text, '['); i >= 0 && !r.form.bracket {
			r.hide.at.Name(text[:i], false)
			r.form.bracket = true
		} else if !r.form.bracket {
			r.hide.at.Name(text, false)
		}
		return false
	}
	if r.hide.at.Value() < 0 {
		return false
	}
	if first {
		*dst = r.redactAt(*dst, offset, redactedForm)
	}
	r.done = max(r.done, offset+n)
	return true
}
