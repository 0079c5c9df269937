package api

import (
	"net/http"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	w := newWorld(t, func(c *Config) { c.Tracer = provider.Tracer("test") })
	const traced, not = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, parent := range []string{"", not, "nonsense", traced + "x"} {
		w.request = func(r *http.Request) { r.Header.Set("Traceparent", parent) }
		w.ok("t", "GET", "/api/v2/agents", "")
	}
	w.request = func(r *http.Request) { r.Header["Traceparent"] = []string{traced, traced} }
	w.ok("t", "GET", "/api/v2/agents", "")
	if n := len(spans.Ended()); n != 0 {
		t.Fatalf("%d spans of requests that the edge does not trace", n)
	}
	w.verify = scoped
	w.request = func(r *http.Request) {
		r.Header.Set("Traceparent", traced)
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
	w.do("t", "GET", "/api/v2/agents/secret-name", "")
	w.ok("t///memory:read", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","arguments":{}}}`)
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	for i, want := range []string{"GET /api/v2/agents/{agent_id}", "tool list", "POST /mcp"} {
		if ended[i].Name() != want || ended[i].SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("span %q of %s, want %q", ended[i].Name(), ended[i].SpanContext().TraceID(), want)
		}
	}
	if parent := ended[1].Parent().SpanID(); parent != ended[2].SpanContext().SpanID() {
		t.Errorf("the tool's span is below %s", parent)
	}
	if parent := ended[2].Parent().SpanID().String(); parent != "b7ad6b7169203331" {
		t.Errorf("the request's span is below %s", parent)
	}
	for _, s := range ended {
		for _, a := range s.Attributes() {
			if k := string(a.Key); k != "http.route" && k != "http.response.status_code" && k != "outcome" {
				t.Errorf("%s tells %s", s.Name(), k)
			}
		}
	}
}
