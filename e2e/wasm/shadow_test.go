package wasm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

// In shadow each exchange of the table passes through Envoy as if there were no
// filter, whatever its size and pieces, and the access log says what would have
// become of it.
func TestShadow(t *testing.T) {
	for i, c := range cases.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			answer := fmt.Sprintf("shadow-%d", i)
			edge.Upstream.Answer(answer, answerOf(c.Answer))
			policy := *c.Policy
			policy.Modes = content.Modes{Content: content.Shadow, PII: content.Shadow, CORS: content.Shadow, Headers: content.Shadow, Poison: content.Shadow}
			digest := edge.Policies.Add(t, &policy)
			t.Run("whole", func(t *testing.T) { shadowed(t, c, digest, answer, 0) })
			if len(c.Body) > 1 {
				t.Run("in pieces", func(t *testing.T) { shadowed(t, c, digest, answer, max(1, min(len(c.Body)/3, 20<<10))) })
			}
		})
	}
}

func shadowed(t *testing.T, c cases.Case, digest, answer string, size int) {
	r := harness.Request{
		Method: c.Method, Path: "/some/path", Body: c.Body,
		Header: map[string]string{harness.PolicyHeader: digest, harness.AnswerHeader: answer, "Origin": cases.Origin, "Accept-Encoding": "gzip", "X-Memgate-Quarantine": "score=0",
			harness.MetadataHeader: "tenant=" + cases.Tenant + ",agent=" + cases.Agent},
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	switch c.Type {
	case "-":
	case "":
		r.Header["Content-Type"] = "application/json"
	default:
		r.Header["Content-Type"] = c.Type
	}
	for name, value := range c.Header {
		r.Header[name] = value
	}
	switch {
	case size > 0:
		for at := 0; at < len(c.Body); at += size {
			r.Pieces = append(r.Pieces, c.Body[at:min(at+size, len(c.Body))])
		}
	case c.Chunked:
		r.Pieces = []string{}
		if c.Body != "" {
			r.Pieces = []string{c.Body}
		}
	}
	got := harness.Do(t, edge.URL, r)
	received := edge.Upstream.Received(got.ID)
	if received == nil {
		t.Fatalf("the upstream got nothing; the client got %d %s", got.Status, got.Body)
	}
	if got := received.Header.Values("X-Memgate-Quarantine"); len(got) > 0 {
		t.Errorf("the upstream got the quarantine %q", got)
	}
	if received.Body != c.Body || received.Header.Get("Accept-Encoding") != "gzip" {
		t.Errorf("the upstream got %v\n%.300q, want\n%.300q", received.Header, received.Body, c.Body)
	}
	if got.Body != c.Answer.Body || got.Broken != nil || got.Status != max(c.Answer.Status, 200) {
		t.Errorf("the client got %d, %v\n%.300q, want\n%.300q", got.Status, got.Broken, got.Body, c.Answer.Body)
	}
	for name, want := range map[string]string{"X-Powered-By": "leaky", "X-Frame-Options": "SAMEORIGIN", "Access-Control-Allow-Origin": "*", "Vary": "", "ETag": `"1"`} {
		if have := strings.Join(got.Header.Values(name), ","); have != want {
			t.Errorf("%s is %q, the upstream said %q", name, have, want)
		}
	}
	want := ""
	switch {
	case c.Refusal == &problem.SuspectedPoisoning:
		want = "poison:suspected-poisoning"
	case c.Quarantine != "":
		want = "poison:quarantined"
	case c.Refusal == &problem.BlockedPII:
		want = "pii:blocked-pii"
	case c.Refusal != nil:
		want = "content:" + c.Refusal.Slug
	case c.Withheld != nil:
		want = "pii:" + c.Withheld.Slug
	}
	if c.Findings != "" && c.Refusal == nil && c.Withheld == nil {
		if want != "" {
			want += ","
		}
		want += "pii:not_rewritten"
	}
	entry := edge.Memgate.Entry(t, got.ID)
	list := strings.Split(state(entry, "wasm.memgate.shadow"), ",")
	var rest []string
	for _, s := range list {
		if s != "headers:not_set" {
			rest = append(rest, s)
		}
	}
	if strings.Join(rest, ",") != want || len(rest) == len(list) {
		t.Errorf("the log has shadow %q, want %q and headers:not_set", list, want)
	}
	if refusal := state(entry, "wasm.memgate.refusal"); refusal != "" {
		t.Errorf("the log has refusal %q", refusal)
	}
	if findings := state(entry, "wasm.memgate.findings"); c.Refusal == nil && c.Withheld == nil && findings != c.Findings {
		t.Errorf("the log has findings %q, want %q", findings, c.Findings)
	}
}

// A body that waits for its policy is looked into once, and larger than what
// Envoy would hold it passes all the same.
func TestShadowLarge(t *testing.T) {
	policy := cases.Policy()
	policy.Modes = content.Modes{Content: content.Off, PII: content.Shadow}
	policy.Request = content.Body{MaxBytes: content.NoLimit, Types: []string{"*/*"}, PII: policy.Request.PII}
	policy.Request.PII.Actions[pii.CreditCard] = pii.Redact
	digest := edge.Policies.Add(t, policy)
	edge.Policies.Delay(digest, 300*time.Millisecond)
	body := `["` + strings.Repeat(`word","`, 600_000) + `ann@example.com"]` // beyond harness.MaxBody
	for _, waits := range []string{"fetched", "known"} {
		got := harness.Do(t, edge.URL, harness.Request{
			Method: "POST", Path: "/", Body: body,
			Header: map[string]string{harness.PolicyHeader: digest, "Content-Type": "application/json"},
		})
		received := edge.Upstream.Received(got.ID)
		if got.Status != 200 || received == nil {
			t.Fatalf("%s: %d %.200s", waits, got.Status, got.Body)
		}
		if received.Body != body {
			t.Errorf("%s: %d bytes of %d arrived", waits, len(received.Body), len(body))
		}
		entry := edge.Memgate.Entry(t, got.ID)
		if shadow, findings := state(entry, "wasm.memgate.shadow"), state(entry, "wasm.memgate.findings"); shadow != "pii:not_rewritten" || findings != "EMAIL_ADDRESS=1" {
			t.Errorf("%s: shadow %q, findings %q", waits, shadow, findings)
		}
	}
}
