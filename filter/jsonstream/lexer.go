// Package jsonstream reads JSON (RFC 8259) strictly while it arrives.
//
// A [Lexer] is fed chunks and asked for events. However the input is cut, the
// events say the same: only the parts that a string or number comes in follow
// the chunks. Nothing is copied but what a cut splits, nothing is kept but the
// nesting, one bit a level. Each event names the bytes of the input that it
// stands for, so that a caller can replace some and leave all others alone.
package jsonstream

import "errors"

// Errors of a [Lexer].
var (
	// ErrSyntax says that the input is not JSON.
	ErrSyntax = errors.New("jsonstream: malformed JSON")
	// ErrDepth says that it is nested deeper than [Options.MaxDepth].
	ErrDepth = errors.New("jsonstream: JSON nested too deep")
)

// MaxDepth is the deepest nesting that a [Lexer] can follow.
const MaxDepth = 1024

// Options are how a [Lexer] reads.
type Options struct {
	// MaxDepth is how many arrays and objects may be open at once, at most
	// [MaxDepth], which zero stands for too.
	MaxDepth int
	// Lines reads one value a line (NDJSON): a line feed ends the value and
	// cannot be inside of it. Empty lines are skipped, and no input is input.
	Lines bool
	// Lenient lets strings hold what RFC 8259 forbids or warns of: control
	// characters, bytes that are not UTF-8, and escapes of half a surrogate
	// pair, which are decoded to U+FFFD.
	Lenient bool
}

// Kind is the kind of an event.
type Kind uint8

const (
	// More says that the chunk is used up: feed the next, or finish.
	More Kind = iota
	// Failed says that the input cannot be read on; see [Lexer.Err].
	Failed
	// End says that the input is complete.
	End
	// ObjectBegin and the three after it are one structural byte.
	ObjectBegin
	ObjectEnd
	ArrayBegin
	ArrayEnd
	// Key is a part of the name of a member.
	Key
	// String is a part of a string value.
	String
	// Number is a part of a number.
	Number
	// Literal is true, false or null.
	Literal
	// Line is a line feed between two values; only with [Options.Lines].
	Line
)

type state uint8

const (
	atValue      state = iota // a value, also at the very start
	atFirstValue              // a value or ']'
	atFirstKey                // a name or '}'
	atKey                     // a name
	atColon
	atNext // ',' or the end of the array or object
	atEnd  // nothing but whitespace
	inString
	inNumber
	inLiteral
	failed
)

// part says which part of a string or number an event is.
type part uint8

const (
	first part = 1 << iota
	last
	escaped
	whole = first | last
)

// Lexer is an incremental reader of JSON. The zero value is not ready: call
// [Lexer.Reset] first. The accessors describe the last event, until the next.
type Lexer struct {
	opt   Options
	chunk []byte
	pos   int // in chunk
	base  int // offset of chunk[0] in the input
	depth int
	stack [MaxDepth / 64]uint64 // a set bit is an object

	state state
	num   number
	kind  Kind // of the string: Key or String
	fresh part // first, as long as the string or number has no part

	text       []byte
	start, end int
	part       part

	pend  [12]byte // an escape, code point or literal that a chunk has split
	npend int
	tmp   [4]byte
	lit   string
	err   error
}

// Reset makes the lexer ready for a new input.
func (l *Lexer) Reset(opt Options) {
	if opt.MaxDepth <= 0 || opt.MaxDepth > MaxDepth {
		opt.MaxDepth = MaxDepth
	}
	l.opt = opt
	l.chunk, l.pos, l.base, l.depth = nil, 0, 0, 0
	l.state, l.npend, l.err = atValue, 0, nil
	l.text, l.start, l.end, l.part = nil, 0, 0, 0
}

// Feed gives the lexer the next chunk, once the one before is used up. The
// lexer refers to it until then.
func (l *Lexer) Feed(chunk []byte) {
	l.base += l.pos
	l.chunk, l.pos = chunk, 0
}

// Text is the content of a [Key], [String], [Number] or [Literal] event: for a
// string decoded, otherwise as it was sent. It is often part of the chunk and
// valid until the next call of Next or Finish. Unless the lexer is lenient,
// each text of a string is whole UTF-8 code points.
func (l *Lexer) Text() []byte { return l.text }

// Span is which bytes of the input the event stands for, as offsets from its
// start: [start, end). For a string that is its content without the quotes.
func (l *Lexer) Span() (start, end int) { return l.start, l.end }

// First reports whether the event is the first part of its string or number.
func (l *Lexer) First() bool { return l.part&first != 0 }

// Last reports whether the event is the last part of its string or number. Its
// text may be empty.
func (l *Lexer) Last() bool { return l.part&last != 0 }

// Escaped reports whether the event is one escape sequence. All other parts of
// a string stand for themselves.
func (l *Lexer) Escaped() bool { return l.part&escaped != 0 }

