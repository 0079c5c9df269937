package attacks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// attack is one message, byte for byte, and what must hold for it beside the rules
// for all. {token} stands for a token with all scopes, {reader} for one that may
// only read; both are of a tenant that no other attack has. Where both to refuse
// and to make sense of a message is right, want has both and reach is -1: then it
// is the rules that decide.
type attack struct {
	name    string
	raw     string
	want    []int                                         // statuses of the first answer that are right
	problem string                                        // what the first answer says, if it matters
	reach   int                                           // how many requests reach the service; -1 for any number
	answers int                                           // how many answers there are at most; 0 means 1
	holds   func(a []*harness.Response, s []*seen) string // what does not hold
	echoed  string                                        // the request id that the caller is known to get back; see echoes
}

// Shapes of what must hold.
var (
	refused   = []int{400, 403}
	malformed = []int{400}
)

const (
	agents   = "/api/v2/agents"
	remember = "/api/v2/agents/a/remember"
	recall   = "/api/v2/agents/a/recall"
)

var table = []struct {
	group   string
	attacks []attack
}{
	{"paths", []attack{
		{name: "dot segments to another route", raw: authorized("GET /healthz/../api/v2/agents HTTP/1.1"), want: []int{200}, reach: 1, holds: path("/api/v2/agents")},
		{name: "dot segments beyond the root", raw: authorized("GET /../../../../etc/passwd HTTP/1.1"), want: refused},
		{name: "encoded dot segments", raw: authorized("GET /healthz/%2e%2e/api/v2/agents HTTP/1.1"), want: []int{200, 400, 403}, reach: -1, holds: pathIfAny("/api/v2/agents")},
		{name: "half-encoded dot segments", raw: authorized("GET /healthz/.%2E/api/v2/agents HTTP/1.1"), want: []int{200, 400, 403}, reach: -1, holds: pathIfAny("/api/v2/agents")},
		{name: "doubly encoded dot segments", raw: authorized("GET /healthz/%252e%252e/api/v2/agents HTTP/1.1"), want: refused},
		{name: "dots as an agent", raw: authorized("GET /api/v2/agents/%2e%2e HTTP/1.1"), want: refused},
		{name: "doubly encoded dots as an agent", raw: authorized("GET /api/v2/agents/%252e%252e%252f HTTP/1.1"), want: []int{400, 403, 422}, reach: -1},
		{name: "encoded slash", raw: authorized("GET /api%2fv2/agents HTTP/1.1"), want: malformed, problem: "bad-request"},
		{name: "encoded slash in an agent", raw: authorized("GET /api/v2/agents/a%2Fremember HTTP/1.1"), want: malformed},
		{name: "encoded backslash", raw: authorized("GET /api/v2/agents/a%5c..%5cb HTTP/1.1"), want: malformed},
		{name: "backslash", raw: authorized(`GET /api/v2/agents\a HTTP/1.1`), want: []int{200, 400, 403, 404}, reach: -1},
		{name: "backslash and dots", raw: authorized(`GET /healthz\..\api\v2\agents HTTP/1.1`), want: []int{200, 400, 403}, reach: -1},
		{name: "double slashes", raw: authorized("GET //api//v2///agents HTTP/1.1"), want: []int{200}, reach: 1, holds: path("/api/v2/agents")},
		{name: "double slash that looks like a host", raw: authorized("GET //evil.example/api/v2/agents HTTP/1.1"), want: refused},
		{name: "path parameters", raw: authorized("GET /api/v2/agents;jsessionid=1 HTTP/1.1"), want: refused},
		{name: "path parameters on a dot segment", raw: authorized("GET /healthz/..;/api/v2/agents HTTP/1.1"), want: []int{200, 400, 403}, reach: -1, holds: pathIfAny("/api/v2/agents")},
		{name: "encoded path parameters", raw: authorized("GET /api/v2/agents/a%3bx=1 HTTP/1.1"), want: []int{400, 403, 422}, reach: -1},
		{name: "upper case", raw: authorized("GET /API/V2/AGENTS HTTP/1.1"), want: refused},
		{name: "an encoded letter", raw: authorized("GET /api/v2/%61gents HTTP/1.1"), want: []int{200}, reach: 1},
		{name: "an encoded letter to dodge a scope", raw: strings.Replace(post("/api/v2/agents/a/%72emember", `{"content":"x","type":"fact"}`), "{token}", "{reader}", 1), want: []int{403}, problem: "forbidden"},
		{name: "trailing slash", raw: authorized("GET /api/v2/agents/ HTTP/1.1"), want: refused},
		{name: "missing trailing slash", raw: authorized("GET /v1/ping HTTP/1.1"), want: refused},
		{name: "trailing dot", raw: authorized("GET /api/v2/agents. HTTP/1.1"), want: refused},
		{name: "trailing encoded space", raw: authorized("GET /api/v2/agents%20 HTTP/1.1"), want: refused},
		{name: "suffix", raw: authorized("GET /api/v2/agents.json HTTP/1.1"), want: refused},
		{name: "NUL", raw: authorized("GET /api/v2/agents%00 HTTP/1.1"), want: refused},
		{name: "raw NUL", raw: authorized("GET /api/v2/agents\x00 HTTP/1.1"), want: refused},
		{name: "encoded line break", raw: authorized("GET /api/v2/agents/a%0d%0aX-Memgate-Tenant:%20victim HTTP/1.1"), want: refused},
		{name: "not UTF-8", raw: authorized("GET /api/v2/agents/\xff\xfe HTTP/1.1"), want: refused},
		{name: "not UTF-8, encoded", raw: authorized("GET /api/v2/agents/%ff%fe HTTP/1.1"), want: refused},
		{name: "overlong slash", raw: authorized("GET /api/v2/agents/%c0%af HTTP/1.1"), want: refused},
		{name: "raw bytes beyond ASCII", raw: authorized("GET /api/v2/agents/ä HTTP/1.1"), want: refused},
		{name: "a full-width solidus", raw: authorized("GET /api/v2/agents/%ef%bc%8f HTTP/1.1"), want: []int{400, 403, 422}, reach: -1},
		{name: "broken escape", raw: authorized("GET /api/v2/agents/%zz HTTP/1.1"), want: refused},
		{name: "cut escape", raw: authorized("GET /api/v2/agents/% HTTP/1.1"), want: refused},
		{name: "unicode escape", raw: authorized("GET /api/v2/agents/%u002e%u002e HTTP/1.1"), want: refused},
		{name: "fragment", raw: authorized("GET /healthz#/../api/v2/agents HTTP/1.1"), want: refused},
		{name: "fragment in the query", raw: authorized("GET /api/v2/agents?x#y HTTP/1.1"), want: []int{200, 400, 403}, reach: -1},
		{name: "asterisk", raw: authorized("OPTIONS * HTTP/1.1"), want: []int{400, 403, 404}},
		{name: "asterisk with GET", raw: authorized("GET * HTTP/1.1"), want: []int{400, 403, 404}},
		{name: "no slash", raw: authorized("GET api/v2/agents HTTP/1.1"), want: []int{400, 403, 404}},
		{name: "empty path", raw: authorized("GET  HTTP/1.1"), want: malformed},
		{name: "absolute form", raw: authorized("GET http://evil.example/api/v2/agents HTTP/1.1"), want: []int{200}, reach: 1, holds: path("/api/v2/agents")},
		{name: "absolute form with another scheme", raw: authorized("GET file:///etc/passwd HTTP/1.1"), want: refused},
		{name: "absolute form with a user", raw: authorized("GET http://u:p@evil.example/api/v2/agents HTTP/1.1"), want: []int{200, 400, 403}, reach: -1},
		{name: "absolute form to the metrics", raw: authorized("GET http://127.0.0.1/metrics HTTP/1.1"), want: refused},
		{name: "absolute form with dots", raw: authorized("GET http://x/healthz/..%2f..%2fmetrics HTTP/1.1"), want: malformed},
		{name: "a path of 9000 bytes", raw: authorized("GET /api/v2/agents/" + strings.Repeat("a", 9000) + " HTTP/1.1"), want: refused},
		{name: "a query of 9000 bytes", raw: authorized("GET /api/v2/agents?" + strings.Repeat("a", 9000) + " HTTP/1.1"), want: []int{200, 400, 414}, reach: -1},
		{name: "a route in the query", raw: authorized("POST /healthz?/api/v2/agents HTTP/1.1", "Content-Length: 0"), want: refused},
		{name: "an encoded question mark", raw: authorized("GET /api/v2/agents%3finclude_counts=1 HTTP/1.1"), want: refused},
		{name: "method in the query", raw: authorized("GET /api/v2/agents?_method=DELETE HTTP/1.1"), want: []int{200}, reach: 1},
		{name: "content policies", raw: authorized("GET /v1/content/" + strings.Repeat("0", 64) + " HTTP/1.1"), want: []int{403}, problem: "no-route"},
		{name: "metrics", raw: authorized("GET /metrics HTTP/1.1"), want: []int{403}, problem: "no-route"},
		{name: "keys", raw: authorized("GET /.well-known/jwks.json HTTP/1.1"), want: []int{403}, problem: "no-route"},
		{name: "readiness", raw: authorized("GET /readyz HTTP/1.1"), want: []int{403}, problem: "no-route"},
		{name: "memgate by its name", raw: strings.Replace(authorized("GET /metrics HTTP/1.1"), "Host: edge", "Host: memgate", 1), want: []int{403}},
		{name: "dots from memgate's own route to its metrics", raw: authorized("GET /api/v2/status/../../../metrics HTTP/1.1"), want: []int{403}},
		{name: "an agent named like an operation", raw: authorized("GET /api/v2/agents/activate HTTP/1.1"), want: []int{404}, reach: 1},
		{name: "an agent that leaves its folder", raw: post(agents, `{"agent_id":"../../../../tmp/x"}`), want: []int{422}, reach: 1},
		{name: "an agent with a NUL", raw: post(agents, `{"agent_id":"a\u0000b"}`), want: []int{422}, reach: 1},
		{name: "a memory that leaves its folder", raw: authorized("GET /api/v2/agents/a/memories/..%252f..%252fetc HTTP/1.1"), want: []int{400, 403, 404, 422}, reach: -1},
		{name: "SQL as a memory", raw: authorized("GET /api/v2/agents/a/memories/1'%20OR%20'1'='1 HTTP/1.1"), want: []int{400, 403, 404, 422}, reach: -1},
	}},

	{"methods", []attack{
		{name: "HEAD", raw: authorized("HEAD /api/v2/agents HTTP/1.1"), want: []int{200}, reach: 1, holds: empty},
		{name: "HEAD of a write", raw: authorized("HEAD /api/v2/agents/a/remember HTTP/1.1"), want: []int{403}, holds: empty},
		{name: "HEAD without a credential", raw: lines("HEAD /api/v2/agents HTTP/1.1"), want: []int{401}, holds: empty},
		{name: "OPTIONS without an origin", raw: authorized("OPTIONS /api/v2/agents HTTP/1.1"), want: []int{403}, problem: "no-route"},
		{name: "a preflight from nowhere", raw: lines("OPTIONS /api/v2/agents HTTP/1.1", "Origin: null", "Access-Control-Request-Method: GET"), want: []int{403}, problem: "origin-refused"},
		{name: "a preflight of a stranger", raw: lines("OPTIONS /api/v2/agents HTTP/1.1", "Origin: http://localhost:3000.evil.example", "Access-Control-Request-Method: GET"), want: []int{403}, problem: "origin-refused"},
		{name: "a preflight of two origins", raw: lines("OPTIONS /api/v2/agents HTTP/1.1", "Origin: http://localhost:3000", "Origin: http://evil.example", "Access-Control-Request-Method: GET"), want: []int{403}},
		{name: "a preflight that is a GET", raw: lines("GET /api/v2/agents HTTP/1.1", "Origin: http://evil.example", "Access-Control-Request-Method: GET"), want: []int{401}},
		{name: "TRACE", raw: authorized("TRACE /healthz HTTP/1.1"), want: []int{400, 403, 405}},
		{name: "TRACK", raw: authorized("TRACK /healthz HTTP/1.1"), want: refused},
		{name: "CONNECT", raw: authorized("CONNECT 127.0.0.1:22 HTTP/1.1"), want: []int{400, 403, 404, 503}},
		{name: "CONNECT to a path", raw: authorized("CONNECT /healthz HTTP/1.1"), want: []int{400, 403, 404}},
		{name: "PRI", raw: "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", want: nil},
		{name: "lower case", raw: authorized("get /api/v2/agents HTTP/1.1"), want: refused},
		{name: "a method of its own", raw: authorized("G3T!#$%&'*+-.^_`|~ /api/v2/agents HTTP/1.1"), want: refused},
		{name: "a method with a colon", raw: authorized("GE:T /api/v2/agents HTTP/1.1"), want: malformed},
		{name: "method override", raw: strings.Replace(post(recall, `{"query":"x"}`, "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"), "{token}", "{reader}", 1), want: []int{200, 400, 404}, reach: -1},
		{name: "path override", raw: lines("GET /healthz HTTP/1.1", "X-Original-URL: /api/v2/agents", "X-Rewrite-URL: /api/v2/agents", "X-Original-URI: /api/v2/agents"), want: []int{200, 400}, reach: -1},
		{name: "path override for Envoy", raw: lines("GET /healthz HTTP/1.1", "X-Envoy-Original-Path: /api/v2/agents"), want: []int{200}, reach: 1},
		{name: "WebSocket", raw: lines("GET /healthz HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), want: []int{403}, problem: "upgrade-refused"},
		{name: "h2c upgrade", raw: strings.Replace(authorized("GET /api/v2/agents HTTP/1.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), "Connection: close", "Connection: Upgrade, HTTP2-Settings", 1), want: []int{200, 400, 403}, reach: -1},
		{name: "upgrade without Connection", raw: authorized("GET /api/v2/agents HTTP/1.1", "Upgrade: websocket"), want: []int{200, 400, 403}, reach: -1},
		{name: "HTTP/1.0", raw: authorized("GET /api/v2/agents HTTP/1.0"), want: []int{200, 400, 426}, reach: -1},
		{name: "HTTP/0.9", raw: "GET /healthz\r\n\r\n", want: []int{400, 426}},
		{name: "HTTP/3.7", raw: authorized("GET /api/v2/agents HTTP/3.7"), want: []int{400, 426, 505}},
		{name: "GET with a body", raw: send("GET", agents, `{"x":1}`, "Content-Type: application/json"), want: []int{200, 400}, reach: -1},
		{name: "GET with a body that hides a request", raw: send("GET", agents, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), want: []int{400, 415}},
		{name: "DELETE with a body", raw: send("DELETE", agents+"/a", `{"x":1}`, "Content-Type: application/json"), want: []int{404}, reach: 1},
		{name: "DELETE with a body of no type", raw: send("DELETE", agents+"/a", "\x00\x01"), want: []int{415}},
		{name: "Expect", raw: post(recall, `{"query":"x"}`, "Expect: 100-continue"), want: []int{200, 404}, reach: 1},
		{name: "Expect of something else", raw: post(recall, `{"query":"x"}`, "Expect: 200-ok"), want: []int{200, 404, 417}, reach: -1},
		{name: "Expect without a credential", raw: lines("POST "+recall+" HTTP/1.1", "Expect: 100-continue", "Content-Length: 1000000000"), want: []int{401}},
	}},

	{"framing", []attack{
		{name: "two lengths", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: 13", "Content-Length: 50", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "the same length twice", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: 13", "Content-Length: 13", "Content-Type: application/json") + `{"query":"x"}`, want: []int{200, 400, 404}, reach: -1},
		{name: "lengths in one line", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: 13, 13", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "a signed length", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: +13", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "a negative length", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: -1", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "a hexadecimal length", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: 0xd", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "a length beyond 64 bits", raw: authorized("POST "+recall+" HTTP/1.1", "Content-Length: 18446744073709551629", "Content-Type: application/json") + `{"query":"x"}`, want: malformed},
		{name: "length and chunks", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"query\":\"x\"}\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n", want: malformed},
		{name: "chunks and length 0", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\nd\r\n{\"query\":\"x\"}\r\n0\r\n\r\n", want: malformed},
		{name: "chunked twice", raw: smuggle("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), want: []int{400, 501}},
		{name: "chunked and something", raw: smuggle("Transfer-Encoding: chunked, identity"), want: []int{400, 501}},
		{name: "something and chunked", raw: smuggle("Transfer-Encoding: gzip, chunked"), want: []int{400, 501}},
		{name: "chunked spelt with a tab", raw: smuggle("Transfer-Encoding:\tchunked"), want: []int{200, 400, 404, 501}, reach: -1, answers: 2, holds: second(403)},
		{name: "chunked with a vertical tab", raw: smuggle("Transfer-Encoding: \vchunked"), want: []int{400, 501}},
		{name: "chunked spelt xchunked", raw: smuggle("Transfer-Encoding: xchunked"), want: []int{400, 501}},
		{name: "chunked in quotes", raw: smuggle(`Transfer-Encoding: "chunked"`), want: []int{400, 501}},
		{name: "chunked in capitals", raw: smuggle("Transfer-Encoding: CHUNKED"), want: []int{200, 400, 404, 501}, reach: -1, answers: 2, holds: second(403)},
		{name: "a space before the colon", raw: smuggle("Transfer-Encoding : chunked"), want: malformed},
		{name: "a folded header", raw: smuggle("Transfer-Encoding:\r\n chunked"), want: []int{200, 400, 404}, reach: -1, answers: 2, holds: second(403)},
		{name: "a folded credential", raw: lines("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer\r\n {token}"), want: []int{200, 400}, reach: -1},
		{name: "a header without a colon", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Nothing"), want: malformed},
		{name: "a header without a name", raw: authorized("GET /api/v2/agents HTTP/1.1", ": x"), want: malformed},
		{name: "a space in front of the first header", raw: "GET /api/v2/agents HTTP/1.1\r\n Host: edge\r\nHost: edge\r\nAuthorization: Bearer {token}\r\n\r\n", want: malformed},
		{name: "bare line feeds", raw: strings.ReplaceAll(authorized("GET /api/v2/agents HTTP/1.1"), "\r\n", "\n"), want: []int{200, 400}, reach: -1},
		{name: "bare carriage returns", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-A: b\rX-Memgate-Tenant: victim"), want: []int{200, 400}, reach: -1},
		{name: "NUL in a header", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-A: b\x00c"), want: malformed},
		{name: "chunk extensions", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nd;a=b;c=\"d\"\r\n{\"query\":\"x\"}\r\n0;e\r\n\r\n", want: []int{200, 400, 404}, reach: -1, holds: body(`{"query":"x"}`)},
		{name: "a chunk extension with a line feed", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nd;\n{\"query\":\"x\"}\r\n0\r\n\r\n", want: []int{400}},
		{name: "a chunk of a wrong length", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"query\":\"x\"}\r\n0\r\n\r\n", want: malformed},
		{name: "a chunk length beyond 64 bits", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000d\r\n{\"query\":\"x\"}\r\n0\r\n\r\n", want: []int{400, 413}},
		{name: "a signed chunk length", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n+d\r\n{\"query\":\"x\"}\r\n0\r\n\r\n", want: malformed},
		{name: "trailers with an identity", raw: "POST " + recall + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Txn-Token, X-Memgate-Tenant\r\n\r\nd\r\n{\"query\":\"x\"}\r\n0\r\nTxn-Token: forged\r\nX-Memgate-Tenant: victim\r\nAuthorization: Bearer x\r\n\r\n", want: []int{200, 400, 404}, reach: -1},
		{name: "trailers on an anonymous route", raw: "GET /healthz HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTxn-Token: forged\r\nX-Memgate-Tenant: victim\r\n\r\n", want: []int{200, 400, 415}, reach: -1},
		{name: "a request hidden behind a refused one", raw: "POST /metrics HTTP/1.1\r\nHost: edge\r\nContent-Length: 60\r\n\r\nGET /api/v2/agents HTTP/1.1\r\nHost: edge\r\nX-Pad: aaaaaaaa\r\n\r\n", want: []int{403}},
		{name: "a pipelined request without the first one's credential", raw: "GET /api/v2/agents HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {token}\r\n\r\n" + lines("GET /api/v2/agents HTTP/1.1"), want: []int{200}, reach: 1, answers: 2, holds: statuses(200, 401)},
		{name: "two hosts", raw: authorized("GET /api/v2/agents HTTP/1.1", "Host: evil.example"), want: malformed},
		{name: "no host", raw: "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", want: malformed},
		{name: "an odd host", raw: strings.Replace(authorized("GET /api/v2/agents HTTP/1.1"), "Host: edge", "Host: a@b/c?d#e", 1), want: malformed},
		{name: "headers of 40 KiB", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-A: "+strings.Repeat("a", 40<<10)), want: []int{431}, problem: "headers-too-large"},
		{name: "150 headers", raw: authorized(append([]string{"GET /api/v2/agents HTTP/1.1"}, headersOf(150)...)...), want: []int{431}, problem: "headers-too-large"},
		{name: "a name of 20000 bytes", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Memgate-"+strings.Repeat("a", 20000)+": 1"), want: []int{200, 400, 431}, reach: -1},
	}},

	{"headers", []attack{
		{name: "an identity of one's own", raw: authorized("GET /api/v2/agents HTTP/1.1", "Txn-Token: forged", "X-Memgate-Tenant: victim", "X-Memgate-Subject: root", "X-Memgate-Admin: 1"), want: []int{200}, reach: 1},
		{name: "a peer of a mesh in a header", raw: lines("GET /api/v2/agents HTTP/1.1", "X-Forwarded-Client-Cert: By=spiffe://edge;Hash=00;URI=spiffe://cluster.local/ns/victim/sa/web"), want: []int{401}},
		{name: "an identity twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Memgate-Tenant: victim", "X-Memgate-Tenant: victim2"), want: []int{200, 400}, reach: -1},
		{name: "a subject twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Memgate-Subject: victim", "x-memgate-subject: victim2"), want: []int{200, 400}, reach: -1},
		{name: "a Txn-Token twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "Txn-Token: forged", "Txn-Token: forged2"), want: []int{200, 400}, reach: -1},
		{name: "an unknown reserved header twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Memgate-Admin: 1", "X-Memgate-Admin: 2"), want: []int{200, 400}, reach: -1},
		{name: "the upstream's key twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Upstream-Key: a", "X-Upstream-Key: b"), want: []int{200, 400}, reach: -1},
		{name: "the upstream's key on an anonymous route", raw: lines("GET /healthz HTTP/1.1", "X-Upstream-Key: a", "X-Upstream-Key: b"), want: []int{200, 400}, reach: -1},
		{name: "an identity on an anonymous route", raw: lines("GET /healthz HTTP/1.1", "Txn-Token: forged", "X-Memgate-Tenant: victim", "X-Memgate-Tenant: victim", "Authorization: Bearer x", "X-Api-Key: y", "X-Session-Token: z"), want: []int{200, 400}, reach: -1},
		{name: "credentials twice on an anonymous route", raw: lines("GET /healthz HTTP/1.1", "Authorization: Bearer x", "Authorization: Bearer y"), want: []int{200, 400}, reach: -1},
		{name: "underscores", raw: authorized("GET /api/v2/agents HTTP/1.1", "X_Memgate_Tenant: victim"), want: malformed},
		{name: "underscores in a Txn-Token", raw: authorized("GET /api/v2/agents HTTP/1.1", "Txn_Token: victim"), want: malformed},
		{name: "hop by hop: the identity", raw: strings.Replace(authorized("GET /api/v2/agents HTTP/1.1"), "Connection: close", "Connection: close, txn-token, x-memgate-tenant, x-memgate-subject", 1), want: []int{200, 400}, reach: -1},
		{name: "hop by hop: the credential", raw: strings.Replace(authorized("GET /api/v2/agents HTTP/1.1"), "Connection: close", "Connection: close, authorization", 1), want: []int{200, 400, 401}, reach: -1},
		{name: "hop by hop: the request id and the key", raw: strings.Replace(authorized("GET /api/v2/agents HTTP/1.1"), "Connection: close", "Connection: close, x-request-id, x-upstream-key, host, content-length", 1), want: []int{200, 400}, reach: -1},
		{name: "Keep-Alive and Proxy-Connection", raw: authorized("GET /api/v2/agents HTTP/1.1", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive, txn-token"), want: []int{200}, reach: 1},
		{name: "TE", raw: authorized("GET /api/v2/agents HTTP/1.1", "TE: trailers, chunked, deflate;q=0.5"), want: []int{200, 400}, reach: -1},
		{name: "a credential twice", raw: authorized("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer {token}"), want: []int{400}, problem: "ambiguous-credentials"},
		{name: "two credentials in one", raw: lines("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer {token}, Bearer {token}"), want: []int{400}},
		{name: "a token and a key", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Api-Key: mg_a_b"), want: []int{400}, problem: "ambiguous-credentials"},
		{name: "an empty credential beside a good one", raw: authorized("GET /api/v2/agents HTTP/1.1", "Authorization:"), want: []int{200, 400}, reach: -1},
		{name: "a credential with odd bytes", raw: lines("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer {token}\xff"), want: []int{400, 401}},
		{name: "a credential with a tab", raw: lines("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer\t{token}"), want: []int{400, 401}},
		{name: "a credential in the query", raw: lines("GET /api/v2/agents?access_token={token} HTTP/1.1"), want: []int{401}},
		{name: "a credential in a cookie", raw: lines("GET /api/v2/agents HTTP/1.1", "Cookie: authorization=Bearer {token}; x-session-token=x"), want: []int{401}},
		{name: "a credential for a proxy", raw: lines("GET /api/v2/agents HTTP/1.1", "Proxy-Authorization: Bearer {token}"), want: []int{401}},
		{name: "a session token as a bearer", raw: lines("GET /api/v2/agents HTTP/1.1", "Authorization: Bearer ms_aaaaaaaaaaaaaaaa_"+strings.Repeat("a", 43)), want: []int{401}},
		{name: "a token as a key", raw: lines("GET /api/v2/agents HTTP/1.1", "X-Api-Key: {token}"), want: []int{401}},
		{name: "a token as a session", raw: lines("GET /api/v2/agents HTTP/1.1", "X-Session-Token: {token}"), want: []int{401}},
		{name: "a request id", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Request-Id: 00000000-0000-4000-8000-000000000000"), want: []int{200}, reach: 1, holds: notID("00000000-0000-4000-8000-000000000000")},
		{name: "two request ids", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Request-Id: forged", "X-Request-Id: forged2"), want: []int{200}, reach: 1},
		{name: "a request id on a bad path", raw: lines("GET /a%2fb HTTP/1.1", "X-Request-Id: 00000000-0000-4000-8000-000000000000"), want: malformed, echoed: "00000000-0000-4000-8000-000000000000"},
		{name: "markup as a request id on a bad path", raw: lines("GET /a%2fb HTTP/1.1", `X-Request-Id: <script>"`), want: malformed, echoed: `<script>"`},
		{name: "a request id with an underscore beside it", raw: lines("GET /healthz HTTP/1.1", "X_A: 1", "X-Request-Id: 00000000-0000-4000-8000-000000000000"), want: malformed, holds: notID("00000000-0000-4000-8000-000000000000")},
		{name: "an address of one's own", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Forwarded-For: 10.0.0.1", "X-Real-Ip: 10.0.0.1", "Forwarded: for=10.0.0.1", "X-Envoy-External-Address: 10.0.0.1", "X-Envoy-Internal: true", "X-Forwarded-Proto: https", "X-Forwarded-Client-Cert: URI=spiffe://victim"), want: []int{200}, reach: 1},
		{name: "an internal address of one's own", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Forwarded-For: 127.0.0.1", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Retry-On: 5xx,gateway-error,retriable-4xx", "X-Envoy-Max-Retries: 100"), want: []int{200}, reach: 1},
		{name: "retries at will", raw: post(recall, `{"query":"x"}`, "X-Envoy-Retry-On: retriable-status-codes", "X-Envoy-Retriable-Status-Codes: 404,200", "X-Envoy-Max-Retries: 20"), want: []int{200, 404}, reach: 1},
		{name: "a time limit at will", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 1", "X-Envoy-Expected-Rq-Timeout-Ms: 1"), want: []int{200}, reach: 1},
		{name: "other orders to Envoy", raw: authorized("GET /api/v2/agents HTTP/1.1", "X-Envoy-Decorator-Operation: x", "X-Envoy-Force-Trace: 1", "X-Envoy-Ip-Tags: a", "X-Envoy-Upstream-Alt-Stat-Name: x", "X-Envoy-Hedge-On-Per-Try-Timeout: true", "X-Envoy-Downstream-Service-Cluster: x", "X-Envoy-Auth-Failure-Mode-Allowed: true"), want: []int{200}, reach: 1},
		{name: "a part", raw: authorized("GET /openapi.json HTTP/1.1", "Range: bytes=0-10"), want: []int{200}, reach: 1},
		{name: "a condition", raw: authorized("GET /openapi.json HTTP/1.1", "If-None-Match: *", "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT"), want: []int{200}, reach: 1},
		{name: "a compressed answer", raw: authorized("GET /api/v2/agents HTTP/1.1", "Accept-Encoding: gzip, br"), want: []int{200}, reach: 1, holds: notCompressed},
		{name: "an origin that is none", raw: authorized("GET /api/v2/agents HTTP/1.1", "Origin: http://localhost:3000\xff"), want: []int{200, 400}, reach: -1},
		{name: "an origin with a line break", raw: authorized("GET /api/v2/agents HTTP/1.1", "Origin: http://localhost:3000%0d%0aX: y"), want: []int{200}, reach: 1},
		{name: "a poisoned cache", raw: lines("GET /healthz HTTP/1.1", "X-Forwarded-Host: evil.example", "X-Host: evil.example", "X-Forwarded-Scheme: nothttps"), want: []int{200}, reach: 1},
	}},

	{"content", []attack{
		{name: "1 MiB in chunks on a route of 64 KiB", raw: chunked(recall, each(16<<10, `{"query":"`+strings.Repeat("x ", 512<<10)+`"}`)), want: []int{413}, problem: "body-too-large"},
		{name: "1 MiB with its length", raw: post(recall, `{"query":"`+strings.Repeat("x ", 512<<10)+`"}`), want: []int{413}, problem: "body-too-large"},
		{name: "1 MiB on an anonymous route", raw: lines("GET /healthz HTTP/1.1", "Content-Type: application/json", "Content-Length: 1048576") + strings.Repeat(" ", 1<<20), want: []int{413}},
		{name: "1 MiB without a credential", raw: lines("POST "+recall+" HTTP/1.1", "Content-Type: application/json", "Content-Length: 1048576") + strings.Repeat(" ", 1<<20), want: []int{401}},
		{name: "UTF-16", raw: send("POST", recall, "\xfe\xff\x00{\x00}", "Content-Type: application/json;charset=utf-16"), want: []int{415}},
		{name: "UTF-7", raw: send("POST", recall, `{"query":"+AGoAYQBuAGUAQABlAC4AYwBvAG0-"}`, `Content-Type: application/json; charset="utf-7"`), want: []int{415}},
		{name: "UTF-16 without saying so", raw: post(recall, "\xff\xfe{\x00}\x00"), want: []int{400}},
		{name: "UTF-32 without saying so", raw: post(recall, "{\x00\x00\x00}\x00\x00\x00"), want: []int{400}},
		{name: "two types", raw: post(recall, `{"query":"x"}`, "Content-Type: text/plain"), want: []int{415}},
		{name: "two types in one line", raw: send("POST", recall, `{"query":"x"}`, "Content-Type: application/json, text/plain"), want: []int{415}},
		{name: "jsonx", raw: send("POST", recall, `{"query":"x"}`, "Content-Type: application/jsonx"), want: []int{415}},
		{name: "json in a parameter", raw: send("POST", recall, "query: x", "Content-Type: text/plain; x=application/json"), want: []int{415}},
		{name: "a type with a NUL", raw: send("POST", recall, `{"query":"x"}`, "Content-Type: application/json\x00"), want: []int{400}},
		{name: "a type with odd bytes", raw: send("POST", recall, `{"query":"x"}`, "Content-Type: application/json\xa0"), want: []int{415}},
		{name: "a form", raw: send("POST", recall, "query=x", "Content-Type: application/x-www-form-urlencoded"), want: []int{415}},
		{name: "a multipart body", raw: send("POST", recall, "--b\r\n\r\n{}\r\n--b--", "Content-Type: multipart/form-data; boundary=b"), want: []int{415}},
		{name: "no type", raw: send("POST", recall, `{"query":"x"}`), want: []int{415}},
		{name: "an empty type", raw: send("POST", recall, `{"query":"x"}`, "Content-Type:"), want: []int{415}},
		{name: "gzip", raw: post(recall, "\x1f\x8b\x08", "Content-Encoding: gzip"), want: []int{415}, problem: "unsupported-encoding"},
		{name: "gzip behind identity", raw: post(recall, `{"query":"x"}`, "Content-Encoding: identity, gzip"), want: []int{415}},
		{name: "gzip in a second line", raw: post(recall, `{"query":"x"}`, "Content-Encoding: identity", "Content-Encoding: gzip"), want: []int{415}},
		{name: "gzip as a transfer coding", raw: smuggle("Transfer-Encoding: gzip"), want: []int{400, 501}},
		{name: "a byte order mark", raw: post(recall, "\xef\xbb\xbf{\"query\":\"x\"}"), want: []int{400}, problem: "malformed-json"},
		{name: "something behind the value", raw: post(recall, `{"query":"x"} {}`), want: []int{400}},
		{name: "a comment", raw: post(recall, `{"query":"x"/**/}`), want: []int{400}},
		{name: "a trailing comma", raw: post(recall, `{"query":"x",}`), want: []int{400}},
		{name: "NaN", raw: post(recall, `{"query":NaN}`), want: []int{400}},
		{name: "a leading zero", raw: post(recall, `{"query":"x","limit":01}`), want: []int{400}},
		{name: "a number beyond all bounds", raw: post(recall, `{"query":"x","limit":1e999999999}`), want: []int{400, 422}, reach: -1},
		{name: "a NUL in a string", raw: post(recall, "{\"query\":\"x\x00\"}"), want: []int{400}},
		{name: "an escaped NUL", raw: post(remember, `{"content":"x\u0000y","type":"fact"}`), want: []int{200}, reach: 1},
		{name: "invalid UTF-8 in a string", raw: post(recall, "{\"query\":\"\xff\"}"), want: []int{400}},
		{name: "a lone surrogate", raw: post(recall, `{"query":"\ud800"}`), want: []int{200, 400, 404, 422}, reach: -1},
		{name: "too deep", raw: post(recall, `{"query":"x","a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`), want: []int{400}, problem: "too-deep"},
		{name: "9000 members", raw: post(recall, `{"query":"x"`+strings.Repeat(`,"a":1`, 9000)+`}`), want: []int{400, 422}, reach: -1},
		{name: "a field twice, the long one first", raw: post(remember, `{"type":"fact","content":"`+long+`","content":"x"}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field twice, the long one last", raw: post(remember, `{"type":"fact","content":"x","content":"`+long+`"}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field in another case", raw: post(remember, `{"type":"fact","CONTENT":"`+long+`"}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field with a long s", raw: post(batch, `{"memorie`+"\u017f"+`":[{"content":"`+long+`"}]}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field written by escapes", raw: post(remember, `{"type":"fact","\u0063ontent":"`+long+`"}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field of escapes", raw: post(remember, `{"type":"fact","content":"`+strings.Repeat(`\u0061`, 10300)+`"}`), want: []int{413}, problem: "field-too-large"},
		{name: "a field that is a list", raw: post(remember, `{"type":"fact","content":["`+long+`"]}`), want: []int{413}, problem: "field-too-large"},
		{name: "metadata twice", raw: post(remember, `{"type":"fact","content":"x","metadata":{},"metadata":{"a":"`+long+`"}}`), want: []int{413}, problem: "field-too-large"},
		{name: "metadata of blanks", raw: post(remember, `{"type":"fact","content":"x","metadata":{`+strings.Repeat(" ", 6000)+`}}`), want: []int{413}, problem: "field-too-large"},
		{name: "a long content in a batch", raw: post(batch, `{"memories":[{"type":"fact","content":"x"},{"type":"fact","content":"`+long+`"}]}`), want: []int{413}, problem: "field-too-large"},
		{name: "a long message for mem0", raw: post("/v3/memories/add/", `{"user_id":"u","messages":[{"role":"user","content":[{"type":"text","text":"`+long+`"}]}]}`), want: []int{413}, problem: "field-too-large"},
		{name: "an address by an escape", raw: post(remember, `{"type":"fact","content":"jane.doe\u0040example.com"}`), want: []int{200}, reach: 1, holds: hidden("jane.doe")},
		{name: "an address by many escapes", raw: post(remember, `{"type":"fact","content":"`+escaped("jane.doe@example.com")+`"}`), want: []int{200}, reach: 1, holds: hidden("jane", `\u006a`)},
		{name: "an address byte by byte", raw: chunked(remember, each(1, `{"type":"fact","content":"jane.doe@example.com"}`)), want: []int{200}, reach: 1, holds: hidden("jane.doe")},
		{name: "an address as a name", raw: post(remember, `{"type":"fact","content":"x","metadata":{"jane.doe@example.com":1}}`), want: []int{200}, reach: 1, holds: hidden("jane.doe")},
		{name: "an address in an unknown member", raw: post(remember, `{"type":"fact","content":"x","zzz":[[{"a":["jane.doe@example.com"]}]]}`), want: []int{200}, reach: 1, holds: hidden("jane.doe")},
		{name: "a card by escapes", raw: post(remember, `{"type":"fact","content":"\u0034111\u00201111\u00201111\u00201111"}`), want: []int{200}, reach: 1, holds: hidden(`111\u00201111`, "1111 1111")},
		{name: "a card cut by chunks", raw: chunked(remember, []string{`{"type":"fact","content":"4111 1111 `, `1111 11`, `11"}`}), want: []int{200}, reach: 1, holds: hidden("4111 1111")},
		{name: "a card as a number", raw: post(remember, `{"type":"fact","content":"x","metadata":{"card":4111111111111111}}`), want: []int{200}, reach: 1, holds: hidden("4111111111111111")},
		{name: "a card as a fraction", raw: post(remember, `{"type":"fact","content":"x","metadata":{"card":4111111111111111.0}}`), want: []int{200}, reach: 1, holds: hidden("4111111111111111")},
		{name: "a card with an exponent", raw: post(remember, `{"type":"fact","content":"x","metadata":{"card":4111111111111111e0}}`), want: []int{200}, reach: 1, holds: hidden("4111111111111111")},
		{name: "an address in a field that is sent twice", raw: post(remember, `{"type":"fact","content":"jane.doe@example.com","content":"y"}`), want: []int{400}, reach: 1, holds: hidden("jane.doe")},
		{name: "markers of one's own", raw: post(remember, `{"type":"fact","content":"[EMAIL_ADDRESS] \u005bCREDIT_CARD\u005d"}`), want: []int{200}, reach: 1},
		{name: "a header in an agent's name", raw: authorized("GET /api/v2/agents/a%E2%80%A8b HTTP/1.1"), want: []int{400, 403, 422}, reach: -1},
	}},
}

// echoes is about the one thing that the table allows: Envoy refuses a bad path
// before it makes a request id, and hands the caller's back to the caller. It goes
// nowhere else, and stays a string of a JSON document.
func echoes(id string, got []*harness.Response, faults []string) []string {
	faults = slices.DeleteFunc(faults, func(f string) bool { return strings.HasPrefix(f, "x-request-id ") })
	var document struct {
		ID string `json:"request_id"`
	}
	for _, r := range got {
		if err := json.Unmarshal([]byte(r.Body), &document); err != nil || r.ID != id || document.ID != id {
			faults = append(faults, fmt.Sprintf("the id is no longer echoed, or not as data: %q %s", r.ID, r.Body))
		}
	}
	return faults
}

const batch = "/api/v2/agents/a/batch-remember"

// long is longer than any field may be.
var long = strings.Repeat("words ", 2000)

// smuggle is a request that some read as chunked and others do not: behind it, a
// second one waits for those.
func smuggle(coding ...string) string {
	return strings.Join(append(append([]string{"POST " + recall + " HTTP/1.1"}, coding...), "Host: edge", "Authorization: Bearer {token}",
		"Content-Type: application/json", "", "d", `{"query":"x"}`, "0", "", "GET /metrics HTTP/1.1", "Host: edge", "Connection: close", "", ""), "\r\n")
}

func headersOf(n int) (out []string) {
	for i := range n {
		out = append(out, "X-A"+strconv.Itoa(i)+": 1")
	}
	return out
}

// escaped writes each character of s as an escape of JSON.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range s {
		b.WriteString(`\u00` + strconv.FormatInt(int64(c), 16))
	}
	return b.String()
}

func path(want string) func([]*harness.Response, []*seen) string {
	return func(_ []*harness.Response, s []*seen) string {
		if len(s) != 1 || s[0].URL.Path != want {
			return fmt.Sprintf("the service does not get %s alone", want)
		}
		return ""
	}
}

func pathIfAny(want string) func([]*harness.Response, []*seen) string {
	return func(_ []*harness.Response, s []*seen) string {
		for _, s := range s {
			if s.RequestURI != want {
				return fmt.Sprintf("the service gets %s", s.RequestURI)
			}
		}
		return ""
	}
}

func body(want string) func([]*harness.Response, []*seen) string {
	return func(_ []*harness.Response, s []*seen) string {
		for _, s := range s {
			if s.body != want {
				return fmt.Sprintf("the service gets the body %q", s.body)
			}
		}
		return ""
	}
}

func hidden(words ...string) func([]*harness.Response, []*seen) string {
	return func(_ []*harness.Response, s []*seen) string {
		for _, s := range s {
			for _, word := range words {
				if strings.Contains(s.body, word) {
					return fmt.Sprintf("the service gets %s", s.body)
				}
			}
		}
		return ""
	}
}

func statuses(want ...int) func([]*harness.Response, []*seen) string {
	return func(a []*harness.Response, _ []*seen) string {
		var got []int
		for _, r := range a {
			got = append(got, r.Status)
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("statuses %v, want %v", got, want)
		}
		return ""
	}
}

// second wants what hides behind a request to be answered by itself, if at all.
func second(status int) func([]*harness.Response, []*seen) string {
	return func(a []*harness.Response, _ []*seen) string {
		if len(a) > 1 && a[1].Status != status {
			return fmt.Sprintf("the second answer is %d, want %d", a[1].Status, status)
		}
		return ""
	}
}

func notID(forged string) func([]*harness.Response, []*seen) string {
	return func(a []*harness.Response, _ []*seen) string {
		if a[0].ID == forged || strings.Contains(a[0].Body, forged) {
			return fmt.Sprintf("the caller chose the request id: %q %s", a[0].ID, a[0].Body)
		}
		return ""
	}
}

func empty(a []*harness.Response, _ []*seen) string {
	if a[0].Body != "" {
		return fmt.Sprintf("an answer to HEAD with the body %q", a[0].Body)
	}
	return ""
}

func notCompressed(a []*harness.Response, s []*seen) string {
	if a[0].Header.Get("Content-Encoding") != "" || s[0].Header.Get("Accept-Encoding") != "" {
		return fmt.Sprintf("the answer is encoded, or the service is asked to: %q", s[0].Header.Get("Accept-Encoding"))
	}
	return ""
}

func TestTable(t *testing.T) {
	// What was smuggled past the edge belongs to no attack that could find it.
	t.Cleanup(func() {
		for _, s := range upstream.all() {
			for _, fault := range upstreamRules(s) {
				t.Error(fault)
			}
		}
	})
	n := 0
	for _, g := range table {
		for _, a := range g.attacks {
			n++
			tenant := "t-" + strconv.Itoa(n)
			t.Run(g.group+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				a.run(t, tenant)
			})
		}
	}
}

func (a *attack) run(t *testing.T, tenant string) {
	raw := strings.NewReplacer("{token}", stack.Token(tenant, scopes), "{reader}", stack.Token(tenant, "memory:read")).Replace(a.raw)
	got := exchange(t, raw)
	var ids, faults []string
	for _, r := range got {
		ids = append(ids, r.ID)
		faults = append(faults, answerRules(r)...)
	}
	reached := upstream.of(tenant, ids...)
	for _, s := range reached {
		faults = append(faults, upstreamRules(s)...)
	}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	switch {
	case len(got) == 0 && a.want != nil:
		fault("no answer")
	case len(got) > max(a.answers, 1):
		fault("%d answers, the second is %d %s", len(got), got[1].Status, got[1].Body)
	case len(got) > 0 && !slices.Contains(a.want, got[0].Status):
		fault("%d, want %d: %s", got[0].Status, a.want, got[0].Body)
	case a.problem != "" && !strings.Contains(got[0].Body, `"urn:memgate:problem:`+a.problem+`"`):
		fault("want the problem %s: %s", a.problem, got[0].Body)
	}
	if a.reach >= 0 && len(reached) != a.reach {
		fault("%d requests reach the service, want %d", len(reached), a.reach)
	}
	if a.holds != nil && len(got) > 0 {
		if text := a.holds(got, reached); text != "" {
			fault("%s", text)
		}
	}
	if a.echoed != "" {
		faults = echoes(a.echoed, got, faults)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
