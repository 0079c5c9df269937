package harness

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/txntoken"
)

// Stack is the whole system, each part a process of its own: Envoy, memgate and
// the memory backend, with an issuer of tokens, under a policy file.
type Stack struct {
	*Envoy
	Memgate *Process
	Backend *Process
	IDP     *IDP

	Config      string // path of the policy file
	Dir         string // its folder, where keys, data and the audit log are
	BackendURL  string // the backend itself, past the edge
	MemgateHTTP string // memgate's HTTP port
	MemgateGRPC string // host:port of memgate's gRPC port

	t      T
	policy *policy.Policy
}

// Development ports and folder that memgate.yaml names.
const (
	yamlUpstream = `"127.0.0.1:8081"`
	yamlIssuer   = "http://127.0.0.1:9010"
	yamlRun      = ".run/"
)

// StartStack runs the system until the test ends, by the repository's own
// memgate.yaml with other addresses. change may edit the text of the policy; it
// may be nil.
func StartStack(t T, change func(yaml string) string) *Stack {
	t.Helper()
	s := StartServices(t, change)
	s.Envoy = startEdge(t, s.policy)
	return s
}

// StartServices is [StartStack] without Envoy, for a suite that brings its own.
func StartServices(t T, change func(yaml string) string) *Stack {
	t.Helper()
	s := &Stack{t: t, Dir: t.TempDir()}
	s.Config = filepath.Join(s.Dir, "memgate.yaml")
	upstream := FreeAddress(t)
	s.IDP = startIDP(t)
	s.MemgateGRPC = FreeAddress(t)
	address := FreeAddress(t)
	s.MemgateHTTP, s.BackendURL = "http://"+address, "http://"+upstream

	text, err := os.ReadFile(filepath.Join(Root(), "memgate.yaml"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	yaml := string(text)
	for old, new := range map[string]string{yamlUpstream: `"` + upstream + `"`, yamlIssuer: s.IDP.URL, yamlRun: ""} {
		if !strings.Contains(yaml, old) {
			t.Fatalf("memgate.yaml does not hold %s any more", old)
		}
		yaml = strings.ReplaceAll(yaml, old, new)
	}
	yaml += "\nserver: { grpc: \"" + s.MemgateGRPC + "\", http: \"" + address + "\" }\nenvoy: { wasm: \"" + Wasm(t) + "\" }\n"
	if change != nil {
		yaml = change(yaml)
	}
	s.WritePolicy(yaml)
	if s.policy, _, err = policy.Load(s.Config); err != nil {
		t.Fatalf("%v", err)
	}
	if s.policy.Server.TLS != nil {
		s.MemgateHTTP = "https://" + address
	}
	if s.policy.Upstream.TLS != nil {
		s.BackendURL = "https://" + upstream
	}
	keys, err := dev.LoadIssuer(s.Dir, s.IDP.URL)
	if err != nil {
		t.Fatalf("%v", err)
	}
	documents, err := keys.Handler()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.IDP.serve(documents)
	s.APIKey("first", "memory:read") // makes the file of keys
	s.StartMemgate()
	s.StartBackend()
	return s
}

// StartMemgate starts memgate, at first or after it was stopped.
func (s *Stack) StartMemgate() {
	s.t.Helper()
	s.LaunchMemgate()
	s.Memgate.WaitReady(s.MemgateHTTP + "/readyz")
}

// LaunchMemgate starts memgate and waits until it answers, not until it is ready.
func (s *Stack) LaunchMemgate() {
	s.t.Helper()
	s.Memgate = Start(s.t, "memgate", nil, Memgate(s.t), "serve", "--config", s.Config)
	s.Memgate.WaitReady(s.MemgateHTTP + "/healthz")
}

// StartBackend starts the memory backend, at first or after it was stopped.
func (s *Stack) StartBackend() {
	s.t.Helper()
	args := []string{"serve",
		"--listen", s.BackendURL[strings.LastIndex(s.BackendURL, "/")+1:], "--data", filepath.Join(s.Dir, "data"),
		"--txn-issuer", "memgate", "--txn-audience", "memory", "--txn-jwks", s.MemgateHTTP + "/.well-known/jwks.json"}
	if t := s.policy.Tracing; t != nil && t.TLS == nil {
		args = append(args, "--otlp", "http://"+t.OTLP)
	}
	s.Backend = Start(s.t, "memory-backend", nil, MemoryBackend(s.t), args...)
	if s.policy.Upstream.TLS != nil {
		s.Backend.WaitLog(`"msg":"listening"`) // it answers the edge alone
		return
	}
	s.Backend.WaitReady(s.BackendURL + "/healthz")
}

// Policy returns the text of the policy file.
func (s *Stack) Policy() string {
	s.t.Helper()
	text, err := os.ReadFile(s.Config)
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return string(text)
}

// WritePolicy replaces the policy file, as an editor does.
func (s *Stack) WritePolicy(yaml string) {
	s.t.Helper()
	if err := os.WriteFile(s.Config+".new", []byte(yaml), 0o600); err != nil {
		s.t.Fatalf("%v", err)
	}
	if err := os.Rename(s.Config+".new", s.Config); err != nil {
		s.t.Fatalf("%v", err)
	}
}

// Token returns a token of the issuer for a tenant, with scopes separated by
// spaces.
func (s *Stack) Token(tenant, scope string) string {
	s.t.Helper()
	return s.TokenFor(dev.Claims{Tenant: tenant, Subject: "svc-" + tenant, Scope: scope, TTL: time.Hour})
}

// TokenFor returns a token of the issuer.
func (s *Stack) TokenFor(c dev.Claims) string {
	s.t.Helper()
	token, err := dev.Mint(s.policy, s.Dir, c, time.Now())
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return token
}

// APIKey creates an API key by the command line and returns it.
func (s *Stack) APIKey(tenant, scope string) string {
	s.t.Helper()
	return strings.TrimSpace(s.CLI("key", "create", "--config", s.Config, "--tenant", tenant, "--scope", scope))
}

// CLI runs the memgate command and returns its standard output.
func (s *Stack) CLI(args ...string) string {
	s.t.Helper()
	var failure strings.Builder
	cmd := exec.Command(Memgate(s.t), args...)
	cmd.Dir, cmd.Stderr = s.Dir, &failure
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("memgate %s: %v\n%s%s", strings.Join(args, " "), err, out, failure.String())
	}
	return string(out)
}

// Do sends a request through the edge.
func (s *Stack) Do(t T, r Request) *Response {
	t.Helper()
	return Do(t, s.URL, r)
}

// JSON sends a JSON body through the edge with a token.
func (s *Stack) JSON(t T, method, path, token, body string) *Response {
	t.Helper()
	header := map[string]string{"Authorization": "Bearer " + token}
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	return s.Do(t, Request{Method: method, Path: path, Header: header, Body: body})
}

// Raw sends a request of these lines through the edge; see [Raw].
func (s *Stack) Raw(t T, lines ...string) *Response {
	t.Helper()
	return Raw(t, s.Addr, lines...)
}

// Held asks the service itself, past the edge and what that redacts, with an
// identity that the edge would have signed. It tells what the service holds.
func (s *Stack) Held(t T, tenant, method, path, body string) string {
	t.Helper()
	token := s.TxnToken(t, tenant)
	header := map[string]string{"Txn-Token": token, "Content-Type": "application/json"}
	r := Do(t, s.BackendURL, Request{Method: method, Path: path, Header: header, Body: body})
	if r.Status != 200 {
		t.Fatalf("%s %s behind the edge: %d %s", method, path, r.Status, r.Body)
	}
	return r.Body
}

// TxnToken is an identity that the edge would have signed, which may read the
// memories of a tenant for a minute.
func (s *Stack) TxnToken(t T, tenant string) string {
	t.Helper()
	key, err := txntoken.LoadOrCreateKey(filepath.Join(s.Dir, "txn-key.json"), rand.Reader)
	if err != nil {
		t.Fatalf("%v", err)
	}
	signer, err := txntoken.NewSigner(key, "memgate", time.Minute, time.Now)
	if err != nil {
		t.Fatalf("%v", err)
	}
	token, err := signer.Sign(txntoken.Claims{ID: "held", Audience: "memory", Subject: "test", Tenant: tenant, Kind: "jwt", Scopes: []string{"memory:read"}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return token
}

// Metrics reads all of memgate's metrics, by name with labels.
func (s *Stack) Metrics(t T) map[string]float64 {
	t.Helper()
	r := Do(t, s.MemgateHTTP, Request{Path: "/metrics"})
	if r.Status != 200 {
		t.Fatalf("/metrics: %d", r.Status)
	}
	out := make(map[string]float64)
	for line := range strings.Lines(r.Body) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			out[line[:at]] = value
		}
	}
	return out
}

// Metric reads one of memgate's metrics, by name with labels; -1 if there is none.
func (s *Stack) Metric(t T, name string) float64 {
	t.Helper()
	if value, ok := s.Metrics(t)[name]; ok {
		return value
	}
	return -1
}

// Audited waits for the audit event of a request and decodes what memgate adds
// to its schema into event.
func (s *Stack) Audited(t T, id string, event any) {
	t.Helper()
	var line string
	Eventually(t, func() error {
		if line = s.CLI("audit", "query", "--config", s.Config, "--request-id", id); line == "" {
			return fmt.Errorf("no event of request %s", id)
		}
		return nil
	})
	whole := struct{ Unmapped any }{event}
	if err := json.Unmarshal([]byte(line), &whole); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
}

// Want returns an error unless a response has the status.
func Want(r *Response, status int) error {
	if r.Status != status {
		return fmt.Errorf("status %d, want %d: %s", r.Status, status, r.Body)
	}
	return nil
}

// Issuer returns the issuer of the stack's tokens.
func (s *Stack) Issuer() string { return s.IDP.URL }

// CLIFails runs the memgate command, which must exit with 1, and returns what it
// wrote.
func (s *Stack) CLIFails(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(Memgate(s.t), args...)
	cmd.Dir = s.Dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		s.t.Fatalf("memgate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
