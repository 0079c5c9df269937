package attacks

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/txntoken"
)

// edgeSigner signs as the edge does, with a clock that is off by that much.
func edgeSigner(t *testing.T, off time.Duration) *txntoken.Signer {
	t.Helper()
	key, err := txntoken.LoadOrCreateKey(filepath.Join(stack.Dir, "txn-key.json"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := txntoken.NewSigner(key, "memgate", 30*time.Second, func() time.Time { return time.Now().Add(off) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func txnToken(t *testing.T, off time.Duration, audience string) string {
	t.Helper()
	token, err := edgeSigner(t, off).Sign(txntoken.Claims{ID: "r", Audience: audience, Subject: "s", Tenant: "behind", Kind: "jwt", Scopes: []string{"memory:read"}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The service, and memgate's own routes, called past the edge.
func TestPortsBehindTheEdge(t *testing.T) {
	good, own := txnToken(t, 0, "memory"), txnToken(t, 0, "memgate")
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name, base, method, path string
		lines                    []string
		want                     int
	}{
		{"a good token", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + good}, 200},
		{"a good token at memgate", stack.MemgateHTTP, "GET", "/api/v2/status", []string{"Txn-Token: " + own}, 200},
		{"the service's token at memgate", stack.MemgateHTTP, "GET", "/api/v2/status", []string{"Txn-Token: " + good}, 401},
		{"memgate's token at the service", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + own}, 401},
		{"nothing at memgate", stack.MemgateHTTP, "POST", "/api/v2/agents/a/activate", nil, 401},
		{"headers at memgate", stack.MemgateHTTP, "POST", "/api/v2/agents/a/activate", []string{"X-Memgate-Tenant: victim", "X-Memgate-Subject: root"}, 401},
		{"a caller's token at memgate", stack.MemgateHTTP, "POST", "/api/v2/agents/a/activate", []string{"Authorization: Bearer " + stack.Token("behind", scopes)}, 401},
		{"a caller's token as the edge's", stack.MemgateHTTP, "POST", "/api/v2/agents/a/activate", []string{"Txn-Token: " + stack.Token("behind", scopes)}, 401},
		{"an old token", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + txnToken(t, -time.Minute, "memory")}, 401},
		{"an old token at memgate", stack.MemgateHTTP, "GET", "/api/v2/status", []string{"Txn-Token: " + txnToken(t, -time.Minute, "memgate")}, 401},
		{"a token of tomorrow", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + txnToken(t, 24*time.Hour, "memory")}, 401},
		{"two tokens", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + good, "Txn-Token: " + good}, 401},
		{"two tokens in one line", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + good + "," + good}, 401},
		{"none", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + b64(`{"alg":"none","typ":"txntoken+jwt"}`) + "." + parts[1] + "."}, 401},
		{"no signature", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + parts[0] + "." + parts[1] + "."}, 401},
		{"another tenant", stack.BackendURL, "GET", agents, []string{"Txn-Token: " + parts[0] + "." + b64(strings.Replace(decode(t, good), "behind", "victim", 1)) + "." + parts[2]}, 401},
		{"an agent that leaves its folder", stack.MemgateHTTP, "POST", "/api/v2/agents/..%2f..%2fx/activate", []string{"Txn-Token: " + own}, 404},
		{"a content policy that is a path", stack.MemgateHTTP, "GET", "/v1/content/..%2f..%2fmetrics", nil, 404},
		{"a content policy that is not there", stack.MemgateHTTP, "GET", "/v1/content/" + strings.Repeat("0", 64), nil, 404},
		{"deleting metrics", stack.MemgateHTTP, "DELETE", "/metrics", nil, 405},
		{"profiles", stack.MemgateHTTP, "GET", "/debug/pprof/", nil, 404},
		{"profiles of the service", stack.BackendURL, "GET", "/debug/pprof/", nil, 404},
	} {
		address := strings.TrimPrefix(c.base, "http://")
		head := append([]string{c.method + " " + c.path + " HTTP/1.1", "Host: " + address}, c.lines...)
		r := harness.Raw(t, address, head...)
		if r.Status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, r.Status, c.want, r.Body)
		}
		for _, word := range []string{"goroutine", ".go:", "/tmp/"} {
			if strings.Contains(r.Body, word) {
				t.Errorf("%s: %s", c.name, r.Body)
			}
		}
	}
	// The same token, sent through the edge, is worth nothing.
	if r := stack.Do(t, harness.Request{Path: agents, Header: map[string]string{"Txn-Token": good}}); r.Status != 401 {
		t.Errorf("through the edge: %d %s", r.Status, r.Body)
	}
}

