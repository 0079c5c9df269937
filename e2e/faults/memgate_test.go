package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
)

// TestMemgate kills, pauses and starves the authz service. Each step leaves it
// running for the next one.
func TestMemgate(t *testing.T) {
	svc := newService(t)
	s := harness.StartStack(t, func(yaml string) string { return behind(t, yaml, svc, "") })
	f := &authzFaults{Stack: s, svc: svc, token: s.Token("faults", scopes), key: s.APIKey("faults", scopes)}
	works(t, s, f.token)
	harness.Eventually(t, func() error { return harness.Want(f.withKey(t), 200) })
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"paused", f.paused},
		{"killed and restarted", f.killed},
		{"issuer down, keys known", f.issuerDown},
		{"issuer down from the start", f.issuerNeverUp},
		{"drained", f.drained},
	} {
		if !t.Run(step.name, step.run) {
			return // what follows has lost its ground
		}
	}
}

type authzFaults struct {
	*harness.Stack
	svc        *service
	token, key string
}

func (f *authzFaults) withKey(t *testing.T) *harness.Response {
	t.Helper()
	return f.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": f.key}})
}

// closed checks that a request was refused with 503 and that nothing of it
// reached the service.
func (f *authzFaults) closed(t *testing.T, what string, r *harness.Response) {
	t.Helper()
	if slug := problem(t, r, http.StatusServiceUnavailable); slug != "unavailable" {
		t.Errorf("%s: problem %s", what, slug)
	}
	if _, ok := f.svc.got(r.ID); ok {
		t.Errorf("%s: it reached the service", what)
	}
}

// paused: an authz service that accepts connections and never answers.
func (f *authzFaults) paused(t *testing.T) {
	before := f.svc.count()
	f.Memgate.Signal(syscall.SIGSTOP)
	resume := sync.OnceFunc(func() { f.Memgate.Signal(syscall.SIGCONT) })
	defer resume()
	r := remember(t, f.Stack, f.token, "sent while nobody decides")
	f.closed(t, "a token", r)
	resume()
	works(t, f.Stack, f.token)
	// The answer that came too late lets nothing through.
	if _, ok := f.svc.got(r.ID); ok || f.svc.count() == before {
		t.Error("the request reached the service after all, or nothing else did")
	}
	if e := audited(t, f.Stack, r.ID); e.Decision != "error" || e.Stage != "envoy" || e.Status != 503 {
		t.Errorf("audited as %+v", e)
	}
}

