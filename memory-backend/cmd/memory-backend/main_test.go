package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/txntoken"
)

// asCommand makes the test binary be the command, so that a test can end it the hard way.
const asCommand = "MEMORY_BACKEND_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func noEnv(string) (string, bool) { return "", false }

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		if name == "MEMORY_BACKEND_REQUEST_TIMEOUT" {
			return "soon", true
		}
		return "", false
	}
	for _, c := range []struct {
		args string
		env  func(string) (string, bool)
		code int
		says string
	}{
		{"", noEnv, 0, "memory-backend keeps memories"},
		{"--help", noEnv, 0, "healthcheck"},
		{"serve --help", noEnv, 0, "--txn-jwks"},
		{"completion bash", noEnv, 0, "memory-backend"},
		{"openapi", noEnv, 0, `"openapi": "3.1.0"`},
		{"nonsense", noEnv, 2, "nonsense"},
		{"serve --nonsense", noEnv, 2, "nonsense"},
		{"serve extra", noEnv, 2, "extra"},
		{"serve", noEnv, 2, "--data is required"},
		{"serve --data x", noEnv, 2, "--txn-jwks is required"},
		{"serve --data x --txn-jwks f --txn-issuer=", noEnv, 2, "--txn-issuer"},
		{"serve --data x --txn-jwks f --listen nowhere", noEnv, 2, "--listen"},
		{"serve --data x --txn-jwks f --log-level loud", noEnv, 2, "--log-level"},
		{"serve --data x --txn-jwks f --max-body 0", noEnv, 2, "positive"},
		{"serve --data x --txn-jwks http://example.com/jwks", noEnv, 2, "http"},
		{"serve --data x --txn-jwks f", env, 2, "MEMORY_BACKEND_REQUEST_TIMEOUT"},
		{"serve --listen 127.0.0.1:0 --txn-jwks " + file + " --data " + file, noEnv, 1, "data directory"},
		{"serve --data x --txn-jwks f --master-key none --master-key file:y", noEnv, 2, "stands alone"},
		{"serve --data " + dir + "/d --txn-jwks " + file + " --master-key nothing://x", noEnv, 1, "names no kind of master key"},
		{"healthcheck --listen 127.0.0.1:1", noEnv, 1, "healthcheck"},
		{"healthcheck --listen nowhere", noEnv, 2, "--listen"},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), c.env, &out, &errs)
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%q: exit code %d, want %d\n%s%s", c.args, code, c.code, out.String(), errs.String())
		}
	}
}

