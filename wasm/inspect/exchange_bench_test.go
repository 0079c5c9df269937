package inspect_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/wasm/inspect"
)

// BenchmarkExchange is a request with a memory of 1 KB, in which nothing is found, and a
// response with the same, as the filter has them inspected: headers and bodies.
func BenchmarkExchange(b *testing.B) {
	security, err := headers.New("api", nil)
	if err != nil {
		b.Fatal(err)
	}
	var redact pii.Policy
	for e := range redact.Actions {
		redact.Actions[e] = pii.Redact
	}
	policy := content.Policy{
		Request: content.Body{
			MaxBytes: 64 << 10, MaxDepth: 32, PII: redact,
			Fields: []pii.FieldLimit{{Path: "content", Max: 10 << 10}, {Path: "metadata", Max: 5 << 10}},
		},
		Response: content.Body{MaxBytes: content.NoLimit, PII: redact},
		Headers:  security,
	}
	rules, err := inspect.Compile(policy.AppendBinary(nil))
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"content":"` + strings.Repeat("The team agreed to move the nightly import to the early morning. ", 14) +
		`","type":"fact","confidence":0.8,"tags":["import","reports","review"],"metadata":{"origin":"conversation","turn":17}}`)
	length := strconv.Itoa(len(body))
	request := inspect.Header{
		{":authority", "127.0.0.1:10000"}, {":path", "/agents/abc/remember"}, {":method", "POST"}, {":scheme", "http"},
		{"user-agent", "agent/1.0"}, {"content-length", length}, {"content-type", "application/json"}, {"accept-encoding", "gzip"},
		{"x-request-id", "6b8f4bd0-7d2a-4a70-bc3c-2f0f3b1b2b3b"}, {"x-memgate-tenant", "acme"},
	}
	response := inspect.Header{
		{":status", "200"}, {"content-type", "application/json"}, {"content-length", length},
		{"date", "Sun, 22 Nov 2026 13:09:15 GMT"}, {"server", "envoy"},
	}
	var room []byte
	var list [][2]string
	var requested, answered inspect.Body
	b.SetBytes(int64(2 * len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, refusal := rules.Request(&requested, request, false, nil)
		if refusal != nil {
			b.Fatal(refusal)
		}
		requested.Expect("acme", "")
		if room, refusal = requested.Next(room[:0], body, true); refusal != nil || requested.Changed() {
			b.Fatal(refusal)
		}
		rules.End(&requested)
		if _, refusal = rules.Response(&answered, response, "POST", false, nil); refusal != nil {
			b.Fatal(refusal)
		}
		list = rules.ResponseHeader(list[:0], response, "", false)
		if room, refusal = answered.Next(room[:0], body, true); refusal != nil || answered.Changed() {
			b.Fatal(refusal)
		}
		rules.End(&answered)
	}
}
