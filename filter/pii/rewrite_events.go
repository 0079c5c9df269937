package pii

import (
	"bytes"
	"errors"
)

// ErrEventTooLong says that an event of a stream is longer than [MaxEvent].
var ErrEventTooLong = errors.New("event too long")

// Sizes of an event stream, in bytes.
const (
	// MaxEvent is the greatest length of one event, of all its lines together.
	MaxEvent = 1 << 20
	// maxHeldEvents is how much of a stream waits at most for what could still
	// become a finding. Beyond it the text so far is searched as if it ended. It
	// has room for the longest value that the scanner waits for, a letter an event.
	maxHeldEvents = 1 << 20
	// keepEvent bounds the buffers that are kept for the next stream.
	keepEvent = 64 << 10
)

// events rewrites an event stream (WHATWG HTML, section 9.2). It reads event by
// event, as clients do: nothing of an event is of use to them before its empty
// line. The data of an event is searched as JSON or as text; of text that comes in
// fragments, a few letters an event, the fragments are searched as one text.
type events struct {
	out  *Rewriter // whose body the stream is
	json *Rewriter // for data that is JSON
	text *Rewriter // for all else

	raw    []byte // the event that is being read
	lines  []eventLine
	line   int  // where its current line begins
	cr     bool // the last byte was a carriage return that ended a line
	first  bool // no line was read yet
	deltas deltas

	queue   []*event // read and not released
	free    []*event
	held    int // bytes of the events in the queue
	data    []byte
	scratch []byte
}

// eventLine is a line of an event, without its end.
type eventLine struct {
	start, end int
	value      int // where the value of a data line begins, 0 for other lines
}

// event is an event that was read.
type event struct {
	raw   []byte
	lines []eventLine
	edits []edit // of raw, in its order
	// data is the data of the event, rewritten but for its fragments.
	data      []byte
	changed   bool // data is not what raw has
	fragments []*fragment
}

// edit replaces bytes.
type edit struct {
	start, end int
	with       []byte
}

func newEvents(r *Rewriter) *events {
	inner := Config{Policy: r.cfg.Policy, HashKey: r.cfg.HashKey, MaxDepth: r.cfg.MaxDepth, Identifiers: r.cfg.Identifiers, Redact: r.cfg.Redact, Lenient: true}
	e := &events{out: r, json: NewRewriter(inner)}
	inner.Format = Text
	e.text = NewRewriter(inner)
	e.deltas.init(r)
	e.reset()
	return e
}

func (e *events) reset() {
	if cap(e.raw) > keepEvent {
		e.raw = nil
	}
	if cap(e.data) > keepEvent {
		e.data, e.scratch = nil, nil
	}
	e.raw, e.lines, e.line, e.cr, e.first = e.raw[:0], e.lines[:0], 0, false, true
	for _, ev := range e.queue {
		e.recycle(ev)
	}
	e.queue, e.held = e.queue[:0], 0
	e.deltas.reset()
}

func (e *events) setHashKey(key []byte) {
	e.json.SetHashKey(key)
	e.text.SetHashKey(key)
}

// write reads the next piece of the stream.
func (e *events) write(dst, chunk []byte) ([]byte, error) {
	var err error
	for len(chunk) > 0 {
		if e.cr {
			e.cr = false
			if chunk[0] == '\n' {
				e.raw = append(e.raw, '\n')
				e.line = len(e.raw)
				chunk = chunk[1:]
				continue
			}
		}
		n := lineEnd(chunk)
		if len(e.raw)+n > MaxEvent {
			return dst, ErrEventTooLong
		}
		e.raw = append(e.raw, chunk[:n]...)
		if n == len(chunk) {
			return dst, nil
		}
		end := len(e.raw)
		e.cr = chunk[n] == '\r'
		e.raw = append(e.raw, chunk[n])
		chunk = chunk[n+1:]
		if end > e.line {
			e.lines = append(e.lines, e.readLine(end))
			e.line = len(e.raw)
			continue
		}
		if dst, err = e.dispatch(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// close ends the stream. What it ends in the middle of is rewritten like an event,
// though clients do not look at it.
func (e *events) close(dst []byte) ([]byte, error) {
	if len(e.raw) > e.line {
		e.lines = append(e.lines, e.readLine(len(e.raw)))
	}
	var err error
	if len(e.raw) > 0 {
		dst, err = e.dispatch(dst)
	}
	if err == nil {
		err = e.deltas.end()
	}
	return e.release(dst), err
}

func lineEnd(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		n = len(b)
	}
	if cr := bytes.IndexByte(b[:n], '\r'); cr >= 0 {
		return cr
	}
	return n
}

// readLine reads the line that has just ended.
func (e *events) readLine(end int) eventLine {
	l := eventLine{start: e.line, end: end}
	at := l.start
	if e.first {
		e.first = false
		if bytes.HasPrefix(e.raw[at:end], []byte("\ufeff")) {
			at += len("\ufeff")
		}
	}
	if rest, ok := bytes.CutPrefix(e.raw[at:end], []byte("data")); ok {
		switch {
		case len(rest) == 0:
			l.value = end
		case rest[0] == ':' && len(rest) > 1 && rest[1] == ' ':
			l.value = end - len(rest) + 2
		case rest[0] == ':':
			l.value = end - len(rest) + 1
		}
	}
	return l
}

// dispatch searches the event that was read, and releases what can go on.
func (e *events) dispatch(dst []byte) ([]byte, error) {
	ev := e.take()
	e.queue = append(e.queue, ev)
	e.held += len(ev.raw)
	if err := e.search(ev); err != nil {
		return dst, err
	}
	if e.held > maxHeldEvents {
		if err := e.deltas.end(); err != nil {
			return dst, err
		}
	}
	return e.release(dst), nil
}

// take makes an event of what was read.
func (e *events) take() *event {
	var ev *event
	if n := len(e.free); n > 0 {
		ev = e.free[n-1]
		e.free = e.free[:n-1]
	} else {
		ev = new(event)
	}
	ev.raw, e.raw = e.raw, ev.raw[:0]
	ev.lines, e.lines = e.lines, ev.lines[:0]
	e.line = 0
	return ev
}

func (e *events) recycle(ev *event) {
	e.deltas.recycle(ev.fragments)
	if cap(ev.raw) > keepEvent || cap(ev.data) > keepEvent || len(e.free) >= 64 {
		return
	}
	ev.raw, ev.lines, ev.edits, ev.data, ev.changed, ev.fragments = ev.raw[:0], ev.lines[:0], ev.edits[:0], ev.data[:0], false, ev.fragments[:0]
	e.free = append(e.free, ev)
}

// search rewrites an event but for its fragments, and searches those.
func (e *events) search(ev *event) error {
	data, some := e.data[:0], false
	for _, l := range ev.lines {
		if l.value == 0 {
			if err := e.searchLine(ev, l); err != nil {
				return err
			}
			continue
		}
		if some {
			data = append(data, '\n')
		}
		some = true
		data = append(data, ev.raw[l.value:l.end]...)
	}
	e.data = data
	if !some {
		return nil
	}
	var err error
	if isJSON(data) {
		done := e.deltas.find(ev, data)
		e.json.skips = e.deltas.skips
		if ev.data, err = e.through(e.json, ev.data[:0], data); err != nil {
			return err
		}
		ev.changed = !bytes.Equal(ev.data, data)
		if err = e.deltas.add(ev, e.json.skipped); err == nil && done {
			err = e.deltas.end()
		}
		return err
	}
	if e.deltas.joinsText {
		ev.data = append(ev.data[:0], data...)
		return e.deltas.addText(ev)
	}
	if err = e.deltas.end(); err != nil {
		return err
	}
	if ev.data, err = e.through(e.text, ev.data[:0], data); err != nil {
		return err
	}
	ev.changed = !bytes.Equal(ev.data, data)
	return nil
}

// isJSON reports whether data is to be read as JSON. A bare number or word is text.
func isJSON(data []byte) bool {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\n':
			continue
		case '{', '[', '"':
			return true
		}
		break
	}
	return false
}

