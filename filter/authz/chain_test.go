package authz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/tenant"
	"github.com/memgate/memgate/filter/token"
	"github.com/memgate/memgate/filter/txntoken"
)

const testPolicy = `
version: 1
upstream:
  address: 127.0.0.1:8081
  audience: memory
  credential: { header: authorization, prefix: "Bearer ", value: file:upstream.key }
cors: { allow_origins: ["https://app.example.com"], allow_credentials: true }
identity:
  issuers:
    - issuer: https://idp.example.com
      jwks_file: jwks.json
      audiences: [memory]
      algorithms: [ES256]
      tenant: { claim: org_id }
limits: { classes: { write: 2/m, read: 100/m } }
pii:
  request: { default: redact, EMAIL_ADDRESS: hash }
  key: file:pii.key
routes:
  - match: { methods: [GET], path: /healthz }
    anonymous: true
  - name: remember
    match: { methods: [POST], path: "/agents/{agent_id}/remember" }
    require: { scopes: ["memory:write"] }
  - name: purge
    match: { methods: [POST], path: "/agents/{agent_id}/purge" }
    require: { scopes: ["memory:write"], condition: 'request.params.agent_id.startsWith(principal.tenant + "-") && principal.kind == "jwt"' }
  - name: list
    match: { methods: [GET], path: "/tenants/{tenant}/memories" }
    require: { scopes: ["memory:read"] }
`

// testPolicyUnlimited lets a benchmark run.
var testPolicyUnlimited = strings.Replace(testPolicy, "write: 2/m", "write: 1000000000/s", 1)

// fixture is a chain with an issuer of its own and a clock that a test moves.
type fixture struct {
	chain *Chain
	key   jwk.Key
	txn   *txntoken.Verifier
	now   time.Time

	replay *token.MemoryReplay
}

