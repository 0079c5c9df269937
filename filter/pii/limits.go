package pii

import (
	"math"
	"strconv"

	"github.com/memgate/memgate/filter/jsonstream"
)

// FieldLimit bounds the size of one member of a JSON body, or of one name of a
// form.
type FieldLimit struct {
	// Path names the member from the root: names joined by dots, "[]" behind a
	// name for each element of that array. Examples: "content", "metadata",
	// "messages[].content", "[].id". Each line of NDJSON has its own root. A
	// member whose name differs in case only is meant too ([jsonstream.Paths]).
	Path string
	// Max is the greatest size in bytes: of the decoded UTF-8 for a string, of
	// the text as it was sent for any other value.
	Max int
}

// FieldError says that a value is larger than its [FieldLimit].
type FieldError struct {
	// Path is the path of the limit.
	Path string
}

func (e *FieldError) Error() string { return "field too large: " + strconv.Quote(e.Path) }

// limiter measures the values that have a limit. All offsets are of the body as
// it was sent. That a limit is exceeded is found at the first byte too many,
// whatever pieces the body comes in.
type limiter struct {
	limits []FieldLimit // of equal paths the smallest
	paths  *jsonstream.Paths
	at     jsonstream.Tracker

	open     []measured // objects, arrays and a number that are being read
	depth    int
	deadline int // offset at which the first of them is exceeded
	late     int // its limit
	text     int // limit of the string that is being read, or -1
	left     int // how many bytes it may still have
}

type measured struct {
	limit, depth, deadline int
}

func newLimiter(fields []FieldLimit) *limiter {
	l := &limiter{}
	paths := make([]string, 0, len(fields))
next:
	for _, f := range fields {
		for i, path := range paths {
			if path == f.Path {
				l.limits[i].Max = min(l.limits[i].Max, f.Max)
				continue next
			}
		}
		paths = append(paths, f.Path)
		l.limits = append(l.limits, f)
	}
	l.paths = jsonstream.NewPaths(paths)
	l.reset()
	return l
}

func (l *limiter) reset() {
	l.at.Reset(l.paths)
	l.open, l.depth, l.deadline, l.text = l.open[:0], 0, math.MaxInt, -1
}

// event measures what the lexer read. When a limit is exceeded it returns the
// error and how many bytes of the event's text come before that.
func (l *limiter) event(k jsonstream.Kind, x *jsonstream.Lexer) (int, error) {
	start, end := x.Span()
	switch k {
	case jsonstream.More:
		return 0, nil
	case jsonstream.Failed, jsonstream.End:
		return 0, l.reach(x.Offset())
	case jsonstream.Line:
		l.reset()
		return 0, nil
	case jsonstream.ObjectBegin, jsonstream.ArrayBegin:
		l.depth++
		l.begin(start)
		l.at.Open(k == jsonstream.ObjectBegin)
	case jsonstream.ObjectEnd, jsonstream.ArrayEnd:
		if err := l.reach(end); err != nil {
			return 0, err
		}
		l.end()
		l.depth--
		l.at.Close()
	case jsonstream.Key:
		l.at.Name(x.Text(), x.Last())
	case jsonstream.String:
		if x.First() {
			l.beginText()
		}
		return l.string(x.Text(), start, end, x.Escaped())
	case jsonstream.Number, jsonstream.Literal:
		if x.First() {
			l.depth++
			l.begin(start)
		}
		if err := l.reach(end); err != nil {
			return 0, err
		}
		if x.Last() {
			l.end()
			l.depth--
		}
	}
	return max(0, min(end, l.deadline)-start), l.reach(end)
}

// reach says that the body was read up to the offset.
func (l *limiter) reach(offset int) error {
	if offset > l.deadline {
		return &FieldError{l.limits[l.late].Path}
	}
	return nil
}

// begin says that a value other than a string begins.
func (l *limiter) begin(offset int) {
	limit := l.at.Value()
	if limit < 0 {
		return
	}
	l.open = append(l.open, measured{limit, l.depth, offset + l.limits[limit].Max})
	l.schedule()
}

// end says that the innermost value that is open ends.
func (l *limiter) end() {
	if n := len(l.open); n > 0 && l.open[n-1].depth == l.depth {
		l.open = l.open[:n-1]
		l.schedule()
	}
}

// schedule finds which of the open values is exceeded first; of two, the outer.
func (l *limiter) schedule() {
	l.deadline = math.MaxInt
	for _, m := range l.open {
		if m.deadline < l.deadline {
			l.deadline, l.late = m.deadline, m.limit
		}
	}
}

// beginText says that a string value begins.
func (l *limiter) beginText() {
	if l.text = l.at.Value(); l.text >= 0 {
		l.left = l.limits[l.text].Max
	}
}

// string measures a part of a string value. An escape is exceeded as a whole,
// other text at a byte.
func (l *limiter) string(text []byte, start, end int, escaped bool) (int, error) {
	if l.text < 0 || len(text) <= l.left {
		l.left -= len(text)
		return max(0, min(end, l.deadline)-start), l.reach(end)
	}
	fits, first := l.left, start+l.left
	if escaped {
		fits, first = 0, end-1
	}
	if l.deadline <= first {
		return max(0, min(fits, l.deadline-start)), l.reach(end)
	}
	return fits, &FieldError{l.limits[l.text].Path}
}

// formName says that a name of a form begins.
func (l *limiter) formName() {
	l.reset()
	l.at.Open(true)
}

// formPart measures a part of a name or value of a form, which n bytes stand for.
func (l *limiter) formPart(text []byte, value, first bool, offset, n int) (int, error) {
	if !value {
		l.at.Name(text, false)
		return len(text), nil
	}
	if first {
		l.beginText()
	}
	return l.string(text, offset, offset+n, n != len(text))
}
