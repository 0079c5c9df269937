// Package failure tests what Envoy answers by itself, as it is configured by
// package render: when the authz service or the filter fails, and when a request
// never gets that far. Everything fails closed, and looks like all else.
package failure

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/policy"
)

// edge runs a filter that does nothing but trap when it is asked to.
var edge *harness.WasmEdge

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) {
		edge = harness.StartWasm(t, func(p *policy.Policy) {
			p.Envoy.Wasm = harness.BuildWasm(t, "trap", "./e2e/failure/testdata/trap")
			p.Headers.Override = map[string]string{"x-share": "100% ours"}
			p.Routes = append(p.Routes, policy.Route{Name: "own", Own: true})
			p.Upstream.Timeout = policy.Duration(2 * time.Second)
		})
	})
}

// decide sets what the authz service does until the test ends.
func decide(t *testing.T, check harness.Check) {
	t.Helper()
	edge.Memgate.SetCheck(check)
	t.Cleanup(func() { edge.Memgate.SetCheck(edge.Policies.Check) })
}

// envoyAnswers checks an answer that Envoy made, and that nobody else got the request.
func envoyAnswers(t *testing.T, e *harness.WasmEdge, status int, slug string, send func() *harness.Response) {
	t.Helper()
	before := e.Upstream.Count()
	r := send()
	if e.Upstream.Count() != before {
		t.Error("the upstream got the request")
	}
	if !harness.Has(harness.EnvoyAnswers) {
		if r.Status != status {
			t.Errorf("answer %d %s, want %d", r.Status, r.Body, status)
		}
		return
	}
	var p struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("%d with a body that is no problem document: %q", r.Status, r.Body)
	}
	if r.Status != status || p.Status != status || p.Type != "urn:memgate:problem:"+slug || p.Title == "" || p.Detail == "" {
		t.Errorf("answer %d %s, want %d %s", r.Status, r.Body, status, slug)
	}
	if p.RequestID != r.ID {
		t.Errorf("request id %q in the body, %q in the header", p.RequestID, r.ID)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"X-Share": "100% ours", "Server": "", "X-Envoy-Upstream-Service-Time": "",
	} {
		if got := strings.Join(r.Header.Values(name), " | "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// get sends a plain request.
func get(t *testing.T, e *harness.WasmEdge) func() *harness.Response {
	return func() *harness.Response { return harness.Do(t, e.URL, harness.Request{}) }
}

func TestAuthzFails(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		decide(t, func(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
			<-ctx.Done() // Envoy gives up after a second
			return nil, ctx.Err()
		})
		envoyAnswers(t, edge, 503, "unavailable", get(t, edge))
	})
	for name, code := range map[string]codes.Code{"internal": codes.Internal, "denied": codes.PermissionDenied, "unavailable": codes.Unavailable} {
		t.Run(name, func(t *testing.T) {
			decide(t, func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
				return nil, status.Error(code, "a secret detail")
			})
			envoyAnswers(t, edge, 503, "unavailable", get(t, edge))
		})
	}
	t.Run("nonsense", func(t *testing.T) {
		decide(t, func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
			return new(authv3.CheckResponse), nil
		})
		// An empty answer has the status OK: it is let through without metadata,
		// and it is the filter that closes then (see the suite of the filter).
		if r := harness.Do(t, edge.URL, harness.Request{}); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
	if r := harness.Do(t, edge.URL, harness.Request{}); r.Status != 200 {
		t.Errorf("afterwards: %d %s", r.Status, r.Body)
	}
}

func TestAuthzDown(t *testing.T) {
	down := harness.StartWasm(t, func(p *policy.Policy) {
		p.Server.GRPC = harness.FreeAddress(t)
		p.Envoy.Wasm = harness.BuildWasm(t, "trap", "./e2e/failure/testdata/trap")
		p.Headers.Override = map[string]string{"x-share": "100% ours"}
	})
	envoyAnswers(t, down, 503, "unavailable", get(t, down))
}