func TestServe(t *testing.T) {
	s := start(t)
	if status, _ := s.call(t, "", "GET", "/healthz", ""); status != 200 {
		t.Errorf("health: %d", status)
	}
	if status, a := s.call(t, "", "GET", "/readyz", ""); status != 200 {
		t.Errorf("ready: %d %v", status, a)
	}
	status, a := s.call(t, "acme", "POST", "/api/v2/agents/bot/remember", `{"content":"Alice plays the violin"}`)
	if status != 200 {
		t.Fatalf("remember: %d %v", status, a)
	}
	status, a = s.call(t, "acme", "POST", "/api/v2/agents/bot/recall", `{"query":"who plays violin"}`)
	if status != 200 || a["count"] != 1.0 {
		t.Errorf("recall: %d %v", status, a)
	}
	if status, a = s.call(t, "other", "POST", "/api/v2/agents/bot/recall", `{"query":"violin"}`); status != 200 || a["count"] != 0.0 {
		t.Errorf("another tenant: %d %v", status, a)
	}
	if status, _ = s.call(t, "", "GET", "/metrics", ""); status != 200 {
		t.Errorf("metrics: %d", status)
	}
	address := strings.TrimPrefix(s.url, "http://")
	if code := run(context.Background(), []string{"healthcheck", "--listen", address}, noEnv, io.Discard, io.Discard); code != 0 {
		t.Errorf("healthcheck: %d", code)
	}
	_, port, _ := net.SplitHostPort(address)
	env := func(name string) (string, bool) { return ":" + port, name == "MEMORY_BACKEND_LISTEN" }
	if code := run(context.Background(), []string{"healthcheck"}, env, io.Discard, io.Discard); code != 0 {
		t.Errorf("healthcheck of a wildcard address: %d", code)
	}
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d\n%s", code, s.logs)
	}
	if strings.Contains(s.logs.String(), "violin") {
		t.Error("content in the log")
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	s := start(t)
	other := start(t)
	sign := func(signer *txntoken.Signer, c txntoken.Claims) string {
		token, err := signer.Sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := txntoken.Claims{ID: "r", Audience: "upstream", Subject: "s", Tenant: "a", Kind: "jwt", Principal: "p"}
	audience, tenantless := good, good
	audience.Audience, tenantless.Tenant = "elsewhere", ""
	valid := sign(s.signer, good)
	for name, tokens := range map[string][]string{
		"none": nil, "empty": {""}, "garbage": {"x.y.z"}, "another key": {sign(other.signer, good)}, "another audience": {sign(s.signer, audience)},
		"no tenant": {sign(s.signer, tenantless)}, "two": {valid, valid}, "joined": {valid + ", " + valid}, "cut": {valid[:len(valid)-4]},
		"bearer": {"Bearer " + valid},
	} {
		req, err := http.NewRequest("GET", s.url+"/v1/ping/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			req.Header.Add("Txn-Token", token)
		}
		req.Header.Set("Authorization", "Bearer "+valid) // says nothing here
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 401 || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
	if strings.Contains(s.logs.String(), valid[:20]) {
		t.Error("a token is in the log")
	}
}

// TestNotReadyWithoutKeys starts without a key file: alive, not ready, and 503 for tokens.
func TestNotReadyWithoutKeys(t *testing.T) {
	s := start(t, "--txn-jwks", filepath.Join(t.TempDir(), "none.json"))
	if status, _ := s.call(t, "", "GET", "/healthz", ""); status != 200 {
		t.Errorf("health: %d", status)
	}
	if status, _ := s.call(t, "", "GET", "/readyz", ""); status != 503 {
		t.Errorf("ready: %d", status)
	}
	if status, _ := s.call(t, "a", "GET", "/v1/ping/", ""); status != 503 {
		t.Errorf("request: %d", status)
	}
}

// TestDrain stops the service while a request is under way: it is answered, and new ones are not taken.
func TestDrain(t *testing.T) {
	s := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"content":"stored while draining"}`
	fmt.Fprintf(conn, "POST /api/v2/agents/bot/remember HTTP/1.1\r\nHost: x\r\nTxn-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		s.token(t, "a"), len(body))
	reply := make([]byte, 25)
	if _, err := io.ReadFull(conn, reply); err != nil || !strings.Contains(string(reply), "100 Continue") {
		t.Fatalf("%q, %v", reply, err) // now the handler waits for the body
	}
	s.stop()
	for !strings.Contains(s.logs.String(), `"draining"`) {
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 200 ") {
		t.Errorf("%q, %v", rest, err)
	}
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d\n%s", code, s.logs)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		t.Error("still listening")
	}
}

// TestKilled kills the process with SIGKILL while many clients write: everything that was acknowledged is
// there afterwards, and everything that is there can be found.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	keys := start(t) // for its key
	data := filepath.Join(dir, "data")
	launch := func() (*exec.Cmd, *service) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		cmd := exec.Command(os.Args[0], "serve", "--data", data, "--listen", address, "--txn-jwks", filepath.Join(keys.dir, "jwks.json"))
		cmd.Env = append(os.Environ(), asCommand+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i := 0; healthcheck(context.Background(), address, "", time.Second) != nil; i++ {
			if i > 500 {
				t.Fatal("does not answer")
			}
			time.Sleep(20 * time.Millisecond)
		}
		return cmd, &service{url: "http://" + address, signer: keys.signer}
	}
	cmd, s := launch()
	var mu sync.Mutex
	var wg sync.WaitGroup
	acknowledged := map[string]bool{}
	enough := make(chan struct{})
	for c := 0; c < 8; c++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				req, _ := http.NewRequest("POST", s.url+"/api/v2/agents/bot/remember", strings.NewReader(fmt.Sprintf(`{"content":"storm client%d number%d"}`, c, i)))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Txn-Token", s.token(t, "a"))
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return // killed
				}
				var a struct {
					ID string `json:"memory_id"`
				}
				err = json.NewDecoder(resp.Body).Decode(&a)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					return
				}
				mu.Lock()
				if acknowledged[a.ID] = true; len(acknowledged) == 60 {
					close(enough)
				}
				mu.Unlock()
			}
		}()
	}
	<-enough
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	wg.Wait()
	cmd, s = launch()
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	stored := map[string]bool{}
	for page := 1; ; page++ {
		status, a := s.call(t, "a", "POST", fmt.Sprintf("/v3/memories/?page=%d&page_size=200", page), `{}`)
		if status != 200 {
			t.Fatalf("%d %v", status, a)
		}
		for _, m := range a["results"].([]any) {
			id, text := m.(map[string]any)["id"].(string), m.(map[string]any)["memory"].(string)
			stored[id] = true
			query, _ := json.Marshal(map[string]any{"query": text, "top_k": 1})
			if _, a := s.call(t, "a", "POST", "/v3/memories/search/", string(query)); !strings.Contains(fmt.Sprint(a["results"]), id) {
				t.Errorf("%q is stored but not found: %v", text, a)
			}
		}
		if a["next"] == nil {
			break
		}
	}
	for id := range acknowledged {
		if !stored[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	t.Logf("%d acknowledged, %d stored", len(acknowledged), len(stored))
}