func newFixture(t testing.TB, yaml string) *fixture {
	t.Helper()
	f := &fixture{now: time.Unix(1_800_000_000, 0)}
	clock := func() time.Time { return f.now }
	dir := t.TempDir()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if f.key, err = jwk.Import(private); err != nil {
		t.Fatal(err)
	}
	if err := f.key.Set(jwk.KeyIDKey, "k1"); err != nil {
		t.Fatal(err)
	}
	if err := f.key.Set(jwk.AlgorithmKey, jwa.ES256()); err != nil {
		t.Fatal(err)
	}
	public, err := f.key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"jwks.json": set, "upstream.key": []byte("the-upstreams-own-key\n"), "pii.key": []byte("0123456789abcdef0123456789abcdef\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, _, err := policy.Parse([]byte(yaml), "memgate.yaml", dir)
	if err != nil {
		t.Fatal(err)
	}
	signingKey, err := txntoken.LoadOrCreateKey(filepath.Join(dir, "txn.json"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := txntoken.NewSigner(signingKey, "memgate", 30*time.Second, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "txn-jwks.json"), signer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.txn, err = txntoken.NewVerifier(txntoken.VerifierConfig{Issuer: "memgate", Audience: "memory", JWKSFile: filepath.Join(dir, "txn-jwks.json"), Now: clock}); err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(token.Config{Now: clock, Issuers: []token.IssuerConfig{{
		Issuer: "https://idp.example.com", JWKSFile: filepath.Join(dir, "jwks.json"),
		Audiences: []string{"memory"}, Algorithms: []string{"ES256"}, Tenant: tenant.Rule{Claim: "org_id"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	f.replay = token.NewMemoryReplay(1000, clock)
	proofs, err := token.NewProofVerifier(token.ProofConfig{Algorithms: []string{"ES256"}, MaxAge: time.Minute, Replay: f.replay, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	f.chain, err = NewChain(p, Deps{Proofs: proofs, Tokens: tokens, Limiter: ratelimit.NewMemory(clock, 1000), Signer: signer, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) token(t testing.TB, scope string) string {
	t.Helper()
	tok, err := jwt.NewBuilder().Issuer("https://idp.example.com").Audience([]string{"memory"}).Subject("svc").
		JwtID("id-1").IssuedAt(f.now).Expiration(f.now.Add(time.Hour)).Claim("org_id", "acme").Claim("scope", scope).Build()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(tok, jwt.WithKey(jwa.ES256(), f.key))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func request(method, path string, lines ...string) *Request {
	r := &Request{ID: "req-1", Method: method, Path: path}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Add(name, value)
	}
	return r
}

func get(list []headers.Header, name string) string {
	for _, h := range list {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func TestDecide(t *testing.T) {
	f := newFixture(t, testPolicy)
	good := "Authorization: Bearer " + f.token(t, "memory:read memory:write")
	weak := "Authorization: Bearer " + f.token(t, "memory:read")
	for name, c := range map[string]struct {
		r      *Request
		status int // 0 when allowed
		stage  Stage
		reason identity.Reason
	}{
		"allowed":                    {request("POST", "/agents/a/remember", good), 0, StageAllow, ReasonAllowed},
		"allowed with a query":       {request("POST", "/agents/a/remember?x=1", good), 0, StageAllow, ReasonAllowed},
		"anonymous":                  {request("GET", "/healthz"), 0, StageAllow, ReasonAllowed},
		"own tenant in the path":     {request("GET", "/tenants/acme/memories", good), 0, StageAllow, ReasonAllowed},
		"other tenant in the path":   {request("GET", "/tenants/evil/memories", good), 403, StageTenant, identity.ReasonTenantMismatch},
		"no route":                   {request("GET", "/agents/a/remember", good), 403, StageRoute, ReasonNoRoute},
		"no credential":              {request("POST", "/agents/a/remember"), 401, StageCredential, identity.ReasonNoCredentials},
		"a credential twice":         {request("POST", "/agents/a/remember", good, good), 400, StageCredential, identity.ReasonRepeatedCredential},
		"two credentials":            {request("POST", "/agents/a/remember", good, "X-API-Key: mg_a_b"), 400, StageCredential, identity.ReasonAmbiguousCredentials},
		"not a token":                {request("POST", "/agents/a/remember", "Authorization: Bearer garbage"), 401, StageVerify, identity.ReasonTokenNotCompact},
		"API keys are not in use":    {request("POST", "/agents/a/remember", "X-API-Key: mg_a_b"), 401, StageVerify, ReasonNotAccepted},
		"sessions are not in use":    {request("POST", "/agents/a/remember", good, "X-Session-Token: ms_a_b"), 401, StageVerify, ReasonNotAccepted},
		"a scope is missing":         {request("POST", "/agents/a/remember", weak), 403, StageAccess, identity.ReasonInsufficientScope},
		"the condition holds":        {request("POST", "/agents/acme-1/purge", good), 0, StageAllow, ReasonAllowed},
		"the condition is false":     {request("POST", "/agents/evil-1/purge", good), 403, StageAccess, identity.ReasonCondition},
		"preflight":                  {request("OPTIONS", "/agents/a/remember", "Origin: https://app.example.com", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"), 204, StagePreflight, ReasonPreflight},
		"preflight of a stranger":    {request("OPTIONS", "/agents/a/remember", "Origin: https://evil.example", "Access-Control-Request-Method: POST"), 403, StagePreflight, ReasonOrigin},
		"OPTIONS, not a preflight":   {request("OPTIONS", "/agents/a/remember", good), 403, StageRoute, ReasonNoRoute},
		"preflight, repeated header": {request("OPTIONS", "/agents/a/remember", "Origin: https://app.example.com", "Origin: https://app.example.com", "Access-Control-Request-Method: POST"), 403, StagePreflight, ReasonOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			f.now = f.now.Add(time.Minute) // a fresh quota for each case
			d := f.chain.Decide(context.Background(), c.r)
			if d.Allowed != (c.status == 0) || d.Status != c.status || d.Stage != c.stage || d.Reason != c.reason {
				t.Fatalf("got allowed=%v %d %s %s (%v), want %d %s %s", d.Allowed, d.Status, d.Stage, d.Reason, d.Err, c.status, c.stage, c.reason)
			}
			if !d.Allowed && (len(d.Upstream) > 0 || d.Content != "" || d.HashKey != "") {
				t.Fatalf("a refusal hands something on: %+v", d)
			}
			if get(d.Response, "x-content-type-options") == "" && !d.Allowed {
				t.Fatal("a refusal without security headers")
			}
		})
	}
}

func TestAllowSetsTheIdentity(t *testing.T) {
	f := newFixture(t, testPolicy)
	d := f.chain.Decide(context.Background(), request("POST", "/agents/a/remember",
		"Authorization: Bearer "+f.token(t, "memory:write"),
		"X-Memgate-Tenant: evil", "Txn-Token: forged", "x-memgate-quarantine: no", "X-Memgate-Tenant: worse",
		"Forwarded: for=evil", "X-Forwarded-Host: evil", "Accept-Encoding: br", "Accept: */*", "If-None-Match: a"))
	if !d.Allowed {
		t.Fatalf("%+v", d)
	}
	claims, err := f.txn.Verify(context.Background(), get(d.Upstream, HeaderTxnToken))
	if err != nil {
		t.Fatal(err)
	}
	if claims.Tenant != "acme" || claims.Subject != "svc" || claims.ID != "req-1" || claims.Principal != "id-1" || !claims.HasScope("memory:write") {
		t.Fatalf("%+v", claims)
	}
	if !claims.Expires.Equal(f.now.Add(30 * time.Second)) {
		t.Fatalf("expires %v", claims.Expires)
	}
	if get(d.Upstream, HeaderTenant) != "acme" || get(d.Upstream, HeaderSubject) != "svc" || get(d.Upstream, HeaderRequestID) != "req-1" {
		t.Fatalf("%+v", d.Upstream)
	}
	if got := get(d.Upstream, "authorization"); got != "Bearer the-upstreams-own-key" {
		t.Fatalf("the upstream's own key: %q", got)
	}
	if want := []string{"x-memgate-tenant", "txn-token", "x-memgate-quarantine"}; !slices.Equal(d.Spoofed, want) {
		t.Fatalf("spoofed %v", d.Spoofed)
	}
	// Envoy removes after it has set: what is set must not be removed.
	for _, name := range d.Remove {
		if get(d.Upstream, name) != "" {
			t.Fatalf("%s is set and removed", name)
		}
	}
	for _, name := range []string{"x-api-key", "x-session-token", "x-memgate-quarantine", "forwarded", "x-forwarded-host", "accept-encoding"} {
		if !slices.Contains(d.Remove, name) {
			t.Fatalf("%s stays", name)
		}
	}
	// A precondition of a change; the Wasm filter takes it off requests that read.
	if slices.Contains(d.Remove, "if-none-match") {
		t.Fatal("if-none-match is removed")
	}
	if d.HashKey == "" {
		t.Fatal("the action hash is in use and no key is handed on")
	}
	if _, ok := f.chain.Content(d.Content); !ok {
		t.Fatal("no content policy has the digest")
	}
}

func TestAnonymousCarriesNoIdentity(t *testing.T) {
	f := newFixture(t, testPolicy)
	d := f.chain.Decide(context.Background(), request("GET", "/healthz",
		"Authorization: Bearer garbage", "X-Memgate-Tenant: evil", "Txn-Token: forged"))
	if !d.Allowed {
		t.Fatalf("%+v", d)
	}
	if d.HashKey == "" {
		t.Error("the response may have to be hashed, and there is no key for that")
	}
	for _, name := range []string{HeaderTxnToken, HeaderTenant, HeaderSubject} {
		if get(d.Upstream, name) != "" {
			t.Errorf("%s is set", name)
		}
	}
	for _, name := range []string{HeaderTxnToken, HeaderTenant} {
		if !slices.Contains(d.Remove, name) {
			t.Errorf("a forged %s stays", name)
		}
	}
}

func TestQuota(t *testing.T) {
	f := newFixture(t, testPolicy)
	r := request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:write"), "Origin: https://app.example.com")
	for i := range 2 {
		d := f.chain.Decide(context.Background(), r)
		if !d.Allowed || get(d.Response, "ratelimit") == "" || get(d.Response, "ratelimit-policy") == "" {
			t.Fatalf("request %d: %+v", i, d)
		}
	}
	d := f.chain.Decide(context.Background(), r)
	if d.Allowed || d.Status != 429 || get(d.Response, "retry-after") == "" || get(d.Response, "access-control-allow-origin") == "" {
		t.Fatalf("%+v", d)
	}
	f.now = f.now.Add(31 * time.Second)
	if d := f.chain.Decide(context.Background(), r); !d.Allowed {
		t.Fatalf("after half a minute: %+v", d)
	}
}

func TestChallenges(t *testing.T) {
	f := newFixture(t, testPolicy)
	for want, r := range map[string]*Request{
		`Bearer realm="memgate"`:                                                   request("POST", "/agents/a/remember"),
		`Bearer realm="memgate", error="invalid_token"`:                            request("POST", "/agents/a/remember", "Authorization: Bearer garbage"),
		`Bearer realm="memgate", error="insufficient_scope", scope="memory:write"`: request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:read")),
		``: request("GET", "/nowhere"),
	} {
		if got := get(f.chain.Decide(context.Background(), r).Response, "www-authenticate"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// An answer that comes too late is no permission: Envoy has given up and
// answered, and nothing may count on the decision.
func TestCancelledCheckIsDenied(t *testing.T) {
	f := newFixture(t, testPolicy)
	r := request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:write"))
	if d := f.chain.Decide(context.Background(), r); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d := f.chain.Decide(ctx, r); d.Allowed || d.Status != 503 {
		t.Fatalf("%+v", d)
	}
}

// Where the operator trusts a proxy in front, what it forwards stays.
func TestForwardingOfTrustedProxies(t *testing.T) {
	f := newFixture(t, testPolicy+"envoy: { trusted_hops: 1 }\n")
	d := f.chain.Decide(context.Background(), request("GET", "/healthz", "X-Forwarded-Host: a.example"))
	if !d.Allowed || slices.Contains(d.Remove, "x-forwarded-host") {
		t.Fatalf("%+v", d)
	}
}

// After a switch of protocols nobody would know what passes. Envoy in a mesh may let the
// request this far.
func TestUpgradeIsRefused(t *testing.T) {
	f := newFixture(t, testPolicy)
	for _, protocol := range []string{"websocket", "h2c", ""} {
		d := f.chain.Decide(context.Background(), request("GET", "/healthz", "Connection: upgrade", "Upgrade: "+protocol))
		if d.Allowed || d.Status != 403 || d.Reason != ReasonUpgrade {
			t.Errorf("%q: %+v", protocol, d)
		}
	}
}

// Two hosts arrive as one with a comma, and servers differ on which of them counts.
func TestMalformedHost(t *testing.T) {
	f := newFixture(t, testPolicy)
	for host, allowed := range map[string]bool{
		"edge.example.com": true, "edge.example.com:8443": true, "[::1]:80": true, "": true,
		"a.example,b.example": false, "user@a.example": false, "a.example/x": false, "a b": false, "a?b": false,
	} {
		r := request("GET", "/healthz")
		r.Host = host
		if d := f.chain.Decide(context.Background(), r); d.Allowed != allowed || !allowed && d.Status != 400 {
			t.Errorf("%q: %+v", host, d)
		}
	}
}

// What came in early data can be sent again by others, so it must change nothing.
func TestEarlyData(t *testing.T) {
	f := newFixture(t, testPolicy)
	credential := "Authorization: Bearer " + f.token(t, "memory:read memory:write")
	for _, c := range []struct {
		method, path, value string
		want                int // 0 for allowed
	}{
		{"POST", "/agents/a/remember", "1", 425},
		{"POST", "/agents/a/remember", "0", 425}, // an invalid value counts as 1
		{"POST", "/agents/a/remember", "", 425},
		{"GET", "/healthz", "1", 0},
		{"POST", "/nowhere", "1", 403},
	} {
		d := f.chain.Decide(context.Background(), request(c.method, c.path, credential, "Early-Data: "+c.value))
		if d.Status != c.want || d.Allowed != (c.want == 0) || c.want == 425 && d.Reason != ReasonEarly {
			t.Errorf("%s %s with %q: %d %s", c.method, c.path, c.value, d.Status, d.Reason)
		}
		if d.Allowed && slices.Contains(d.Remove, "early-data") {
			t.Error("the service does not learn of early data")
		}
	}
}

func TestMissingUpstreamKeyIsFoundAtStart(t *testing.T) {
	p, _, err := policy.Parse([]byte(testPolicy), "memgate.yaml", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewChain(p, Deps{}); err == nil {
		t.Fatal("a chain without the upstream's key")
	}
}

func TestExplainNamesEachStage(t *testing.T) {
	f := newFixture(t, testPolicy)
	_, steps := f.chain.Explain(context.Background(), request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:read")))
	var got []string
	for _, s := range steps {
		got = append(got, string(s.Stage))
	}
	if want := []string{"preflight", "route", "credential", "verify", "tenant", "access"}; !slices.Equal(got, want) {
		t.Fatalf("%v", got)
	}
	if last := steps[len(steps)-1]; last.Verdict != Deny || !strings.Contains(last.Note, "memory:write") {
		t.Fatalf("%+v", last)
	}
}

func TestTenantKeysDiffer(t *testing.T) {
	master := []byte("master")
	if slices.Equal(TenantKey(master, "a"), TenantKey(master, "b")) || !slices.Equal(TenantKey(master, "a"), TenantKey(master, "a")) {
		t.Fatal("the key must depend on the tenant, and on nothing else")
	}
}
