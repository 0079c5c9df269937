package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// problem is an answer that says why a request was not served (RFC 9457).
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	ID     string  `json:"request_id,omitempty"`
	Errors []issue `json:"errors,omitempty"`

	retryAfter int // seconds; 0 for none
	cause      error
}

// issue is one thing wrong with a request, in the shape of MEMANTO's validation errors.
type issue struct {
	Type string `json:"type"`
	Loc  []any  `json:"loc"` // strings and indexes, from "body", "query" or "path" on
	Msg  string `json:"msg"`
}

// Error makes a problem an error, so that handlers can return it.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// problemPrefix is what the type of each problem starts with.
const problemPrefix = "urn:memgate:problem:"

func newProblem(status int, slug, title, detail string) *problem {
	return &problem{Type: problemPrefix + slug, Title: title, Status: status, Detail: detail}
}

func unauthenticated(detail string) *problem {
	return newProblem(http.StatusUnauthorized, "unauthenticated", "Not authenticated", detail)
}

func badRequest(detail string) *problem {
	return newProblem(http.StatusBadRequest, "invalid-request", "Invalid request", detail)
}

func malformedJSON(detail string) *problem {
	return newProblem(http.StatusBadRequest, "malformed-json", "Malformed JSON", detail)
}

func tooLarge(detail string) *problem {
	return newProblem(http.StatusRequestEntityTooLarge, "body-too-large", "Too large", detail)
}

func notFound(detail string) *problem {
	return newProblem(http.StatusNotFound, "not-found", "Not found", detail)
}

func agentMismatch() *problem {
	return newProblem(http.StatusForbidden, "agent-mismatch", "Another agent's session",
		"The session is bound to one agent and cannot reach the memories of another.")
}

func invalid(issues []issue) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "validation", "Validation failed", "")
	p.Errors = issues
	var b strings.Builder
	for i, is := range issues {
		if i == 3 {
			b.WriteString("; and " + strconv.Itoa(len(issues)-i) + " more")
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		for j, l := range is.Loc {
			if j > 0 {
				b.WriteByte('.')
			}
			switch l := l.(type) {
			case string:
				b.WriteString(l)
			case int:
				b.WriteString(strconv.Itoa(l))
			}
		}
		b.WriteString(": " + is.Msg)
	}
	p.Detail = b.String()
	return p
}

// writeProblem answers with a problem.
func writeProblem(w http.ResponseWriter, p *problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Txn-Token")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(max(1, p.retryAfter)))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}
