package session

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/txntoken"
)

// edge is the sessions API behind what stands for the edge: it signs who the caller is.
type edge struct {
	t      *testing.T
	clock  *clock
	store  *Store
	signer *txntoken.Signer
	api    http.Handler
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	c := newClock()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := txntoken.NewSigner(key, "memgate", 30*time.Second, c.now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := txntoken.NewVerifier(txntoken.VerifierConfig{Issuer: "memgate", Audience: "memgate", JWKS: signer.JWKS(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	store := NewStore(100, c.now, rand.Reader)
	return &edge{t: t, clock: c, store: store, signer: signer, api: Handler(store, ttl, func(r *http.Request) (*txntoken.Claims, error) {
		return v.VerifyHeader(r.Context(), r.Header.Values(txntoken.Header))
	})}
}

// do sends a request as p, or without a Txn-Token if p is nil.
func (e *edge) do(p *identity.Principal, method, path string) (*httptest.ResponseRecorder, map[string]any) {
	e.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if p != nil {
		token, err := e.signer.Sign(txntoken.Claims{
			ID: "req-1", Audience: "memgate", Subject: p.Subject, Tenant: p.Tenant, Agent: p.Agent,
			Kind: string(p.Kind), Principal: p.ID, Scopes: p.Scopes,
			PrincipalIssuer: p.Issuer, PrincipalIssued: p.Issued,
		})
		if err != nil {
			e.t.Fatal(err)
		}
		r.Header.Set(txntoken.Header, token)
	}
	w := httptest.NewRecorder()
	e.api.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		e.t.Fatalf("%s %s: %q: %v", method, path, w.Body, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		e.t.Errorf("%s %s may be cached", method, path)
	}
	return w, body
}

func (e *edge) session(body map[string]any) *identity.Principal {
	e.t.Helper()
	token, _ := body["session_token"].(string)
	p, err := e.store.Verify(ctx, token)
	if err != nil {
		e.t.Fatalf("%v: %v", body, err)
	}
	return p
}

const (
	activatePath   = "/api/v2/agents/bot/activate"
	deactivatePath = "/api/v2/agents/bot/deactivate"
	statusPath     = "/api/v2/status"
)

func members(body map[string]any) []string {
	var names []string
	for name := range body {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestLifecycleOverHTTP(t *testing.T) {
	e := newEdge(t)
	w, body := e.do(jane(), "POST", activatePath)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, body)
	}
	// The members of MEMANTO's Session.
	if want := []string{"agent_id", "expires_at", "metadata", "namespace", "pattern", "session_id", "session_token", "started_at", "status"}; !slices.Equal(members(body), want) {
		t.Errorf("members %v", members(body))
	}
	if body["agent_id"] != "bot" || body["namespace"] != "memanto_agent_bot" || body["status"] != "active" ||
		body["started_at"] != "2026-05-01T12:00:00Z" || body["expires_at"] != "2026-05-01T18:00:00Z" || body["pattern"] != nil {
		t.Errorf("activation %v", body)
	}
	held := e.session(body)

	e.clock.advance(time.Hour)
	// Renewed with the session, issued anew without it.
	_, again := e.do(held, "POST", activatePath)
	if again["session_token"] != body["session_token"] || again["expires_at"] != "2026-05-01T19:00:00Z" {
		t.Errorf("renewal %v", again)
	}
	_, another := e.do(jane(), "POST", activatePath)
	if another["session_token"] == body["session_token"] {
		t.Error("another session has the same token")
	}

	w, status := e.do(held, "GET", statusPath)
	if w.Code != http.StatusOK || status["session_id"] != held.ID || status["agent_id"] != "bot" || status["status"] != "active" ||
		status["time_remaining_seconds"] != float64(6*3600) || status["namespace"] != "memanto_agent_bot" ||
		status["tenant"] != "acme" || status["subject"] != "jane" || status["kind"] != "session" {
		t.Errorf("%d %v", w.Code, status)
	}
	if _, status = e.do(jane(), "GET", statusPath); status["session_id"] != another["session_id"] || status["kind"] != "jwt" {
		t.Errorf("status without a session %v", status)
	}
	stranger := jane()
	stranger.Tenant = "beta"
	if _, status = e.do(stranger, "GET", statusPath); status["session_id"] != nil || status["status"] != "inactive" || status["tenant"] != "beta" || status["scopes"] == nil {
		t.Errorf("status of a stranger %v", status)
	}

	// Nobody ends another's sessions.
	if w, _ = e.do(stranger, "POST", deactivatePath); w.Code != http.StatusNotFound {
		t.Errorf("a stranger's deactivation: %d", w.Code)
	}
	e.clock.advance(30 * time.Minute)
	w, sum := e.do(held, "POST", deactivatePath)
	if want := []string{"agent_id", "duration_hours", "ended_at", "memories_created", "session_id", "started_at", "summary_memory_id"}; w.Code != http.StatusOK || !slices.Equal(members(sum), want) {
		t.Errorf("%d %v", w.Code, sum)
	}
	if sum["session_id"] != held.ID || sum["duration_hours"] != 1.5 || sum["memories_created"] != 0.0 || sum["ended_at"] != "2026-05-01T13:30:00Z" {
		t.Errorf("summary %v", sum)
	}
	token, _ := body["session_token"].(string)
	if got := reason(e.store, token); got != identity.ReasonSessionUnknown {
		t.Errorf("after its end: %q", got)
	}
	if w, _ = e.do(held, "POST", deactivatePath); w.Code != http.StatusNotFound {
		t.Errorf("ended twice: %d", w.Code)
	}
	if w, _ = e.do(held, "POST", activatePath); w.Code != http.StatusUnauthorized {
		t.Errorf("an ended session was renewed: %d", w.Code)
	}
	// The other session was left alone; the credential ends it.
	token, _ = another["session_token"].(string)
	if got := reason(e.store, token); got != "" {
		t.Errorf("the other session: %q", got)
	}
	if w, _ = e.do(jane(), "POST", deactivatePath); w.Code != http.StatusOK || reason(e.store, token) == "" {
		t.Errorf("%d, still valid", w.Code)
	}
}

func TestAPIRefuses(t *testing.T) {
	e := newEdge(t)
	_, body := e.do(jane(), "POST", activatePath)
	held := e.session(body)
	for _, tt := range []struct {
		name         string
		p            *identity.Principal
		method, path string
		want         problem.Problem
	}{
		{"no Txn-Token", nil, "POST", activatePath, problem.Unauthenticated},
		{"no Txn-Token for the status", nil, "GET", statusPath, problem.Unauthenticated},
		{"anonymous", identity.Anonymous(), "POST", activatePath, problem.Unauthenticated},
		{"session of another agent", held, "POST", "/api/v2/agents/other/activate", problem.AgentMismatch},
		{"session of another agent, ending", held, "POST", "/api/v2/agents/other/deactivate", problem.AgentMismatch},
		{"agent is a path", jane(), "POST", "/api/v2/agents/..%2Fx/activate", problem.NotFound},
		{"agent with a dot", jane(), "POST", "/api/v2/agents/a.b/activate", problem.NotFound},
		{"GET", jane(), "GET", activatePath, problem.MethodNotAllowed},
		{"POST", jane(), "POST", statusPath, problem.MethodNotAllowed},
		{"another path", jane(), "GET", "/api/v2/agents", problem.NotFound},
		{"root", jane(), "GET", "/", problem.NotFound},
	} {
		w, got := e.do(tt.p, tt.method, tt.path)
		if w.Code != tt.want.Status || got["type"] != tt.want.Type() || w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %d %v", tt.name, w.Code, got)
		}
		if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", tt.name)
		}
	}
	if length(e.store) != 1 {
		t.Errorf("%d sessions after refusals", length(e.store))
	}
}

// What a client sends beside the Txn-Token is not believed.
func TestAPIBelievesOnlyTheTxnToken(t *testing.T) {
	e := newEdge(t)
	_, body := e.do(jane(), "POST", activatePath)
	token, _ := body["session_token"].(string)
	for name, set := range map[string]func(*http.Request){
		"a session token": func(r *http.Request) { r.Header.Set("X-Session-Token", token) },
		"headers of the edge": func(r *http.Request) {
			r.Header.Set("X-Memgate-Tenant", "acme")
			r.Header.Set("X-Memgate-Subject", "jane")
		},
		"a forged Txn-Token": func(r *http.Request) { r.Header.Set(txntoken.Header, "eyJhbGciOiJub25lIn0.e30.") },
	} {
		r := httptest.NewRequest("POST", deactivatePath, nil)
		set(r)
		w := httptest.NewRecorder()
		e.api.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if got := reason(e.store, token); got != "" {
		t.Errorf("the session ended: %q", got)
	}
}

func TestAPIWithoutKeys(t *testing.T) {
	e := newEdge(t)
	v, err := txntoken.NewVerifier(txntoken.VerifierConfig{Issuer: "memgate", Audience: "memgate", JWKSFile: t.TempDir() + "/none", Now: e.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	e.api = Handler(e.store, ttl, func(r *http.Request) (*txntoken.Claims, error) {
		return v.VerifyHeader(r.Context(), r.Header.Values(txntoken.Header))
	})
	if w, body := e.do(jane(), "POST", activatePath); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %v", w.Code, body)
	}
}
