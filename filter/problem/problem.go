// Package problem is every refusal that memgate, or Envoy under its
// configuration, can answer, as RFC 9457 problem details.
//
// A problem's texts are for callers: they say what to do next and nothing about
// the inside. Which stage refused, and why, goes to logs, metrics and the audit
// trail as a typed reason of the package that decided.
package problem

import (
	"strconv"

	"github.com/memgate/memgate/filter/jsontext"
)

// ContentType is the media type of [Problem.AppendJSON] (RFC 9457, section 3).
const ContentType = "application/problem+json"

// TypePrefix stands before the slug in a problem's type. The URNs are stable:
// clients may compare them.
const TypePrefix = "urn:memgate:problem:"

// MaxRequestID is how many bytes of a request id a problem repeats.
const MaxRequestID = 128

// Problem is one kind of refusal. The values are in this package's variables;
// they are not to be changed.
type Problem struct {
	// Slug names the problem: its type is [TypePrefix] + Slug. It is also the
	// refusal in the audit trail.
	Slug string
	// Title is a short summary that is the same each time.
	Title string
	// Status is the HTTP status code.
	Status int
	// Detail tells a caller what to do.
	Detail string
}

// Type is the URI that identifies the problem (RFC 9457, section 3.1.1).
func (p Problem) Type() string { return TypePrefix + p.Slug }

// AppendJSON appends the problem as a JSON object with the members type, title,
// status, detail and, unless empty, request_id. The request id is cut to
// [MaxRequestID] bytes, and whatever it holds, the result is valid JSON.
func (p Problem) AppendJSON(dst []byte, requestID string) []byte {
	dst = append(dst, `{"type":"`+TypePrefix...)
	dst = jsontext.AppendHTML(dst, p.Slug)
	dst = append(dst, `","title":"`...)
	dst = jsontext.AppendHTML(dst, p.Title)
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, `,"detail":"`...)
	dst = jsontext.AppendHTML(dst, p.Detail)
	if requestID != "" {
		if len(requestID) > MaxRequestID {
			requestID = requestID[:MaxRequestID]
		}
		dst = append(dst, `","request_id":"`...)
		dst = jsontext.AppendHTML(dst, requestID)
	}
	return append(dst, `"}`...)
}
