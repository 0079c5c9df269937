package main

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/verdict"
	"github.com/memgate/memgate/wasm/inspect"
)

// keepLimit is how many bytes of a held body stay with the proxy while it is
// checked, so that one without findings is never written back. What comes after
// is taken out: a proxy stops reading when its buffer is full.
const keepLimit = 16 << 10

// waitLimit is how many bytes a body may have, as it says, to wait in the proxy's buffer
// for its policy. The proxy answers 413 when that is full, and what only passes need not
// fit into it.
const waitLimit = 256 << 10

// stopAll is the action, without a name in the SDK, that holds the headers and lets the
// client wait with its body (StopAllIterationAndWatermark). Resumed from it, the headers go
// on ahead of the body.
const stopAll = types.Action(4)

// The numbers of lists of headers in the ABI.
const (
	requestHeaders  = 0
	responseHeaders = 2
)

// The paths of properties that are read, with a zero between their parts.
const (
	// authorized is what the authz service says in the metadata of ext_authz, whose
	// namespace has this name whatever the filter is called.
	authorized  = "metadata\x00filter_metadata\x00envoy.filters.http.ext_authz\x00filter"
	codeDetails = "response\x00code_details"
)

// The paths of properties that are set.
var (
	findingsPath = []string{"memgate.findings"} // for the access log wasm.memgate.findings
	refusalPath  = []string{"memgate.refusal"}
	openedPath   = []string{"memgate.opened"}
)

// viaUpstream are the details of a response that an upstream made.
const viaUpstream = "via_upstream"

// replyPrefix starts the details of the filter's own answers.
const replyPrefix = "memgate_"

// stream is one request and its response.
type stream struct {
	plugin *plugin

	rules     *inspect.Rules // nil until they are known
	requestID string
	secrets   inspect.Secrets
	tenant    string // of the caller
	agent     string // that the request is for, or ""
	method    string // "HEAD", or "" for any other
	origin    string
	header    inspect.Header             // of the request, while its rules are awaited
	length    int                        // of its body as it says, -1 unless it does
	digests   [len(inspect.Digests)]bool // which of them it has

	request, response side
	answered          bool // response headers have come, the filter's own answer included
	refused           bool
	waited            bool // for its rules
	found             inspect.Findings
	reported          uint64 // findings that the access log knows of
	shadow            inspect.Shadow
	shadowed          int // entries of it that the access log knows of
}

// side is one direction's body on its way.
type side struct {
	plan    inspect.Plan
	body    inspect.Body
	out     []byte // what can go on, while it is held
	kept    int    // bytes already taken that the proxy still has
	drained bool   // bytes were taken out of the proxy's buffer
	size    int    // bytes in the proxy's buffer while the rules are awaited
	done    bool   // the body is complete
	ahead   bool   // the headers go on before the body is checked
	counted bool   // its findings are in the stream's
}

// requestHeaders finds the content policy and makes the plan.
func (s *stream) requestHeaders(end bool) types.Action {
	header, err := s.plugin.headers(requestHeaders)
	if err != nil {
		return s.refuse(&problem.NotAuthorized)
	}
	if s.origin = strings.Clone(header.Get("origin")); header.Get(":method") == "HEAD" {
		s.method = "HEAD"
	}

	digest, ok := s.readDecision()
	if !ok {
		return s.refuse(&problem.NotAuthorized)
	}
	s.request.done, s.request.ahead = end, s.plugin.PassHeaders
	if s.rules = s.plugin.cache.Get(digest); s.rules != nil {
		return s.begin(header)
	}
	s.header, s.waited = header.Clone(), true
	wait := types.ActionPause
	if size, err := strconv.Atoi(header.Get("content-length")); err == nil && size > waitLimit {
		wait, s.request.ahead = stopAll, true
	}
	err = s.plugin.fetch(digest, func(rules *inspect.Rules) {
		if s.answered { // by the proxy: the client took too long, for instance
			return
		}
		if rules == nil {
			s.refuse(&problem.ContentPolicyUnavailable)
			return
		}
		s.rules = rules
		action := s.begin(s.header)
		s.header = nil
		if action == types.ActionPause {
			if s.refused || !s.take(s.request.size, s.request.done) {
				return
			}
		} else if s.request.size > 0 && !s.request.done {
			// What waits goes on with the next piece of the body, in front of
			// it. Resumed now, Envoy would send it behind those that follow.
			return
		} else if s.request.plan == inspect.Watch {
			s.watch(&s.request, s.request.size, s.request.done, proxywasm.GetHttpRequestBody)
		}
		if err := proxywasm.ResumeHttpRequest(); err != nil {
			s.refuse(&problem.Unavailable)
		}
	})
	if err != nil {
		return s.refuse(&problem.ContentPolicyUnavailable)
	}
	return wait
}

