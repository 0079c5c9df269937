// Package sessions tests through real Envoys what memgate keeps beyond its
// process: sessions, and what was revoked.
package sessions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

const scopes = "memory:read memory:write"

// with returns a change of memgate.yaml: another state, and key of sessions.
func with(state, sessions string) func(string) string {
	return func(yaml string) string {
		for old, new := range map[string]string{"state: { file: state.db }": "state: " + state, "sessions: { ttl: 6h }": "sessions: " + sessions} {
			if !strings.Contains(yaml, old) {
				panic("memgate.yaml has not " + old)
			}
			yaml = strings.Replace(yaml, old, new, 1)
		}
		return yaml
	}
}

type session struct {
	ID    string `json:"session_id"`
	Token string `json:"session_token"`
}

func (s session) header() map[string]string { return map[string]string{"X-Session-Token": s.Token} }

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func activate(t *testing.T, s *harness.Stack, agent string, header map[string]string) (out session) {
	t.Helper()
	harness.Needs(t, harness.OwnRoutes)
	r := s.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/" + agent + "/activate", Header: header})
	if err := json.Unmarshal([]byte(r.Body), &out); r.Status != 200 || err != nil || out.Token == "" {
		t.Fatalf("activation: %d %s", r.Status, r.Body)
	}
	return out
}

// use is what a request with a credential is answered.
func use(t *testing.T, s *harness.Stack, header map[string]string) int {
	t.Helper()
	return s.Do(t, harness.Request{Path: "/api/v2/agents", Header: header}).Status
}

