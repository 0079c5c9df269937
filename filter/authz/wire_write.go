package authz

import (
	"errors"
	"math/bits"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/problem"
)

// The tags of the fields that are written, with their wire types (LEN, or VARINT
// where it is said).
const (
	tagStatus       = 1<<3 | 2 // CheckResponse
	tagDenied       = 2<<3 | 2
	tagOK           = 3<<3 | 2
	tagMetadata     = 4<<3 | 2
	tagStatusCode   = 1 << 3   // google.rpc.Status, VARINT; type.v3.HttpStatus too
	tagHTTPStatus   = 1<<3 | 2 // DeniedHttpResponse
	tagHeaders      = 2<<3 | 2 // it and OkHttpResponse
	tagBody         = 3<<3 | 2
	tagRemove       = 5<<3 | 2 // OkHttpResponse
	tagToClient     = 6<<3 | 2
	tagHeader       = 1<<3 | 2 // HeaderValueOption
	tagAppendAction = 3 << 3   // VARINT
	tagKey          = 1<<3 | 2 // HeaderValue; an entry of a map too
	tagValue        = 2<<3 | 2
	tagEntry        = 1<<3 | 2 // Struct
	tagString       = 3<<3 | 2 // Value
)

// overwriteIfExistsOrAdd is HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD.
const overwriteIfExistsOrAdd = 2

// errText is for a text that no protobuf message can hold. Nothing is allowed
// then, as Envoy gets no answer.
var errText = errors.New("authz: a text is no valid UTF-8")

// answer is a decision about to be written as a CheckResponse.
type answer struct {
	*Decision
	id     string // of the request
	extra  [2]headers.Header
	extras int // of extra, which follow Response
	body   string

	fields []member
	room   [maxMetadata]member // for fields

	status, inner, metadata int // sizes of the messages
}

// newAnswer works out how long d will be.
func newAnswer(d *Decision, id string) *answer {
	a := &answer{Decision: d, id: id}
	a.fields = d.appendMetadata(a.room[:0], id)
	code := codes.OK
	if !d.Allowed {
		code = codes.PermissionDenied
		if id != "" {
			a.extra[0] = headers.Header{Name: HeaderRequestID, Value: id}
			a.extras = 1
		}
		if d.Problem != (problem.Problem{}) {
			a.extra[a.extras] = headers.Header{Name: "content-type", Value: problem.ContentType}
			a.extras++
			a.body = string(d.Problem.AppendJSON(nil, id))
		}
	}
	a.status = sizeOfNumber(uint64(code))
	for i := range a.fields {
		a.metadata += sizeOf(a.fields[i].size())
	}
	if d.Allowed {
		a.inner = sizeOfList(d.Upstream) + sizeOfList(d.Response)
		for _, name := range d.Remove {
			a.inner += sizeOf(len(name))
		}
	} else {
		a.inner = sizeOf(sizeOfNumber(uint64(d.Status))) + sizeOfList(d.Response) + sizeOfList(a.extra[:a.extras])
		if a.body != "" {
			a.inner += sizeOf(len(a.body))
		}
	}
	return a
}

// size is the length of the message in bytes.
func (a *answer) size() int { return sizeOf(a.status) + sizeOf(a.inner) + sizeOf(a.metadata) }

// append writes the message.
func (a *answer) append(dst []byte) ([]byte, error) {
	w := writer{dst: dst}
	w.open(tagStatus, a.status)
	if a.Allowed {
		w.number(tagStatusCode, uint64(codes.OK))
		w.open(tagOK, a.inner)
		w.headers(tagHeaders, a.Upstream)
		for _, name := range a.Remove {
			w.text(tagRemove, name)
		}
		w.headers(tagToClient, a.Response)
	} else {
		w.number(tagStatusCode, uint64(codes.PermissionDenied))
		w.open(tagDenied, a.inner)
		w.open(tagHTTPStatus, sizeOfNumber(uint64(a.Status)))
		w.number(tagStatusCode, uint64(a.Status))
		w.headers(tagHeaders, a.Response)
		w.headers(tagHeaders, a.extra[:a.extras])
		if a.body != "" {
			w.text(tagBody, a.body)
		}
	}
	w.open(tagMetadata, a.metadata)
	for i := range a.fields {
		m := &a.fields[i]
		w.open(tagEntry, m.size())
		w.text(tagKey, m.name)
		w.open(tagValue, sizeOf(len(m.value)))
		w.text(tagString, m.value)
	}
	if w.bad {
		return dst, errText
	}
	return w.dst, nil
}

// member is one of the dynamic metadata.
type member struct{ name, value string }

func (m *member) size() int { return sizeOf(len(m.name)) + sizeOf(sizeOf(len(m.value))) }

// sizeOf is the length of a field of so many bytes, with its tag, which is below
// 16 here and has one.
func sizeOf(length int) int { return 1 + (bits.Len64(uint64(length)|1)+6)/7 + length }

// sizeOfNumber is the length of a VARINT field, which is left out for zero.
func sizeOfNumber(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + (bits.Len64(n)+6)/7
}

const sizeOfAction = 2

func sizeOfHeader(h *headers.Header) int { return sizeOfText(h.Name) + sizeOfText(h.Value) }

// sizeOfText is that of a field which is left out when it is empty.
func sizeOfText(s string) int {
	if s == "" {
		return 0
	}
	return sizeOf(len(s))
}

func sizeOfList(list []headers.Header) (n int) {
	for i := range list {
		n += sizeOf(sizeOf(sizeOfHeader(&list[i])) + sizeOfAction)
	}
	return n
}

// writer appends fields.
type writer struct {
	dst []byte
	bad bool // a text was none
}

func (w *writer) varint(n uint64) {
	for n >= 0x80 {
		w.dst = append(w.dst, byte(n)|0x80)
		n >>= 7
	}
	w.dst = append(w.dst, byte(n))
}

// open begins a field of so many bytes.
func (w *writer) open(tag byte, length int) {
	w.dst = append(w.dst, tag)
	w.varint(uint64(length))
}

func (w *writer) text(tag byte, s string) {
	w.open(tag, len(s))
	w.dst = append(w.dst, s...)
	w.bad = w.bad || !utf8.ValidString(s)
}

func (w *writer) number(tag byte, n uint64) {
	if n != 0 {
		w.dst = append(w.dst, tag)
		w.varint(n)
	}
}

func (w *writer) headers(tag byte, list []headers.Header) {
	for i := range list {
		h := &list[i]
		size := sizeOfHeader(h)
		w.open(tag, sizeOf(size)+sizeOfAction)
		w.open(tagHeader, size)
		if h.Name != "" {
			w.text(tagKey, h.Name)
		}
		if h.Value != "" {
			w.text(tagValue, h.Value)
		}
		w.dst = append(w.dst, tagAppendAction, overwriteIfExistsOrAdd)
	}
}
