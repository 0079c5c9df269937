package harness

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/verdict"
)

// WasmEdge is a real Envoy with the real filter between an authz service that
// does what a test says and an upstream that does so too.
type WasmEdge struct {
	*Envoy
	Memgate  *FakeMemgate
	Upstream *Upstream
	Policies *Policies

	policy *policy.Policy
}

// MaxBody is the largest body that a test of a [WasmEdge] can send, in bytes.
const MaxBody = 1 << 20

// StartWasm starts a [WasmEdge]. Its authz service allows each request under the
// content policy that the request's [PolicyHeader] names; [Policies.Add] says
// what to send there. Edit, if not nil, may change the policy that Envoy's
// configuration is rendered from.
func StartWasm(t T, edit func(*policy.Policy)) *WasmEdge {
	t.Helper()
	e := &WasmEdge{Memgate: StartFakeMemgate(t), Upstream: StartUpstream(t), Policies: new(Policies)}
	e.Memgate.SetCheck(e.Policies.Check)
	e.Memgate.SetHandler(e.Policies)
	p := &policy.Policy{
		Server:   policy.Server{GRPC: e.Memgate.GRPC, HTTP: e.Memgate.HTTP},
		Envoy:    policy.Envoy{Listen: "127.0.0.1:1", Admin: "127.0.0.1:1", Wasm: Wasm(t), MaxConnections: 1000},
		Upstream: policy.Upstream{Address: e.Upstream.Addr, Timeout: policy.Duration(20 * time.Second)},
		Headers:  policy.Headers{Preset: "api"},
		Routes:   []policy.Route{{Name: "all", Content: policy.Content{MaxBody: MaxBody}}},
	}
	if edit != nil {
		edit(p)
	}
	e.policy = p
	e.Envoy = startEdge(t, p)
	return e
}

// Bootstrap is the configuration of the edge's Envoy, for a suite that starts
// another one with a difference.
func (e *WasmEdge) Bootstrap(t T) *bootstrapv3.Bootstrap {
	t.Helper()
	bootstrap, err := render.Envoy(e.policy)
	if err != nil {
		t.Fatalf("rendering: %v", err)
	}
	return bootstrap
}

const (
	// PolicyHeader names the content policy of a request to a [WasmEdge]: the
	// digest that [Policies.Add] returned, or anything else.
	PolicyHeader = "X-Test-Policy"
	// MetadataHeader changes the metadata that the authz service of a
	// [WasmEdge] returns: comma-separated items name=value, an empty value for
	// none. The item "none" leaves all metadata out.
	MetadataHeader = "X-Test-Metadata"
)

// Policies are the content policies of a [WasmEdge], and its authz service.
type Policies struct {
	mu    sync.Mutex
	wire  map[string][]byte
	gets  map[string]int
	delay map[string]time.Duration
}

// Add serves a content policy and returns its digest.
func (p *Policies) Add(t T, policy *content.Policy) string {
	t.Helper()
	if err := policy.Validate(); err != nil {
		t.Fatalf("%v", err)
	}
	wire := policy.AppendBinary(nil)
	digest := content.Digest(wire)
	p.Serve(digest, wire)
	return digest
}

// Serve serves bytes as the content policy of a digest, whether they are or not.
func (p *Policies) Serve(digest string, wire []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wire == nil {
		p.wire, p.gets, p.delay = make(map[string][]byte), make(map[string]int), make(map[string]time.Duration)
	}
	p.wire[digest] = wire
}

// Delay makes the answers for a digest, which was added before, take that long.
func (p *Policies) Delay(digest string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay[digest] = d
}

// Gets is how often a digest was asked for.
func (p *Policies) Gets(digest string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gets[digest]
}

// ServeHTTP serves the policies as memgate does.
func (p *Policies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest, ok := strings.CutPrefix(r.URL.Path, "/v1/content/")
	p.mu.Lock()
	wire := p.wire[digest]
	if wire != nil {
		p.gets[digest]++
	}
	delay := p.delay[digest]
	p.mu.Unlock()
	time.Sleep(delay)
	if !ok || wire == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(wire)
}

// Check allows a request as its test headers say.
func (p *Policies) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	request := r.GetAttributes().GetRequest().GetHttp()
	header := make(map[string]string)
	for _, h := range request.GetHeaderMap().GetHeaders() {
		header[h.GetKey()] = string(h.GetRawValue())
	}
	metadata := map[string]any{
		"route": "all", "request_id": header["x-request-id"],
		"content": header[strings.ToLower(PolicyHeader)],
	}
	if list := header[strings.ToLower(MetadataHeader)]; list != "" {
		for item := range strings.SplitSeq(list, ",") {
			switch name, value, _ := strings.Cut(item, "="); {
			case name == "none":
				metadata = nil
			case value == "":
				metadata[name] = ""
			default:
				metadata[name] = value
			}
		}
	}
	out := &authv3.CheckResponse{
		Status: new(rpcstatus.Status),
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			HeadersToRemove: []string{strings.ToLower(PolicyHeader), strings.ToLower(MetadataHeader)},
		}},
	}
	if metadata != nil {
		told := map[string]any{"route": metadata["route"]}
		if text := filterText(metadata); text != "" {
			told["filter"] = text
		}
		fields, err := structpb.NewStruct(told)
		if err != nil {
			return nil, err
		}
		out.DynamicMetadata = fields
	}
	return out, nil
}

// filterText is what the Wasm filter is told: the item "filter" as it is, if there is
// one.
func filterText(metadata map[string]any) string {
	of := func(name string) string {
		value, _ := metadata[name].(string)
		return value
	}
	if _, given := metadata["filter"]; given {
		return of("filter")
	}
	f := verdict.Filter{
		Content: of("content"), RequestID: of("request_id"), Tenant: of("tenant"), Agent: of("agent"),
		HashKey: of("hash_key"), PseudonymKeys: of("pseudonym_keys"), Reveal: of("reveal") != "",
	}
	return string(f.Append(nil))
}

// Deny returns the answer of an authz service that denies a request with a
// body of type application/problem+json.
func Deny(status int, body string, headers ...[2]string) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)}, Body: body}
	for _, h := range append([][2]string{{"content-type", "application/problem+json"}}, headers...) {
		denied.Headers = append(denied.Headers, Set(h[0], h[1])...)
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: 7},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

// Set returns what sets a header in an answer of an authz service.
func Set(name, value string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}
