package attacks

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/memgate/memgate/e2e/harness"
)

// fields are header fields in the order in which they are sent: name, value, ...
type fields []string

// get is a good request, with more fields behind it.
func get(more ...string) fields {
	return append(fields{":method", "GET", ":scheme", "http", ":authority", "edge", ":path", agents, "authorization", "Bearer {token}"}, more...)
}

// instead is a good request with other values of some fields.
func instead(pairs ...string) fields {
	f := get()
	for i := 0; i < len(pairs); i += 2 {
		f[slices.Index(f, pairs[i])+1] = pairs[i+1]
	}
	return f
}

// upload is a good request with a body.
func upload(more ...string) fields {
	return append(instead(":method", "POST", ":path", recall), append([]string{"content-type", "application/json"}, more...)...)
}

// A message that ends its stream or connection was refused as well as one that
// is answered with 4xx.
const reset = 0

var http2Table = []struct {
	name    string
	head    fields
	body    []string // DATA frames
	trailer fields
	want    []int
	reach   int // -1: any number
}{
	{name: "nothing wrong", head: get(), want: []int{200}, reach: 1},
	{name: "a request in the path", head: instead(":path", "/healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics"), want: []int{reset, 400}},
	{name: "a space in the path", head: instead(":path", "/api/v2/agents HTTP/1.1"), want: []int{reset, 400, 403}},
	{name: "a request in the method", head: instead(":method", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET"), want: []int{reset, 400}},
	{name: "a space in the method", head: instead(":method", "GET /metrics"), want: []int{reset, 400, 403}},
	{name: "a lower-case method", head: instead(":method", "get"), want: []int{reset, 400, 403}},
	{name: "a line break in a value", head: get("x-a", "b\r\nx-memgate-tenant: victim"), want: []int{reset, 400}},
	{name: "a bare line feed in a value", head: get("x-a", "b\nx-memgate-tenant: victim"), want: []int{reset, 400}},
	{name: "a bare carriage return in a value", head: get("x-a", "b\rx-memgate-tenant: victim"), want: []int{reset, 400}},
	{name: "a NUL in a value", head: get("x-a", "b\x00c"), want: []int{reset, 400}},
	{name: "a line break in a name", head: get("x-a: b\r\nx-memgate-tenant", "victim"), want: []int{reset, 400}},
	{name: "a colon in a name", head: get("x-memgate-tenant:", "victim"), want: []int{reset, 400}},
	{name: "a space in a name", head: get("x-memgate-tenant ", "victim"), want: []int{reset, 400}},
	{name: "an upper-case name", head: get("X-Memgate-Tenant", "victim"), want: []int{reset, 400}},
	{name: "an empty name", head: get("", "victim"), want: []int{reset, 400}},
	{name: "an underscore in a name", head: get("x_memgate_tenant", "victim"), want: []int{reset, 400}},
	{name: "transfer-encoding", head: upload("transfer-encoding", "chunked"), body: []string{"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"}, want: []int{reset, 400}},
	{name: "connection", head: get("connection", "txn-token"), want: []int{reset, 400}},
	{name: "proxy-connection", head: get("proxy-connection", "keep-alive"), want: []int{reset, 200, 400}, reach: -1},
	{name: "te", head: get("te", "trailers, chunked"), want: []int{reset, 200, 400}, reach: -1},
	{name: "upgrade", head: get("upgrade", "websocket"), want: []int{reset, 200, 400, 403}, reach: -1},
	{name: "a length that is too short", head: upload("content-length", "2"), body: []string{`{"query":"x"}`}, want: []int{reset, 400}},
	{name: "a length that is too long", head: upload("content-length", "200"), body: []string{`{"query":"x"}`}, want: []int{reset, 400}},
	{name: "two lengths", head: upload("content-length", "13", "content-length", "2"), body: []string{`{"query":"x"}`}, want: []int{reset, 400}},
	{name: "a length without a body", head: get("content-length", "20"), want: []int{reset, 400}},
	{name: "two paths", head: append(fields{":path", "/healthz"}, get()...), want: []int{reset, 400}},
	{name: "two methods", head: append(fields{":method", "POST"}, get()...), want: []int{reset, 400}},
	{name: "a path behind the headers", head: get(":path", "/healthz"), want: []int{reset, 400}},
	{name: "an unknown pseudo-header", head: append(fields{":evil", "1"}, get()...), want: []int{reset, 400}},
	{name: "no path", head: fields{":method", "GET", ":scheme", "http", ":authority", "edge", "authorization", "Bearer {token}"}, want: []int{reset, 400, 403, 404}},
	{name: "an empty path", head: instead(":path", ""), want: []int{reset, 400, 403, 404}},
	{name: "an absolute path", head: instead(":path", "http://evil.example/api/v2/agents"), want: []int{reset, 400, 403, 404}},
	{name: "an asterisk", head: instead(":path", "*"), want: []int{reset, 400, 403, 404}},
	{name: "no method", head: fields{":scheme", "http", ":authority", "edge", ":path", agents, "authorization", "Bearer {token}"}, want: []int{reset, 400}},
	{name: "a status in a request", head: append(fields{":status", "200"}, get()...), want: []int{reset, 400}},
	{name: "an odd scheme", head: instead(":scheme", "http://evil.example/?x="), want: []int{reset, 200, 400}, reach: -1},
	{name: "an odd authority", head: instead(":authority", "u:p@evil.example/x?y#z"), want: []int{reset, 400}},
	{name: "a host beside the authority", head: get("host", "evil.example"), want: []int{reset, 200, 400}, reach: -1},
	{name: "extended CONNECT", head: append(fields{":protocol", "websocket"}, instead(":method", "CONNECT")...), want: []int{reset, 400, 403, 404, 503}},
	{name: "CONNECT", head: fields{":method", "CONNECT", ":authority", "127.0.0.1:22", "authorization", "Bearer {token}"}, want: []int{reset, 400, 403, 404, 503}},
	{name: "an identity", head: get("x-memgate-tenant", "victim", "txn-token", "forged", "x-memgate-tenant", "victim2"), want: []int{200}, reach: 1},
	{name: "an identity in the trailers", head: upload(), body: []string{`{"query":`, `"x"}`}, trailer: fields{"txn-token", "forged", "x-memgate-tenant", "victim", "authorization", "Bearer x"}, want: []int{reset, 200, 400}, reach: -1},
	{name: "a path in the trailers", head: upload(), body: []string{`{"query":"x"}`}, trailer: fields{":path", "/metrics"}, want: []int{reset, 400}},
	{name: "a credential twice", head: get("authorization", "Bearer {token}"), want: []int{reset, 400}},
	{name: "a session twice", head: get("x-session-token", "ms_a", "x-session-token", "ms_b"), want: []int{reset, 400}},
	{name: "an encoded slash", head: instead(":path", "/api%2fv2/agents"), want: []int{reset, 400}},
	{name: "a path that is not UTF-8", head: instead(":path", "/api/v2/agents/\xff"), want: []int{reset, 400, 403}},
	{name: "200 headers", head: get(many(200)...), want: []int{reset, 400, 431}},
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, "x-a"+strconv.Itoa(i), "1")
	}
	return out
}

