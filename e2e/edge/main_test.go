// Package edge tests the whole system through a real Envoy: who gets in, what
// reaches the service, and what a caller is told.
package edge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// stack is shared by the tests that do not break it; each uses tenants of its
// own, so that none uses up another's rate.
var stack *harness.Stack

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) { stack = harness.StartStack(t, nil) })
}

// scopes of a caller that may do everything.
const scopes = "memory:read memory:write"

// problemOf checks that a response is a complete problem document and returns
// its slug.
func problemOf(t *testing.T, r *harness.Response) string {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("%d with a body that is no problem document: %q", r.Status, r.Body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if p.Status != r.Status || p.Title == "" || p.Detail == "" {
		t.Errorf("incomplete problem: %s", r.Body)
	}
	if p.RequestID == "" || p.RequestID != r.ID {
		t.Errorf("request id %q in the body, %q in the header", p.RequestID, r.ID)
	}
	slug, ok := strings.CutPrefix(p.Type, "urn:memgate:problem:")
	if !ok {
		t.Errorf("type %q", p.Type)
	}
	return slug
}

// secure checks that a response carries the security headers and tells nothing
// of what is behind the edge.
func secure(t *testing.T, r *harness.Response) {
	t.Helper()
	for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"} {
		if got := r.Header.Values(name); len(got) != 1 {
			t.Errorf("%s: %q, want one value", name, got)
		}
	}
	for _, name := range []string{"Server", "X-Powered-By", "X-Envoy-Upstream-Service-Time"} {
		if got := r.Header.Get(name); got != "" {
			t.Errorf("%s: %q leaks", name, got)
		}
	}
}

// makeAgent creates an agent.
func makeAgent(t *testing.T, token, agent string) {
	t.Helper()
	if r := stack.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"`+agent+`","pattern":"tool"}`); r.Status != 201 {
		t.Fatalf("no agent: %d %s", r.Status, r.Body)
	}
}