// readDecision reads what the authz service said of the request. False means
// that it said nothing, or not that the request may pass.
func (s *stream) readDecision() (digest string, ok bool) {
	text, ok := property(authorized)
	if !ok {
		return "", false
	}
	said, ok := verdict.ParseFilter(string(text))
	if !ok || !inspect.ValidDigest(said.Content) {
		return "", false
	}
	s.requestID, s.tenant, s.agent = said.RequestID, said.Tenant, said.Agent
	var err error
	if said.HashKey != "" {
		if s.secrets.HashKey, err = base64.RawURLEncoding.DecodeString(said.HashKey); err != nil {
			return "", false
		}
	}
	if said.PseudonymKeys != "" {
		if s.secrets.Pseudonyms, err = s.plugin.pseudonyms.Get(said.PseudonymKeys); err != nil {
			return "", false
		}
		s.secrets.Reveal = said.Reveal
	}
	return said.Content, true
}

// begin makes the plan for a request whose rules are known.
func (s *stream) begin(header inspect.Header) types.Action {
	plan, refusal := s.rules.Request(&s.request.body, header, s.request.done && s.request.size == 0, &s.secrets)
	s.request.plan = plan
	if refusal != nil && !s.tolerates(&s.request, refusal) {
		return s.refuse(refusal)
	}
	s.request.body.Expect(s.tenant, s.agent)
	var room [8]string
	for _, name := range s.rules.RequestDrop(room[:0], header) {
		if err := proxywasm.RemoveHttpRequestHeader(name); err != nil {
			return s.refuse(&problem.Unavailable)
		}
	}
	if s.request.plan != inspect.Hold {
		return types.ActionContinue
	}
	s.length = announced(header)
	for i, name := range inspect.Digests {
		s.digests[i] = header.Has(name)
	}
	if !s.request.ahead {
		return types.ActionPause
	}
	if header.Has("content-length") && proxywasm.RemoveHttpRequestHeader("content-length") != nil || !s.removeDigests() {
		return s.refuse(&problem.Unavailable)
	}
	return types.ActionContinue
}

// announced returns the length that a request says its body has, and -1 without one or
// if it is written in another way than strconv does.
func announced(header inspect.Header) int {
	text := header.Get("content-length")
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && (text[0] != '0' || text == "0") && text[0] != '+' {
		return n
	}
	return -1
}

// removeDigests removes what headers say of the bytes of a body that has changed, or
// may yet.
func (s *stream) removeDigests() bool {
	for i, there := range s.digests {
		if there && proxywasm.RemoveHttpRequestHeader(inspect.Digests[i]) != nil {
			return false
		}
	}
	return true
}

// requestBody checks a piece of the body, and lets the request go on after
// the last.
func (s *stream) requestBody(size int, end bool) types.Action {
	s.request.done = end
	switch {
	case s.refused:
		return types.ActionPause
	case s.rules == nil:
		s.request.size = size
		return types.ActionPause
	case s.request.plan == inspect.Pass:
		return types.ActionContinue
	case s.request.plan == inspect.Watch:
		s.request.size = 0
		s.watch(&s.request, size, end, proxywasm.GetHttpRequestBody)
		return types.ActionContinue
	}
	if s.take(size, end) {
		return types.ActionContinue
	}
	return types.ActionPause
}

// requestTrailers ends a body that has trailers. They do not go on: what
// they say is checked by nobody.
func (s *stream) requestTrailers() types.Action {
	s.request.done = true
	if s.refused {
		return types.ActionPause
	}
	if s.request.plan == inspect.Watch {
		s.watch(&s.request, s.request.size, true, proxywasm.GetHttpRequestBody) // what still waits
		return types.ActionContinue
	}
	list, err := proxywasm.GetHttpRequestTrailers()
	if err != nil {
		return s.refuse(&problem.Unavailable)
	}
	for i := range list {
		if err := proxywasm.RemoveHttpRequestTrailer(list[i][0]); err != nil {
			return s.refuse(&problem.Unavailable)
		}
	}
	if s.rules == nil {
		return types.ActionPause
	}
	if s.request.plan == inspect.Pass || s.take(s.request.kept, true) {
		return types.ActionContinue
	}
	return types.ActionPause
}