func TestHTTP2(t *testing.T) {
	for i, a := range http2Table {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			tenant := "h2-" + strconv.Itoa(i)
			fill := strings.NewReplacer("{token}", stack.Token(tenant, scopes))
			for _, f := range []fields{a.head, a.trailer} {
				for i := range f {
					f[i] = fill.Replace(f[i])
				}
			}
			c := dial2(t)
			c.request(1, a.head, a.body, a.trailer)
			r := c.answer(1)
			status := reset
			var ids []string
			if r != nil {
				status, ids = r.Status, []string{r.ID}
				for _, fault := range answerRules(r) {
					t.Error(fault)
				}
			}
			if !slices.Contains(a.want, status) {
				t.Errorf("%d, want %d: %+v", status, a.want, r)
			}
			reached := upstream.of(tenant, ids...)
			for _, s := range reached {
				for _, fault := range upstreamRules(s) {
					t.Error(fault)
				}
			}
			if a.reach >= 0 && len(reached) != a.reach {
				t.Errorf("%d requests reach the service, want %d", len(reached), a.reach)
			}
		})
	}
}

// Requests that are taken back as soon as they were made cost the edge work and
// the one who makes them nothing. They must not keep others from being served.
func TestRequestsTakenBack(t *testing.T) {
	token := stack.Token("takes-back", scopes)
	c := dial2(t)
	head := get()
	for i := range head {
		head[i] = strings.ReplaceAll(head[i], "{token}", token)
	}
	for i := range 500 {
		id := uint32(2*i + 1)
		c.request(id, head, nil, nil)
		if c.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break // the edge has had enough
		}
	}
	if r := stack.JSON(t, "GET", agents, stack.Token("patient", scopes), ""); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// conn2 is an HTTP/2 connection that sends whatever it is told to.
type conn2 struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
}

func dial2(t *testing.T) *conn2 {
	t.Helper()
	conn, err := net.DialTimeout("tcp", stack.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	c := &conn2{t: t, conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.AllowIllegalWrites = true
	c.encode = hpack.NewEncoder(&c.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	_ = c.framer.WriteSettings()
	return c
}

// request sends frames. The edge may close the connection at any of them.
func (c *conn2) request(stream uint32, head fields, body []string, trailer fields) {
	c.headers(stream, head, len(body) == 0 && trailer == nil)
	for i, piece := range body {
		_ = c.framer.WriteData(stream, i == len(body)-1 && trailer == nil, []byte(piece))
	}
	if trailer != nil {
		c.headers(stream, trailer, true)
	}
}

func (c *conn2) headers(stream uint32, f fields, end bool) {
	c.block.Reset()
	for i := 0; i < len(f); i += 2 {
		_ = c.encode.WriteField(hpack.HeaderField{Name: f[i], Value: f[i+1]})
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
}

// answer reads the answer on a stream; nil when stream or connection ended
// without one.
func (c *conn2) answer(stream uint32) *harness.Response {
	c.t.Helper()
	r := &harness.Response{Header: make(http.Header)}
	decode := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			r.Status, _ = strconv.Atoi(f.Value)
			return
		}
		r.Header.Add(f.Name, f.Value)
	})
	done := func() *harness.Response {
		r.ID = r.Header.Get("X-Request-Id")
		return r
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				c.t.Fatal("no answer")
			}
			return nil
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			return nil
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				if r.Status != 0 {
					return done()
				}
				return nil
			}
		case *http2.HeadersFrame:
			if _, err := decode.Write(f.HeaderBlockFragment()); err != nil {
				c.t.Fatal(err)
			}
			if f.StreamID == stream && f.StreamEnded() {
				return done()
			}
		case *http2.DataFrame:
			if f.StreamID == stream {
				r.Body += string(f.Data())
				if f.StreamEnded() {
					return done()
				}
			}
		}
	}
}
