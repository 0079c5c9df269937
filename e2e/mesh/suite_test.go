//go:build mesh

package mesh

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

const scopes = "memory:read memory:write"

// edge is a system with Istio's Envoy in front.
type edge struct {
	*harness.Stack
	url    string
	client *http.Client
	holds  bool // headers wait until the body is known
	routes bool // memgate's own answers come from memgate
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (e *edge) send(method, path string, header map[string]string, body string) (answer, error) {
	request, err := http.NewRequest(method, e.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body == "" {
		request.Body, request.ContentLength = nil, 0
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	if body != "" && header["Content-Type"] == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := e.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

func (e *edge) do(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	header := make(map[string]string)
	if token != "" {
		header["Authorization"] = "Bearer " + token
	}
	a, err := e.send(method, path, header, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func want(t *testing.T, what string, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d, want %d: %s", what, a.status, status, a.body)
	}
}

// suite is what holds on every edge, whoever configures Envoy.
func suite(t *testing.T, e *edge) {
	acme, other := e.Token("acme", scopes), e.Token("other", scopes)
	harness.Eventually(t, func() error {
		a, err := e.send("GET", "/api/v2/agents", map[string]string{"Authorization": "Bearer " + acme}, "")
		if err != nil || a.status != 200 {
			return fmt.Errorf("%v %d %s", err, a.status, a.body)
		}
		return nil
	})

	t.Run("who", func(t *testing.T) {
		a := e.do(t, "GET", "/api/v2/agents", "", "")
		want(t, "without a credential", a, 401)
		if !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") || a.header.Get("Www-Authenticate") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a refusal without its headers: %v", a.header)
		}
		want(t, "an unknown route", e.do(t, "GET", "/nowhere", acme, ""), 403)
		want(t, "a scope is missing", e.do(t, "POST", "/api/v2/agents", e.Token("acme", "memory:read"), `{"agent_id":"a","pattern":"tool"}`), 403)
		want(t, "a token that is none", e.do(t, "GET", "/api/v2/agents", "x.y.z", ""), 401)
		key := e.APIKey("acme", "memory:read")
		harness.Eventually(t, func() error {
			a, err := e.send("GET", "/api/v2/agents", map[string]string{"X-API-Key": key}, "")
			if err != nil || a.status != 200 {
				return fmt.Errorf("an API key: %v %d %s", err, a.status, a.body)
			}
			return nil
		})
		twice, err := e.send("GET", "/api/v2/agents", map[string]string{"X-API-Key": key, "Authorization": "Bearer " + acme}, "")
		if err != nil || twice.status != 400 {
			t.Errorf("two credentials: %v %d", err, twice.status)
		}
		forged, err := e.send("GET", "/api/v2/agents", map[string]string{"Authorization": "Bearer " + acme, "X-Memgate-Tenant": "other", "Txn-Token": "forged"}, "")
		if err != nil || forged.status != 200 {
			t.Errorf("forged headers are taken off: %v %d %s", err, forged.status, forged.body)
		}
	})

	t.Run("what", func(t *testing.T) {
		a := e.do(t, "POST", "/api/v2/agents", acme, `{"agent_id":"helper","pattern":"tool"}`)
		if a.status >= 300 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := e.do(t, "POST", "/api/v2/agents/helper/remember", acme, `{"content":"Write to jane.doe@example.com","type":"fact"}`); a.status >= 300 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		a = e.do(t, "POST", "/api/v2/agents/helper/recall", acme, `{"query":"write"}`)
		if a.status != 200 || !strings.Contains(a.body, "[EMAIL_ADDRESS]") || strings.Contains(a.body, "jane.doe") {
			t.Errorf("%d %s", a.status, a.body)
		}
		if strings.Contains(e.Held(t, "acme", "POST", "/api/v2/agents/helper/recall", `{"query":"write"}`), "jane.doe") {
			t.Error("the address reached the upstream")
		}
		// Long enough to be taken out of the proxy's buffer on the way.
		long := strings.Repeat("a word and ", 900)
		if a := e.do(t, "POST", "/api/v2/agents/helper/remember", acme, `{"content":"`+long[:9000]+` jane.doe@example.com","type":"fact"}`); a.status >= 300 {
			t.Errorf("a long body: %d %s", a.status, a.body)
		}
		want(t, "another tenant", e.do(t, "GET", "/api/v2/agents/helper", other, ""), 404)
		want(t, "no JSON", e.do(t, "POST", "/api/v2/agents/helper/recall", acme, `{"query":`), 400)
		want(t, "too deep", e.do(t, "POST", "/api/v2/agents/helper/recall", acme, `{"query":`+strings.Repeat("[", 60)+strings.Repeat("]", 60)+`}`), 400)
		want(t, "too large", e.do(t, "POST", "/api/v2/agents/helper/recall", acme, `{"query":"`+strings.Repeat("x", 70<<10)+`"}`), 413)
		text, err := e.send("POST", "/api/v2/agents/helper/recall", map[string]string{"Authorization": "Bearer " + acme, "Content-Type": "text/plain"}, "query")
		if err != nil || text.status != 415 {
			t.Errorf("another type: %v %d", err, text.status)
		}
		zipped, err := e.send("POST", "/api/v2/agents/helper/recall", map[string]string{"Authorization": "Bearer " + acme, "Content-Encoding": "gzip"}, "{}")
		if err != nil || zipped.status != 415 {
			t.Errorf("a compressed body: %v %d", err, zipped.status)
		}
	})

	t.Run("preflight", func(t *testing.T) {
		ask := func(origin string) answer {
			a, err := e.send("OPTIONS", "/api/v2/agents", map[string]string{"Origin": origin, "Access-Control-Request-Method": "GET"}, "")
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		a := ask("http://localhost:3000")
		if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
			t.Errorf("%d %v", a.status, a.header)
		}
		a = ask("https://evil.example")
		if a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("a stranger: %d %v", a.status, a.header)
		}
		with, err := e.send("GET", "/api/v2/agents", map[string]string{"Authorization": "Bearer " + acme, "Origin": "http://localhost:3000"}, "")
		if err != nil || with.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" || with.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a response of the upstream: %v %v", err, with.header)
		}
	})

	t.Run("sessions", func(t *testing.T) {
		a := e.do(t, "POST", "/api/v2/agents/helper/activate", acme, "")
		if e.routes {
			want(t, "a session", a, 200)
		} else if a.status == 200 {
			t.Error("a sidecar sends everything to its workload, which has no sessions")
		}
	})

	t.Run("limits", func(t *testing.T) {
		limited := e.Token("limited", scopes)
		var last answer
		for range 140 {
			if last = e.do(t, "GET", "/api/v2/agents", limited, ""); last.status != 200 {
				break
			}
		}
		if last.status != 429 || last.header.Get("Retry-After") == "" {
			t.Errorf("%d %v", last.status, last.header)
		}
		want(t, "another tenant meanwhile", e.do(t, "GET", "/api/v2/agents", other, ""), 200)
	})

	t.Run("audit", func(t *testing.T) {
		harness.Eventually(t, func() error {
			text, err := os.ReadFile(filepath.Join(e.Dir, "audit.log"))
			if err != nil {
				return err
			}
			for _, part := range []string{"remember", "body-too-large"} {
				if !strings.Contains(string(text), part) {
					return fmt.Errorf("nothing of %s in the audit log", part)
				}
			}
			return nil
		})
	})

	t.Run("memgate is down", func(t *testing.T) {
		e.Memgate.Stop()
		want(t, "memgate is down", e.do(t, "GET", "/api/v2/agents", acme, ""), 503)
		want(t, "memgate is down, no credential", e.do(t, "GET", "/healthz", "", ""), 503)
		e.StartMemgate()
		harness.Eventually(t, func() error {
			a, err := e.send("GET", "/api/v2/agents", map[string]string{"Authorization": "Bearer " + acme}, "")
			if err != nil || a.status != 200 {
				return fmt.Errorf("after its restart: %v %d %s", err, a.status, a.body)
			}
			return nil
		})
	})

	t.Run("the upstream is down", func(t *testing.T) {
		e.Backend.Stop()
		if a := e.do(t, "GET", "/api/v2/agents", acme, ""); a.status != 503 && a.status != 502 {
			t.Errorf("%d %s", a.status, a.body)
		}
		e.StartBackend()
	})
}

// client connects to an address whatever the URL says.
func client(address string) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DisableCompression: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