// What the authz service may not do to a request is an error, not a silent no.
func TestAuthzOversteps(t *testing.T) {
	harness.Needs(t, harness.OwnMutations)
	for name, edit := range map[string]func(*authv3.OkHttpResponse){
		"path":   func(ok *authv3.OkHttpResponse) { ok.Headers = harness.Set(":path", "/other") },
		"method": func(ok *authv3.OkHttpResponse) { ok.Headers = harness.Set(":method", "DELETE") },
		"bytes":  func(ok *authv3.OkHttpResponse) { ok.Headers = harness.Set("x-a", "a\r\nb: c") },
	} {
		t.Run(name, func(t *testing.T) {
			decide(t, func(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
				out, err := edge.Policies.Check(ctx, r)
				edit(out.GetOkResponse())
				return out, err
			})
			r := harness.Do(t, edge.URL, harness.Request{})
			if r.Status < 500 || edge.Upstream.Received(r.ID) != nil {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	// While it may take off what a client forged, Envoy's own headers included.
	decide(t, func(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		out, err := edge.Policies.Check(ctx, r)
		out.GetOkResponse().HeadersToRemove = append(out.GetOkResponse().HeadersToRemove, "x-envoy-forged", "x-memgate-tenant")
		out.GetOkResponse().Headers = harness.Set("x-memgate-subject", "s")
		return out, err
	})
	r := harness.Do(t, edge.URL, harness.Request{Header: map[string]string{"X-Envoy-Forged": "1", "X-Memgate-Tenant": "t", "X-Memgate-Subject": "x"}})
	got := edge.Upstream.Received(r.ID)
	if got == nil || got.Header.Get("X-Envoy-Forged")+got.Header.Get("X-Memgate-Tenant") != "" || got.Header.Get("X-Memgate-Subject") != "s" {
		t.Errorf("%d, upstream %+v", r.Status, got)
	}
}

// Denials and preflights leave as the authz service wrote them.
func TestDenialIsUntouched(t *testing.T) {
	security, err := headers.New("api", nil)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := cors.New(cors.Policy{AllowOrigins: []string{"https://a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	var list [][2]string
	for _, h := range matcher.Response(security.Set, "https://a.example") {
		list = append(list, [2]string{h.Name, h.Value})
	}
	for _, c := range []struct {
		status int
		body   string
	}{{400, `{"a":1}`}, {401, `{"a":1}`}, {403, `{"a":1}`}, {429, `{"a":1}`}, {503, `{"a":1}`}, {204, ""}} {
		decide(t, func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
			return harness.Deny(c.status, c.body, list...), nil
		})
		r := harness.Do(t, edge.URL, harness.Request{})
		if r.Status != c.status || r.Body != c.body || r.Header.Get("X-Share") != "" || harness.Has(harness.EnvoyAnswers) && r.Header.Get("Server") != "" {
			t.Errorf("%d %q %v", r.Status, r.Body, r.Header)
		}
		for _, h := range list {
			if got := r.Header.Values(h[0]); len(got) != 1 || got[0] != h[1] {
				t.Errorf("%d: %s is %q, want %q", c.status, h[0], got, h[1])
			}
		}
	}
}

func TestTrap(t *testing.T) {
	harness.Needs(t, harness.ReloadedFilter)
	for range 3 {
		envoyAnswers(t, edge, 503, "unavailable", func() *harness.Response {
			return harness.Do(t, edge.URL, harness.Request{Header: map[string]string{"X-Test-Trap": "1"}})
		})
		// The VM is loaded again, in its own time.
		harness.Eventually(t, func() error {
			return harness.Want(harness.Do(t, edge.URL, harness.Request{}), 200)
		})
	}
}

func TestHostileRequests(t *testing.T) {
	own := []harness.Feature{harness.StrictRequests}
	for name, c := range map[string]struct {
		lines  []string
		status int
		slug   string
		needs  []harness.Feature
	}{
		"escaped slash":     {[]string{"GET /a%2Fb HTTP/1.1", "Host: a"}, 400, "bad-request", own},
		"escaped backslash": {[]string{"GET /a%5cb HTTP/1.1", "Host: a"}, 400, "bad-request", own},
		"underscore":        {[]string{"GET / HTTP/1.1", "Host: a", "X_Memgate_Tenant: t"}, 400, "bad-request", own},
		"two lengths":       {[]string{"POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 2"}, 400, "bad-request", nil},
		"length and chunks": {[]string{"POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"}, 400, "bad-request", nil},
		"no host":           {[]string{"GET / HTTP/1.1"}, 400, "bad-request", nil},
		"garbage":           {[]string{"GARBAGE"}, 400, "bad-request", nil},
		"HTTP/1.0":          {[]string{"GET / HTTP/1.0", "Host: a"}, 426, "edge-refused", nil},
		"large header":      {[]string{"GET / HTTP/1.1", "Host: a", "X-A: " + strings.Repeat("a", 40<<10)}, 431, "headers-too-large", own},
		"many headers":      {append([]string{"GET / HTTP/1.1", "Host: a"}, strings.Split(strings.Repeat("X-A: a,", 101), ",")[:101]...), 431, "headers-too-large", nil},
		"upgrade":           {[]string{"GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: upgrade"}, 403, "upgrade-refused", []harness.Feature{harness.NoUpgrades}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range c.needs {
				harness.Needs(t, f)
			}
			envoyAnswers(t, edge, c.status, c.slug, func() *harness.Response { return harness.Raw(t, edge.Addr, c.lines...) })
		})
	}
}

// The authz service and the upstream see one and the same path.
func TestPathIsNormalized(t *testing.T) {
	harness.Needs(t, harness.EnvoyAnswers) // which name the request
	seen := make(chan string, 1)
	decide(t, func(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		seen <- r.GetAttributes().GetRequest().GetHttp().GetPath()
		return edge.Policies.Check(ctx, r)
	})
	for sent, want := range map[string]string{
		"/a/../b": "/b", "/a//b": "/a/b", "/%61/./b": "/a/b", "/a/%2e%2e/b?x=/../y": "/b?x=/../y",
	} {
		r := harness.Raw(t, edge.Addr, "GET "+sent+" HTTP/1.1", "Host: a")
		got := edge.Upstream.Received(r.ID)
		if path := <-seen; got == nil || path != want || got.Path != want {
			t.Errorf("%s: authz saw %s, upstream got %+v, want %s", sent, path, got, want)
		}
	}
}

// What the client says of its own address and request id is not believed.
func TestForgedIdentity(t *testing.T) {
	harness.Needs(t, harness.NewRequestIDs)
	harness.Needs(t, harness.EnvoyAnswers)
	r := harness.Do(t, edge.URL, harness.Request{Header: map[string]string{
		"X-Request-Id": "mine", "X-Forwarded-Client-Cert": "By=x", "X-Envoy-External-Address": "8.8.8.8",
		"X-Envoy-Upstream-Rq-Timeout-Ms": "1", "X-Envoy-Retry-On": "5xx",
	}})
	got := edge.Upstream.Received(r.ID)
	if got == nil || r.ID == "mine" || got.Header.Get("X-Forwarded-Client-Cert") != "" || strings.Contains(got.Header.Get("X-Envoy-External-Address"), "8.8.8.8") {
		t.Errorf("%d %s, upstream %+v", r.Status, r.ID, got)
	}
}

// memgate's own routes go to memgate by the decision, not by the path.
func TestOwnRoutes(t *testing.T) {
	harness.OnlyOn(t, "the objects of a mesh can only repeat the paths of the policy", harness.EdgeEnvoy)
	edge.Memgate.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "memgate at "+r.URL.Path) }))
	t.Cleanup(func() { edge.Memgate.SetHandler(edge.Policies) })
	r := harness.Do(t, edge.URL, harness.Request{Path: "/api/x", Header: map[string]string{harness.MetadataHeader: "route=own"}})
	if r.Body != "memgate at /api/x" || edge.Upstream.Received(r.ID) != nil {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	r = harness.Do(t, edge.URL, harness.Request{Path: "/api/x"})
	if r.Status != 200 || edge.Upstream.Received(r.ID) == nil {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestUpstreamIsSlow(t *testing.T) {
	harness.Needs(t, harness.UpstreamTimeout)
	edge.Upstream.Answer("never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := harness.Do(t, edge.URL, harness.Request{Header: map[string]string{harness.AnswerHeader: "never"}})
	if r.Status != 504 || harness.Has(harness.EnvoyAnswers) && (edge.Upstream.Received(r.ID) == nil || !strings.Contains(r.Body, "upstream-timeout")) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestUpstreamFails(t *testing.T) {
	edge.Upstream.Answer("no HTTP", func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(connection, "220 mail.example.com ESMTP\r\n")
		_ = connection.Close()
	})
	r := harness.Do(t, edge.URL, harness.Request{Header: map[string]string{harness.AnswerHeader: "no HTTP"}})
	if r.Status != 502 && r.Status != 503 || harness.Has(harness.EnvoyAnswers) && !strings.Contains(r.Body, "urn:memgate:problem:") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// The admin interface is on loopback alone.
func TestAdminIsLocal(t *testing.T) {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(edge.Admin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip := a.(*net.IPNet).IP
		if ip.IsLoopback() {
			continue
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Errorf("the admin interface answers at %s", ip)
		}
	}
}
