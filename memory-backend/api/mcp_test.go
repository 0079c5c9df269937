package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memgate/memgate/memory-backend/memory"
)

// bearer adds a Txn-Token to each request, as the edge does.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Txn-Token", string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// dial connects the SDK's client, whose tokens are "tenant/agent//scope scope".
func (w *world) dial(token string) *mcp.ClientSession {
	w.t.Helper()
	w.verify = scoped
	server := httptest.NewServer(w.server)
	w.t.Cleanup(server.Close)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(w.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: server.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { session.Close() })
	return session
}

func scoped(values []string) (Identity, error) {
	if len(values) != 1 {
		return Identity{}, errors.New("no token")
	}
	part := strings.SplitN(values[0]+"///", "/", 4)
	return Identity{Tenant: part[0], Agent: part[1], Subject: "sub", Principal: "key-1", Request: "req-1",
		Scopes: strings.Fields(strings.Trim(part[3], "/"))}, nil
}

// tool calls a tool and returns its text, or the error that it reports.
func (w *world) tool(session *mcp.ClientSession, name string, arguments map[string]any) (string, string) {
	w.t.Helper()
	r, err := session.CallTool(w.t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		w.t.Fatalf("%s %v: %v", name, arguments, err)
	}
	if len(r.Content) != 1 {
		w.t.Fatalf("%s: %+v", name, r)
	}
	text := r.Content[0].(*mcp.TextContent).Text
	if r.IsError {
		return "", text
	}
	return text, ""
}

func (w *world) toolOK(session *mcp.ClientSession, name string, arguments map[string]any) map[string]any {
	w.t.Helper()
	text, failure := w.tool(session, name, arguments)
	if failure != "" {
		w.t.Fatalf("%s %v: %s", name, arguments, failure)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		w.t.Fatal(err)
	}
	return members
}

func said(answer map[string]any) string {
	var list []string
	for _, m := range answer["memories"].([]any) {
		list = append(list, m.(map[string]any)["content"].(string))
	}
	return strings.Join(list, "|")
}

func TestMCP(t *testing.T) {
	w := newWorld(t)
	session := w.dial("t///memory:read memory:write")
	offered, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range offered.Tools {
		names = append(names, tool.Name)
		if tool.Annotations.ReadOnlyHint != (tool.Name == "recall" || tool.Name == "list") || *tool.Annotations.DestructiveHint != (tool.Name == "forget") {
			t.Errorf("%s: %+v", tool.Name, tool.Annotations)
		}
	}
	if strings.Join(names, " ") != "forget list recall remember" {
		t.Fatalf("tools %v", names)
	}
	stored := w.toolOK(session, "remember", map[string]any{"content": "Alice prefers green tea", "tags": []string{"drink"}})
	w.toolOK(session, "remember", map[string]any{"content": "The train leaves at noon", "agent_id": "other"})
	if stored["agent_id"] != "default" || stored["type"] != "preference" || stored["memory_id"] == "" {
		t.Errorf("remember: %v", stored)
	}
	found := w.toolOK(session, "recall", map[string]any{"query": "which tea?", "tags": []string{"drink"}})
	if said(found) != "Alice prefers green tea" {
		t.Errorf("recall: %v", found)
	}
	if got := said(w.toolOK(session, "recall", map[string]any{"query": "train", "agent_id": "other"})); got != "The train leaves at noon" {
		t.Errorf("recall of another agent: %q", got)
	}
	if got := said(w.toolOK(session, "list", map[string]any{"limit": 5})); got != "Alice prefers green tea" {
		t.Errorf("list: %q", got)
	}
	w.toolOK(session, "forget", map[string]any{"memory_id": stored["memory_id"]})
	if got := said(w.toolOK(session, "list", nil)); got != "" {
		t.Errorf("after forget: %q", got)
	}
	if _, failure := w.tool(session, "forget", map[string]any{"memory_id": stored["memory_id"]}); !strings.Contains(failure, "was not found") {
		t.Errorf("forget again: %q", failure)
	}
}

func TestMCPPages(t *testing.T) {
	w := newWorld(t)
	session := w.dial("t///memory:read memory:write")
	for i := range 3 {
		w.toolOK(session, "remember", map[string]any{"content": fmt.Sprint("note ", i)})
	}
	first := w.toolOK(session, "list", map[string]any{"limit": 2})
	second := w.toolOK(session, "list", map[string]any{"limit": 2, "cursor": first["next_cursor"]})
	if said(first) != "note 2|note 1" || said(second) != "note 0" || second["next_cursor"] != nil {
		t.Errorf("%v then %v", first, second)
	}
	// What would be too long for the edge to inspect is left out, and not silently.
	for range 40 {
		w.toolOK(session, "remember", map[string]any{"content": strings.Repeat("long ", 2000)})
	}
	text, _ := w.tool(session, "list", map[string]any{"limit": 100})
	if len(text) > maxToolText+1000 || !strings.Contains(text, `"left_out":"18 memories`) || strings.Contains(text, "next_cursor") {
		t.Errorf("%d bytes, ending in %s", len(text), text[:300])
	}
}

