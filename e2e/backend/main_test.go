// Package backend tests what the memory service does as a process of its own, without the edge: with thousands of
// tenants and few files, on a disk that takes no more, and what stands on the disk of all that it was told.
package backend

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/txntoken"
)

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) { harness.MemoryBackend(t) })
}

// edge signs what a service believes.
type edge struct {
	signer *txntoken.Signer
	jwks   string // path
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{jwks: filepath.Join(t.TempDir(), "jwks.json")}
	if e.signer, err = txntoken.NewSigner(key, "memgate", time.Minute, time.Now); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.jwks, e.signer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// service is one that runs.
type service struct {
	*edge
	*harness.Process
	url string
}

// serve starts the service by a shell, which runs prepare before it becomes the service.
func (e *edge) serve(t *testing.T, prepare string, env []string, args ...string) *service {
	t.Helper()
	address := harness.FreeAddress(t)
	args = append([]string{"-c", prepare + `exec "$0" "$@"`, harness.MemoryBackend(t), "serve", "--listen", address, "--txn-jwks", e.jwks}, args...)
	s := &service{edge: e, url: "http://" + address, Process: harness.Start(t, "memory-backend", env, "/bin/sh", args...)}
	s.WaitReady(s.url + "/readyz")
	return s
}

// ask sends a request for a tenant, with a header if it is not empty.
func (s *service) ask(t *testing.T, tenant, method, path, body string, header ...string) (int, map[string]any) {
	t.Helper()
	token, err := s.signer.Sign(txntoken.Claims{ID: "r", Audience: "upstream", Subject: "somebody", Tenant: tenant, Kind: "jwt", Principal: "p"})
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"Txn-Token": token, "Content-Type": "application/json"}
	for i := 0; i+1 < len(header); i += 2 {
		headers[header[i]] = header[i+1]
	}
	r := harness.Do(t, s.url, harness.Request{Method: method, Path: path, Header: headers, Body: body})
	var a map[string]any
	_ = json.Unmarshal([]byte(r.Body), &a)
	if a == nil {
		a = map[string]any{"text": r.Body}
	}
	return r.Status, a
}

// remember stores a text and returns the memory's id.
func (s *service) remember(t *testing.T, tenant, content string) string {
	t.Helper()
	status, a := s.ask(t, tenant, "POST", "/api/v2/agents/bot/remember", fmt.Sprintf(`{"content":%q}`, content))
	id, _ := a["memory_id"].(string)
	if status != 200 || id == "" {
		t.Fatalf("remember: %d %v", status, a)
	}
	return id
}

// command runs another command of the binary, which must succeed.
func (s *service) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(harness.MemoryBackend(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}
