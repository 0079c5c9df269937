// Package wasm runs the content filter inside a real Envoy.
package wasm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

var edge *harness.WasmEdge

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) {
		// The suites of the whole system run the filter as it is shipped.
		edge = harness.StartWasm(t, func(p *policy.Policy) { p.Envoy.Wasm = harness.OverwritingWasm(t) })
	})
}

// TestCases is the table that also runs natively.
func TestCases(t *testing.T) {
	for i, c := range cases.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			answer := fmt.Sprintf("case-%d", i)
			edge.Upstream.Answer(answer, answerOf(c.Answer))
			digest := edge.Policies.Add(t, c.Policy)
			t.Run("whole", func(t *testing.T) { run(t, c, digest, answer, 0) })
			if len(c.Body) > 1 {
				t.Run("in pieces", func(t *testing.T) { run(t, c, digest, answer, max(1, min(len(c.Body)/3, 20<<10))) })
			}
		})
	}
}

// answerOf is the upstream's side of a case.
func answerOf(a cases.Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		switch a.Type {
		case "-":
			h["Content-Type"] = nil
		case "":
			h.Set("Content-Type", "application/json")
		default:
			h.Set("Content-Type", a.Type)
		}
		for name, value := range a.Header {
			h.Set(name, value)
		}
		h.Set("Server", "leaky/1.0")
		h.Set("X-Powered-By", "leaky")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("ETag", `"1"`)
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-MD5", "AA==")
		h.Set("Digest", "sha-256=AA==")
		h.Set("Content-Digest", "sha-256=:AA==:")
		h.Set("Repr-Digest", "sha-256=:AA==:")
		if !a.Streamed && a.Type != "-" {
			h.Set("Content-Length", fmt.Sprint(len(a.Body)))
		}
		if a.Status != 0 {
			w.WriteHeader(a.Status)
		}
		if !a.Streamed {
			_, _ = w.Write([]byte(a.Body))
			return
		}
		// In two pieces, each flushed.
		control := http.NewResponseController(w)
		half := len(a.Body) / 2
		for _, piece := range []string{a.Body[:half], a.Body[half:]} {
			_, _ = w.Write([]byte(piece))
			_ = control.Flush()
		}
	}
}

