package tracing

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// below waits for spans of a name below one, and returns their operations.
func below(t *testing.T, c *collector, above span, name string) (operations []string) {
	t.Helper()
	harness.Eventually(t, func() error {
		operations = nil
		for _, s := range c.find(func(s span) bool {
			return s.GetName() == name && bytes.Equal(s.GetParentSpanId(), above.GetSpanId()) && s.trace() == above.trace()
		}) {
			operations = append(operations, s.attribute("db.operation.name"))
		}
		if operations == nil {
			return fmt.Errorf("no %s below the check", name)
		}
		return nil
	})
	return operations
}

// What a check asks Redis, of keys, sessions and limits, is in the trace of its request,
// without what was asked for.
func TestRedis(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"url": redis.URL, "pepper": strings.Repeat("p", 40), "key": strings.Repeat("k", 32)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return `"file:` + filepath.Join(dir, name) + `"` }
	address := harness.FreeAddress(t)
	c := listen(t, address)
	s := harness.StartStack(t, traced(t, address, "sample: 1, service: edge-test",
		"api_keys: { file: file:keys.yaml }", "api_keys: { redis: "+file("url")+", pepper: "+file("pepper")+" }",
		"sessions: { ttl: 6h }", "sessions: { ttl: 6h, key: "+file("key")+" }",
		"state: { file: state.db }", "state: { redis: "+file("url")+" }",
		"\nlimits:\n", "\nlimits:\n  store: redis\n  redis: { url: "+file("url")+", timeout: 500ms }\n"))
	key := s.APIKey("acme", "memory:read memory:write")
	ask := func(header, value string) span {
		t.Helper()
		r := s.Do(t, harness.Request{Method: "GET", Path: "/api/v2/agents", Header: map[string]string{header: value}})
		if r.Status != 200 {
			t.Fatalf("%s: %d %s", header, r.Status, r.Body)
		}
		_, check := joined(t, c, r.Header.Get("x-request-id"))
		return check
	}

	first := ask("X-API-Key", key)
	if got := below(t, c, first, "memgate.api_keys"); len(got) != 1 || got[0] != "pipeline" {
		t.Errorf("the look-up of a key: %q", got)
	}
	if got := below(t, c, first, "memgate.limits"); got[0] != "evalsha" {
		t.Errorf("the limits: %q", got)
	}
	r := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/bot/activate", Header: map[string]string{"X-API-Key": key}})
	var session struct {
		Token string `json:"session_token"`
	}
	if err := json.Unmarshal([]byte(r.Body), &session); err != nil || r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	s.Memgate.Stop() // what it knows of the session ends with it
	s.StartMemgate()
	if got := below(t, c, ask("X-Session-Token", session.Token), "memgate.state"); len(got) != 1 || got[0] != "get" {
		t.Errorf("the look-up of a session: %q", got)
	}
	for _, s := range c.find(func(s span) bool { return s.attribute("db.system.name") == "redis" }) {
		if len(s.GetParentSpanId()) == 0 {
			t.Errorf("%s is a trace of its own", s.GetName())
		}
	}
	for _, word := range []string{"bot", key, strings.Split(key, "_")[2], session.Token, "HMGET", "acme", "svc"} {
		if strings.Contains(c.all(), word) {
			t.Errorf("%q is in a span", word)
		}
	}
}

// A token with a key that nobody knows has the keys fetched, which is part of its request's
// trace. Those that are fetched ahead of need are nobody's.
func TestKeysForACheck(t *testing.T) {
	t.Parallel()
	address := harness.FreeAddress(t)
	c := listen(t, address)
	s := harness.StartStack(t, traced(t, address, "sample: 1, service: edge-test"))
	parts := strings.Split(s.Token("acme", "memory:read"), ".")
	unknown := func(n int) string {
		raw, err := base64.RawURLEncoding.DecodeString(parts[0])
		var header map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &header)
		}
		if err != nil {
			t.Fatal(err)
		}
		header["kid"] = fmt.Sprint("nobody-", n)
		raw, _ = json.Marshal(header)
		return base64.RawURLEncoding.EncodeToString(raw) + "." + parts[1] + "." + parts[2]
	}
	n := 0
	harness.Eventually(t, func() error { // as they are fetched once in ten seconds
		n++
		_, check := joined(t, c, get(t, s, unknown(n), 401, nil))
		if check.attribute("memgate.reason") != "key_unknown" {
			t.Fatalf("refused for %q", check.attribute("memgate.reason"))
		}
		for _, f := range c.find(func(s span) bool { return s.GetName() == "memgate.keys" && len(s.GetParentSpanId()) > 0 }) {
			if len(c.find(func(s span) bool {
				return s.GetName() == "memgate.check" && bytes.Equal(s.GetSpanId(), f.GetParentSpanId()) && s.trace() == f.trace()
			})) == 1 {
				return nil
			}
		}
		return fmt.Errorf("no keys were fetched in the trace of a request")
	})
	if len(c.find(func(s span) bool { return s.GetName() == "memgate.keys" && len(s.GetParentSpanId()) == 0 })) == 0 {
		t.Error("the keys that were fetched ahead of need are in the trace of a request")
	}
	if strings.Contains(c.all(), "nobody-") {
		t.Error("the id of a key that a client made up is in a span")
	}
}
