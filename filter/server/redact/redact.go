// Package redact keeps credentials and personal data out of the process's log:
// a handler between the callers of slog and the one that writes.
//
// Whoever logs takes care not to log them in the first place. The handler is for
// what comes along unseen, such as the text of another package's error. It looks
// at messages, keys and values by the detectors of package pii, and for what
// they do not know at the shapes of memgate's own credentials, of a URL's
// password, and of an HTTP Authorization header. Addresses of private networks
// and of this machine stay, as an operator has to know which service did not
// answer.
package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"

	"github.com/memgate/memgate/filter/pii"
)

// MaxText is how many bytes of one text are logged.
const MaxText = 16 << 10

// cut stands at the end of a text that was longer.
const cut = "…"

// Handler hands records to another handler without what must not be logged.
type Handler struct {
	next slog.Handler
	pool *sync.Pool
}

// NewHandler returns a handler in front of next. Callers need not wait for each
// other.
func NewHandler(next slog.Handler) *Handler {
	return &Handler{next: next, pool: &sync.Pool{New: func() any { return new(scratch) }}}
}

// scratch is what looking at one text needs.
type scratch struct {
	text  []byte
	found []pii.Finding
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler]. A record in which nothing is found goes on as
// it is, without an allocation.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	s := h.pool.Get().(*scratch)
	defer h.pool.Put(s)
	message, changed := s.clean(r.Message)
	if !changed {
		r.Attrs(func(a slog.Attr) bool {
			changed = s.concerns(a)
			return !changed
		})
	}
	if !changed {
		return h.next.Handle(ctx, r)
	}
	out := slog.NewRecord(r.Time, r.Level, message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(s.attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	s := h.pool.Get().(*scratch)
	defer h.pool.Put(s)
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = s.attr(a)
	}
	return &Handler{next: h.next.WithAttrs(clean), pool: h.pool}
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	s := h.pool.Get().(*scratch)
	defer h.pool.Put(s)
	name, _ = s.clean(name)
	return &Handler{next: h.next.WithGroup(name), pool: h.pool}
}

// concerns reports whether attr may change a: whether something was found, or the
// value has to become text first.
func (s *scratch) concerns(a slog.Attr) bool {
	if _, changed := s.clean(a.Key); changed {
		return true
	}
	switch a.Value.Kind() {
	case slog.KindString:
		_, changed := s.clean(a.Value.String())
		return changed
	case slog.KindInt64, slog.KindUint64:
		return s.number(a.Value)
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindTime:
		return false
	case slog.KindGroup:
		for _, member := range a.Value.Group() {
			if s.concerns(member) {
				return true
			}
		}
		return false
	}
	return true // any value, and what decides only now what it is
}

// attr is a without what must not be logged. Values of any other type are what
// their errors, or JSON, say of them.
func (s *scratch) attr(a slog.Attr) slog.Attr {
	a.Key, _ = s.clean(a.Key)
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		if text, changed := s.clean(a.Value.String()); changed {
			a.Value = slog.StringValue(text)
		}
	case slog.KindInt64, slog.KindUint64:
		if s.number(a.Value) {
			text, _ := s.clean(a.Value.String())
			a.Value = slog.StringValue(text)
		}
	case slog.KindGroup:
		members := make([]slog.Attr, len(a.Value.Group()))
		for i, member := range a.Value.Group() {
			members[i] = s.attr(member)
		}
		a.Value = slog.GroupValue(members...)
	case slog.KindAny:
		text, _ := s.clean(textOf(a.Value.Any()))
		a.Value = slog.StringValue(text)
	}
	return a
}

// number reports whether something is found in a number. Only long ones can be
// that of a card or of a person.
func (s *scratch) number(v slog.Value) bool {
	const long = 100_000_000
	if v.Kind() == slog.KindInt64 && v.Int64() > -long && v.Int64() < long || v.Kind() == slog.KindUint64 && v.Uint64() < long {
		return false
	}
	_, changed := s.clean(v.String())
	return changed
}

// textOf is a value as text. A method that panics, such as that of a nil pointer,
// must not end the process.
func textOf(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("!PANIC in a %T", v)
		}
	}()
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case error:
		return v.Error()
	case []byte:
		return string(v)
	case fmt.Stringer:
		return v.String()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("!%T", v)
	}
	return string(raw)
}

// clean is text without what must not be logged, and whether that is another
// text.
func (s *scratch) clean(text string) (string, bool) {
	whole := text
	if len(text) > MaxText {
		text = text[:MaxText]
		// What is cut in its middle is not found any more.
		if space := strings.LastIndexByte(text, ' '); space >= 0 {
			text = text[:space]
		}
	}
	if isIdentifier(text) {
		return text, len(text) != len(whole)
	}
	s.text = append(s.text[:0], text...)
	s.found = pii.Scan(s.found[:0], s.text)
	s.found = shapes(s.found, s.text)
	var out []byte
	at := 0
	for next := s.next(0, at); next >= 0; next = s.next(next+1, at) {
		f := s.found[next]
		if f.Entity == pii.IPAddress && f.End <= len(text) && isInner(text[f.Start:f.End]) {
			continue
		}
		if out == nil {
			out = make([]byte, 0, len(text)+32)
		}
		if f.Start >= at {
			out = append(out, text[at:f.Start]...)
			out = append(out, '[')
			out = append(out, nameOf(f.Entity)...)
			out = append(out, ']')
		}
		at = max(at, f.End)
	}
	if out == nil && len(text) == len(whole) {
		return whole, false
	}
	out = append(out, text[at:]...)
	if len(text) != len(whole) {
		out = append(out, cut...)
	}
	return string(out), true
}

// next is the index of the first finding from i on that ends behind at, or -1.
func (s *scratch) next(i, at int) int {
	for ; i < len(s.found); i++ {
		if s.found[i].End > at {
			return i
		}
	}
	return -1
}

// nameOf is what stands for a finding.
func nameOf(e pii.Entity) string {
	if e == credential {
		return "CREDENTIAL"
	}
	return e.String()
}

// isIdentifier reports whether text is a UUID or a digest: digits in them mean
// nothing, and an operator searches for them.
func isIdentifier(text string) bool {
	if len(text) != 36 && len(text) != 64 {
		return false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if len(text) == 36 && (i == 8 || i == 13 || i == 18 || i == 23) {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isInner reports whether an address is one of this machine or of a private
// network.
func isInner(text string) bool {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		ip = prefix.Addr()
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
}