// Whole reports whether the event is a whole string or number that stands for
// itself.
func (l *Lexer) Whole() bool { return l.part == whole }

// Depth returns how many arrays and objects are open after the event.
func (l *Lexer) Depth() int { return l.depth }

// InObject reports whether the innermost of them is an object.
func (l *Lexer) InObject() bool {
	d := l.depth - 1
	return d >= 0 && l.stack[d>>6]>>(d&63)&1 != 0
}

// Offset returns how many bytes of the input were read. After [Failed] it is
// the offset of the byte, escape, code point or literal that is at fault.
func (l *Lexer) Offset() int { return l.base + l.pos }

// Pending returns the bytes of an unfinished escape, code point or literal that
// were read and are in no event. After [Failed] they are the ones from
// [Lexer.Offset] on, so that a caller can read on in another way behind them.
func (l *Lexer) Pending() []byte { return l.pend[:l.npend] }

// Err returns why the lexer failed: [ErrSyntax] or [ErrDepth].
func (l *Lexer) Err() error { return l.err }

func (l *Lexer) fail(err error) Kind {
	l.state, l.err = failed, err
	return Failed
}

// Next returns the next event in the chunk.
func (l *Lexer) Next() Kind {
	for {
		switch l.state {
		case inString:
			return l.nextString()
		case inNumber:
			return l.nextNumber()
		case inLiteral:
			return l.nextLiteral()
		case failed:
			return Failed
		}
		for l.pos < len(l.chunk) && space(l.chunk[l.pos]) {
			if l.chunk[l.pos] == '\n' && l.opt.Lines {
				return l.line()
			}
			l.pos++
		}
		if l.pos == len(l.chunk) {
			return More
		}
		c := l.chunk[l.pos]
		switch l.state {
		case atFirstValue:
			if c == ']' {
				return l.closing(ArrayEnd)
			}
			fallthrough
		case atValue:
			switch c {
			case '"':
				l.state, l.kind = inString, String
				return l.beginString()
			case '{':
				return l.opening(ObjectBegin)
			case '[':
				return l.opening(ArrayBegin)
			default:
				if !l.scalar(c) {
					return l.fail(ErrSyntax)
				}
			}
		case atFirstKey:
			if c == '}' {
				return l.closing(ObjectEnd)
			}
			fallthrough
		case atKey:
			if c != '"' {
				return l.fail(ErrSyntax)
			}
			l.state, l.kind = inString, Key
			return l.beginString()
		case atColon:
			if c != ':' {
				return l.fail(ErrSyntax)
			}
			l.pos++
			l.state = atValue
		case atNext:
			object := l.InObject()
			switch {
			case c == ',':
				l.pos++
				l.state = atValue
				if object {
					l.state = atKey
				}
			case c == '}' && object:
				return l.closing(ObjectEnd)
			case c == ']' && !object:
				return l.closing(ArrayEnd)
			default:
				return l.fail(ErrSyntax)
			}
		default: // atEnd
			return l.fail(ErrSyntax)
		}
	}
}

// Finish ends the input. It is called after Next returned [More], until it
// returns [End] or [Failed]; it may return the end of a number before.
func (l *Lexer) Finish() Kind {
	switch {
	case l.state == inNumber && l.num.complete():
		return l.numberPart(0, true)
	case l.state == atEnd, l.opt.Lines && l.state == atValue && l.depth == 0:
		return End
	case l.state == failed:
		return Failed
	}
	l.unread()
	return l.fail(ErrSyntax)
}

// NextLine begins a new value at that offset of the input, after [Failed] and
// when the caller has read the rest of the line itself. The next chunk starts
// there.
func (l *Lexer) NextLine(offset int) {
	l.Reset(l.opt)
	l.base = offset
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// line reads a line feed in a text of lines.
func (l *Lexer) line() Kind {
	if l.depth > 0 || l.state != atEnd && l.state != atValue {
		return l.fail(ErrSyntax)
	}
	l.state = atValue
	return l.structural(Line)
}

func (l *Lexer) structural(k Kind) Kind {
	l.start = l.base + l.pos
	l.pos++
	l.end = l.start + 1
	l.text = nil
	l.part = whole
	return k
}

func (l *Lexer) opening(k Kind) Kind {
	d := l.depth
	if d >= l.opt.MaxDepth {
		return l.fail(ErrDepth)
	}
	bit := uint64(1) << (d & 63)
	if k == ObjectBegin {
		l.stack[d>>6] |= bit
		l.state = atFirstKey
	} else {
		l.stack[d>>6] &^= bit
		l.state = atFirstValue
	}
	l.depth = d + 1
	return l.structural(k)
}

func (l *Lexer) closing(k Kind) Kind {
	l.depth--
	l.valueDone()
	return l.structural(k)
}

func (l *Lexer) valueDone() {
	l.state = atNext
	if l.depth == 0 {
		l.state = atEnd
	}
}