// killed: no authz service at all. Not even what needs no credential gets through.
func (f *authzFaults) killed(t *testing.T) {
	f.Memgate.Signal(os.Kill)
	f.Memgate.Exit()
	before := f.svc.count()
	f.closed(t, "a token", remember(t, f.Stack, f.token, "sent while nobody decides"))
	f.closed(t, "an API key", f.withKey(t))
	f.closed(t, "an anonymous route", f.Do(t, harness.Request{Path: "/healthz"}))
	f.closed(t, "a route of memgate itself", f.JSON(t, "GET", "/api/v2/status", f.token, ""))
	f.closed(t, "a preflight", f.Do(t, harness.Request{Method: "OPTIONS", Path: "/api/v2/agents", Header: map[string]string{
		"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}}))
	if got := f.svc.count(); got != before {
		t.Errorf("%d requests reached the service", got-before)
	}
	f.StartMemgate()
	works(t, f.Stack, f.token)
}

// issuerDown: keys that were loaded stay good, and there is no way to learn others.
func (f *authzFaults) issuerDown(t *testing.T) {
	f.IDP.Stop()
	defer f.IDP.Start()
	for name, token := range map[string]string{
		"seen before": f.token,
		"never seen":  f.TokenFor(dev.Claims{Tenant: "faults", Subject: "newcomer", Scope: scopes, TTL: time.Hour}),
	} {
		if r := remember(t, f.Stack, token, "x is y"); r.Status != 200 {
			t.Errorf("a token %s: %d %s", name, r.Status, r.Body)
		}
	}
	p, _, err := policy.Load(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	// Of the same issuer by its name, signed with a key that it never published.
	forged, err := dev.Mint(p, t.TempDir(), dev.Claims{Tenant: "faults", Subject: "forger", Scope: scopes, TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := remember(t, f.Stack, forged, "x is y")
	if slug := problem(t, r, http.StatusUnauthorized); slug != "invalid-credentials" {
		t.Errorf("problem %s", slug)
	}
	if _, ok := f.svc.got(r.ID); ok {
		t.Error("a token with an unknown key reached the service")
	}
	if e := audited(t, f.Stack, r.ID); e.Decision != "deny" || e.Stage != "verify" || e.Tenant != "" || e.Status != 401 {
		t.Errorf("audited as %+v", e)
	}
}

// issuerNeverUp: no keys were ever loaded, so no token can be judged, and the
// process says that it is not ready.
func (f *authzFaults) issuerNeverUp(t *testing.T) {
	f.IDP.Stop()
	up := sync.OnceFunc(f.IDP.Start)
	defer up()
	f.Memgate.Signal(os.Kill)
	f.Memgate.Exit()
	f.LaunchMemgate()
	if r := harness.Do(t, f.MemgateHTTP, harness.Request{Path: "/readyz"}); r.Status != 503 || r.Body == "" {
		t.Errorf("/readyz: %d %q", r.Status, r.Body)
	}
	health := healthv1.NewHealthClient(f.dial(t))
	f.wantHealth(t, health, healthv1.HealthCheckResponse_NOT_SERVING)

	var r *harness.Response
	harness.Eventually(t, func() error { // Envoy has to connect again
		r = remember(t, f.Stack, f.token, "sent while no token can be judged")
		if r.Status != 503 || problem(t, r, 503) != "keys-unavailable" {
			return fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return nil
	})
	if _, ok := f.svc.got(r.ID); ok {
		t.Error("it reached the service")
	}
	if r := f.withKey(t); r.Status != 200 {
		t.Errorf("an API key, which needs no issuer: %d %s", r.Status, r.Body)
	}

	up()
	f.Memgate.WaitReady(f.MemgateHTTP + "/readyz")
	f.wantHealth(t, health, healthv1.HealthCheckResponse_SERVING)
	works(t, f.Stack, f.token)
}

func (f *authzFaults) wantHealth(t *testing.T, client healthv1.HealthClient, want healthv1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for _, name := range []string{"", authv3.Authorization_ServiceDesc.ServiceName} {
		harness.Eventually(t, func() error {
			got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
			if err == nil && got.GetStatus() != want {
				err = fmt.Errorf("health of %q is %s, want %s", name, got.GetStatus(), want)
			}
			return err
		})
	}
}

// dial connects to memgate's gRPC port.
func (f *authzFaults) dial(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(f.MemgateGRPC, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// sent counts the messages that a client has handed to its connection.
type sent struct{ messages chan struct{} }

func (s sent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s sent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s sent) HandleConn(context.Context, stats.ConnStats)                       {}
func (s sent) HandleRPC(_ context.Context, e stats.RPCStats) {
	if _, ok := e.(*stats.OutPayload); ok {
		s.messages <- struct{}{}
	}
}

// underWay is how many checks a draining memgate still owes an answer.
const underWay = 20

// drained: SIGTERM ends memgate after it has said so to those who ask, and has
// answered what it was asked before.
func (f *authzFaults) drained(t *testing.T) {
	watch, err := healthv1.NewHealthClient(f.dial(t)).Watch(t.Context(), new(healthv1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := watch.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("%v %v", m, err)
	}
	out := sent{make(chan struct{}, 2*underWay)}
	client := authv3.NewAuthorizationClient(f.dial(t, grpc.WithStatsHandler(out), grpc.WithDisableRetry()))
	check := func() error {
		r, err := client.Check(t.Context(), checkOf("/api/v2/agents", f.token))
		if err == nil && r.GetOkResponse() == nil {
			err = fmt.Errorf("denied: %v", r)
		}
		return err
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	<-out.messages

	last := remember(t, f.Stack, f.token, "the last one before the end")

	// While it is stopped, checks are sent and the signal follows them.
	f.Memgate.Signal(syscall.SIGSTOP)
	results := make(chan error, underWay)
	for range underWay {
		go func() { results <- check() }()
	}
	for range underWay {
		<-out.messages
	}
	f.Memgate.Signal(syscall.SIGTERM)
	f.Memgate.Signal(syscall.SIGCONT)
	for range underWay {
		if err := <-results; err != nil {
			t.Errorf("a check that was under way: %v", err)
		}
	}
	if m, err := watch.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("gRPC health while draining: %v %v", m, err)
	}
	if r := harness.Do(t, f.MemgateHTTP, harness.Request{Path: "/readyz"}); r.Status != 503 || r.Body != "draining\n" {
		t.Errorf("/readyz while draining: %d %q", r.Status, r.Body)
	}
	if code := f.Memgate.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := check(); err == nil {
		t.Error("something still answers")
	}
	// The last lines of the audit log were not lost on the way out.
	if n := len(eventsIn(t, filepath.Join(f.Dir, "audit.log"), last.ID)); n != 1 {
		t.Errorf("%d events of the last request", n)
	}
	f.StartMemgate()
	works(t, f.Stack, f.token)
}

// checkOf is what Envoy asks about a GET with a token.
func checkOf(path, token string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "GET", Path: path,
			HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "authorization", RawValue: []byte("Bearer " + token)}}},
		},
	}}}
}

// A second memgate on the same ports, or with the same audit log, says what is
// wrong and ends.
func TestPortInUse(t *testing.T) {
	other := filepath.Join(shared.Dir, "second.yaml")
	if err := os.WriteFile(other, []byte(replace(t, shared.Policy(), "audit: { file: audit.log", "audit: { file: second.log")), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, reasons := range map[string][]string{other: {"server.grpc", "address already in use"}, shared.Config: {"audit.log", "another process writes this log"}} {
		p := harness.Start(t, "second", nil, harness.Memgate(t), "serve", "--config", config)
		if code := p.Exit(); code != 1 {
			t.Errorf("exit code %d\n%s", code, p.Log(0))
		}
		for _, reason := range reasons {
			if err := has(p.Log(0), reason); err != nil {
				t.Error(err)
			}
		}
	}
	works(t, shared, shared.Token("port", scopes))
}