// What holds keys or memories is for its owner alone, and no name of a file tells
// of a tenant.
func TestFilesAreForTheirOwner(t *testing.T) {
	if r := stack.JSON(t, "POST", "/api/v2/agents/a/remember", stack.Token("on-disk", scopes), `{"type":"fact","content":"x is y"}`); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	err := filepath.WalkDir(stack.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || path == stack.Dir {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", d.Name(), info.Mode())
		}
		if strings.Contains(d.Name(), "on-disk") {
			t.Errorf("%s tells of a tenant", d.Name())
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // journals come and go
		t.Fatal(err)
	}
	// A file of keys that others can write is refused.
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	text, err := os.ReadFile(filepath.Join(stack.Dir, "keys.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.ReplaceAll(stack.Policy(), "file:keys.yaml", "file:"+keys)
	if config == stack.Policy() {
		t.Fatal("the policy names no keys.yaml")
	}
	policy := filepath.Join(t.TempDir(), "memgate.yaml")
	for name, content := range map[string][]byte{keys: text, policy: []byte(config), keys + ".pepper": []byte(strings.Repeat("ab", 32))} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := exec.Command(harness.Memgate(t), "key", "list", "--config", policy)
	if out, err := list.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(keys, 0o666); err != nil {
		t.Fatal(err)
	}
	list = exec.Command(harness.Memgate(t), "key", "list", "--config", policy)
	if out, err := list.CombinedOutput(); err == nil {
		t.Errorf("keys that anyone can write are read: %s", out)
	}
}

// Callers that send a request bit by bit hold up nobody but themselves.
func TestSlowCallers(t *testing.T) {
	head := strings.ReplaceAll(authorized("POST "+recall+" HTTP/1.1", "Content-Type: application/json", "Content-Length: 60000"), "{token}", stack.Token("slow", scopes))
	for i := range 64 {
		conn, err := net.DialTimeout("tcp", stack.Addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		part := head + `{"query":"` + strings.Repeat("x ", 8<<10)
		if i%2 == 0 {
			part = head[:len(head)/2]
		}
		if _, err := conn.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	if r := stack.JSON(t, "POST", recall, stack.Token("quick", scopes), `{"query":"x"}`); r.Status != 200 && r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a request took %s", took)
	}
}

func dialGRPC(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(stack.MemgateGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Checks of odd shapes, as other meshes and other settings of Envoy send them.
func TestChecksOfOddShapes(t *testing.T) {
	client := authv3.NewAuthorizationClient(dialGRPC(t))
	bearer := "Bearer " + stack.Token("odd", scopes)
	check := func(edit func(h *authv3.AttributeContext_HttpRequest)) (*authv3.CheckResponse, error) {
		h := &authv3.AttributeContext_HttpRequest{Id: "id-1", Method: "GET", Path: agents, Headers: map[string]string{"authorization": bearer}}
		edit(h)
		return client.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: h}}})
	}
	raw := func(h *authv3.AttributeContext_HttpRequest, pairs ...string) {
		h.HeaderMap = new(corev3.HeaderMap)
		for i := 0; i < len(pairs); i += 2 {
			h.HeaderMap.Headers = append(h.HeaderMap.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
		}
	}
	for _, c := range []struct {
		name  string
		edit  func(h *authv3.AttributeContext_HttpRequest)
		allow bool
	}{
		{"as Envoy without encode_raw_headers", func(*authv3.AttributeContext_HttpRequest) {}, true},
		{"as Envoy with it", func(h *authv3.AttributeContext_HttpRequest) { raw(h, "Authorization", bearer) }, true},
		{"a credential twice, joined", func(h *authv3.AttributeContext_HttpRequest) { h.Headers["authorization"] = bearer + "," + bearer }, false},
		{"a credential twice, by case", func(h *authv3.AttributeContext_HttpRequest) { h.Headers["Authorization"] = bearer }, false},
		{"a credential twice, raw", func(h *authv3.AttributeContext_HttpRequest) { raw(h, "authorization", bearer, "authorization", bearer) }, false},
		{"a credential that only one of the lists has", func(h *authv3.AttributeContext_HttpRequest) { raw(h, "x-a", "b") }, false},
		{"no id", func(h *authv3.AttributeContext_HttpRequest) { h.Id = "" }, false},
		{"no method", func(h *authv3.AttributeContext_HttpRequest) { h.Method = "" }, false},
		{"no path", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "" }, false},
		{"a path without a slash", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "api/v2/agents" }, false},
		{"a path that nobody normalized", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "/healthz/../api/v2/agents" }, false},
		{"slashes that nobody merged", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "//api/v2/agents" }, false},
		{"an encoded slash that nobody refused", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "/api%2fv2/agents" }, false},
		{"a path with a host", func(h *authv3.AttributeContext_HttpRequest) { h.Path = "http://x/api/v2/agents" }, false},
		{"nothing", func(h *authv3.AttributeContext_HttpRequest) { proto.Reset(h) }, false},
		{"20000 reserved headers", func(h *authv3.AttributeContext_HttpRequest) {
			for i := range 20_000 {
				h.Headers["x-memgate-"+strconv.Itoa(i)] = "1"
			}
		}, true},
	} {
		start := time.Now()
		r, err := check(c.edit)
		if allowed := err == nil && r.GetStatus().GetCode() == 0; allowed != c.allow {
			t.Errorf("%s: allowed %t, %v %v", c.name, allowed, r, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s took %s", c.name, took)
		}
		if r.GetOkResponse() != nil && !c.allow {
			t.Errorf("%s: a refusal with what an allowed request gets", c.name)
		}
	}
	for _, r := range []*authv3.CheckRequest{{}, {Attributes: &authv3.AttributeContext{}}, {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}}} {
		if got, err := client.Check(context.Background(), r); err == nil && got.GetStatus().GetCode() == 0 {
			t.Errorf("%v is allowed", r)
		}
	}
}

