package pii

// Sizes of a window, in bytes.
const (
	// batch is how much text is gathered before it is searched. It is more than
	// MaxHold, so that a search always gets on.
	batch = MaxHold + 4096
	// direct is how long a piece of plain text is at least that is searched
	// where it lies, instead of being copied into the window.
	direct = 1024
	// piece is how much of it is searched at once, so that the number of
	// findings is bounded.
	piece = 64 << 10
)

// window is decoded text that is searched, and the way back from each byte of it
// to the body as it was sent.
type window struct {
	buf  []byte
	from int       // buf[:from] has been searched, and is left context
	segs []segment // from the one that buf[from] is in; never empty
	end  int       // offset in the body behind what buf holds
}

// segment says that the byte at buf[at] comes from that offset of the body. The
// following do too, byte for byte, up to the next segment; those of an escape
// come from all of it.
type segment struct {
	at, raw int
	escape  bool
	bare    bool // outside of the strings of inner JSON
}

// begin empties the window for text from that offset on, behind the context.
func (w *window) begin(context []byte, raw int) {
	w.buf = append(w.buf[:0], context...)
	w.from, w.end = len(context), raw
	w.segs = append(w.segs[:0], segment{at: len(context), raw: raw})
}

// plain appends text that stands for itself and follows on the last.
func (w *window) plain(text []byte) {
	w.buf = append(w.buf, text...)
	w.end += len(text)
}

// escape appends what an escape of n bytes decodes to.
func (w *window) escape(text []byte, n int) {
	last := &w.segs[len(w.segs)-1]
	if last.at != len(w.buf) {
		w.segs = append(w.segs, segment{})
		last = &w.segs[len(w.segs)-1]
	}
	*last = segment{at: len(w.buf), raw: w.end, escape: true}
	w.buf = append(w.buf, text...)
	w.end += n
	w.segs = append(w.segs, segment{at: len(w.buf), raw: w.end})
}

// find returns the segment of buf[i], which is not before the segment hint.
func (w *window) find(i, hint int) int {
	for hint+1 < len(w.segs) && w.segs[hint+1].at <= i {
		hint++
	}
	return hint
}

// raw returns where buf[i] begins in the body. Within an escape that is the
// beginning of it.
func (w *window) raw(i int) int {
	s := w.segs[w.find(i, 0)]
	if s.escape {
		return s.raw
	}
	return s.raw + i - s.at
}

// release says that everything before buf[from] has been dealt with.
func (w *window) release(from int) {
	w.from = from
	if s := w.find(from, 0); s > 0 {
		w.segs = append(w.segs[:0], w.segs[s:]...)
	}
	// Moved only after as much has been released as is ever kept.
	if shift := from - Context; shift > batch {
		w.buf = append(w.buf[:0], w.buf[shift:]...)
		w.from = Context
		for i := range w.segs {
			w.segs[i].at -= shift
		}
	}
}

// span returns which bytes of the body buf[start:end] comes from: of an escape all.
// The segment of start is not before the hint; that of end is returned as another.
func (w *window) span(start, end, hint int) (from, to, next int) {
	i := w.find(start, hint)
	from = w.segs[i].raw
	if !w.segs[i].escape {
		from += start - w.segs[i].at
	}
	i = w.find(end, i)
	to = w.segs[i].raw
	switch {
	case !w.segs[i].escape:
		to += end - w.segs[i].at
	case end > w.segs[i].at:
		to = w.segs[i+1].raw
	}
	return from, to, i
}

// begin begins a text of its own at that offset of the body, behind the context.
func (r *Rewriter) begin(context []byte, raw int) {
	r.win.begin(context, raw)
	r.scanner.Reset()
	r.inText = true
}

// plain takes a part of the text that stands for itself.
func (r *Rewriter) plain(dst, text []byte) []byte {
	if r.nfold > 0 || nextFold(text, 0) < len(text) {
		return r.folded(dst, text)
	}
	return r.unfolded(dst, text)
}

// unfolded takes a part of the text in which nothing is folded.
func (r *Rewriter) unfolded(dst, text []byte) []byte {
	if len(text) >= direct {
		return r.direct(dst, text)
	}
	r.win.plain(text)
	if len(r.win.buf)-r.win.from > batch {
		dst = r.scan(dst, false)
	}
	return dst
}

// escape takes an escape of n bytes and what it decodes to.
func (r *Rewriter) escape(dst, text []byte, n int) []byte {
	dst = r.flushFold(dst)
	if i := nextFold(text, 0); i < len(text) {
		if c, shows, width, v := fold(text, i); v == found && width == len(text) {
			text = text[:0]
			if shows {
				text = []byte{c}
			}
		}
	}
	return r.decoded(dst, text, n)
}

// decoded takes n bytes that stand for other text.
func (r *Rewriter) decoded(dst, text []byte, n int) []byte {
	r.win.escape(text, n)
	if len(r.win.buf)-r.win.from > batch {
		dst = r.scan(dst, false)
	}
	return dst
}

