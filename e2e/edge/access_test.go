package edge

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

func TestWhoGetsIn(t *testing.T) {
	good := stack.Token("who", scopes)
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
		problem      string
		challenge    string
	}{
		"token":               {path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + good}, status: 200},
		"no credential":       {path: "/api/v2/agents", status: 401, problem: "unauthenticated", challenge: `Bearer realm="memgate"`},
		"garbage":             {path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer garbage"}, status: 401, problem: "invalid-credentials", challenge: `Bearer realm="memgate", error="invalid_token"`},
		"basic":               {path: "/api/v2/agents", header: map[string]string{"Authorization": "Basic dTpw"}, status: 401, problem: "invalid-credentials"},
		"signature cut off":   {path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + good[:strings.LastIndexByte(good, '.')+1]}, status: 401, problem: "invalid-credentials"},
		"expired":             {path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + stack.TokenFor(dev.Claims{Tenant: "who", Subject: "s", Scope: scopes, TTL: -time.Hour})}, status: 401, problem: "invalid-credentials"},
		"unknown API key":     {path: "/api/v2/agents", header: map[string]string{"X-API-Key": "mg_aaaaaaaaaaaa_" + strings.Repeat("a", 49)}, status: 401, problem: "invalid-credentials"},
		"two credentials":     {path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + good, "X-API-Key": "mg_x"}, status: 400, problem: "ambiguous-credentials"},
		"no scope":            {method: "POST", path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + stack.Token("who", "memory:read")}, status: 403, problem: "forbidden", challenge: `Bearer realm="memgate", error="insufficient_scope", scope="memory:write"`},
		"no route":            {path: "/admin", header: map[string]string{"Authorization": "Bearer " + good}, status: 403, problem: "no-route"},
		"no route, no method": {method: "PUT", path: "/api/v2/agents", header: map[string]string{"Authorization": "Bearer " + good}, status: 403, problem: "no-route"},
		"anonymous":           {path: "/healthz", status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := stack.Do(t, harness.Request{Method: c.method, Path: c.path, Header: c.header})
			if r.Status != c.status {
				t.Fatalf("%d, want %d: %s", r.Status, c.status, r.Body)
			}
			secure(t, r)
			if c.problem != "" {
				if got := problemOf(t, r); got != c.problem {
					t.Errorf("problem %s, want %s", got, c.problem)
				}
			}
			if got := r.Header.Get("WWW-Authenticate"); c.challenge != "" && got != c.challenge {
				t.Errorf("challenge %q, want %q", got, c.challenge)
			}
		})
	}
}

