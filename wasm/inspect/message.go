package inspect

import (
	"strconv"
	"strings"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
)

// Header is a list of header fields as proxies hand it over: names in lower
// case, a name as often as it was sent.
type Header [][2]string

// Get returns the value of a header, all of them joined by commas if it was sent
// more than once (RFC 9110, section 5.2), and "" without one. It is asked a dozen times
// for each message: one copy of it is faster than one for each place, which the
// processor would have to fetch.
//
//go:noinline
func (h Header) Get(name string) string {
	value, more := "", false
	for i := range h {
		if h[i][0] != name {
			continue
		}
		if more {
			value += ", " + h[i][1]
		} else {
			value, more = h[i][1], true
		}
	}
	return value
}

// Has reports whether a header was sent.
//
//go:noinline
func (h Header) Has(name string) bool {
	for i := range h {
		if h[i][0] == name {
			return true
		}
	}
	return false
}

// Clone returns a copy that has nothing in common with h.
func (h Header) Clone() Header {
	out := make(Header, len(h))
	for i := range h {
		out[i] = [2]string{strings.Clone(h[i][0]), strings.Clone(h[i][1])}
	}
	return out
}

// Plan is what is done with a message's body.
type Plan uint8

const (
	// Pass: the body goes on as it is, or there is none.
	Pass Plan = iota
	// Hold: the headers wait until the whole body was checked.
	Hold
	// Stream: the headers go on, and the body is rewritten as it passes.
	Stream
	// Watch: the body goes on as it is, and is looked into as it passes.
	Watch
)

// HoldLimit is the length, in bytes, up to which a response is held: then it has
// a content-length, and a refusal is a proper answer. A longer one, or one of
// unknown length, is streamed; a refusal then breaks it off.
const HoldLimit = 16 << 10

// Digests are the headers that describe the bytes of a body. They are wrong once
// it was rewritten.
var Digests = [...]string{"content-md5", "digest", "content-digest", "repr-digest"}

// RequestDrop returns the names of headers that are taken off a request before
// it goes to the upstream, appended to dst: the response has to be readable, and
// neither a part of a representation nor a reference to one that the client
// never had, as what it holds was rewritten. An If-None-Match of a method that
// writes stays: it is a precondition, without which what must be new would take
// the place of what is there (RFC 9110, section 13.1.2). What the upstream is told of
// the body only the edge may say.
func (r *Rules) RequestDrop(dst []string, h Header) []string {
	if h.Has(QuarantineHeader) {
		dst = append(dst, QuarantineHeader)
	}
	if !r.RewritesResponses() {
		return dst
	}
	method := h.Get(":method")
	reads := method == "GET" || method == "HEAD"
	for i := range h {
		switch name := h[i][0]; name {
		case "if-none-match":
			if reads {
				dst = append(dst, name)
			}
		case "accept-encoding", "range", "if-range", "if-modified-since":
			dst = append(dst, name)
		}
	}
	return dst
}

// Request says what is done with a request's body, and prepares b for it. None
// says that no body follows. Secrets are the tenant's, nil if it has none.
func (r *Rules) Request(b *Body, h Header, none bool, secrets *Secrets) (Plan, Refusal) {
	if r.policy.Modes.Content == content.Off && !r.policy.Request.Inspects() {
		return Pass, nil
	}
	plan, refusal := r.request(b, h, none, secrets)
	return r.watched(plan, false), refusal
}

func (r *Rules) request(b *Body, h Header, none bool, secrets *Secrets) (Plan, Refusal) {
	rules := &r.policy.Request
	if none && !upgrades(h) {
		return Pass, nil
	}
	// A connection that becomes another protocol's has no bodies to look into. An
	// upstream that was not asked cannot switch.
	if (rules.Inspects() || r.policy.Response.Inspects()) && upgrades(h) {
		return Pass, &problem.UpgradeRefused
	}
	// 1. Encoding: what is compressed cannot be read.
	if !content.Plain(h.Get("content-encoding")) {
		return Pass, &problem.UnsupportedEncoding
	}
	// 2. Type.
	n, known := length(h)
	format, verdict := rules.Decide(h.Get("content-type"))
	if verdict == content.Refuse && !known && !h.Has("content-type") {
		// It may still turn out that there is no body: some clients say so late.
		*b = Body{rules: rules, untyped: true}
		return Hold, nil
	}
	if verdict == content.Refuse {
		return Pass, &problem.UnsupportedMediaType
	}
	// 3. Length, as far as it is announced.
	if known && !rules.Fits(n) {
		return Pass, &problem.BodyTooLarge
	}
	// 4. Everything that needs the bytes.
	if verdict == content.Pass {
		*b = Body{rules: rules}
		return Hold, nil
	}
	if r.asked.lack(secrets) {
		return Pass, &problem.Unavailable
	}
	r.begin(b, rules, use{format: format}, secrets)
	b.parts(format, h)
	return Hold, nil
}