// Who calls, and what they may, comes from the Txn-Token alone.
func TestMCPCaller(t *testing.T) {
	w := newWorld(t)
	a, b := w.dial("a///memory:read memory:write"), w.dial("b///memory:read memory:write")
	id := w.toolOK(a, "remember", map[string]any{"content": "the code is swordfish", "tenant": "b", "user_id": "x"})["memory_id"]
	if got := said(w.toolOK(b, "recall", map[string]any{"query": "swordfish", "tenant": "a"})); got != "" {
		t.Errorf("tenant b sees %q", got)
	}
	if _, failure := w.tool(b, "forget", map[string]any{"memory_id": id}); !strings.Contains(failure, "not found") {
		t.Errorf("tenant b deletes: %q", failure)
	}
	reader := w.dial("a///memory:read")
	for name, arguments := range map[string]map[string]any{"remember": {"content": "x"}, "forget": {"memory_id": id}} {
		if _, failure := w.tool(reader, name, arguments); failure != "Not permitted: The tool "+name+" needs the scope memory:write." {
			t.Errorf("%s by a reader: %q", name, failure)
		}
	}
	if got := said(w.toolOK(reader, "recall", map[string]any{"query": "swordfish"})); got != "the code is swordfish" {
		t.Errorf("a reader reads %q", got)
	}
	writer := w.dial("a///memory:write")
	for _, name := range []string{"recall", "list"} {
		if _, failure := w.tool(writer, name, map[string]any{"query": "x"}); !strings.Contains(failure, "memory:read") {
			t.Errorf("%s by a writer: %q", name, failure)
		}
	}
	bound := w.dial("a/bot//memory:read memory:write")
	if got := w.toolOK(bound, "remember", map[string]any{"content": "x"}); got["agent_id"] != "bot" {
		t.Errorf("a session of bot remembers for %v", got["agent_id"])
	}
	if _, failure := w.tool(bound, "list", map[string]any{"agent_id": "default"}); !strings.Contains(failure, "bound to one agent") {
		t.Errorf("a session of bot lists another's: %q", failure)
	}
}

func TestMCPArguments(t *testing.T) {
	w := newWorld(t)
	session := w.dial("t///memory:read memory:write")
	for _, c := range []struct {
		tool      string
		arguments map[string]any
		want      string
	}{
		{"remember", map[string]any{}, "content: Field required"},
		{"remember", map[string]any{"content": strings.Repeat("x", 10_001)}, "at most 10000 characters"},
		{"remember", map[string]any{"content": "x", "agent_id": "../x"}, "agent_id"},
		{"remember", map[string]any{"content": "x", "type": "rumour"}, "type: Input should be"},
		{"recall", map[string]any{}, "query: Field required"},
		{"recall", map[string]any{"query": "x", "limit": 1000}, "maximum of 100"},
		{"list", map[string]any{"cursor": "?"}, "cursor"},
		{"forget", map[string]any{}, "memory_id: Field required"},
	} {
		if _, failure := w.tool(session, c.tool, c.arguments); !strings.Contains(failure, c.want) {
			t.Errorf("%s %.60v: %q", c.tool, c.arguments, failure)
		}
	}
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "shell"}); err == nil {
		t.Error("an unknown tool is called")
	}
}

// broken is a store that fails.
type broken struct {
	memory.Store
	panics bool
}

func (b broken) Agent(context.Context, string, string, bool) (*memory.Agent, error) {
	if b.panics {
		panic("secret of the inside")
	}
	return nil, errors.New("secret of the inside")
}

func TestMCPFailures(t *testing.T) {
	for _, panics := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.Store = broken{c.Store, panics} })
		logs := w.logJSON()
		session := w.dial("t///memory:read")
		if _, failure := w.tool(session, "list", nil); failure != "Internal error: The request failed; nothing was changed." {
			t.Errorf("panics %v: %q", panics, failure)
		}
		if got := logs(); !strings.Contains(got, `"tool":"list","outcome":"internal","tenant":"t","request_id":"req-1"`) {
			t.Errorf("log: %s", got)
		}
	}
}

func TestMCPRequests(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBody = 10_000 })
	accept := map[string]string{"Accept": "application/json, text/event-stream"}
	for _, c := range []struct {
		name, method, token, body string
		header                    map[string]string
		status                    int
	}{
		{"no token", "POST", "", "{}", accept, 401},
		{"no body", "POST", "t", "", accept, 422},
		{"no JSON", "POST", "t", "{", accept, 400},
		{"no message", "POST", "t", `{"a":1}`, accept, 400},
		{"no Accept", "POST", "t", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil, 400},
		{"another type", "POST", "t", `x`, map[string]string{"Accept": accept["Accept"], "Content-Type": "text/plain"}, 415},
		{"an unknown version", "POST", "t", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, map[string]string{"Accept": accept["Accept"], "Mcp-Protocol-Version": "1999-01-01"}, 400},
		{"too long", "POST", "t", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 10_000) + `"}`, accept, 413},
		{"a stream of one's own", "GET", "t", "", accept, 405},
		{"the end of a session", "DELETE", "t", "", accept, 405},
		{"ping", "POST", "t", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, accept, 200},
		{"a notification", "POST", "t", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, accept, 202},
	} {
		w.request = func(r *http.Request) {
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
		}
		if a := w.do(c.token, c.method, "/mcp", c.body); a.status != c.status {
			t.Errorf("%s: %d %s", c.name, a.status, a.text)
		} else if c.status == 200 && (a.header.Get("Content-Type") != "text/event-stream" || !strings.Contains(a.text, `"result":{}`)) {
			t.Errorf("%s: %v %s", c.name, a.header, a.text)
		}
	}
}