// Whatever comes to the authz service and the log receiver, they stay up, and
// nothing is let through that has no credential.
func TestRandomMessages(t *testing.T) {
	conn := dialGRPC(t)
	client := authv3.NewAuthorizationClient(conn)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	words := []string{
		"", "authorization", "Authorization", "x-api-key", "x-session-token", "txn-token", "x-memgate-tenant", "x-request-id", ":path", ":method", "origin",
		"access-control-request-method", "access-control-request-headers", "access-control-request-private-network", "content-length",
		"GET", "POST", "OPTIONS", "HEAD", agents, remember, "/healthz/", "/api/v2/status", "/", "*", "%", "%2e%2e", "/api/v2/agents/%ff", "?", "http://localhost:3000",
		"Bearer ", "Bearer a.b.c", "Bearer mg_a_b", "mg_" + strings.Repeat("a", 80), "ms_" + strings.Repeat("a", 60), "Token x", "Basic dTpw", "a,b", "\u202e", "\x00", "\r\n", strings.Repeat("x", 9000),
	}
	text := func() string {
		if random.IntN(4) > 0 {
			return words[random.IntN(len(words))]
		}
		b := make([]rune, random.IntN(20))
		for i := range b {
			b[i] = rune(random.IntN(0x800))
		}
		return string(b)
	}
	for range 3000 {
		r := new(authv3.CheckRequest)
		fill(random, r.ProtoReflect(), text, 8)
		got, err := client.Check(context.Background(), r)
		if err == nil && got.GetStatus().GetCode() == 0 {
			t.Fatalf("allowed: %v", r)
		}
	}
	for range 300 {
		stream, err := alsv3.NewAccessLogServiceClient(conn).StreamAccessLogs(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		entry := new(accesslogdata.HTTPAccessLogEntry)
		fill(random, entry.ProtoReflect(), text, 6)
		_ = stream.Send(&alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdata.HTTPAccessLogEntry{entry}}}})
		_, _ = stream.CloseAndRecv()
	}
	if !stack.Memgate.Running() {
		t.Fatal("memgate has ended")
	}
	if r := stack.JSON(t, "GET", agents, stack.Token("after-noise", scopes), ""); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// fill sets random fields of a message.