// Response says what is done with the body of the upstream's response to a
// request with the given method, and prepares b for it. None says that no body
// follows.
func (r *Rules) Response(b *Body, h Header, method string, none bool, secrets *Secrets) (Plan, Refusal) {
	plan, refusal := r.answer(b, h, method, none, secrets)
	return r.watched(plan, true), refusal
}

func (r *Rules) answer(b *Body, h Header, method string, none bool, secrets *Secrets) (Plan, Refusal) {
	rules := &r.policy.Response
	status := h.Get(":status")
	if none || method == "HEAD" || status == "204" || status == "304" {
		return Pass, nil
	}
	n, known := length(h)
	if known && !rules.Fits(n) {
		return Pass, &problem.ResponseTooLarge
	}
	inspects := rules.Inspects()
	if inspects && status == "101" {
		return Pass, &problem.ResponseUninspectable
	}
	// 1. Encoding: the upstream was not asked for any.
	if inspects && !content.Plain(h.Get("content-encoding")) {
		return Pass, &problem.ResponseEncoded
	}
	// 2. Type. A part of a representation cannot be read either: what stands at
	// its borders is cut.
	format, verdict := rules.Decide(h.Get("content-type"))
	if verdict == content.Refuse && !known && !h.Has("content-type") && status != "206" {
		// It may still turn out that there is no body: some services say so late.
		*b = Body{rules: rules, use: use{response: true}, untyped: true}
		return Hold, nil
	}
	if verdict == content.Refuse || inspects && status == "206" {
		return Pass, &problem.ResponseUninspectable
	}
	// 3. Everything that needs the bytes.
	if !inspects {
		if known || rules.MaxBytes < 0 {
			return Pass, nil
		}
		*b = Body{rules: rules, use: use{response: true}}
		return Stream, nil
	}
	if r.answered.lack(secrets) {
		return Pass, &problem.Unavailable
	}
	r.begin(b, rules, use{response: true, format: format}, secrets)
	b.parts(format, h)
	if known && n <= HoldLimit {
		return Hold, nil
	}
	return Stream, nil
}

// parts says what separates the parts of a multipart body.
func (b *Body) parts(format pii.Format, h Header) {
	if format == pii.Multipart {
		boundary, _ := content.Boundary(h.Get("content-type"))
		b.rewriter.SetBoundary(boundary)
	}
}

// upgrades reports whether a request asks to make another protocol of the
// connection (RFC 9110, section 7.8; RFC 8441, section 4).
func upgrades(h Header) bool {
	if h.Get(":method") == "CONNECT" || h.Has(":protocol") {
		return true
	}
	if !h.Has("upgrade") {
		return false
	}
	for option := range strings.SplitSeq(h.Get("connection"), ",") {
		if strings.EqualFold(strings.Trim(option, " \t"), "upgrade") {
			return true
		}
	}
	return false
}

// DescribesBody reports whether the headers of a response without a body, which were
// made for the body of before, may be wrong: those of an answer to HEAD, and of a 304.
func (r *Rules) DescribesBody(h Header, method string) bool {
	return r.RewritesResponses() && (method == "HEAD" || h.Get(":status") == "304")
}

// Trailer returns the value of a trailer of a response as it goes on behind b, and
// false when it does not: a digest of a body that may have been rewritten, and a value
// with an entity that is blocked.
func (r *Rules) Trailer(b *Body, name, value string) (string, bool) {
	if !b.Rewrites() {
		return value, true
	}
	if describesBody(name) {
		return "", false
	}
	var t Body
	r.begin(&t, &r.policy.Response, use{response: true, format: pii.Text}, b.secrets)
	out, refusal := t.Next(nil, []byte(value), true)
	r.End(&t)
	return string(out), refusal == nil
}

// RewritesResponses reports whether the body of a response may be changed, so
// that what a HEAD request learns of it does not hold.
func (r *Rules) RewritesResponses() bool {
	return r.policy.Modes.PII == content.Enforce && r.policy.Response.Inspects()
}

// length returns the announced length of a body.
func length(h Header) (n int64, known bool) {
	text := h.Get("content-length")
	if text == "" || strings.TrimLeft(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil { // more digits than any body has bytes
		return 1<<63 - 1, true
	}
	return n, true
}