func TestRepeatedCredentialIsRefused(t *testing.T) {
	good := stack.Token("twice", scopes)
	r := stack.Raw(t, "GET /api/v2/agents HTTP/1.1", "Host: edge", "Authorization: Bearer "+good, "Authorization: Bearer "+good)
	if r.Status != 400 || problemOf(t, r) != "ambiguous-credentials" {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
}

func TestAPIKeyLifecycle(t *testing.T) {
	key := stack.APIKey("keys", scopes)
	works := func(header, value string) func() error {
		return func() error {
			return harness.Want(stack.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{header: value}}), 200)
		}
	}
	harness.Eventually(t, works("X-API-Key", key)) // a running memgate takes notice of a new key
	for _, scheme := range []string{"Bearer ", "Token ", "ApiKey "} {
		if err := works("Authorization", scheme+key)(); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if strings.Contains(stack.CLI("key", "list", "--config", stack.Config), key) {
		t.Error("the list shows a key")
	}
	id := strings.Split(key, "_")[2]
	stack.CLI("key", "revoke", "--config", stack.Config, id)
	harness.Eventually(t, func() error {
		return harness.Want(stack.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": key}}), 401)
	})
}

func TestRateLimit(t *testing.T) {
	token := stack.Token("busy", scopes)
	get := func() *harness.Response { return stack.JSON(t, "GET", "/api/v2/agents", token, "") }
	allowed := 0
	var last *harness.Response
	for range 140 {
		if last = get(); last.Status != 200 {
			break
		}
		allowed++
		if last.Header.Get("RateLimit") == "" || !strings.Contains(last.Header.Get("RateLimit-Policy"), `"read";q=120;w=60`) {
			t.Fatalf("no rate limit headers: %v", last.Header)
		}
	}
	if last.Status != 429 || problemOf(t, last) != "rate-limited" {
		t.Fatalf("after %d requests: %d %s", allowed, last.Status, last.Body)
	}
	if allowed < 120 || allowed > 130 { // some are refilled meanwhile
		t.Errorf("%d requests were let through, the limit is 120", allowed)
	}
	if wait, err := strconv.Atoi(last.Header.Get("Retry-After")); err != nil || wait < 1 {
		t.Errorf("Retry-After %q", last.Header.Get("Retry-After"))
	}
	secure(t, last)
	// Another tenant, and another class of the same tenant, have their own.
	if r := stack.JSON(t, "GET", "/api/v2/agents", stack.Token("calm", scopes), ""); r.Status != 200 {
		t.Errorf("another tenant: %d", r.Status)
	}
	if r := stack.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"busy"}`); r.Status != 201 {
		t.Errorf("a write: %d %s", r.Status, r.Body)
	}
}

func TestTenantsNeverMeet(t *testing.T) {
	a, b := stack.Token("tenant-a", scopes), stack.Token("tenant-b", scopes)
	makeAgent(t, a, "shared")
	makeAgent(t, b, "shared")
	if r := stack.JSON(t, "POST", "/api/v2/agents/shared/remember", a, `{"content":"the vault code is swordfish","type":"fact"}`); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	recall := func(token string) string {
		return stack.JSON(t, "POST", "/api/v2/agents/shared/recall", token, `{"query":"vault code"}`).Body
	}
	if !strings.Contains(recall(a), "swordfish") {
		t.Error("tenant A does not find its own memory")
	}
	if strings.Contains(recall(b), "swordfish") {
		t.Error("tenant B sees a memory of tenant A")
	}
}

// Headers by which the edge speaks to the service have no effect from outside.
func TestSpoofedIdentityHasNoEffect(t *testing.T) {
	victim, attacker := stack.Token("victim", scopes), stack.Token("attacker", scopes)
	makeAgent(t, victim, "own")
	makeAgent(t, attacker, "own")
	stack.JSON(t, "POST", "/api/v2/agents/own/remember", victim, `{"content":"the treasure is under the oak","type":"fact"}`)
	for _, spoof := range []map[string]string{
		{"X-Memgate-Tenant": "victim"},
		{"X-Memgate-Tenant": "victim", "X-Memgate-Subject": "svc-victim"},
		{"Txn-Token": victim},
		{"x-request-id": "forged", "X-Memgate-Anything": "1"},
	} {
		header := map[string]string{"Authorization": "Bearer " + attacker, "Content-Type": "application/json"}
		for name, value := range spoof {
			header[name] = value
		}
		r := stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/own/recall", Header: header, Body: `{"query":"where is the treasure"}`})
		if r.Status != 200 || strings.Contains(r.Body, "oak") {
			t.Errorf("%v: %d %s", spoof, r.Status, r.Body)
		}
		if r.ID == "forged" {
			t.Error("the caller chose the request id")
		}
	}
	// With nothing but forged identity there is no way in.
	r := stack.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"Txn-Token": victim, "X-Memgate-Tenant": "victim"}})
	if r.Status != 401 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestBackendRefusesDirectCalls(t *testing.T) {
	token := stack.Token("direct", scopes)
	for name, header := range map[string]map[string]string{
		"nothing":                {},
		"a caller's own token":   {"Authorization": "Bearer " + token},
		"the headers alone":      {"X-Memgate-Tenant": "direct", "X-Memgate-Subject": "svc-direct"},
		"a caller's token as it": {"Txn-Token": token},
	} {
		r := harness.Do(t, stack.BackendURL, harness.Request{Path: "/api/v2/agents", Header: header})
		if r.Status != 401 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}