func fill(random *mathrand.Rand, m protoreflect.Message, text func() string, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		message := f.Kind() == protoreflect.MessageKind
		if depth == 0 && message || random.IntN(10) < 2 {
			continue
		}
		value := func(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) protoreflect.Value {
			switch f.Kind() {
			case protoreflect.MessageKind:
				v := fresh()
				fill(random, v.Message(), text, depth-1)
				return v
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(text())
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte(text() + "\xff"[:random.IntN(2)]))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(random.IntN(2) == 0)
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(protoreflect.EnumNumber(random.IntN(12)))
			case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
				return protoreflect.ValueOfInt32(random.Int32() - 1<<30)
			case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
				return protoreflect.ValueOfInt64(random.Int64() - 1<<62)
			case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
				return protoreflect.ValueOfUint32(random.Uint32())
			case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
				return protoreflect.ValueOfUint64(random.Uint64())
			case protoreflect.DoubleKind:
				return protoreflect.ValueOfFloat64(random.NormFloat64())
			}
			return protoreflect.ValueOfFloat32(0)
		}
		switch {
		case f.IsMap():
			all := m.Mutable(f).Map()
			for range random.IntN(6) {
				all.Set(protoreflect.ValueOfString(text()).MapKey(), value(f.MapValue(), all.NewValue))
			}
		case f.IsList():
			all := m.Mutable(f).List()
			for range random.IntN(6) {
				all.Append(value(f, all.NewElement))
			}
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
}

// What callers choose becomes no label of a metric, and what they send no line of
// the trail beyond its fields.
func TestMetricsAndTrailHoldNothingOfTheCaller(t *testing.T) {
	const marker = "c0ffee"
	forged := "00000000-0000-4000-8000-0000" + marker + "00"
	token := stack.Token("label-"+marker, scopes)
	for i := range 100 {
		n := marker + strconv.Itoa(i)
		exchange1(t, strings.ReplaceAll(authorized("GET /"+n+" HTTP/1.1", "X-Memgate-"+n+": x", "Origin: http://"+n), "{token}", token))
		exchange1(t, strings.ReplaceAll(authorized("M"+n+" /api/v2/agents/"+n+" HTTP/1.1"), "{token}", n))
		exchange1(t, strings.ReplaceAll(authorized("GET /api/v2/agents/"+n+"?"+n+" HTTP/1.1", "User-Agent: "+n), "{token}", stack.Token("label-"+n, scopes)))
	}
	last := stack.Do(t, harness.Request{Path: "/" + marker})
	exchange1(t, lines("GET /"+marker+"%2fb HTTP/1.1", "X-Request-Id: "+forged))

	for _, base := range []string{stack.MemgateHTTP, stack.BackendURL} {
		text := harness.Do(t, base, harness.Request{Path: "/metrics"}).Body
		if strings.Contains(text, marker) {
			t.Errorf("a metric has what a caller sent: %s", regexp.MustCompile(".*"+marker+".*").FindString(text))
		}
		if n := strings.Count(text, "\n"); n > 3000 {
			t.Errorf("%d lines of metrics", n)
		}
	}
	if m := regexp.MustCompile(`memory_backend_open_tenants (\d+)`).FindStringSubmatch(harness.Do(t, stack.BackendURL, harness.Request{Path: "/metrics"}).Body); m == nil {
		t.Error("no number of open tenants")
	} else if n, _ := strconv.Atoi(m[1]); n > 64 {
		t.Errorf("%d tenants' files are open", n)
	}

	var trail []byte
	harness.Eventually(t, func() error {
		var err error
		if trail, err = os.ReadFile(filepath.Join(stack.Dir, "audit.log")); err != nil {
			return err
		}
		if !bytes.Contains(trail, []byte(last.ID)) {
			return errors.New("the last request is not in the trail")
		}
		return nil
	})
	if bytes.Contains(trail, []byte(forged)) {
		t.Error("the trail has a request id that a caller chose")
	}
	lines := bufio.NewScanner(bytes.NewReader(trail))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Class    int `json:"class_uid"`
			Unmapped map[string]any
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %q", err, lines.Bytes())
		}
		if line.Class == 3004 { // what an operator did by command, before any request
			continue
		}
		event := line.Unmapped
		if event["decision"] == nil {
			t.Fatalf("no event: %q", lines.Bytes())
		}
		for _, name := range []string{"route", "method", "stage", "reason", "decision"} {
			if strings.Contains(fmt.Sprint(event[name]), marker) {
				t.Fatalf("%s: %s", name, lines.Bytes())
			}
		}
		for _, secret := range []string{"eyJ", upstreamKey} {
			if bytes.Contains(lines.Bytes(), []byte(secret)) {
				t.Fatalf("the trail has %s: %s", secret, lines.Bytes())
			}
		}
	}
}

// exchange1 sends a request and reads the first answer only.
func exchange1(t *testing.T, raw string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", stack.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}