// take checks what is new in the proxy's buffer of the given size, and reports
// whether the request may go on: the body is complete and nothing is wrong.
func (s *stream) take(size int, end bool) bool {
	r := &s.request
	var piece []byte
	if size > r.kept {
		var err error
		if piece, err = proxywasm.GetHttpRequestBody(r.kept, size-r.kept); err != nil || len(piece) != size-r.kept {
			s.refuse(&problem.Unavailable)
			return false
		}
	}
	if r.out == nil {
		r.out = s.plugin.buffers.get()
	}
	var refusal inspect.Refusal
	if r.out, refusal = r.body.Next(r.out, piece, end); refusal != nil {
		s.refuse(refusal)
		return false
	}
	r.kept = size
	switch {
	case !end && size <= keepLimit:
		return false
	case !end:
		r.drained, r.kept = true, 0
		if proxywasm.ReplaceHttpRequestBody(nil) != nil {
			s.refuse(&problem.Unavailable)
		}
		return false
	}
	return s.finishRequest()
}

// finishRequest hands a checked body back and corrects the headers. They still
// can be changed: they wait.
func (s *stream) finishRequest() bool {
	r := &s.request
	if r.ahead && r.body.Quarantined() {
		if refusal := r.body.Unmarked(); refusal != nil {
			s.refuse(refusal)
			return false
		}
	}
	changed := r.body.Changed()
	if (changed || r.drained) && proxywasm.ReplaceHttpRequestBody(r.out) != nil {
		s.refuse(&problem.Unavailable)
		return false
	}
	if r.ahead {
		s.release(r)
		return true
	}
	if changed && !s.removeDigests() {
		s.refuse(&problem.Unavailable)
		return false
	}
	if r.body.Quarantined() && proxywasm.AddHttpRequestHeader(inspect.QuarantineHeader, r.body.Quarantine()) != nil {
		s.refuse(&problem.Unavailable)
		return false
	}
	if n := len(r.out); n != s.length && proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(n)) != nil {
		s.refuse(&problem.Unavailable)
		return false
	}
	s.release(r)
	return true
}

// responseHeaders decorates the response, whoever made it, and makes the
// plan for the body of one that the upstream made.
func (s *stream) responseHeaders(end bool) types.Action {
	s.answered = true
	if s.refused || s.rules == nil {
		return types.ActionContinue
	}
	header, err := s.plugin.headers(responseHeaders)
	if err != nil {
		return s.refuse(&problem.Unavailable)
	}
	r := &s.response
	rewritten := false
	// Who made a success is asked only before it is refused: what else than an
	// upstream made one may be looked into as well, and asking takes long.
	if status := header.Get(":status"); status < "400" || fromUpstream() {
		var refusal inspect.Refusal
		r.plan, refusal = s.rules.Response(&r.body, header, s.method, end, &s.secrets)
		if refusal != nil && !(status < "400" && !fromUpstream()) && !s.tolerates(r, refusal) {
			return s.refuse(refusal)
		}
		if r.plan == inspect.Hold && s.plugin.PassHeaders {
			r.plan = inspect.Stream // which needs no correction of headers that have gone
		}
		if s.rules.Watches() {
			s.rules.NoteHeaders(&s.shadow, header)
			s.reportShadow()
		}
		rewritten = r.plan == inspect.Stream && r.body.Rewrites() || s.rules.DescribesBody(header, s.method)
	}
	if err := s.plugin.edit.apply(s.rules, header, s.origin, rewritten); err != nil {
		return s.refuse(&problem.Unavailable)
	}
	if r.plan == inspect.Hold {
		return types.ActionPause
	}
	return types.ActionContinue
}

// fromUpstream reports whether the response came from an upstream.
func fromUpstream() bool {
	details, ok := property(codeDetails)
	return ok && string(details) == viaUpstream
}

// responseBody rewrites a piece of the response.
func (s *stream) responseBody(size int, end bool) types.Action {
	r := &s.response
	if s.refused || r.plan == inspect.Pass {
		return types.ActionContinue
	}
	if r.plan == inspect.Watch {
		s.watch(r, size, end, proxywasm.GetHttpResponseBody)
		return types.ActionContinue
	}
	var piece []byte
	if size > r.kept {
		var err error
		if piece, err = proxywasm.GetHttpResponseBody(r.kept, size-r.kept); err != nil || len(piece) != size-r.kept {
			return s.refuse(&problem.Unavailable)
		}
	}
	if r.out == nil {
		r.out = s.plugin.buffers.get()
	}
	var refusal inspect.Refusal
	if r.out, refusal = r.body.Next(r.out, piece, end); refusal != nil {
		return s.refuse(refusal)
	}
	r.done = end
	if r.plan == inspect.Hold {
		r.kept = size
		if !end {
			return types.ActionPause
		}
		if r.body.Changed() && !s.replaceHeld() {
			return s.refuse(&problem.Unavailable)
		}
	} else {
		if !bytes.Equal(r.out, piece) && proxywasm.ReplaceHttpResponseBody(r.out) != nil {
			return s.refuse(&problem.Unavailable)
		}
		r.out = r.out[:0]
	}
	if end {
		s.release(r)
	}
	return types.ActionContinue
}

