// Package keys tests API keys in a file and in a Redis through a real Envoy: what the command
// line does to them, and what instances know of it.
package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, func(harness.T) {}) }

const fileKeys = "api_keys: { file: file:keys.yaml }"

// list asks for the agents of a key's tenant.
func list(t *testing.T, s *harness.Stack, key string) *harness.Response {
	t.Helper()
	return s.Do(t, harness.Request{Method: "GET", Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": key}})
}

func await(t *testing.T, s *harness.Stack, key string, status int) {
	t.Helper()
	harness.Eventually(t, func() error { return harness.Want(list(t, s, key), status) })
}

// row is the line of a key in memgate key list.
func row(s *harness.Stack, id string) string {
	for line := range strings.Lines(s.CLI("key", "list", "--config", s.Config)) {
		if strings.HasPrefix(line, id) {
			return line
		}
	}
	return ""
}

func id(key string) string { return strings.SplitN(key, "_", 4)[2] }

// life is what becomes of a key, wherever it is kept.
func life(t *testing.T, s *harness.Stack) {
	t.Helper()
	key := strings.TrimSpace(s.CLI("key", "create", "--config", s.Config, "--tenant", "acme", "--scope", "memory:read", "--expires-in", "120h", "--name", "nightly"))
	await(t, s, key, 200)
	if got := row(s, id(key)); !strings.Contains(got, "expires in ") || !strings.Contains(got, "nightly") {
		t.Errorf("key list: %q", got)
	}
	next := strings.TrimSpace(s.CLI("key", "rotate", "--config", s.Config, "--overlap", "1h", id(key)))
	await(t, s, next, 200)
	if r := list(t, s, key); r.Status != 200 {
		t.Errorf("during the overlap: %d", r.Status)
	}
	if got := row(s, id(key)); !strings.Contains(got, "until ") {
		t.Errorf("key list of the old key: %q", got)
	}
	if got := row(s, id(next)); !strings.Contains(got, "acme") || !strings.Contains(got, "memory:read") || !strings.Contains(got, "expires in ") || !strings.Contains(got, "key:"+id(key)) {
		t.Errorf("key list of the new key: %q", got)
	}
	s.CLI("key", "revoke", "--config", s.Config, id(key))
	await(t, s, key, 401)
	if r := list(t, s, next); r.Status != 200 {
		t.Errorf("the successor: %d", r.Status)
	}
	if out := s.CLIFails("key", "rotate", "--config", s.Config, id(key)); !strings.Contains(out, "is revoked") {
		t.Errorf("rotating a revoked key: %s", out)
	}
	if out := s.CLIFails("key", "rotate", "--config", s.Config, "000000000000"); !strings.Contains(out, "no key has this id") {
		t.Errorf("rotating nothing: %s", out)
	}

	// When it was used is known after the process has ended, and not before each request.
	s.Memgate.Stop()
	today := time.Now().UTC().Format("2006-01-02T")
	yesterday := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T") // it may have been before midnight
	if got := row(s, id(next)); !strings.Contains(got, today) && !strings.Contains(got, yesterday) {
		t.Errorf("key list after the use: %q", got)
	}
	s.StartMemgate()
	await(t, s, next, 200)
	// A start tells which keys expire soon, and the metrics how many there are.
	harness.Eventually(t, func() error {
		r, err := http.Get(s.MemgateHTTP + "/metrics")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		for _, want := range []string{`memgate_api_keys{state="expiring"} 1`, `memgate_api_keys{state="revoked"} 1`, "memgate_api_key_next_expiry_timestamp_seconds 1"} {
			if err == nil && !strings.Contains(string(text), want) {
				err = errors.New("no " + want)
			}
		}
		return err
	})
	if log := s.Memgate.Log(1 << 20); !strings.Contains(log, "expires soon") || !strings.Contains(log, id(next)) || strings.Contains(log, next) {
		t.Errorf("log: %s", log)
	}
}

func TestFile(t *testing.T) {
	life(t, harness.StartStack(t, nil))
}

// inRedis keeps the keys of memgate.yaml in a Redis.
func inRedis(t *testing.T, r *harness.Redis, more string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"url": r.URL, "pepper": strings.Repeat("p", 40)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(yaml string) string {
		out := strings.Replace(yaml, fileKeys, `api_keys: { redis: "file:`+filepath.Join(dir, "url")+`", pepper: "file:`+filepath.Join(dir, "pepper")+`"`+more+` }`, 1)
		if out == yaml {
			t.Fatal("memgate.yaml has other keys")
		}
		return out
	}
}

func TestRedis(t *testing.T) {
	life(t, harness.StartStack(t, inRedis(t, harness.StartRedis(t), "")))
}

// While the Redis is away, a key that was used goes on for a while, one that was not gets 503,
// and everything is as it was when the Redis is back.
func TestRedisAway(t *testing.T) {
	r := harness.StartRedis(t)
	s := harness.StartStack(t, inRedis(t, r, ", max_stale: 1h"))
	used, unused := s.APIKey("acme", "memory:read"), s.APIKey("acme", "memory:read")
	await(t, s, used, 200)
	r.Pause()
	harness.Eventually(t, func() error {
		if !strings.Contains(s.Memgate.Log(1<<20), "the Redis of the API keys does not answer") {
			return errors.New("the log does not tell")
		}
		return nil
	})
	if got := list(t, s, used); got.Status != 200 {
		t.Errorf("a key that was used: %d %s", got.Status, got.Body)
	}
	got := list(t, s, unused)
	if got.Status != 503 || strings.Contains(got.Body, "Redis") || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a key that was not: %d %s", got.Status, got.Body)
	}
	r.Resume()
	await(t, s, unused, 200)
	harness.Eventually(t, func() error {
		if out := s.CLI("key", "list", "--config", s.Config); !strings.Contains(out, id(unused)) {
			return fmt.Errorf("key list: %s", out)
		}
		return nil
	})
	harness.Needs(t, harness.OwnRoutes)
	// A revoked key takes its sessions with it.
	session := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/a/activate", Header: map[string]string{"X-API-Key": used}})
	var token struct {
		Session string `json:"session_token"`
	}
	if err := json.Unmarshal([]byte(session.Body), &token); err != nil || token.Session == "" {
		t.Fatalf("no session: %s", session.Body)
	}
	status := func() int {
		return s.Do(t, harness.Request{Method: "GET", Path: "/api/v2/agents", Header: map[string]string{"X-Session-Token": token.Session}}).Status
	}
	if got := status(); got != 200 {
		t.Errorf("the session: %d", got)
	}
	s.CLI("key", "revoke", "--config", s.Config, id(used))
	await(t, s, used, 401)
	harness.Eventually(t, func() error {
		if got := status(); got != 401 {
			return fmt.Errorf("the session of a revoked key: %d", got)
		}
		return nil
	})
}
