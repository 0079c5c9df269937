package pii

import (
	"bytes"
	"errors"
)

// ErrUninspectable says that a part of a body is of a type that cannot be read.
var ErrUninspectable = errors.New("a part that cannot be inspected")

// Limits of multipart/form-data, in bytes.
const (
	// MaxBoundary is the greatest length of a boundary (RFC 2046, section 5.1.1).
	MaxBoundary = 70
	// maxPartHeader is how long the header of a part can be.
	maxPartHeader = 8 << 10
	// maxPadding is how much space may follow a boundary.
	maxPadding = 64
)

// PartFormat says how a part with a Content-Type, which is not empty, is read; false
// when it cannot be.
type PartFormat func(contentType string) (Format, bool)

// parts rewrites multipart/form-data (RFC 7578): each part is read by its own type, text
// without one, with its name as context. It is strict about what delimits parts, as
// readers differ in what else they take for a delimiter: lines end in CR LF, nothing but
// space stands in front of the first part and behind the last.
type parts struct {
	out       *Rewriter
	delimiter []byte // CR LF, two hyphens, the boundary
	state     partState
	rest      []byte // what was read and not dealt with
	virtual   int    // bytes in front of rest that the body does not have
	header    *Rewriter
	inner     [NumFormats]*Rewriter
	current   *Rewriter // of the part's body; nil when it passes as it is
	limit     int       // index of the part's limit, or -1
	left      int       // bytes that it may still have
	some      bool      // it has any
	begins    bool      // the body begins with rest
}

type partState uint8

const (
	beforeParts     partState = iota // the first delimiter is due
	behindDelimiter                  // the rest of a delimiter's line
	inPartHead
	inPartBody
	behindParts // behind the last part
)

func newParts(r *Rewriter) *parts {
	return &parts{out: r, header: NewRewriter(Config{Format: Text, Policy: r.cfg.Policy, HashKey: r.cfg.HashKey})}
}

func (p *parts) reset() {
	p.state, p.current, p.limit, p.delimiter = beforeParts, nil, -1, p.delimiter[:0]
	p.rest, p.virtual = append(p.rest[:0], "\r\n"...), 2
	p.header.Reset()
}

func (p *parts) setHashKey(key []byte) {
	p.header.SetHashKey(key)
	for _, r := range p.inner {
		if r != nil {
			r.SetHashKey(key)
		}
	}
}

func (p *parts) setPseudonyms(keys *Pseudonyms, reveal bool) {
	p.header.SetPseudonyms(keys, reveal)
	for _, r := range p.inner {
		if r != nil {
			r.SetPseudonyms(keys, reveal)
		}
	}
}

// SetBoundary says what separates the parts of a body of the format [Multipart]. It is
// called before the first Write, and holds until Reset.
func (r *Rewriter) SetBoundary(boundary string) {
	if r.multi != nil {
		r.multi.delimiter = append(append(r.multi.delimiter[:0], "\r\n--"...), boundary...)
	}
}

// write reads the next piece of the body.
func (p *parts) write(dst, chunk []byte) ([]byte, error) {
	if n := len(p.delimiter) - len("\r\n--"); n < 1 || n > MaxBoundary {
		return dst, ErrMalformed
	}
	p.rest = append(p.rest, chunk...)
	for {
		var more bool
		var err error
		switch p.state {
		case beforeParts:
			dst, more, err = p.first(dst)
		case behindDelimiter:
			dst, more, err = p.line(dst)
		case inPartHead:
			dst, more, err = p.head(dst)
		case inPartBody:
			dst, more, err = p.body(dst)
		default:
			if len(bytes.Trim(p.rest, " \t\r\n")) > 0 {
				return dst, ErrMalformed
			}
			dst, more = p.pass(dst, len(p.rest)), true
		}
		if more || err != nil {
			return dst, err
		}
	}
}

func (p *parts) close(dst []byte) ([]byte, error) {
	if p.state == behindDelimiter && bytes.HasPrefix(p.rest, []byte("--")) || p.state == behindParts {
		return p.pass(dst, len(p.rest)), nil
	}
	return dst, ErrMalformed
}

// pass lets n bytes go on.
func (p *parts) pass(dst []byte, n int) []byte {
	from := min(n, p.virtual)
	p.virtual -= from
	dst = append(dst, p.rest[from:n]...)
	p.drop(n)
	return dst
}

func (p *parts) drop(n int) { p.rest = p.rest[:copy(p.rest, p.rest[n:])] }

func (p *parts) first(dst []byte) ([]byte, bool, error) {
	n := min(len(p.rest), len(p.delimiter))
	if !bytes.Equal(p.rest[:n], p.delimiter[:n]) {
		return dst, false, ErrMalformed
	}
	if n < len(p.delimiter) {
		return dst, true, nil
	}
	dst = p.pass(dst, n)
	p.state = behindDelimiter
	return dst, false, nil
}

