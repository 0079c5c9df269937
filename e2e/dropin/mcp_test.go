package dropin

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// mcpSession is the header by which an MCP server knows its session.
const mcpSession = "Mcp-Session-Id"

// TestMCP: the reference server of the Model Context Protocol, from npm, by
// streamable HTTP, whose answers are event streams. It asks nobody who he is.
func TestMCP(t *testing.T) {
	t.Parallel()
	modules := harness.Fetched(t, "MEMGATE_MCP", "mcp", "tools/node.sh mcp")
	server := filepath.Join(modules, "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js")
	address := harness.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	// One of its tools tells its whole environment, so it gets one of its own.
	secret := "AKIA" + "IOSFODNN7" + "EXAMPLE"
	service := harness.Start(t, "mcp-server", nil, "env", "-i", "PORT="+port, "OWNER=Jane <"+email+">", "AWS_ACCESS_KEY_ID="+secret,
		harness.OnPath(t, "node"), server, "streamableHttp")
	service.WaitLog("listening on port")
	e := start(t, "mcp.yaml", "127.0.0.1:3001", address, [][2]string{{"acme", "mcp:use"}, {"acme", "orders:use"}})
	key, without := e.keys[0], e.keys[1]

	c := &mcpClient{edge: e, key: key}
	first := c.call(t, "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`)
	if first.Status != 200 || first.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("initialize: %d %v %s", first.Status, first.Header, first.Body)
	}
	if c.session = first.Header.Get(mcpSession); c.session == "" {
		t.Fatalf("no session: %v", first.Header)
	}
	if r := c.send(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); r.Status != 202 {
		t.Fatalf("notifications/initialized: %d %s", r.Status, r.Body)
	}
	if tools := c.call(t, "tools/list", `{}`); !strings.Contains(tools.Body, `"get-env"`) {
		t.Fatalf("tools/list: %d %s", tools.Status, tools.Body)
	}

	t.Run("a tool cannot give away what it knows", func(t *testing.T) {
		r := c.tool(t, "get-env", `{}`)
		text := toolText(t, r)
		var environment map[string]string
		if err := json.Unmarshal([]byte(text), &environment); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if environment["OWNER"] != "Jane <[EMAIL_ADDRESS]>" || environment["AWS_ACCESS_KEY_ID"] != "[AWS_ACCESS_KEY]" || environment["PORT"] != port {
			t.Errorf("the environment comes as %v", environment)
		}
		if line := e.audited(t, r.ID); !strings.Contains(line, "AWS_ACCESS_KEY") || strings.Contains(line, secret) || strings.Contains(line, email) {
			t.Errorf("the audit log has %s", line)
		}
	})
	t.Run("nor does it get what it need not", func(t *testing.T) {
		if got := toolText(t, c.tool(t, "echo", `{"message":"ask `+email+`"}`)); got != "Echo: ask [EMAIL_ADDRESS]" {
			t.Errorf("%q", got)
		}
		card := strings.Join([]string{"4111", "1111", "1111", "1111"}, "-")
		refused(t, c.tool(t, "echo", `{"message":"`+card+`"}`), 422, "blocked-pii")
	})
	t.Run("streams are not held", func(t *testing.T) { streams(t, c) })
	t.Run("refusals", func(t *testing.T) {
		list := `{"jsonrpc":"2.0","id":9,"method":"tools/list"}`
		refused(t, (&mcpClient{edge: e, session: c.session}).send(t, list), 401, "unauthenticated")
		refused(t, (&mcpClient{edge: e, key: without, session: c.session}).send(t, list), 403, "forbidden")
		refused(t, c.send(t, list[1:]), 400, "malformed-json")
		refused(t, harness.Do(t, e.URL, harness.Request{Path: "/sse", Header: map[string]string{"Authorization": "Bearer " + key}}), 403, "no-route")
		// What the server itself has to say comes as it is.
		if r := (&mcpClient{edge: e, key: key, session: "none"}).send(t, list); r.Status != 400 || !strings.Contains(r.Body, "No valid session ID") {
			t.Errorf("another session: %d %s", r.Status, r.Body)
		}
	})
	t.Run("CORS", func(t *testing.T) { cors(t, e, "/mcp", "https://inspector.example.com", key) })

	if r := c.do(t, "DELETE", ""); r.Status != 200 {
		t.Errorf("the end of the session: %d %s", r.Status, r.Body)
	}
	if r := c.call(t, "tools/list", `{}`); r.Status != 400 {
		t.Errorf("after the end of the session: %d %s", r.Status, r.Body)
	}
}

// mcpClient speaks to the server through the edge.
type mcpClient struct {
	edge         *edge
	key, session string
}

func (c *mcpClient) header() map[string]string {
	header := map[string]string{"Accept": "application/json, text/event-stream"}
	if c.key != "" {
		header["Authorization"] = "Bearer " + c.key
	}
	if c.session != "" {
		header[mcpSession] = c.session
		header["Mcp-Protocol-Version"] = "2025-06-18"
	}
	return header
}

func (c *mcpClient) do(t *testing.T, method, body string) *harness.Response {
	t.Helper()
	header := c.header()
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	return harness.Do(t, c.edge.URL, harness.Request{Method: method, Path: "/mcp", Header: header, Body: body})
}

func (c *mcpClient) send(t *testing.T, message string) *harness.Response {
	t.Helper()
	return c.do(t, "POST", message)
}

func (c *mcpClient) call(t *testing.T, method, params string) *harness.Response {
	t.Helper()
	return c.send(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`)
}

func (c *mcpClient) tool(t *testing.T, name, arguments string) *harness.Response {
	t.Helper()
	return c.call(t, "tools/call", `{"name":"`+name+`","arguments":`+arguments+`}`)
}

// toolText is the text of a tool's answer, which comes as an event.
func toolText(t *testing.T, r *harness.Response) string {
	t.Helper()
	for line := range strings.Lines(r.Body) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var answer struct {
			Result struct{ Content []struct{ Text string } }
		}
		if err := json.Unmarshal([]byte(data), &answer); err == nil && len(answer.Result.Content) == 1 {
			return answer.Result.Content[0].Text
		}
	}
	t.Fatalf("no answer of a tool: %d %s", r.Status, r.Body)
	return ""
}

// streams opens a stream that goes on for an hour, and one that has no end, and
// reads what comes at their beginnings.
func streams(t *testing.T, c *mcpClient) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func(method, body string) *bufio.Scanner {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, method, c.edge.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.header() {
			request.Header.Set(name, value)
		}
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s: %s %v", method, response.Status, response.Header)
		}
		return bufio.NewScanner(response.Body)
	}
	await := func(lines *bufio.Scanner, text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("%q never came: %v", text, lines.Err())
	}
	listening := open("GET", "")
	if text := toolText(t, c.tool(t, "toggle-simulated-logging", `{}`)); !strings.HasPrefix(text, "Started") {
		t.Fatalf("%q", text)
	}
	await(listening, `"method":"notifications/message"`)

	working := open("POST", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"trigger-long-running-operation",`+
		`"arguments":{"duration":3600,"steps":36000},"_meta":{"progressToken":"of `+email+`"}}}`)
	await(working, `"progress":1,"total":36000,"progressToken":"of [EMAIL_ADDRESS]"`)
	await(working, `"progress":2,`)
}