func run(t *testing.T, c cases.Case, digest, answer string, size int) {
	r := harness.Request{
		Method: c.Method, Path: "/some/path?q=1", Body: c.Body,
		Header: map[string]string{
			harness.PolicyHeader: digest, harness.AnswerHeader: answer, "Origin": cases.Origin,
			harness.MetadataHeader: "tenant=" + cases.Tenant + ",agent=" + cases.Agent,
			"Accept-Encoding":      "gzip", "Range": "bytes=0-1", "If-None-Match": `"1"`, "X-Memgate-Quarantine": "score=0", "Content-Digest": "sha-256=:AA==:", "Content-MD5": "AA==",
		},
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
	checkHeaders(t, got)
	received := edge.Upstream.Received(got.ID)

	if c.Refusal != nil {
		if received != nil {
			t.Errorf("the upstream got the refused request")
		}
		checkProblem(t, got, *c.Refusal)
		checkLog(t, got.ID, c.Refusal.Slug, "-")
		checkScore(t, got.ID, c.Score)
		return
	}
	if received == nil {
		t.Fatalf("the upstream got nothing; the client got %d %s", got.Status, got.Body)
	}
	if got := strings.Join(received.Header.Values("X-Memgate-Quarantine"), " | "); got != c.Quarantine {
		t.Errorf("the upstream got the quarantine %q, want %q", got, c.Quarantine)
	}
	checkScore(t, got.ID, c.Score)
	if received.Body != c.Upstream {
		t.Errorf("the upstream got\n%.300q, want\n%.300q", received.Body, c.Upstream)
	}
	if r.Method == http.MethodPost && received.ContentLength != int64(len(c.Upstream)) {
		t.Errorf("the upstream got content-length %d for %d bytes", received.ContentLength, len(c.Upstream))
	}
	for _, name := range []string{"Accept-Encoding", "Range", "If-None-Match"} {
		precondition := name == "If-None-Match" && r.Method != http.MethodGet && r.Method != http.MethodHead
		if value := received.Header.Get(name); (value == "") != !precondition && c.Policy.Response.Inspects() {
			t.Errorf("%s: the upstream got %s: %q", r.Method, name, value)
		}
	}
	for _, name := range []string{"Content-Digest", "Content-MD5"} {
		if changed := c.Upstream != c.Body; (received.Header.Get(name) == "") != changed {
			t.Errorf("the upstream got %s: %q", name, received.Header.Get(name))
		}
	}
	switch {
	case c.BreaksOff:
		if got.Broken == nil {
			t.Errorf("the response did not break off: %d %q", got.Status, got.Body)
		}
		checkLog(t, got.ID, c.Withheld.Slug, "-")
		return
	case c.Withheld != nil:
		checkProblem(t, got, *c.Withheld)
		checkLog(t, got.ID, c.Withheld.Slug, "-")
		return
	}
	if status := max(c.Answer.Status, 200); got.Status != status || got.Broken != nil {
		t.Errorf("status %d, broken %v, want %d", got.Status, got.Broken, status)
	}
	if got.Body != c.Client {
		t.Errorf("the client got\n%.300q, want\n%.300q", got.Body, c.Client)
	}
	if got.Length >= 0 && got.Length != int64(len(c.Client)) {
		t.Errorf("content-length %d for %d bytes", got.Length, len(c.Client))
	}
	for _, name := range []string{"ETag", "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"} {
		described := c.Policy.Response.Inspects() && (got.Length < 0 && c.Client != "" || c.Client != c.Answer.Body || c.Answer.Status == 304)
		if value := got.Header.Get(name); described && value != "" {
			t.Errorf("%s: %s is still there", name, value)
		} else if !described && value == "" && c.Answer.Status != 204 {
			t.Errorf("%s is gone", name)
		}
	}
	if rewritten := c.Client != c.Answer.Body; rewritten && got.Header.Get("ETag") != "" {
		t.Error("the etag of what was rewritten is still there")
	}
	checkLog(t, got.ID, "", c.Findings)
}

// checkHeaders checks what holds for every response.
func checkHeaders(t *testing.T, r *harness.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": cases.Origin,
		"Access-Control-Allow-Credentials": "true", "Server": "", "X-Powered-By": "",
	} {
		if got := strings.Join(r.Header.Values(name), " | "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if ids := r.Header.Values("X-Request-Id"); len(ids) != 1 || ids[0] == "" {
		t.Errorf("X-Request-Id is %q", ids)
	}
	if vary := r.Header.Values("Vary"); len(vary) != 1 || vary[0] != "Origin" {
		t.Errorf("Vary is %q", vary)
	}
}

func checkProblem(t *testing.T, r *harness.Response, want problem.Problem) {
	t.Helper()
	var got struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		t.Fatalf("%v in %q", err, r.Body)
	}
	if r.Status != want.Status || got.Status != want.Status || got.Type != want.Type() || got.Title != want.Title {
		t.Errorf("answer %d %+v, want %d %s", r.Status, got, want.Status, want.Type())
	}
	if got.RequestID == "" || got.RequestID != r.ID {
		t.Errorf("request id %q in the body, %q in the header", got.RequestID, r.ID)
	}
	if types := r.Header.Values("Content-Type"); len(types) != 1 || types[0] != problem.ContentType {
		t.Errorf("content type %q", types)
	}
}

// checkScore checks what the access log says of a request's score.
func checkScore(t *testing.T, id, want string) {
	t.Helper()
	if got := state(edge.Memgate.Entry(t, id), "wasm.memgate.poison"); got != want {
		t.Errorf("the log has the score %q, want %q", got, want)
	}
}

// checkLog checks what the access log says of a request; "-" for what does not
// matter.
func checkLog(t *testing.T, id, refusal, findings string) {
	t.Helper()
	entry := edge.Memgate.Entry(t, id)
	if got := state(entry, "wasm.memgate.refusal"); got != refusal {
		t.Errorf("the log has refusal %q, want %q", got, refusal)
	}
	if got := state(entry, "wasm.memgate.findings"); findings != "-" && got != findings {
		t.Errorf("the log has findings %q, want %q", got, findings)
	}
	if details := entry.GetResponse().GetResponseCodeDetails(); refusal != "" && details != "memgate_"+refusal && details != "via_upstream" {
		t.Errorf("the log has response code details %q", details)
	}
}

func state(entry *accesslogdata.HTTPAccessLogEntry, key string) string {
	object := entry.GetCommonProperties().GetFilterStateObjects()[key]
	if object == nil {
		return ""
	}
	var value wrapperspb.BytesValue
	if err := object.UnmarshalTo(&value); err != nil {
		return err.Error()
	}
	return string(value.GetValue())
}
