package wasm

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/verdict"
	"github.com/memgate/memgate/wasm/inspect/cases"
)

const (
	body      = `{"content":"to ann@example.com"}`
	rewritten = `{"content":"to [EMAIL_ADDRESS]"}`
)

// fresh returns a policy that no VM has seen.
func fresh(t *testing.T) *content.Policy {
	t.Helper()
	p := cases.Policy()
	p.Headers.Set = slices.Clone(p.Headers.Set)
	p.CORS.ExposeHeaders = []string{"x-" + strings.ToLower(strings.NewReplacer("/", "-", " ", "-", "'", "").Replace(t.Name()))}
	return p
}

func post(digest string) harness.Request {
	return harness.Request{Method: http.MethodPost, Body: body, Header: map[string]string{
		"Content-Type": "application/json", "Origin": cases.Origin, harness.PolicyHeader: digest,
	}}
}

// Without a decision of the authz service nothing passes, whatever else is there.
func TestNoDecision(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	good := string((&verdict.Filter{Content: digest, RequestID: "id", Tenant: "acme"}).Append(nil))
	for name, metadata := range map[string]string{
		"no metadata": "none", "nothing for the filter": "filter=", "another version": "filter=2" + good[1:], "cut off": "filter=" + good[:len(good)-1],
		"more than there is to say": "filter=" + good + "0:", "no policy": "content=",
		"a digest that is none": "content=../../healthz", "a key that is none": "hash_key=*",
	} {
		t.Run(name, func(t *testing.T) {
			r := post(digest)
			r.Header[harness.MetadataHeader] = metadata
			got := harness.Do(t, edge.URL, r)
			if edge.Upstream.Received(got.ID) != nil {
				t.Error("the upstream got the request")
			}
			if got.Status != 503 || !strings.Contains(got.Body, problem.NotAuthorized.Type()) {
				t.Errorf("the client got %d %s", got.Status, got.Body)
			}
			if got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers %v", got.Header)
			}
			checkLog(t, got.ID, problem.NotAuthorized.Slug, "")
		})
	}
}

func TestPolicyUnavailable(t *testing.T) {
	wire := fresh(t).AppendBinary(nil)
	digest := content.Digest(wire)
	garbage := []byte("no policy")
	edge.Policies.Serve(content.Digest(garbage), garbage)
	unavailable := func(name, digest string) {
		t.Run(name, func(t *testing.T) {
			got := harness.Do(t, edge.URL, post(digest))
			if edge.Upstream.Received(got.ID) != nil {
				t.Error("the upstream got the request")
			}
			checkNoCORS(t, got, problem.ContentPolicyUnavailable)
			checkLog(t, got.ID, problem.ContentPolicyUnavailable.Slug, "")
		})
	}
	unavailable("unknown to memgate", digest)
	edge.Policies.Serve(digest, wire[:len(wire)-1])
	unavailable("with another digest", digest)
	unavailable("not a policy", content.Digest(garbage))
	edge.Policies.Serve(digest, wire)
	edge.Policies.Delay(digest, 1500*time.Millisecond)
	unavailable("too late", digest)

	// A failure is not remembered.
	edge.Policies.Delay(digest, 0)
	if got := harness.Do(t, edge.URL, post(digest)); got.Status != 200 {
		t.Errorf("after all of that: %d %s", got.Status, got.Body)
	}
}

func checkNoCORS(t *testing.T, got *harness.Response, want problem.Problem) {
	t.Helper()
	if got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("an origin is allowed though no policy is known")
	}
	checkProblem(t, got, want)
}