// replaceHeld writes a held response back. Its headers wait, so that they can be
// corrected.
func (s *stream) replaceHeld() bool {
	out := s.response.out
	if proxywasm.ReplaceHttpResponseBody(out) != nil ||
		proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))) != nil {
		return false
	}
	for _, name := range append([]string{"etag", "accept-ranges"}, inspect.Digests[:]...) {
		_ = proxywasm.RemoveHttpResponseHeader(name) // it may not be there
	}
	return true
}

// responseTrailers ends a response that has trailers, which are searched like
// text. What was held back of a stream until more would come has no place to go any
// more, so that a stream that ends in the middle of what looks like a finding breaks
// off.
func (s *stream) responseTrailers() types.Action {
	r := &s.response
	if s.refused || r.plan == inspect.Pass || r.done {
		return types.ActionContinue
	}
	if r.plan == inspect.Watch {
		s.watch(r, 0, true, proxywasm.GetHttpResponseBody)
		return types.ActionContinue
	}
	r.done = true
	list, err := proxywasm.GetHttpResponseTrailers()
	if err != nil {
		return s.refuse(&problem.Unavailable)
	}
	kept := make([][2]string, 0, len(list))
	for i := range list {
		if value, ok := s.rules.Trailer(&r.body, list[i][0], list[i][1]); ok {
			kept = append(kept, [2]string{list[i][0], value})
		}
	}
	if err := proxywasm.ReplaceHttpResponseTrailers(kept); err != nil {
		return s.refuse(&problem.Unavailable)
	}
	before := len(r.out)
	out, refusal := r.body.Next(r.out, nil, true)
	r.out = out
	if refusal != nil {
		return s.refuse(refusal)
	}
	if r.plan == inspect.Hold {
		if r.body.Changed() && !s.replaceHeld() {
			return s.refuse(&problem.Unavailable)
		}
	} else if len(out) > before {
		return s.refuse(&problem.ResponseUninspectable)
	}
	s.release(r)
	return types.ActionContinue
}

// report tells the access log what was found in a body.
func (s *stream) report(of *side) {
	if of.counted {
		return
	}
	of.counted = true
	if n := of.body.Seen(); n > 0 {
		s.plugin.statistics.body(of == &s.response, uint64(n))
	}
	if s.rules != nil && s.rules.Watches() {
		s.rules.Note(&s.shadow, &of.body)
		s.reportShadow()
	}
	s.reportScore(&of.body)
	if opened := of.body.Opened(); opened > 0 {
		s.plugin.statistics.add("memgate.opened_pseudonyms", uint64(opened))
		if err := proxywasm.SetProperty(openedPath, strconv.AppendUint(nil, uint64(opened), 10)); err != nil {
			proxywasm.LogError("memgate: opened pseudonyms cannot be logged: " + err.Error())
		}
	}
	if !of.body.Found() {
		return
	}
	before := s.found
	s.found.Add(&of.body)
	total := s.found.Total()
	s.plugin.findings.Increment(total - s.reported)
	s.plugin.statistics.found(&before, &s.found)
	s.reported = total
	if err := proxywasm.SetProperty(findingsPath, s.found.Append(nil)); err != nil {
		proxywasm.LogError("memgate: findings cannot be logged: " + err.Error())
	}
}

// refuse ends the exchange. Until the response's headers are on their way the
// client gets the refusal; after that the response is broken off.
func (s *stream) refuse(p inspect.Refusal) types.Action {
	if s.refused {
		return types.ActionPause
	}
	s.refused = true
	s.plugin.refused.Increment(1)
	s.plugin.statistics.add("memgate.refused."+p.Slug, 1)
	s.report(&s.request)
	s.report(&s.response)
	if err := proxywasm.SetProperty(refusalPath, []byte(p.Slug)); err != nil {
		proxywasm.LogError("memgate: refusal cannot be logged: " + err.Error())
	}
	rules := s.rules
	if rules == nil {
		rules = s.plugin.unknown
	}
	header, body := rules.Answer(p, s.origin, s.requestID)
	if err := sendReply(uint32(p.Status), replyPrefix+p.Slug, header, body); err != nil {
		// The message still does not go on: it stays paused until the proxy
		// gives it up.
		proxywasm.LogCritical("memgate: " + p.Slug + ": " + err.Error())
	}
	return types.ActionPause
}

// end releases what a stream that broke off still has.
func (s *stream) end() {
	s.release(&s.request)
	s.release(&s.response)
	s.plugin.streams.put(s)
}

// release accounts for a body that is done with and gives what it used to others.
func (s *stream) release(of *side) {
	s.report(of)
	if s.rules != nil {
		s.rules.End(&of.body)
	}
	s.plugin.buffers.put(of.out)
	of.out = nil
}
