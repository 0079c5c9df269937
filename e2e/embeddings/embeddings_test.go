// Package embeddings tests recall by meaning through a real Envoy, with a server of embeddings that needs no model.
package embeddings

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/memory-backend/embed/embedtest"
)

var (
	stack  *harness.Stack
	server = &embedtest.Server{Dimensions: 64}
)

func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) {
		at := httptest.NewServer(server) // as long as the process
		for name, value := range map[string]string{"EMBEDDINGS": at.URL + "/v1", "EMBEDDINGS_MODEL": "letters", "EMBEDDINGS_DIMENSIONS": "64", "NEAR_DUPLICATES": "0.8"} {
			if err := os.Setenv("MEMORY_BACKEND_"+name, value); err != nil {
				t.Fatalf("%v", err)
			}
		}
		stack = harness.StartStack(t, nil)
	})
}

// TestMeaning finds a memory with which the query shares no word, names a near duplicate, shows the server nothing that
// the edge redacts, and goes by words while the server fails.
func TestMeaning(t *testing.T) {
	token := stack.TokenFor(dev.Claims{Tenant: "acme", Subject: "alice", Scope: "memory:read memory:write", TTL: time.Hour})
	ask := func(path, body string) map[string]any {
		t.Helper()
		r := stack.JSON(t, "POST", path, token, body)
		var a map[string]any
		if err := json.Unmarshal([]byte(r.Body), &a); err != nil || r.Status > 299 {
			t.Fatalf("%s: %d %s", path, r.Status, r.Body)
		}
		return a
	}
	const remember = "/api/v2/agents/bot/remember"
	first := ask(remember, `{"content":"Umbrellas keep dry, writes jane.doe@example.com"}`)
	ask(remember, `{"content":"Stations are crowded"}`)
	if again := ask(remember, `{"content":"Umbrellas keep dry, writes jane.doe@example.com!"}`); again["conflict_with"] != first["memory_id"] {
		t.Errorf("%v", again)
	}
	found := func(query string) string {
		t.Helper()
		list, _ := ask("/api/v2/agents/bot/recall", `{"query":"`+query+`","min_similarity":0.2,"limit":1}`)["memories"].([]any)
		if len(list) == 0 {
			return ""
		}
		text, _ := list[0].(map[string]any)["content"].(string)
		return text
	}
	if got := found("umbrellaz keeper"); !strings.HasPrefix(got, "Umbrellas") {
		t.Errorf("found %q", got)
	}
	for _, r := range server.Requests() {
		if strings.Contains(strings.Join(r.Texts, " "), "jane") {
			t.Error("the server of embeddings was shown what the edge redacts")
		}
	}
	server.Fail(func(w http.ResponseWriter, _ embedtest.Request) bool {
		http.Error(w, "no", http.StatusInternalServerError)
		return true
	})
	defer server.Fail(nil)
	for range 5 {
		if got := found("crowded stations"); !strings.HasPrefix(got, "Stations") {
			t.Errorf("found %q", got)
		}
	}
}
