// Package faults breaks parts of a running system, one after another, and checks
// what callers get, what reaches the service, and that it all works again
// afterwards: the table in section 5 of the design. What the Wasm filter and
// Envoy do by themselves is in packages wasm and failure beside this one.
package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

const scopes = "memory:read memory:write"

// shared is used by tests that break something and mend it again. svc is the
// service behind its edge.
var (
	shared *harness.Stack
	svc    *service
	// keyFile holds the service's own key, which the edge adds.
	keyFile string
)

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) {
		svc = newService(t)
		keyFile = filepath.Join(t.TempDir(), "service-key")
		if err := os.WriteFile(keyFile, []byte("first-key\n"), 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		shared = harness.StartStack(t, func(yaml string) string {
			return behind(t, yaml, svc, `credential: { header: x-service-key, value: "file:`+keyFile+`" }, `)
		})
	})
}

var upstream = regexp.MustCompile(`upstream: \{ address: "[^"]+"`)

// behind puts a service where a policy has the memory backend, with more members
// of the policy's upstream, and lifts the rates.
func behind(t harness.T, yaml string, s *service, more string) string {
	return replace(t, replace(t, yaml, upstream.FindString(yaml), `upstream: { address: "`+s.addr+`", `+more+`timeout: 2s`),
		"{ write: 60/m, read: 120/m }", "{ write: 6000/m, read: 6000/m }")
}

// replace replaces what must be there.
func replace(t harness.T, text, old, changed string) string {
	t.Helper()
	if old == "" || !strings.Contains(text, old) {
		t.Fatalf("the policy does not hold %q any more", old)
	}
	return strings.Replace(text, old, changed, 1)
}

// received is a request as it reached the service.
type received struct {
	Path   string
	Header http.Header
	Body   string
}

// service is the protected service. It can be stopped, and started again at the
// same address. Without [service.answer] it answers {"ok":true}.
type service struct {
	addr string

	mu       sync.Mutex
	server   *http.Server
	requests map[string]received // by x-request-id
	total    int
	answers  map[string]http.HandlerFunc
}

// answerHeader is the request header that names the service's answer.
const answerHeader = "X-Test-Answer"

func newService(t harness.T) *service {
	s := &service{addr: "127.0.0.1:0", requests: make(map[string]received), answers: make(map[string]http.HandlerFunc)}
	s.answer("", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *service) start(t harness.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr, s.server = l.Addr().String(), &http.Server{Handler: http.HandlerFunc(s.serve)}
	server := s.server
	go func() { _ = server.Serve(l) }()
}

func (s *service) stop() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	_ = server.Close()
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests[r.Header.Get("X-Request-Id")] = received{r.RequestURI, r.Header.Clone(), string(body)}
	s.total++
	answer := s.answers[r.Header.Get(answerHeader)]
	s.mu.Unlock()
	answer(w, r)
}

// answer says how the service answers requests whose answerHeader is name.
func (s *service) answer(name string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = h
}

// got returns the request with an id, if it came.
func (s *service) got(id string) (received, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[id]
	return r, ok
}

// count is how many requests came at all.
func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// problem checks that a response is a complete refusal and returns its slug.
func problem(t *testing.T, r *harness.Response, status int) string {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("status %d with a body that is no problem: %q", r.Status, r.Body)
	}
	if r.Status != status || p.Status != status || p.Title == "" || p.Detail == "" || p.RequestID == "" || p.RequestID != r.ID {
		t.Errorf("status %d (want %d), request id %q: %s", r.Status, status, r.ID, r.Body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if len(r.Header.Values("X-Content-Type-Options")) != 1 || len(r.Header.Values("Content-Security-Policy")) != 1 || r.Header.Get("Server") != "" {
		t.Errorf("headers %v", r.Header)
	}
	return strings.TrimPrefix(p.Type, "urn:memgate:problem:")
}

// remember sends a memory through the edge.
func remember(t harness.T, s *harness.Stack, token, content string, more ...string) *harness.Response {
	t.Helper()
	header := map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}
	for i := 0; i < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/a/remember", Header: header,
		Body: `{"type":"fact","content":"` + content + `"}`})
}

// works waits until a request with a token is let through.
func works(t *testing.T, s *harness.Stack, token string) {
	t.Helper()
	harness.Eventually(t, func() error { return harness.Want(remember(t, s, token, "x is y"), 200) })
}

// metric sums the samples of one of memgate's metrics whose labels hold all of
// labels, such as `route="remember"`.
func metric(t *testing.T, s *harness.Stack, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
samples:
	for sample, value := range s.Metrics(t) {
		rest, ok := strings.CutPrefix(sample, name)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue samples
			}
		}
		sum += value
	}
	return sum
}

// wantMetric waits until a metric has a value.
func wantMetric(t *testing.T, s *harness.Stack, want float64, name string, labels ...string) {
	t.Helper()
	harness.Eventually(t, func() error {
		if got := metric(t, s, name, labels...); got != want {
			return fmt.Errorf("%s%v is %v, want %v", name, labels, got, want)
		}
		return nil
	})
}

// event is what a line of the audit log says of a request.
type event struct {
	Time           time.Time
	RequestID      string `json:"request_id"`
	Route          string
	Method         string
	Tenant         string
	Subject        string
	Kind           string
	Principal      string
	Decision       string
	Stage          string
	Reason         string
	Status         int
	DurationMS     float64 `json:"duration_ms"`
	Received       int64   `json:"bytes_received"`
	Sent           int64   `json:"bytes_sent"`
	Findings       map[string]int
	Refusal        string
	SpoofedHeaders []string `json:"spoofed_headers"`
	Flags          []string `json:"response_flags"`
}

// eventsIn returns the events of one request in an audit log.
func eventsIn(t harness.T, path, id string) []event {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("%v", err)
	}
	var out []event
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var e struct{ Unmapped event }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a line of the audit log that is no JSON: %v: %s", err, line)
		}
		if e.Unmapped.RequestID == id {
			out = append(out, e.Unmapped)
		}
	}
	return out
}

// audited waits for the one event of a request.
func audited(t *testing.T, s *harness.Stack, id string) event {
	t.Helper()
	if id == "" {
		t.Fatal("no request id")
	}
	var events []event
	harness.Eventually(t, func() error {
		if events = eventsIn(t, filepath.Join(s.Dir, "audit.log"), id); len(events) == 0 {
			return fmt.Errorf("no event of request %s", id)
		}
		return nil
	})
	if len(events) != 1 {
		t.Errorf("%d events of one request: %+v", len(events), events)
	}
	return events[0]
}