// finish ends the text.
func (r *Rewriter) finish(dst []byte) []byte {
	dst = r.flushFold(dst)
	dst = r.scan(dst, true)
	r.inText = false
	return dst
}

// scan searches what is in the window.
func (r *Rewriter) scan(dst []byte, final bool) []byte {
	w := &r.win
	if w.from == len(w.buf) && !final || r.err != nil {
		return dst
	}
	var safe int
	r.findings, safe = r.find(&r.scanner, r.findings[:0], w.buf, w.from, final)
	if len(r.findings) > 0 {
		dst = r.apply(dst, w.buf)
	}
	w.release(safe)
	return dst
}

// direct searches a long piece of plain text where it lies. What the window holds
// is joined with the beginning of it, until the search has got far enough.
func (r *Rewriter) direct(dst, text []byte) []byte {
	w := &r.win
	raw := w.end
	at := 0 // how much of text is in the window
	for {
		n := min(len(text)-at, direct/2)
		w.plain(text[at : at+n])
		at += n
		dst = r.scan(dst, false)
		if r.err != nil {
			return dst
		}
		if len(w.buf)-w.from <= at-Context {
			break
		}
		if at == len(text) {
			return dst
		}
	}
	at -= len(w.buf) - w.from // how much of text has been searched
	for end := at; end < len(text); {
		end = min(at+piece, len(text))
		var safe int
		r.findings, safe = r.find(&r.scanner, r.findings[:0], text[:end], at, false)
		if len(r.findings) > 0 {
			w.segs = append(w.segs[:0], segment{at: 0, raw: raw})
			if dst = r.apply(dst, text); r.err != nil {
				return dst
			}
		}
		at = safe
	}
	w.buf = append(w.buf[:0], text[at-Context:]...)
	w.from, w.end = Context, raw+len(text)
	w.segs = append(w.segs[:0], segment{at: Context, raw: raw + at})
	return dst
}

// apply replaces the findings in text, whose bytes win.segs leads back.
func (r *Rewriter) apply(dst, text []byte) []byte {
	w := &r.win
	seg := 0
	for i := range r.findings {
		f := &r.findings[i]
		action := r.cfg.Policy.action(f.Entity)
		if action == Allow {
			continue
		}
		if f.Entity == opened {
			var start, end int
			start, end, seg = w.span(f.Start, f.End, seg)
			dst = r.reveal(r.emit(dst, start), text[f.Start:f.End])
			r.done = max(r.done, end)
			continue
		}
		if !f.Continued {
			r.counts[f.Entity]++
			r.parts.begin()
		}
		if action == Block {
			r.err = &BlockedError{f.Entity}
			return dst
		}
		var start, end int
		start, end, seg = w.span(f.Start, f.End, seg)
		dst = r.emit(dst, start)
		value := text[f.Start:f.End]
		if f.More || f.Continued {
			value = r.parts.add(value)
		}
		switch {
		case f.More:
		case r.nested.on && w.bare(text, *f):
			dst = append(r.replace(append(dst, `\"`...), *f, value), `\"`...)
		default:
			dst = r.replace(dst, *f, value)
		}
		r.done = max(r.done, end)
	}
	return dst
}

// gathered is a value that comes in parts. Where it is cut depends on the pieces
// that the body comes in, so that it is replaced at its end, as a whole.
type gathered struct {
	value []byte
	long  bool // it is longer than MaxHold
}

func (g *gathered) begin() { g.value, g.long = g.value[:0], false }

// add adds a part and returns what there is of the value.
func (g *gathered) add(part []byte) []byte {
	if g.long = g.long || len(g.value)+len(part) > MaxHold; !g.long {
		g.value = append(g.value, part...)
	}
	return g.value
}

// replace appends what stands for a value. One that is too long to be kept is not
// masked or hashed but redacted.
func (r *Rewriter) replace(dst []byte, f Finding, value []byte) []byte {
	at := len(dst)
	dst = r.stand(dst, f, value, r.parts.long)
	if r.mode == modeForm {
		r.scratch = append(r.scratch[:0], dst[at:]...)
		dst = appendFormEscaped(dst[:at], r.scratch)
	}
	return dst
}

// stand appends what stands for a value in text that needs no escapes.
func (r *Rewriter) stand(dst []byte, f Finding, value []byte, long bool) []byte {
	if long || len(value) > MaxHold {
		dst = append(dst, '[')
		dst = append(dst, r.cfg.Policy.name(f)...)
		return append(dst, ']')
	}
	if r.pseudonyms != nil && r.cfg.Policy.Actions[f.Entity] == Pseudonymize && f.Entity != PrivateKey {
		if dst, ok := r.pseudonyms.Append(dst, f.Entity, value); ok {
			return dst
		}
	}
	return r.cfg.Policy.AppendReplacement(dst, f, value, r.cfg.HashKey)
}
