package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/receipt"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// world is a server over a real store, with a clock that the test moves.
type world struct {
	t       *testing.T
	server  *Server
	now     time.Time
	logs    logText
	verify  func(values []string) (Identity, error)
	request func(*http.Request)
}

var epoch = time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC)

// newWorld's tokens are "tenant", "tenant/agent" or "tenant//session".
func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: epoch}
	w.verify = func(values []string) (Identity, error) {
		if len(values) != 1 || values[0] == "" {
			return Identity{}, errors.New("no token")
		}
		part := strings.SplitN(values[0]+"//", "/", 3)
		return Identity{Tenant: part[0], Agent: part[1], Session: strings.Trim(part[2], "/"), Subject: "sub", Principal: "key-1", Request: "req-1"}, nil
	}
	store := openStore(t, t.TempDir())
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := receipt.NewSigner(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Store: store, Receipts: receipt.NewBook(signer, filepath.Join(t.TempDir(), "receipts")), Now: func() time.Time { return w.now }, Random: rand.Reader, Metrics: prometheus.NewRegistry(),
		Verify: func(_ context.Context, values []string) (Identity, error) { return w.verify(values) },
	}
	for _, f := range change {
		f(&c)
	}
	if w.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// openStore opens a store that is not encrypted.
func openStore(t *testing.T, dir string) memory.Store {
	t.Helper()
	store, err := sqlite.Open(sqlite.Config{Dir: dir, Now: time.Now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (w *world) do(token, method, path, body string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Txn-Token", token)
	}
	if w.request != nil {
		w.request(r)
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	a := answer{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.body) // lists and metrics are no objects
	if a.status >= 400 {
		if a.header.Get("Content-Type") != "application/problem+json" || a.body["status"] != float64(a.status) ||
			a.body["title"] == "" || !strings.HasPrefix(a.get("type"), "urn:memgate:problem:") || a.get("detail") == "" {
			w.t.Errorf("%s %s: not a problem document: %s", method, path, a.text)
		}
	}
	return a
}

// ok is do for a request that must succeed.
func (w *world) ok(token, method, path, body string) answer {
	w.t.Helper()
	a := w.do(token, method, path, body)
	if a.status < 200 || a.status > 299 {
		w.t.Fatalf("%s %s %s: %d %s", method, path, body, a.status, a.text)
	}
	return a
}

// get returns a member by its path, as text.
func (a answer) get(path ...string) string {
	var v any = a.body
	for _, p := range path {
		switch m := v.(type) {
		case map[string]any:
			v = m[p]
		case []any:
			v = nil
			if i := int(p[0] - '0'); i < len(m) {
				v = m[i]
			}
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func (w *world) remember(token, agent, content string) string {
	w.t.Helper()
	body, _ := json.Marshal(map[string]any{"content": content})
	return w.ok(token, "POST", "/api/v2/agents/"+agent+"/remember", string(body)).get("memory_id")
}

// contents returns the contents of a recall's memories.
func (a answer) contents() string {
	var list []string
	memories, _ := a.body["memories"].([]any)
	for _, m := range memories {
		list = append(list, m.(map[string]any)["content"].(string))
	}
	return strings.Join(list, "|")
}

func (w *world) recall(token, agent, body string) string {
	w.t.Helper()
	return w.ok(token, "POST", "/api/v2/agents/"+agent+"/recall", body).contents()
}

// sample fills the parameters of a path.
func sample(path string) string {
	return strings.NewReplacer("{agent_id}", "bot", "{memory_id}", "0", "{entity_type}", "user", "{entity_name}", "x", "{user_id}", "u", "{receipt_id}", "r").Replace(path)
}

func TestEveryRouteNeedsAToken(t *testing.T) {
	w := newWorld(t)
	for _, r := range routes {
		a := w.do("", r.method, sample(r.path), `{}`)
		if r.open != nil {
			if a.status != http.StatusOK {
				t.Errorf("%s %s: %d", r.method, r.path, a.status)
			}
			continue
		}
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d", r.method, r.path, a.status)
		}
		w.request = func(r *http.Request) { r.Header.Add("Txn-Token", "second") }
		if a := w.do("first", r.method, sample(r.path), `{}`); a.status != http.StatusUnauthorized {
			t.Errorf("%s %s with two tokens: %d", r.method, r.path, a.status)
		}
		w.request = nil
	}
	w.verify = func([]string) (Identity, error) { return Identity{Subject: "s"}, nil }
	if a := w.do("t", "GET", "/api/v2/agents", ""); a.status != http.StatusUnauthorized {
		t.Errorf("a token without tenant: %d", a.status)
	}
	w.verify = func([]string) (Identity, error) { return Identity{Tenant: "t"}, nil }
	if a := w.do("t", "GET", "/api/v2/agents", ""); a.status != http.StatusUnauthorized {
		t.Errorf("a token without subject: %d", a.status)
	}
	w.verify = func([]string) (Identity, error) { return Identity{}, errors.Join(ErrUnavailable) }
	if a := w.do("t", "GET", "/api/v2/agents", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("keys unavailable: %d", a.status)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404}, {"GET", "/api/v2/nothing", 404}, {"PUT", "/api/v2/agents", 405}, {"POST", "/healthz", 405},
		{"GET", "/v3/memories/add/", 405}, {"POST", "/v1/memories/x/history/more", 404},
	} {
		a := w.do("t", c.method, c.path, "")
		if a.status != c.status || c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: %d, want %d (Allow %q)", c.method, c.path, a.status, c.status, a.header.Get("Allow"))
		}
	}
}

// A Txn-Token may serve many requests: what is told and logged is the id that the
// edge gave the one at hand, if it has the form of one.
func TestRequestIDIsThatOfTheRequest(t *testing.T) {
	w := newWorld(t)
	for want, values := range map[string][]string{
		"0b6e-1": {"0b6e-1"}, "req-1": {"a", "b"}, // the token's
	} {
		w.request = func(r *http.Request) { r.Header["X-Request-Id"] = values }
		if got := w.do("t", "GET", "/api/v2/agents/none", "").get("request_id"); got != want {
			t.Errorf("%q: %q, want %q", values, got, want)
		}
	}
	for _, odd := range []string{"", "a b", "a\nb", "\x7f", "é", strings.Repeat("a", maxRequestID+1)} {
		w.request = func(r *http.Request) { r.Header["X-Request-Id"] = []string{odd} }
		if got := w.do("t", "GET", "/api/v2/agents/none", "").get("request_id"); got != "req-1" {
			t.Errorf("%q was taken: %q", odd, got)
		}
	}
}

func TestHeadersOtherThanTheTokenSayNothing(t *testing.T) {
	w := newWorld(t)
	w.remember("a", "bot", "only for a")
	w.request = func(r *http.Request) {
		r.Header.Set("X-Memgate-Tenant", "a")
		r.Header.Set("X-Memgate-Subject", "root")
		r.Header.Set("Authorization", "Bearer a")
	}
	if got := w.recall("b", "bot", `{"query":"only"}`); got != "" {
		t.Errorf("tenant b got %q", got)
	}
	if a := w.do("", "POST", "/api/v2/agents/bot/recall", `{"query":"only"}`); a.status != 401 {
		t.Errorf("status %d", a.status)
	}
}

// failing is a store whose every call fails; the embedded nil catches what it does not expect.
type failing struct {
	memory.Store
	err error
}

func (f failing) Agent(context.Context, string, string, bool) (*memory.Agent, error) {
	if f.err == nil {
		panic("boom")
	}
	return nil, f.err
}
func (f failing) Ready(context.Context) error { return f.err }

func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{memory.ErrBusy, 503}, {memory.ErrFull, 507}, {memory.ErrKeys, 503}, {memory.ErrReadOnly, 503}, {memory.ErrCorrupt, 500}, {context.DeadlineExceeded, 503}, {errors.New("secret path /data/x"), 500}, {nil, 500},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Store = failing{err: c.err} })
		a := w.do("t", "GET", "/api/v2/agents/bot", "")
		if a.status != c.status || strings.Contains(a.text, "secret") || a.get("request_id") != "req-1" {
			t.Errorf("%v: %d %s", c.err, a.status, a.text)
		}
		if c.err != nil {
			if a := w.do("", "GET", "/readyz", ""); a.status != 503 {
				t.Errorf("%v: ready says %d", c.err, a.status)
			}
		}
	}
}

func TestReadyAsksForKeys(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Ready = func(context.Context) error { return errors.New("no keys") } })
	if a := w.do("", "GET", "/readyz", ""); a.status != 503 {
		t.Errorf("%d", a.status)
	}
	if a := w.do("", "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}

func TestMetricsAreOfLowCardinality(t *testing.T) {
	w := newWorld(t)
	w.remember("a", "bot", "x")
	w.do("a", "GET", "/api/v2/agents/bot/memories/some-id", "")
	w.do("a", "GET", "/no/such/path", "")
	text := w.ok("", "GET", "/metrics", "").text
	for _, want := range []string{
		`memory_backend_http_requests_total{route="POST /api/v2/agents/{agent_id}/remember",status="200"} 1`,
		`memory_backend_http_requests_total{route="GET /api/v2/agents/{agent_id}/memories/{memory_id}",status="404"} 1`,
		`memory_backend_http_requests_total{route="none",status="404"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "some-id") || strings.Contains(text, "such") {
		t.Error("a path is a label")
	}
}