// line reads what follows a boundary: hyphens behind the last part, else space and the
// end of the line.
func (p *parts) line(dst []byte) ([]byte, bool, error) {
	if len(p.rest) < 2 {
		return dst, true, nil
	}
	if p.rest[0] == '-' && p.rest[1] == '-' {
		dst = p.pass(dst, 2)
		p.state = behindParts
		return dst, false, nil
	}
	n := 0
	for n < len(p.rest) && (p.rest[n] == ' ' || p.rest[n] == '\t') {
		n++
	}
	switch {
	case n > maxPadding || n < len(p.rest) && p.rest[n] != '\r' || n+1 < len(p.rest) && p.rest[n+1] != '\n':
		return dst, false, ErrMalformed
	case n+2 > len(p.rest):
		return dst, true, nil
	}
	// The end of this line stays, so that an empty header ends like any other.
	dst = p.pass(dst, n)
	p.state = inPartHead
	return dst, false, nil
}

// head reads the header of a part, with the end of the line in front of it.
func (p *parts) head(dst []byte) ([]byte, bool, error) {
	n := bytes.Index(p.rest, []byte("\r\n\r\n"))
	if n > maxPartHeader || n < 0 && len(p.rest) > maxPartHeader+4 {
		return dst, false, ErrMalformed
	}
	if n < 0 {
		return dst, true, nil
	}
	head, ok := readPartHead(p.rest[min(2, n):n])
	if !ok {
		return dst, false, ErrMalformed
	}
	if err := p.begin(&head); err != nil {
		return dst, false, err
	}
	// The names in it can have findings, too.
	n += 4
	var err error
	p.header.Reset()
	if dst, err = p.header.Write(dst, p.rest[:n]); err == nil {
		dst, err = p.header.Close(dst)
	}
	p.count(p.header)
	p.drop(n)
	p.state, p.begins = inPartBody, true
	return dst, false, err
}

// begin prepares for the body of a part.
func (p *parts) begin(h *partHead) error {
	r := p.out
	format, ok := Text, true
	if h.contentType != "" {
		format, ok = r.cfg.Part(h.contentType)
	}
	ok = ok && h.plain && format != Multipart
	if !ok && !r.cfg.OtherParts {
		return ErrUninspectable
	}
	p.limit = -1
	if r.limit != nil {
		r.limit.formName()
		r.limit.at.Name(h.name, true)
		if p.limit = r.limit.at.Value(); p.limit >= 0 {
			p.left = r.limit.limits[p.limit].Max
		}
	}
	if r.named != nil {
		r.named.pair()
		if _, err := r.named.formPart(h.name, false); err != nil {
			return err
		}
		r.named.at.Name(nil, true)
	}
	p.current, p.some = nil, false
	if !ok {
		return nil
	}
	if p.inner[format] == nil {
		cfg := r.cfg
		cfg.Format, cfg.Fields = format, nil
		p.inner[format] = NewRewriter(cfg)
		p.inner[format].SetPseudonyms(r.pseudonyms, r.reveals)
	}
	p.current = p.inner[format]
	p.current.Reset()
	p.current.setContext(h.name)
	if p.current.named != nil {
		p.current.named.want = r.named.want
	}
	return nil
}

// body reads the body of a part up to the next delimiter.
func (p *parts) body(dst []byte) ([]byte, bool, error) {
	if p.begins {
		// For some readers the empty line behind the header is part of a delimiter, so that
		// what stands here would be another part.
		boundary := p.delimiter[2:]
		n := min(len(p.rest), len(boundary))
		if bytes.Equal(p.rest[:n], boundary[:n]) {
			if n == len(boundary) {
				return dst, false, ErrMalformed
			}
			return dst, true, nil
		}
		p.begins = false
	}
	n := bytes.Index(p.rest, p.delimiter)
	if n >= 0 {
		dst, err := p.content(dst, p.rest[:n], true)
		if err != nil {
			return dst, false, err
		}
		p.drop(n)
		dst = p.pass(dst, len(p.delimiter))
		p.state = behindDelimiter
		return dst, false, nil
	}
	n = max(0, len(p.rest)-len(p.delimiter)+1)
	dst, err := p.content(dst, p.rest[:n], false)
	p.drop(n)
	return dst, true, err
}

// content takes a piece of a part's body.
func (p *parts) content(dst, piece []byte, last bool) ([]byte, error) {
	r := p.out
	var err error
	if r.named != nil {
		if _, err = r.named.formPart(piece, true); err == nil && last {
			err = r.named.pairEnd()
		}
		if err != nil {
			return dst, err
		}
	}
	if p.limit >= 0 {
		if p.left -= len(piece); p.left < 0 {
			return dst, &FieldError{r.limit.limits[p.limit].Path}
		}
	}
	if p.current == nil {
		return append(dst, piece...), nil
	}
	// An empty part of any type is no fault.
	p.some = p.some || len(piece) > 0
	if dst, err = p.current.Write(dst, piece); err == nil && last && p.some {
		dst, err = p.current.Close(dst)
	}
	if last || err != nil {
		p.count(p.current)
	}
	return dst, err
}

func (p *parts) count(r *Rewriter) {
	for i, n := range r.counts {
		p.out.counts[i] += n
	}
	p.out.opened += r.opened
	r.counts, r.opened = [NumEntities]uint32{}, 0
	if r.named != nil {
		for group, differs := range r.named.differs {
			p.out.named.differs[group] = p.out.named.differs[group] || differs
		}
	}
}
