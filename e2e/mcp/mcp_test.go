// Package mcp runs unmodified clients of the Model Context Protocol against the
// memory service, through the edge and a real Envoy.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/memgate/memgate/e2e/harness"
)

var stack *harness.Stack

// unknown stands for the service's URL until Envoy has chosen its port.
const unknown = "http://127.0.0.1:1/mcp"

// The request is not redacted here, so that the service holds what its answers
// must not show. Quotas are wide: each message is a request.
func TestMain(m *testing.M) {
	harness.Main(m, func(t harness.T) {
		stack = harness.StartStack(t, func(yaml string) string {
			yaml = strings.Replace(yaml, "request: { default: redact }", "request: { default: allow }", 1)
			yaml = strings.Replace(yaml, "sessions: { ttl: 6h }", "sessions: { ttl: 6h }\n  resource: { url: \""+unknown+"\" }", 1)
			return strings.Replace(yaml, "write: 60/m, read: 120/m", "write: 600/m, read: 600/m", 1)
		})
		// An MCP client finds the issuer by what the edge says of this URL.
		stack.WritePolicy(strings.Replace(stack.Policy(), unknown, stack.URL+"/mcp", 1))
		harness.Eventually(t, func() error {
			r := stack.Do(t, harness.Request{Path: "/.well-known/oauth-protected-resource/mcp"})
			if !strings.Contains(r.Body, stack.URL+"/mcp") {
				return fmt.Errorf("%d %s", r.Status, r.Body)
			}
			return nil
		})
	})
}

const scopes = "memory:read memory:write"

// finder obtains tokens as an MCP client does: the edge's challenge names the
// metadata (RFC 9728), and that the issuer. What a person does at the issuer is
// left out: it mints a token.
type finder struct {
	t      *testing.T
	tenant string
	scope  string
	token  atomic.Pointer[oauth2.Token]
	found  atomic.Int32 // how often the issuer was looked for
}

func (f *finder) TokenSource(context.Context) (oauth2.TokenSource, error) {
	token := f.token.Load()
	if token == nil {
		return nil, nil
	}
	return oauth2.StaticTokenSource(token), nil
}

func (f *finder) Authorize(ctx context.Context, r *http.Request, denied *http.Response) error {
	defer denied.Body.Close()
	if denied.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("status %d", denied.StatusCode)
	}
	challenges, err := oauthex.ParseWWWAuthenticate(denied.Header.Values("WWW-Authenticate"))
	if err != nil {
		return err
	}
	for _, c := range challenges {
		at := c.Params["resource_metadata"]
		if at == "" {
			continue
		}
		metadata, err := oauthex.GetProtectedResourceMetadata(ctx, at, r.URL.String(), http.DefaultClient)
		if err != nil {
			return err
		}
		if len(metadata.AuthorizationServers) != 1 || metadata.AuthorizationServers[0] != stack.Issuer() {
			return fmt.Errorf("the issuers are %v", metadata.AuthorizationServers)
		}
		f.found.Add(1)
		f.token.Store(&oauth2.Token{AccessToken: stack.Token(f.tenant, f.scope), TokenType: "Bearer"})
		return nil
	}
	return errors.New("no challenge names the metadata")
}

// connect is a client of a tenant that knows the service's URL and nothing else.
func connect(t *testing.T, tenant, scope string) (*mcp.ClientSession, *finder) {
	t.Helper()
	f := &finder{t: t, tenant: tenant, scope: scope}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: stack.URL + "/mcp", OAuthHandler: f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session, f
}

// call calls a tool, which must succeed unless a refusal is wanted.
func call(t *testing.T, session *mcp.ClientSession, refusal bool, name string, arguments map[string]any) string {
	t.Helper()
	r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil || len(r.Content) != 1 {
		t.Fatalf("%s %v: %v %+v", name, arguments, err, r)
	}
	text := r.Content[0].(*mcp.TextContent).Text
	if r.IsError != refusal {
		t.Fatalf("%s %v: %s", name, arguments, text)
	}
	return text
}