// becomes waits until a request with a credential is answered so.
func becomes(t *testing.T, s *harness.Stack, header map[string]string, want int) {
	t.Helper()
	harness.Eventually(t, func() error {
		if got := use(t, s, header); got != want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// denied says whether memgate has refused a request for a reason.
func denied(t *testing.T, s *harness.Stack, reason string) {
	t.Helper()
	if text := metrics(t, s); !strings.Contains(text, `reason="`+reason+`"`) {
		t.Errorf("nothing was refused as %s", reason)
	}
}

func metrics(t *testing.T, s *harness.Stack) string {
	t.Helper()
	r, err := http.Get(s.MemgateHTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func restart(s *harness.Stack) {
	s.Memgate.Stop()
	s.StartMemgate()
}

// TestFile keeps the state in the file of memgate.yaml, over restarts.
func TestFile(t *testing.T) {
	s := harness.StartStack(t, nil)
	token := s.Token("acme", scopes)
	one, two := activate(t, s, "one", bearer(token)), activate(t, s, "two", bearer(token))
	restart(s)
	becomes(t, s, one.header(), 200)
	if list := s.CLI("session", "list", "--config", s.Config); !strings.Contains(list, one.ID) || !strings.Contains(list, two.ID) || strings.Contains(list, one.Token) {
		t.Errorf("%s", list)
	}
	for _, file := range []string{"state.db", "state.db-wal"} {
		content, err := os.ReadFile(filepath.Join(s.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(one.Token[strings.LastIndexByte(one.Token, '_')+1:])) {
			t.Errorf("%s holds the token", file)
		}
	}

	s.CLI("revoke", "session", "--config", s.Config, one.ID)
	becomes(t, s, one.header(), 401)
	denied(t, s, "session_revoked")
	if out := s.CLIFails("revoke", "session", "--config", s.Config, one.ID); !strings.Contains(out, "no session") {
		t.Errorf("%s", out)
	}
	if got := use(t, s, two.header()); got != 200 {
		t.Errorf("the other session: %d", got)
	}

	// All of a subject, as of now: its tokens, also those in the cache, and the
	// sessions that were issued to them.
	if got := use(t, s, bearer(token)); got != 200 {
		t.Fatal(got)
	}
	s.CLI("revoke", "subject", "--config", s.Config, "svc-acme")
	becomes(t, s, bearer(token), 401)
	becomes(t, s, two.header(), 401)
	denied(t, s, "subject_revoked")
	if list := s.CLI("revoke", "list", "--config", s.Config); !strings.Contains(list, "svc-acme") {
		t.Errorf("%s", list)
	}
	harness.Eventually(t, func() error { // one that is issued in a later second
		if got := use(t, s, bearer(s.Token("acme", scopes))); got != 200 {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
	if got := use(t, s, bearer(s.Token("other", scopes))); got != 200 {
		t.Errorf("another subject: %d", got)
	}
	// And of a subject of API keys, within its tenant: those that were made, and their
	// sessions, but none that is made later.
	create := func(tenant string) map[string]string {
		key := strings.TrimSpace(s.CLI("key", "create", "--config", s.Config, "--tenant", tenant, "--subject", "ci", "--scope", scopes))
		header := map[string]string{"X-API-Key": key}
		becomes(t, s, header, 200)
		return header
	}
	key, foreign := create("acme"), create("other")
	ofKey := activate(t, s, "three", key)
	if out := s.CLI("revoke", "subject", "--config", s.Config, "--tenant", "acme", "ci"); !strings.Contains(out, "subject ci of the API keys of acme is revoked") {
		t.Error(out)
	}
	becomes(t, s, key, 401)
	becomes(t, s, ofKey.header(), 401)
	if got := use(t, s, foreign); got != 200 {
		t.Errorf("the key of another tenant's subject of that name: %d", got)
	}
	harness.Eventually(t, func() error { // one that is made in a later second
		key := strings.TrimSpace(s.CLI("key", "create", "--config", s.Config, "--tenant", "acme", "--subject", "ci", "--scope", scopes))
		time.Sleep(time.Second) // until memgate knows it
		if got := use(t, s, map[string]string{"X-API-Key": key}); got != 200 {
			return fmt.Errorf("a key that was made later: %d", got)
		}
		return nil
	})
	// All of it is in the audit log, once each, by whom and without a secret: what was done
	// while memgate ran, and what was done while it did not.
	s.Memgate.Stop()
	s.CLI("revoke", "token", "--config", s.Config, "unused-jti")
	s.StartMemgate()
	done := []string{"revoke session " + one.ID, "revoke subject svc-acme", "revoke key-subject ci", "revoke token unused-jti"}
	harness.Eventually(t, func() error {
		log := s.CLI("audit", "query", "--config", s.Config, "--actions")
		for _, want := range done {
			part := strings.Split(want, " ")
			if n := strings.Count(log, `"action":"`+part[0]+`","object":"`+part[1]+`","object_id":"`+part[2]+`"`); n != 1 {
				return fmt.Errorf("%s is in the audit log %d times", want, n)
			}
		}
		if !strings.Contains(log, `"operator":"`) || strings.Contains(log, key["X-API-Key"]) || strings.Contains(log, one.Token) {
			return fmt.Errorf("who did it, or a secret: %s", log)
		}
		if n := strings.Count(log, `"action":"create","object":"key"`); n < 3 {
			return fmt.Errorf("%d keys were made", n)
		}
		return nil
	})
	if out := s.CLI("audit", "verify", "--config", s.Config); !strings.Contains(out, "OK") {
		t.Error(out)
	}
	becomes(t, s, bearer(s.Token("acme", scopes)), 200)
	for name, header := range map[string]map[string]string{"token": bearer(token), "session": two.header(), "ended session": one.header(), "key": key, "session of a key": ofKey.header()} {
		if got := use(t, s, header); got != 401 {
			t.Errorf("%s after a restart: %d", name, got)
		}
	}
}

// TestRedis has two instances of memgate, each behind an Envoy of its own, that
// share a Redis.
func TestRedis(t *testing.T) {
	redis := harness.StartRedis(t, "--requirepass", "e2e-password")
	t.Setenv("STATE_REDIS_URL", strings.Replace(redis.URL, "//", "//:e2e-password@", 1))
	t.Setenv("SESSION_KEY", strings.Repeat("k", 32))
	change := with("{ redis: env:STATE_REDIS_URL, max_stale: 2s }", "{ ttl: 6h, key: env:SESSION_KEY }")
	a := harness.StartStack(t, change)
	b := harness.StartStack(t, func(yaml string) string {
		return regexp.MustCompile(`issuer: http://127\.0\.0\.1:\d+`).ReplaceAllString(change(yaml), "issuer: "+a.Issuer())
	})
	mint := func(subject string) string {
		return a.TokenFor(dev.Claims{Tenant: "acme", Subject: subject, Scope: scopes, TTL: time.Hour})
	}
	jane, john := mint("jane"), mint("john")
	s := activate(t, a, "bot", bearer(jane))
	for _, stack := range []*harness.Stack{a, b} {
		for name, header := range map[string]map[string]string{"session": s.header(), "token": bearer(jane)} {
			if got := use(t, stack, header); got != 200 {
				t.Fatalf("%s: %d", name, got)
			}
		}
	}

	// Ended on one, refused by the other, which has verified it before.
	if r := a.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/bot/deactivate", Header: s.header()}); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if got := use(t, a, s.header()); got != 401 {
		t.Errorf("where it was ended: %d", got)
	}
	becomes(t, b, s.header(), 401)
	denied(t, b, "session_revoked")

	// A token, by what the audit log calls it, and a key, from either machine.
	of := activate(t, b, "bot", bearer(jane))
	a.CLI("revoke", "token", "--config", a.Config, "--", name(t, a, "jane"))
	for _, stack := range []*harness.Stack{a, b} {
		becomes(t, stack, bearer(jane), 401)
		becomes(t, stack, of.header(), 401)
		denied(t, stack, "token_revoked")
		if got := use(t, stack, bearer(john)); got != 200 {
			t.Errorf("another token: %d", got)
		}
	}
	key := a.APIKey("acme", scopes)
	harness.Eventually(t, func() error {
		if got := use(t, a, map[string]string{"X-API-Key": key}); got != 200 {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
	ofKey := activate(t, a, "bot", map[string]string{"X-API-Key": key})
	b.CLI("revoke", "key", "--config", b.Config, strings.Split(key, "_")[2])
	becomes(t, a, map[string]string{"X-API-Key": key}, 401)
	becomes(t, b, ofKey.header(), 401)
	denied(t, a, "api_key_revoked")

	// Redis hangs. What is known goes on for max_stale, what is not is closed.
	known, unknown := activate(t, b, "bot", bearer(john)), activate(t, a, "bot", bearer(john))
	if got := use(t, b, known.header()); got != 200 {
		t.Fatal(got)
	}
	redis.Pause()
	if got := use(t, b, unknown.header()); got != 503 {
		t.Errorf("a session that B does not know: %d", got)
	}
	becomes(t, b, known.header(), 503)
	becomes(t, b, bearer(john), 503)
	becomes(t, a, bearer(john), 503)
	denied(t, a, "state_unavailable")
	if got := use(t, a, bearer(jane)); got != 401 && got != 503 {
		t.Errorf("a revoked token: %d", got)
	}
	if r := a.Do(t, harness.Request{Path: "/healthz"}); r.Status != 200 {
		t.Errorf("an anonymous route: %d", r.Status)
	}
	if text := metrics(t, a); !strings.Contains(text, "memgate_state_up 0") || strings.Contains(text, "memgate_state_errors_total 0\n") {
		t.Error("the metrics do not tell")
	}
	redis.Resume()
	for _, stack := range []*harness.Stack{a, b} {
		becomes(t, stack, known.header(), 200)
		becomes(t, stack, unknown.header(), 200)
		becomes(t, stack, bearer(john), 200)
		if got := use(t, stack, bearer(jane)); got != 401 {
			t.Errorf("a revoked token: %d", got)
		}
	}

	// Redis is killed, and comes back with nothing: sessions are gone, and what
	// was revoked stays so, for a process that starts now, too.
	redis.Kill()
	becomes(t, a, bearer(john), 503)
	becomes(t, b, known.header(), 503)
	redis.Restart()
	for _, stack := range []*harness.Stack{a, b} {
		becomes(t, stack, bearer(john), 200)
		becomes(t, stack, known.header(), 401)
	}
	becomes(t, a, bearer(jane), 401)
	restart(b)
	becomes(t, b, bearer(john), 200)
	if got := use(t, b, bearer(jane)); got != 401 {
		t.Errorf("a revoked token after all that: %d", got)
	}
	if again := activate(t, a, "bot", bearer(john)); use(t, b, again.header()) != 200 {
		t.Error("a new session is not shared")
	}
}

// name returns what the audit log calls the token of a subject.
func name(t *testing.T, s *harness.Stack, subject string) (id string) {
	t.Helper()
	harness.Eventually(t, func() error {
		for line := range strings.Lines(s.CLI("audit", "query", "--config", s.Config, "--subject", subject)) {
			var event struct {
				Unmapped struct{ Kind, Principal string }
			}
			if err := json.Unmarshal([]byte(line), &event); err == nil && event.Unmapped.Kind == "jwt" {
				id = event.Unmapped.Principal
			}
		}
		if id == "" {
			return fmt.Errorf("no audit line of %s", subject)
		}
		return nil
	})
	return id
}

// TestStartsWithoutRedis begins while Redis is away: not ready, closed, and then
// ready without a restart.
func TestStartsWithoutRedis(t *testing.T) {
	redis := harness.StartRedis(t)
	t.Setenv("STATE_REDIS_URL", redis.URL)
	t.Setenv("SESSION_KEY", strings.Repeat("k", 32))
	s := harness.StartStack(t, with("{ redis: env:STATE_REDIS_URL }", "{ ttl: 6h, key: env:SESSION_KEY }"))
	token := s.Token("acme", scopes)
	becomes(t, s, bearer(token), 200)
	redis.Kill()
	s.Memgate.Stop()
	s.LaunchMemgate()
	becomes(t, s, bearer(token), 503)
	if r := harness.Do(t, s.MemgateHTTP, harness.Request{Path: "/readyz"}); r.Status != 503 || !strings.Contains(r.Body, "revoked") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	redis.Restart()
	becomes(t, s, bearer(token), 200)
}
