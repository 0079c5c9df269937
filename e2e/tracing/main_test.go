// Package tracing tests through a real Envoy that the spans of Envoy and of
// memgate are one trace, which the client neither chooses nor fills.
package tracing

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	tracesv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/memgate/memgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, func(harness.T) {}) }

// span is one that arrived, with the service that it is of.
type span struct {
	*tracev1.Span
	service string
}

func (s span) attribute(name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

func (s span) trace() string { return hex.EncodeToString(s.GetTraceId()) }

// collector keeps what it gets.
type collector struct {
	tracesv1.UnimplementedTraceServiceServer
	server *grpc.Server

	mu    sync.Mutex
	spans []span
	text  strings.Builder // all messages, as JSON
}

// listen starts a collector at the address.
func listen(t *testing.T, address string, options ...grpc.ServerOption) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{server: grpc.NewServer(options...)}
	tracesv1.RegisterTraceServiceServer(c.server, c)
	go func() { _ = c.server.Serve(listener) }()
	t.Cleanup(c.server.Stop)
	return c
}

// Export implements [tracesv1.TraceServiceServer].
func (c *collector) Export(_ context.Context, r *tracesv1.ExportTraceServiceRequest) (*tracesv1.ExportTraceServiceResponse, error) {
	text, err := protojson.Marshal(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(text)
	for _, rs := range r.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.spans = append(c.spans, span{s, service})
			}
		}
	}
	return new(tracesv1.ExportTraceServiceResponse), nil
}

// find returns the spans that pick says, of those that have arrived.
func (c *collector) find(pick func(span) bool) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []span
	for _, s := range c.spans {
		if pick(s) {
			out = append(out, s)
		}
	}
	return out
}

// all is everything that has arrived, as text.
func (c *collector) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// start runs the stack with tracing by a section of the policy without its address.
func start(t *testing.T, section string) (*harness.Stack, *collector, string) {
	t.Helper()
	address := harness.FreeAddress(t)
	c := listen(t, address)
	s := harness.StartStack(t, traced(t, address, section))
	return s, c, address
}

// traced is a change of memgate.yaml: such a section, and limits that no test meets.
// Others, of old and new text, follow.
func traced(t *testing.T, address, section string, others ...string) func(string) string {
	return func(yaml string) string {
		t.Helper()
		for pairs := append([]string{"60/m, read: 120/m", "60000/m, read: 60000/m"}, others...); len(pairs) > 0; pairs = pairs[2:] {
			if !strings.Contains(yaml, pairs[0]) {
				t.Fatalf("memgate.yaml has not %q", pairs[0])
			}
			yaml = strings.Replace(yaml, pairs[0], pairs[1], 1)
		}
		return yaml + "tracing: { otlp: \"" + address + "\", " + section + " }\n"
	}
}