func TestGoClient(t *testing.T) {
	session, finder := connect(t, "go", scopes)
	if finder.found.Load() == 0 {
		t.Error("the issuer was not looked for")
	}
	offered, err := session.ListTools(t.Context(), nil)
	if err != nil || len(offered.Tools) != 4 {
		t.Fatalf("%v %+v", err, offered)
	}
	var stored struct {
		ID string `json:"memory_id"`
	}
	text := call(t, session, false, "remember", map[string]any{"content": "Alice prefers green tea", "tags": []string{"drink"}})
	if err := json.Unmarshal([]byte(text), &stored); err != nil || stored.ID == "" {
		t.Fatalf("%v: %s", err, text)
	}
	for name, arguments := range map[string]map[string]any{"recall": {"query": "which tea?"}, "list": {}} {
		if got := call(t, session, false, name, arguments); !strings.Contains(got, "Alice prefers green tea") || !strings.Contains(got, stored.ID) {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Another tenant does not see it, and cannot delete it.
	other, _ := connect(t, "other", scopes)
	if got := call(t, other, false, "recall", map[string]any{"query": "which tea?"}); strings.Contains(got, "green") {
		t.Errorf("another tenant recalls %s", got)
	}
	call(t, other, true, "forget", map[string]any{"memory_id": stored.ID})
	// Nor can one who may only read, whom the edge lets through to read.
	reader, _ := connect(t, "go", "memory:read")
	if got := call(t, reader, true, "forget", map[string]any{"memory_id": stored.ID}); !strings.Contains(got, "memory:write") {
		t.Errorf("a reader is told %s", got)
	}
	call(t, reader, true, "remember", map[string]any{"content": "x"})
	call(t, session, false, "forget", map[string]any{"memory_id": stored.ID})
	if got := call(t, session, false, "list", nil); strings.Contains(got, stored.ID) {
		t.Errorf("after forget: %s", got)
	}
}

// What a recalled memory holds of persons is redacted as the event stream passes.
func TestStreamsAreRedacted(t *testing.T) {
	const address = "jane.doe@example.com"
	session, _ := connect(t, "redacted", scopes)
	var stored struct {
		ID string `json:"memory_id"`
	}
	text := call(t, session, false, "remember", map[string]any{"content": "Send the \"invoice\" to " + address})
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		t.Fatal(err)
	}
	if held := stack.Held(t, "redacted", "GET", "/api/v2/agents/default/memories/"+stored.ID, ""); !strings.Contains(held, address) {
		t.Fatalf("the service does not hold what is to be redacted: %s", held)
	}
	for name, arguments := range map[string]map[string]any{"recall": {"query": "invoice"}, "list": {}} {
		got := call(t, session, false, name, arguments)
		if strings.Contains(got, "example.com") || !strings.Contains(got, `Send the \"invoice\" to [EMAIL_ADDRESS]`) || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", name, got)
		}
	}
	// It is a stream that is redacted, and no body that was read whole.
	r := stack.Do(t, message(stack.Token("redacted", scopes), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","arguments":{}}}`))
	if r.Status != 200 || r.Header.Get("Content-Type") != "text/event-stream" || r.Length != -1 ||
		!strings.Contains(r.Body, "data: ") || !strings.Contains(r.Body, "[EMAIL_ADDRESS]") || strings.Contains(r.Body, address) {
		t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
	}
}

func message(token, body string) harness.Request {
	header := map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
	if token != "" {
		header["Authorization"] = "Bearer " + token
	}
	return harness.Request{Method: "POST", Path: "/mcp", Header: header, Body: body}
}

// What does not get in, and where it ends.
func TestRefusals(t *testing.T) {
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	token := stack.Token("refusals", scopes)
	long := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"remember","arguments":{"content":"` + strings.Repeat("long ", 2100) + `"}}}`
	get := message(token, "")
	get.Method = "GET"
	for name, c := range map[string]struct {
		request harness.Request
		status  int
		slug    string
	}{
		"no credential":           {message("", ping), 401, "unauthenticated"},
		"no scope":                {message(stack.Token("refusals", "memory:write"), ping), 403, "forbidden"},
		"content that is too big": {message(token, long), 413, "field-too-large"},
		"no JSON":                 {message(token, `{"jsonrpc":`), 400, "malformed-json"},
		"no message":              {message(token, `{}`), 400, "mcp-invalid"},
		"a stream of one's own":   {get, 405, "method-not-allowed"},
		"another path":            {harness.Request{Path: "/mcp/x", Header: get.Header}, 403, "no-route"},
	} {
		r := stack.Do(t, c.request)
		var p struct{ Type string }
		_ = json.Unmarshal([]byte(r.Body), &p)
		if r.Status != c.status || !strings.HasSuffix(p.Type, ":"+c.slug) {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if r := stack.Do(t, message(token, ping)); r.Status != 200 {
		t.Errorf("a ping: %d %s", r.Status, r.Body)
	}
}
