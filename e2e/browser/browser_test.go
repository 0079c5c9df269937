// Package browser lets pages in a real browser make cross-origin requests to
// the edge: those of an allowed origin work, and those of others do not.
package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// reportWithin bounds how long a page may take, the browser's start included.
const reportWithin = 90 * time.Second

//go:embed testdata/page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// request is one fetch() of a page.
type request struct {
	Name  string         `json:"name"`
	URL   string         `json:"url"`
	Init  map[string]any `json:"init"`
	Times int            `json:"times,omitempty"` // the last outcome counts
	Read  []string       `json:"read"`            // response headers that the script reads
}

// outcome is what the page's script learnt: a response, or an error.
type outcome struct {
	Error  string
	Type   string
	Status int
	Header map[string]*string
	Body   string
}

type report struct {
	Origin   string
	Outcomes map[string]outcome
}

// site is an origin that serves pages and takes their reports.
type site struct {
	*httptest.Server
	requests []request // of its page; set before a browser comes
	reports  chan report
}

func newSite(t harness.T) *site {
	s := &site{reports: make(chan report, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = pageTemplate.Execute(w, s.requests)
	})
	// A frame without an origin, whose page makes the same requests.
	mux.HandleFunc("GET /sandbox", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><title>sandbox</title><iframe sandbox="allow-scripts" src="/page"></iframe>`)
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Origin = err.Error()
		}
		select {
		case s.reports <- got:
		default: // nobody asked for a second one
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// visit opens a page of the site in a browser of its own and returns what the
// page reported.
func (s *site) visit(t *testing.T, path string) map[string]outcome {
	t.Helper()
	profile, err := os.MkdirTemp("", "memgate-browser-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), reportWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--no-proxy-server", "--user-data-dir="+profile, s.URL+path)
	// A group of its own, so that its helpers end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	defer func() {
		cancel()
		<-ended
		// Helpers may still be writing: what they leave behind is not the test's concern.
		_ = os.RemoveAll(profile)
	}()
	select {
	case got := <-s.reports:
		if got.Origin != s.URL && path == "/page" || got.Origin != "null" && path == "/sandbox" {
			t.Fatalf("the page's origin is %s", got.Origin)
		}
		return got.Outcomes
	case <-ended:
		t.Fatalf("the browser ended without a report\n%s", log.String())
	case <-ctx.Done():
		<-ended
		t.Fatalf("the page did not report\n%s", log.String())
	}
	panic("unreachable")
}

// chromium finds the browser. Without one the tests are skipped, but not in CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium on PATH")
	}
	t.Skip("no Chromium on PATH: cross-origin requests are not tested in a browser")
	return ""
}

// limited is the route with a rate of its own, so that 429 is a few requests away.
const limited = `  - name: agent-get
    match: { methods: [GET], path: "/api/v2/agents/{agent_id}" }
`

func TestCrossOrigin(t *testing.T) {
	chromium(t) // first, as it may skip
	allowed, foreign := newSite(t), newSite(t)
	stack := harness.StartStack(t, func(yaml string) string {
		for old, changed := range map[string]string{
			`["http://localhost:3000", "http://127.0.0.1:3000"]`: `["` + allowed.URL + `"]`,
			limited: limited + "    limit: 2/m\n",
		} {
			if !strings.Contains(yaml, old) {
				t.Fatalf("memgate.yaml does not hold %s any more", old)
			}
			yaml = strings.Replace(yaml, old, changed, 1)
		}
		return yaml
	})
	token := stack.Token("browser", "memory:read memory:write")
	if r := stack.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"page","pattern":"tool"}`); r.Status != 201 {
		t.Fatalf("no agent: %d %s", r.Status, r.Body)
	}
	allowed.requests = requestsTo(stack.URL, token, "from the allowed origin")
	foreign.requests = requestsTo(stack.URL, token, "from the foreign origin")

	t.Run("allowed origin", func(t *testing.T) { works(t, allowed.visit(t, "/page")) })
	t.Run("foreign origin", func(t *testing.T) { fails(t, foreign.visit(t, "/page")) })
	t.Run("no origin", func(t *testing.T) {
		// The same page that is allowed by its address is not when it has no origin.
		allowed.requests = requestsTo(stack.URL, token, "from no origin")
		fails(t, allowed.visit(t, "/sandbox"))
	})
	t.Run("what was stored", func(t *testing.T) {
		r := stack.JSON(t, "POST", "/api/v2/agents/page/recall/recent", token, `{"limit":50}`)
		if r.Status != 200 || !strings.Contains(r.Body, "from the allowed origin") {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		// A request that needs a preflight is never made without one.
		for _, text := range []string{"from the foreign origin", "from no origin"} {
			if strings.Contains(r.Body, text) {
				t.Errorf("a memory %q was stored", text)
			}
		}
	})
}

// read are the headers that the pages' scripts try to read.
var read = []string{"x-request-id", "ratelimit", "ratelimit-policy", "retry-after", "content-type", "content-security-policy", "x-frame-options"}

// requestsTo are the requests of each page. All but the plain ones carry a
// token and go with credentials, so that the browser asks by a preflight first.
func requestsTo(edge, token, text string) []request {
	send := func(name, method, path, body string, header map[string]string) request {
		init := map[string]any{"method": method, "credentials": "include"}
		if header != nil {
			init["headers"] = header
		}
		if body != "" {
			init["body"] = body
		}
		return request{Name: name, URL: edge + path, Init: init, Read: read}
	}
	with := func(more ...string) map[string]string {
		header := map[string]string{"Authorization": "Bearer " + token}
		for i := 0; i < len(more); i += 2 {
			header[more[i]] = more[i+1]
		}
		return header
	}
	const json = "application/json"
	remember := "/api/v2/agents/page/remember"
	list := []request{
		send("remember", "POST", remember, `{"type":"fact","content":"`+text+`, by jane.doe@example.com"}`, with("Content-Type", json)),
		send("recall", "POST", "/api/v2/agents/page/recall", `{"query":"origin"}`, with("Content-Type", json)),
		send("activate", "POST", "/api/v2/agents/page/activate", "", with()),
		send("delete", "DELETE", "/api/v2/agents/page/memories/00000000-0000-4000-8000-000000000000", "", with()),
		send("plain", "GET", "/healthz", "", nil),
		send("unauthenticated", "GET", "/api/v2/agents", "", nil),
		send("invalid token", "GET", "/api/v2/agents", "", map[string]string{"Authorization": "Bearer nonsense"}),
		send("no route", "GET", "/nowhere", "", with()),
		send("malformed", "POST", remember, `{"content":`, with("Content-Type", json)),
		send("rate limit", "GET", "/api/v2/agents/page", "", with()),
		send("header that is not allowed", "GET", "/api/v2/agents", "", with("X-Custom", "1")),
	}
	for i := range list {
		if list[i].Name == "rate limit" {
			list[i].Times = 3
		}
	}
	return list
}

// works checks what a page of the allowed origin learnt.
func works(t *testing.T, got map[string]outcome) {
	for name, want := range map[string]struct {
		status int
		body   string // that the script can read, a part of it
	}{
		"remember":        {200, "memory_id"},
		"recall":          {200, "from the allowed origin, by [EMAIL_ADDRESS]"},
		"activate":        {200, "session_token"},
		"delete":          {404, ""},
		"plain":           {200, ""},
		"unauthenticated": {401, "urn:memgate:problem:unauthenticated"},
		"invalid token":   {401, "urn:memgate:problem:invalid-credentials"},
		"no route":        {403, "urn:memgate:problem:no-route"},
		"malformed":       {400, "urn:memgate:problem:malformed-json"},
		"rate limit":      {429, "urn:memgate:problem:rate-limited"},
	} {
		o, ok := got[name]
		if !ok || o.Error != "" || o.Type != "cors" || o.Status != want.status || !strings.Contains(o.Body, want.body) {
			t.Errorf("%s: %+v, want status %d with %q", name, o, want.status, want.body)
			continue
		}
		if o.header("x-request-id") == "" {
			t.Errorf("%s: the script cannot read the request id", name)
		}
		if o.header("content-security-policy") != "" || o.header("x-frame-options") != "" {
			t.Errorf("%s: the script reads headers that are not exposed: %v", name, o.Header)
		}
	}
	for _, name := range []string{"ratelimit", "ratelimit-policy"} {
		for _, of := range []string{"remember", "activate", "rate limit"} {
			if o := got[of]; o.header(name) == "" {
				t.Errorf("%s: the script cannot read %s", of, name)
			}
		}
	}
	if o := got["rate limit"]; o.header("retry-after") == "" {
		t.Error("the script cannot read when to try again")
	}
	if o := got["header that is not allowed"]; o.Error != "TypeError" {
		t.Errorf("a request with a header that is not allowed went through: %+v", o)
	}
}

// fails checks that a page learnt nothing at all.
func fails(t *testing.T, got map[string]outcome) {
	if want := len(requestsTo("", "", "")); len(got) != want {
		t.Fatalf("%d outcomes, want %d", len(got), want)
	}
	for name, o := range got {
		if o.Error != "TypeError" || o.Status != 0 || o.Body != "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func (o outcome) header(name string) string {
	if value := o.Header[name]; value != nil {
		return *value
	}
	return ""
}