// While the policy is on its way, parts of the request arrive, or all of it.
func TestPolicyArrivesLate(t *testing.T) {
	for name, change := range map[string]func(*harness.Request){
		"whole body":    func(*harness.Request) {},
		"pieces":        func(r *harness.Request) { r.Pieces = []string{body[:5], body[5:20], body[20:]} },
		"trailers":      func(r *harness.Request) { r.HTTP2, r.Trailer = true, map[string]string{"X-T": "1"} },
		"empty chunked": func(r *harness.Request) { r.Body, r.Pieces = "", []string{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			digest := edge.Policies.Add(t, fresh(t))
			edge.Policies.Delay(digest, 300*time.Millisecond)
			r := post(digest)
			change(&r)
			got := harness.Do(t, edge.URL, r)
			received := edge.Upstream.Received(got.ID)
			want := rewritten
			if r.Body == "" {
				want = ""
			}
			if got.Status != 200 || received == nil || received.Body != want {
				t.Errorf("%d %s, upstream %+v", got.Status, got.Body, received)
			}
		})
	}
	t.Run("no body", func(t *testing.T) {
		digest := edge.Policies.Add(t, fresh(t))
		edge.Policies.Delay(digest, 200*time.Millisecond)
		got := harness.Do(t, edge.URL, harness.Request{Header: map[string]string{harness.PolicyHeader: digest}})
		if got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("a body of 400 KiB", func(t *testing.T) {
		p := fresh(t)
		p.Request.MaxBytes, p.Request.Fields = 1<<20, nil
		digest := edge.Policies.Add(t, p)
		edge.Policies.Delay(digest, 300*time.Millisecond)
		r := post(digest)
		r.Body = `["` + strings.Repeat("word ", 80<<10) + `ann@example.com"]`
		got := harness.Do(t, edge.URL, r)
		received := edge.Upstream.Received(got.ID)
		if want := strings.Replace(r.Body, "ann@example.com", "[EMAIL_ADDRESS]", 1); got.Status != 200 || received == nil || received.Body != want {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

// Each VM asks once.
func TestPolicyIsKept(t *testing.T) {
	digest := edge.Policies.Add(t, fresh(t))
	harness.Do(t, edge.URL, post(digest))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 10 {
				if got := harness.Do(t, edge.URL, post(digest)); got.Status != 200 {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
		})
	}
	group.Wait()
	// Requests that were already waiting in the second VM asked too.
	if n := edge.Policies.Gets(digest); n < 1 || n > 9 {
		t.Errorf("the policy was asked for %d times", n)
	}
}

// Trailers come after the check of everything else: they do not go on.
func TestTrailers(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	r := post(digest)
	r.HTTP2, r.Trailer = true, map[string]string{"X-Memgate-Tenant": "other"}
	got := harness.Do(t, edge.URL, r)
	received := edge.Upstream.Received(got.ID)
	if got.Status != 200 || received == nil || received.Body != rewritten || len(received.Trailer) != 0 {
		t.Errorf("%d %s, upstream %+v", got.Status, got.Body, received)
	}
	r.Body = `{"content":`
	if got = harness.Do(t, edge.URL, r); got.Status != 400 {
		t.Errorf("malformed body with trailers: %d %s", got.Status, got.Body)
	}
}

// A mesh may let an upstream's trailers through. They are searched, and a stream that
// they cut in the middle of what could be a finding ends.
func TestResponseTrailers(t *testing.T) {
	bootstrap := edge.Bootstrap(t)
	for _, c := range bootstrap.StaticResources.Clusters {
		if c.Name != render.ClusterUpstream {
			continue
		}
		options, err := anypb.New(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: &corev3.Http1ProtocolOptions{EnableTrailers: true},
				},
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for name := range c.TypedExtensionProtocolOptions {
			c.TypedExtensionProtocolOptions[name] = options
		}
	}
	other := harness.StartEnvoy(t, bootstrap)
	digest := edge.Policies.Add(t, cases.Policy())
	get := func(mediaType, text string) *harness.Response {
		edge.Upstream.Answer(t.Name(), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Trailer", "X-T, X-Plain, Content-Digest, X-Card")
			_, _ = w.Write([]byte(text))
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("X-T", "to ann@example.com")
			w.Header().Set("X-Plain", "as it is")
			w.Header().Set("Content-Digest", "sha-256=:AA==:")
			w.Header().Set("X-Card", "4111 1111 1111 1111")
		})
		return harness.Do(t, other.URL, harness.Request{HTTP2: true, Header: map[string]string{
			harness.PolicyHeader: digest, harness.AnswerHeader: t.Name(),
		}})
	}
	if r := get("application/json", body); r.Status != 200 || r.Body != rewritten || r.Trailer.Get("X-T") != "to [EMAIL_ADDRESS]" || r.Trailer.Get("X-Plain") != "as it is" || r.Trailer.Get("Content-Digest")+r.Trailer.Get("X-Card") != "" {
		t.Errorf("%d %s, trailers %v, broken %v", r.Status, r.Body, r.Trailer, r.Broken)
	}
	if r := get("text/plain", "write to ann@exam"); r.Broken == nil && r.Body != "write to ann@exam" {
		t.Errorf("%d %q, trailers %v", r.Status, r.Body, r.Trailer)
	}
	if r := get("text/plain", "write to ann@example.com"); strings.Contains(r.Body, "example.com") || r.Broken == nil && r.Body != "write to [EMAIL_ADDRESS]" {
		t.Errorf("%d %q, broken %v", r.Status, r.Body, r.Broken)
	}
}

// What HEAD tells of a representation must not tell of the one before rewriting.
func TestHead(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	edge.Upstream.Answer("head", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "31")
		w.Header().Set("ETag", `"1"`)
	})
	got := harness.Do(t, edge.URL, harness.Request{Method: http.MethodHead, Header: map[string]string{
		harness.PolicyHeader: digest, harness.AnswerHeader: "head", "Origin": cases.Origin,
	}})
	checkHeaders(t, got)
	if got.Status != 200 || got.Length != -1 || got.Header.Get("ETag") != "" {
		t.Errorf("%d, length %d, etag %q", got.Status, got.Length, got.Header.Get("ETag"))
	}
}

// An event reaches the client before the next one is made.
func TestStreamIsNotHeld(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	seen := make(chan struct{})
	edge.Upstream.Answer("events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"n\":%d,\"to\":\"ann@example.com\"}\n\n", i)
			_ = control.Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
				return
			}
		}
	})
	request, err := http.NewRequest(http.MethodGet, edge.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(harness.PolicyHeader, digest)
	request.Header.Set(harness.AnswerHeader, "events")
	response, err := (&http.Client{Timeout: 20 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for i := range 3 {
		if !lines.Scan() {
			t.Fatalf("event %d never came: %v", i, lines.Err())
		}
		if want := fmt.Sprintf(`data: {"n":%d,"to":"[EMAIL_ADDRESS]"}`, i); lines.Text() != want {
			t.Errorf("event %q, want %q", lines.Text(), want)
		}
		lines.Scan() // the empty line
		select {
		case seen <- struct{}{}:
		case <-time.After(5 * time.Second):
			t.Fatal("the upstream gave up")
		}
	}
}

// What Envoy answers itself, after the filter has seen the request, is decorated
// like any response and not inspected.
func TestUpstreamFails(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	edge.Upstream.Answer("hang up", func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.Close()
	})
	r := post(digest)
	r.Header[harness.AnswerHeader] = "hang up"
	got := harness.Do(t, edge.URL, r)
	checkHeaders(t, got)
	checkProblem(t, got, problem.Unavailable)
	checkLog(t, got.ID, "", "EMAIL_ADDRESS=1")
}

func TestHashKey(t *testing.T) {
	p := fresh(t)
	p.Request.PII.Actions[pii.EmailAddress] = pii.Hash
	digest := edge.Policies.Add(t, p)
	r := post(digest)
	got := harness.Do(t, edge.URL, r)
	if got.Status != 503 || edge.Upstream.Received(got.ID) != nil {
		t.Errorf("without a key: %d %s", got.Status, got.Body)
	}
	hashed := make(map[string]string)
	for range 2 {
		for _, key := range []string{"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE", "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI"} {
			r.Header[harness.MetadataHeader] = "hash_key=" + key
			got := harness.Do(t, edge.URL, r)
			received := edge.Upstream.Received(got.ID)
			if got.Status != 200 || received == nil || strings.Contains(received.Body, "ann@example.com") {
				t.Fatalf("%d %s, upstream %+v", got.Status, got.Body, received)
			}
			if before := hashed[key]; before != "" && before != received.Body {
				t.Errorf("one key, two hashes: %s, %s", before, received.Body)
			}
			hashed[key] = received.Body
		}
	}
	if len(hashed) != 2 || hashed["QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"] == hashed["QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI"] {
		t.Errorf("two keys, one hash: %v", hashed)
	}
}

func TestStatistics(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	names := []string{"refused", "refused.malformed-json", "findings", "findings.EMAIL_ADDRESS", "request_bytes", "response_bytes"}
	before := make(map[string]uint64)
	for _, name := range names {
		before[name] = uint64(edge.Stat("wasmcustom.memgate." + name))
	}
	r := post(digest)
	harness.Do(t, edge.URL, r)
	r.Body = "x"
	harness.Do(t, edge.URL, r)
	harness.Eventually(t, func() error {
		for _, name := range names {
			if after := uint64(edge.Stat("wasmcustom.memgate." + name)); after <= before[name] {
				return fmt.Errorf("memgate.%s stays %d", name, after)
			}
		}
		return nil
	})
}

// gRPC is not looked into. Envoy gives a gRPC client the refusal as it expects one.
func TestGRPC(t *testing.T) {
	digest := edge.Policies.Add(t, cases.Policy())
	got := harness.Do(t, edge.URL, harness.Request{Method: http.MethodPost, HTTP2: true, Body: "\x00\x00\x00\x00\x00", Header: map[string]string{
		"Content-Type": "application/grpc", "TE": "trailers", harness.PolicyHeader: digest,
	}})
	if status := got.Header.Get("Grpc-Status"); edge.Upstream.Received(got.ID) != nil || status == "" || status == "0" {
		t.Errorf("%d, grpc-status %q, %v", got.Status, status, got.Header)
	}
}

// A mesh may let upgrades through, as Istio does: where bodies are looked into, the
// filter does not.
func TestUpgrade(t *testing.T) {
	bootstrap := edge.Bootstrap(t)
	for _, filter := range bootstrap.StaticResources.Listeners[0].FilterChains[0].Filters {
		var manager hcmv3.HttpConnectionManager
		if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
			t.Fatal(err)
		}
		manager.UpgradeConfigs = []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}}
		config, err := anypb.New(&manager)
		if err != nil {
			t.Fatal(err)
		}
		filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: config}
	}
	other := harness.StartEnvoy(t, bootstrap)
	connection, err := net.DialTimeout("tcp", strings.TrimPrefix(other.URL, "http://"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Version: 13\r\n%s: %s\r\n\r\n", harness.PolicyHeader, edge.Policies.Add(t, cases.Policy()))
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 403 ") {
		t.Errorf("%q, %v", line, err)
	}
}