// searchLine rewrites a line that is not data: a comment, a name, an id.
func (e *events) searchLine(ev *event, l eventLine) error {
	line := ev.raw[l.start:l.end]
	if t := e.text; nextFold(line, 0) == len(line) {
		t.scanner.Reset()
		if t.findings, _ = t.find(&t.scanner, t.findings[:0], line, 0, true); len(t.findings) == 0 {
			return nil
		}
	}
	var err error
	if e.scratch, err = e.through(e.text, e.scratch[:0], line); err != nil {
		return err
	}
	if !bytes.Equal(e.scratch, line) {
		ev.edits = append(ev.edits, edit{l.start, l.end, bytes.Clone(e.scratch)})
	}
	return nil
}

// through rewrites a whole text by one of the inner rewriters.
func (e *events) through(r *Rewriter, dst, text []byte) ([]byte, error) {
	r.Reset()
	dst, err := r.Write(dst, text)
	if err == nil {
		dst, err = r.Close(dst)
	}
	for i, n := range r.counts {
		e.out.counts[i] += n
	}
	e.out.opened += r.opened
	return dst, err
}

// release appends the events that wait for nothing.
func (e *events) release(dst []byte) []byte {
	n := 0
	for _, ev := range e.queue {
		if !ev.ready() {
			break
		}
		dst = e.append(dst, ev)
		e.held -= len(ev.raw)
		e.recycle(ev)
		n++
	}
	if n > 0 {
		e.queue = e.queue[:copy(e.queue, e.queue[n:])]
	}
	return dst
}

func (ev *event) ready() bool {
	for _, f := range ev.fragments {
		if !f.done {
			return false
		}
	}
	return true
}

// append appends an event as it goes on.
func (e *events) append(dst []byte, ev *event) []byte {
	data := ev.data
	for _, f := range ev.fragments {
		if len(f.edits) > 0 {
			data = ev.apply(e.scratch[:0])
			e.scratch = data
			ev.changed = true
			break
		}
	}
	at := 0
	edits := ev.edits
	for _, l := range ev.lines {
		switch {
		case len(edits) > 0 && edits[0].start == l.start:
			dst = append(dst, ev.raw[at:l.start]...)
			dst = append(dst, edits[0].with...)
			at, edits = l.end, edits[1:]
		case l.value == 0 || !ev.changed:
		case data == nil:
			// Fewer lines than before: this one goes, with its end.
			dst = append(dst, ev.raw[at:l.start]...)
			at = l.end
			for at < len(ev.raw) && ev.raw[at] == '\r' {
				at++
				break
			}
			if at < len(ev.raw) && ev.raw[at] == '\n' {
				at++
			}
		default:
			dst = append(dst, ev.raw[at:l.value]...)
			n := bytes.IndexByte(data, '\n')
			if n < 0 {
				dst = append(dst, data...)
				data = nil
			} else {
				dst = append(dst, data[:n]...)
				data = data[n+1:]
			}
			at = l.end
		}
	}
	return append(dst, ev.raw[at:]...)
}

// apply appends the data with its fragments rewritten.
func (ev *event) apply(dst []byte) []byte {
	at := 0
	for _, f := range ev.fragments {
		for _, d := range f.edits {
			dst = append(dst, ev.data[at:d.start]...)
			dst = append(dst, d.with...)
			at = d.end
		}
	}
	return append(dst, ev.data[at:]...)
}
