package tracing

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// The trace that a client would like to be part of.
const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

var clientParent = map[string]string{"traceparent": "00-" + clientTrace + "-" + clientSpan + "-01"}

var clientContext = with(clientParent, map[string]string{
	"tracestate": "vendor=client-state", "baggage": "who=client-baggage",
	"x-client-trace-id": "client-trace-id", "x-envoy-force-trace": "true", "x-envoy-decorator-operation": "client-operation",
})

// with is a and b in one.
func with(a, b map[string]string) map[string]string {
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

// get asks for the agents with a request id that it returns.
func get(t *testing.T, s *harness.Stack, token string, status int, header map[string]string) string {
	t.Helper()
	r := s.Do(t, harness.Request{Method: "GET", Path: "/api/v2/agents", Header: with(header, map[string]string{"Authorization": "Bearer " + token})})
	if r.Status != status {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return r.Header.Get("x-request-id")
}

// joined waits for the three spans of a request, and says how they are not one
// branch: Envoy's of the request, Envoy's of its call, memgate's of the check.
func joined(t *testing.T, c *collector, id string) (server, check span) {
	t.Helper()
	harness.Eventually(t, func() error {
		found := c.find(func(s span) bool { return s.attribute("guid:x-request-id") == id })
		if len(found) != 1 {
			return fmt.Errorf("%d spans of Envoy for the request", len(found))
		}
		server = found[0]
		calls := c.find(func(s span) bool {
			return bytes.Equal(s.GetParentSpanId(), server.GetSpanId()) && strings.Contains(s.GetName(), "Authorization")
		})
		if len(calls) != 1 {
			return fmt.Errorf("%d spans of Envoy's call", len(calls))
		}
		checks := c.find(func(s span) bool {
			return s.GetName() == "memgate.check" && bytes.Equal(s.GetParentSpanId(), calls[0].GetSpanId())
		})
		if len(checks) != 1 {
			return fmt.Errorf("%d spans of memgate", len(checks))
		}
		if check = checks[0]; check.trace() != server.trace() || calls[0].trace() != server.trace() {
			return fmt.Errorf("several traces: %s, %s, %s", server.trace(), calls[0].trace(), check.trace())
		}
		return nil
	})
	if server.service != "edge-test-envoy" || check.service != "edge-test" {
		t.Errorf("the services are %q and %q", server.service, check.service)
	}
	return server, check
}

// One request is one trace, whatever the client says of it, and nothing of what
// the client sent is in it.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	s, c, _ := start(t, "sample: 1, service: edge-test")
	token := s.Token("acme", "memory:read memory:write")
	server, check := joined(t, c, get(t, s, token, 200, clientContext))
	for name, want := range map[string]string{"memgate.decision": "allow", "memgate.stage": "allow", "memgate.reason": "allowed", "memgate.route": "agent-list"} {
		if got := check.attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := server.attribute("memgate.route"); got != "agent-list" || server.GetName() != "edge" {
		t.Errorf("Envoy's span %q is of the route %q", server.GetName(), got)
	}
	if len(server.GetParentSpanId()) != 0 {
		t.Errorf("Envoy's span has a parent: %x", server.GetParentSpanId())
	}
	_, check = joined(t, c, get(t, s, "not.a.token", 401, nil))
	if check.attribute("memgate.decision") != "deny" || check.attribute("memgate.stage") != "verify" {
		t.Errorf("a refusal is %v", check.GetAttributes())
	}
	if len(c.find(func(s span) bool { return s.GetName() == "memgate.keys" })) == 0 {
		t.Error("no span of the fetching of keys")
	}

	// What a client sends, in all places that it has.
	canary := "canary-" + "7f3a9c"
	for _, media := range []string{"application/json", "application/grpc"} {
		r := s.Do(t, harness.Request{
			Method: "POST", Path: "/api/v2/agents/" + canary + "-path/remember?q=" + canary + "-query",
			Body: `{"content":"` + canary + `-body"}`,
			Header: with(clientContext, map[string]string{
				"Authorization": "Bearer " + token, "Content-Type": media, "User-Agent": canary + "-agent", "Cookie": canary, "Referer": "http://" + canary,
				"X-Forwarded-For": "203.0.113.77", "X-Envoy-Downstream-Service-Cluster": canary, "X-Envoy-Downstream-Service-Node": canary,
				"X-Forwarded-Client-Cert": canary, "X-Envoy-Original-Path": "/" + canary, "X-Request-Id": canary, "Grpc-Timeout": "7f3a9c1u",
			}),
		})
		joined(t, c, r.Header.Get("x-request-id"))
	}
	r := s.Raw(t, "GET /"+canary+" HTTP/1.1", "Host: "+canary+".example.com")
	joined(t, c, r.Header.Get("x-request-id"))
	all := c.all()
	for _, word := range []string{canary, token[:20], "acme", "203.0.113.77", "127.0.0.1/", clientTrace, clientSpan, "client-"} {
		if at := strings.Index(all, word); at >= 0 {
			t.Errorf("%q is in a span: …%s…", word, all[max(0, at-150):min(len(all), at+80)])
		}
	}
	if sent := s.Metric(t, "memgate_trace_spans_sent_total"); sent < 4 {
		t.Errorf("%v spans were sent", sent)
	}
}

// A client that is trusted goes on with its trace.
func TestTrustedClient(t *testing.T) {
	t.Parallel()
	s, c, _ := start(t, "sample: 1, service: edge-test, trust_client: true")
	token := s.Token("acme", "memory:read")
	server, check := joined(t, c, get(t, s, token, 200, clientParent))
	if server.trace() != clientTrace || check.trace() != clientTrace || fmt.Sprintf("%x", server.GetParentSpanId()) != clientSpan {
		t.Errorf("the trace is %s of %x", server.trace(), server.GetParentSpanId())
	}
	untraced := get(t, s, token, 200, with(map[string]string{"traceparent": strings.TrimSuffix(clientParent["traceparent"], "1") + "0"}, clientContext))
	joined(t, c, get(t, s, token, 200, clientParent)) // a later one is there
	if n := len(c.find(func(s span) bool { return s.attribute("guid:x-request-id") == untraced })); n != 0 {
		t.Error("a request is traced that its client does not trace")
	}
}

// A collector that is away keeps nobody waiting, what is lost is counted, and it
// gets spans again when it is back.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	s, c, address := start(t, "sample: 1, service: edge-test")
	token := s.Token("acme", "memory:read")
	joined(t, c, get(t, s, token, 200, nil))
	c.server.Stop()
	for range 20 {
		get(t, s, token, 200, nil)
	}
	harness.Eventually(t, func() error {
		get(t, s, token, 200, nil)
		if lost := s.Metric(t, "memgate_trace_spans_dropped_total"); lost < 1 {
			return fmt.Errorf("%v spans were dropped", lost)
		}
		return nil
	})
	s.Memgate.WaitLog("takes no spans")
	back := listen(t, address)
	harness.Eventually(t, func() error {
		get(t, s, token, 200, nil)
		if len(back.find(func(s span) bool { return s.GetName() == "memgate.check" })) == 0 || len(back.find(func(s span) bool { return s.service == "edge-test-envoy" })) == 0 {
			return fmt.Errorf("the collector is back and gets no spans")
		}
		return nil
	})
}

// Nobody can have a request traced that was not drawn.
func TestSampling(t *testing.T) {
	t.Parallel()
	s, c, _ := start(t, "sample: 0, service: edge-test")
	token := s.Token("acme", "memory:read")
	for range 20 {
		get(t, s, token, 200, clientContext)
	}
	// Envoy would have sent so many spans by now, and memgate sends what it has at its end.
	s.Memgate.Stop()
	if found := c.find(func(s span) bool { return s.GetName() != "memgate.keys" }); len(found) != 0 {
		t.Errorf("%d spans, such as %v", len(found), found[0].Span)
	}
}

// The service's span is in the same trace, below Envoy's.
func TestTheServiceJoins(t *testing.T) {
	t.Parallel()
	s, c, _ := start(t, "sample: 1, service: edge-test")
	token := s.Token("acme", "memory:read memory:write")
	server, _ := joined(t, c, get(t, s, token, 200, clientContext))
	harness.Eventually(t, func() error {
		found := c.find(func(s span) bool { return s.service == "memory-backend" && s.trace() == server.trace() })
		if len(found) != 1 {
			return fmt.Errorf("%d spans of the service", len(found))
		}
		above := c.find(func(s span) bool { return bytes.Equal(s.GetSpanId(), found[0].GetParentSpanId()) })
		if len(above) != 1 || above[0].trace() != server.trace() || above[0].service != "edge-test-envoy" {
			return fmt.Errorf("it is below %v", above)
		}
		if found[0].GetName() != "GET /api/v2/agents" || found[0].attribute("http.route") != "GET /api/v2/agents" {
			return fmt.Errorf("span %v", found[0].Span)
		}
		return nil
	})
	// What is not traced at the edge is not traced behind it.
	if got := c.all(); strings.Contains(got, clientTrace) || strings.Contains(got, "client-state") {
		t.Errorf("the client is in it: %s", got)
	}
}
