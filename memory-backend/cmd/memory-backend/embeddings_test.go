package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/embed/embedtest"
)

// ends runs a command and returns its exit code and what it said.
func ends(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, func(string) (string, bool) { return "", false }, &out, &out)
	return code, out.String()
}

func TestEmbeddings(t *testing.T) {
	server := embedtest.Serve(t, 64)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("test-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--embeddings", server.URL, "--embeddings-model", "letters", "--embeddings-dimensions", "64", "--embeddings-key-file", key, "--embeddings-wait", "20s",
		"--near-duplicates", "0.8"}
	s := start(t, flags...)
	if code, _ := s.call(t, "acme", "POST", "/api/v2/agents", `{"agent_id":"bot","pattern":"tool"}`); code != 201 {
		t.Fatal(code)
	}
	remember := func(content string) map[string]any {
		t.Helper()
		code, answer := s.call(t, "acme", "POST", "/api/v2/agents/bot/remember", `{"content":"`+content+`"}`)
		if code != 200 {
			t.Fatalf("%d %v", code, answer)
		}
		return answer
	}
	first := remember("Umbrellas keep dry")
	if first["conflict_with"] != nil {
		t.Errorf("%v", first)
	}
	remember("Stations are crowded")
	// No word is shared, but for its letters.
	_, answer := s.call(t, "acme", "POST", "/api/v2/agents/bot/recall", `{"query":"umbrellaz keeper","min_similarity":0.4}`)
	if found, _ := answer["memories"].([]any); len(found) != 1 || found[0].(map[string]any)["id"] != first["memory_id"] {
		t.Errorf("found %v", answer)
	}
	if again := remember("Umbrellas keep dry!"); again["conflict_with"] != first["memory_id"] {
		t.Errorf("%v", again)
	}
	code, added := s.call(t, "acme", "POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"trains run late"},{"role":"user","content":"trains run late."}],"user_id":"u"}`)
	results, _ := added["results"].([]any)
	if code != 200 || len(results) != 2 || results[0].(map[string]any)["conflict_with"] != nil || results[1].(map[string]any)["conflict_with"] != results[0].(map[string]any)["id"] {
		t.Errorf("%d %v", code, added)
	}
	// Down, it keeps nobody waiting for long, and what was stored meanwhile gets its vector.
	server.Fail(func(w http.ResponseWriter, _ embedtest.Request) bool {
		http.Error(w, "no", http.StatusInternalServerError)
		return true
	})
	for _, content := range []string{"one", "two", "three", "four"} {
		remember(content)
	}
	server.Fail(nil)
	data := filepath.Join(s.dir, "data")
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		code, said := ends(t, append([]string{"embeddings", "status", "--data", data}, flags[:8]...)...)
		if code == 0 && strings.Contains(said, `"acme": 9 of 9 memories have a vector of letters`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", code, said)
		}
	}
	for _, r := range server.Requests() {
		if r.Key != "test-key" {
			t.Fatalf("asked with the key %q", r.Key)
		}
	}
	if text := s.logs.String(); strings.Contains(text, "test-key") || strings.Contains(text, "mbrella") {
		t.Error("the log says too much")
	}
	// Another model: all anew, also past the service.
	newer := append([]string{"embeddings", "backfill", "--data", data}, flags[:8]...)
	newer[7] = "newer"
	if code, said := ends(t, newer...); code != 0 || !strings.Contains(said, `"acme": 9 vectors made, 0 texts refused`) {
		t.Errorf("%d %s", code, said)
	}
}

func TestEmbeddingsRefused(t *testing.T) {
	server := embedtest.Serve(t, 65)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"another length": {[]string{"--embeddings", server.URL, "--embeddings-model", "m", "--embeddings-dimensions", "64"}, exitFailure, "another length"},
		"no model":       {[]string{"--embeddings", server.URL}, exitUsage, "--embeddings-model"},
		"no URL":         {[]string{"--embeddings-model", "m"}, exitUsage, "--embeddings"},
		"in clear":       {[]string{"--embeddings", "http://api.example.com/v1", "--embeddings-model", "m", "--embeddings-dimensions", "64"}, exitUsage, "TLS"},
	} {
		args := append([]string{"serve", "--data", filepath.Join(dir, "data"), "--txn-jwks", filepath.Join(dir, "none.json"), "--listen", "127.0.0.1:0"}, c.args...)
		if code, said := ends(t, args...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: %d %s", name, code, said)
		}
	}
}
