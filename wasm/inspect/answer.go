package inspect

import (
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/problem"
)

// Answer returns the headers and the body of a refusal. Origin is the request's
// Origin, or "".
func (r *Rules) Answer(p Refusal, origin, requestID string) ([][2]string, []byte) {
	list := [][2]string{{"content-type", problem.ContentType}}
	if requestID != "" {
		list = append(list, [2]string{"x-request-id", requestID})
	}
	return r.decorate(list, origin), p.AppendJSON(nil, requestID)
}

// ResponseHeader returns the headers of a response as it leaves, appended to
// dst: without those that the policy removes or replaces, with the security
// headers and those of CORS. Rewritten says that its body may differ from what
// the upstream sent, so that its length and its validators no longer hold.
func (r *Rules) ResponseHeader(dst [][2]string, h Header, origin string, rewritten bool) [][2]string {
	for i := range h {
		name := h[i][0]
		if r.replaced(name) || r.policy.Modes.CORS == content.Enforce && cors.ResponseHeader(name) || rewritten && describesBody(name) {
			continue
		}
		dst = append(dst, h[i])
	}
	return r.decorate(dst, origin)
}

func (r *Rules) decorate(dst [][2]string, origin string) [][2]string {
	if r.policy.Modes.Headers == content.Enforce {
		for _, h := range r.policy.Headers.Set {
			dst = append(dst, [2]string{h.Name, h.Value})
		}
	}
	if r.policy.Modes.CORS != content.Enforce {
		return dst
	}
	var room [8]headers.Header
	for _, h := range r.cors.Response(room[:0], origin) {
		dst = append(dst, [2]string{h.Name, h.Value})
	}
	return dst
}

// replaced reports whether the policy removes a header or sets it itself.
func (r *Rules) replaced(name string) bool {
	if r.policy.Modes.Headers != content.Enforce {
		return false
	}
	for _, n := range r.policy.Headers.Remove {
		if n == name {
			return true
		}
	}
	for i := range r.policy.Headers.Set {
		if r.policy.Headers.Set[i].Name == name {
			return true
		}
	}
	return false
}

// describesBody reports whether a header says something of the exact bytes of
// a representation.
func describesBody(name string) bool {
	switch name {
	case "content-length", "etag", "accept-ranges", Digests[0], Digests[1], Digests[2], Digests[3]:
		return true
	}
	return false
}
