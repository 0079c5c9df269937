package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/policy"
)

// kinds are the credentials that are measured.
var kinds = []string{"ES256", "RS256", "EdDSA", "API key"}

// service is one that answers checks.
type service struct {
	name    string
	address string
	metrics string // URL, or ""
	process *harness.Process
	client  authv3.AuthorizationClient
}

// bench is all that is measured, running.
type bench struct {
	t        *run
	options  options
	dir      string
	policy   *policy.Policy
	keys     map[string]jwk.Key // by kind
	apiKey   string
	services []*service // memgate, the one that does nothing, OPA
	upstream *harness.Process
}

func issuerOf(kind string) string { return "https://" + strings.ToLower(kind) + ".issuer.example" }

func start(t *run, o options) *bench {
	b := &bench{t: t, options: o, dir: t.TempDir(), keys: map[string]jwk.Key{}}
	grpcAddress, httpAddress, upstreamAddress := harness.FreeAddress(t), harness.FreeAddress(t), harness.FreeAddress(t)
	var yaml strings.Builder
	fmt.Fprintf(&yaml, `version: 1
upstream: { address: %q, audience: memory }
identity:
  api_keys: { file: file:keys.yaml }
  issuers:
`, upstreamAddress)
	for _, kind := range kinds[:3] {
		b.makeKey(kind)
		fmt.Fprintf(&yaml, "    - { issuer: %q, jwks_file: %s.json, audiences: [memory], algorithms: [%s], tenant: { claim: org_id } }\n", issuerOf(kind), kind, kind)
	}
	fmt.Fprintf(&yaml, `limits: { classes: { write: 900000000/s, read: 900000000/s } }
pii: { request: { default: redact }, response: { default: redact } }
audit: { file: audit.log, key: "file:audit.key" }
routes:
  - name: remember
    match: { methods: [POST], path: "/agents/{agent_id}/remember" }
    require: { scopes: ["memory:write"] }
    content: { fields: { content: 10KiB, metadata: 5KiB } }
server: { grpc: %q, http: %q }
envoy: { wasm: %q }
`, grpcAddress, httpAddress, harness.Wasm(t))
	config := b.write("memgate.yaml", yaml.String())
	var err error
	if b.policy, _, err = policy.Load(config); err != nil {
		t.Fatalf("%v", err)
	}
	out, err := exec.Command(harness.Memgate(t), "key", "create", "--config", config, "--tenant", "acme", "--subject", "svc", "--scope", "memory:write").Output()
	if err != nil {
		t.Fatalf("key create: %v", err)
	}
	b.apiKey = strings.TrimSpace(string(out))

	memgate := b.serve("memgate", grpcAddress, "http://"+httpAddress+"/metrics", harness.Memgate(t), "serve", "--config", config)
	memgate.process.WaitReady("http://" + httpAddress + "/readyz")
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("%v", err)
	}
	idle, idleMetrics := harness.FreeAddress(t), harness.FreeAddress(t)
	b.serve("nothing", idle, "http://"+idleMetrics, self, roleFlag, "nothing", idle, idleMetrics).process.WaitReady("http://" + idleMetrics)
	if o.opa != "" {
		b.startOPA()
	}
	b.upstream = harness.Start(t, "upstream", nil, self, roleFlag, "upstream", upstreamAddress)
	b.upstream.WaitReady("http://" + upstreamAddress)
	return b
}

func (b *bench) write(name, text string) (path string) {
	path = filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatalf("%v", err)
	}
	return path
}

// serve starts a service and connects to it.
func (b *bench) serve(name, address, metrics, path string, args ...string) *service {
	s := &service{name: name, address: address, metrics: metrics}
	s.process = harness.Start(b.t, name, nil, path, args...)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	s.client = authv3.NewAuthorizationClient(conn)
	b.services = append(b.services, s)
	return s
}

// makeKey makes the key of an issuer, and writes its key set.
func (b *bench) makeKey(kind string) {
	var raw any
	var err error
	switch kind {
	case "ES256":
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		raw, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, raw, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	key, err := jwk.Import(raw)
	if err == nil {
		err = key.Set(jwk.KeyIDKey, "k1")
	}
	algorithm, _ := jwa.LookupSignatureAlgorithm(kind)
	if err == nil {
		err = key.Set(jwk.AlgorithmKey, algorithm)
	}
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	b.keys[kind] = key
	b.write(kind+".json", b.keySet(kind))
}

func (b *bench) keySet(kind string) string {
	public, err := b.keys[kind].PublicKey()
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	return string(set)
}

// token mints one, changed by the function if there is one.
func (b *bench) token(kind, id string, change func(*jwt.Builder) *jwt.Builder) string {
	now := time.Now()
	builder := jwt.NewBuilder().Issuer(issuerOf(kind)).Audience([]string{"memory"}).Subject("svc").JwtID(id).
		IssuedAt(now).Expiration(now.Add(time.Hour)).Claim("org_id", "acme").Claim("scope", "memory:read memory:write")
	if change != nil {
		builder = change(builder)
	}
	token, err := builder.Build()
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	algorithm, _ := b.keys[kind].Algorithm()
	signed, err := jwt.Sign(token, jwt.WithKey(algorithm, b.keys[kind]))
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	return string(signed)
}

//go:embed opa.rego
var rego string

// startOPA runs OPA's plugin with a policy of the same effect as memgate's.
func (b *bench) startOPA() {
	pepper, err := os.ReadFile(filepath.Join(b.dir, "keys.yaml.pepper"))
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	secret := strings.TrimSpace(string(pepper))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(b.apiKey))
	jwks := map[string]string{}
	for _, kind := range kinds[:3] {
		jwks[issuerOf(kind)] = b.keySet(kind)
	}
	data, err := json.Marshal(map[string]any{"bench": map[string]any{"jwks": jwks, "pepper": secret, "keys": map[string]any{
		hex.EncodeToString(mac.Sum(nil)): map[string]any{"tenant": "acme", "subject": "svc", "scopes": []string{"memory:write"}},
	}}})
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	address, diagnostics, api := harness.FreeAddress(b.t), harness.FreeAddress(b.t), harness.FreeAddress(b.t)
	s := b.serve("OPA", address, "http://"+diagnostics+"/metrics", b.options.opa, "run", "--server", "--log-level", "error",
		"--addr", api, "--diagnostic-addr", diagnostics,
		"--set", "plugins.envoy_ext_authz_grpc.addr="+address, "--set", "plugins.envoy_ext_authz_grpc.path=check/answer",
		"--set", "plugins.envoy_ext_authz_grpc.skip-request-body-parse=true",
		b.write("opa.rego", rego), b.write("opa.json", string(data)))
	s.process.WaitReady("http://" + diagnostics + "/health?plugins")
}
