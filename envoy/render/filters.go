package render

import (
	"encoding/json"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/policy"
)

// CheckTimeout is how long the authz service may take; after it the caller
// gets 503.
const CheckTimeout = time.Second

// pluginName is how the Wasm filter is called in Envoy's logs and statistics.
const pluginName = "memgate"

// httpFilters returns the HTTP filters in their only order: whether the address
// may ask at all, where the policy limits that, who may make the request, what it may hold, where it goes.
func httpFilters(p *policy.Policy) ([]*hcmv3.HttpFilter, error) {
	wasm, err := wasmFilter(p)
	if err != nil {
		return nil, err
	}
	type filter struct {
		name   string
		config proto.Message
	}
	filters := []filter{
		{"envoy.filters.http.ext_authz", extAuthz(p)},
		{"envoy.filters.http.wasm", wasm},
		{"envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}},
	}
	if rate := p.Limits.BeforeAuth; rate != nil {
		filters = append([]filter{{"envoy.filters.http.local_ratelimit", beforeAuth(rate)}}, filters...)
	}
	var list []*hcmv3.HttpFilter
	for _, f := range filters {
		config, err := pack(f.config)
		if err != nil {
			return nil, err
		}
		list = append(list, &hcmv3.HttpFilter{
			Name:       f.name,
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config},
		})
	}
	return list, nil
}

// extAuthz asks the authz service about each request's headers. It fails
// closed: no answer in time is 503, and so is any fault of the service.
func extAuthz(p *policy.Policy) *authzv3.ExtAuthz {
	service := grpcService(CheckTimeout)
	if len(p.Limits.PerAddress) > 0 {
		// What the message calls its source is the last hop. Metadata of the
		// call is Envoy's alone: nothing that a client sends gets there.
		service.InitialMetadata = []*corev3.HeaderValue{{Key: authz.AddressMetadata, Value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}
	}
	return &authzv3.ExtAuthz{
		StatPrefix:             "memgate",
		TransportApiVersion:    corev3.ApiVersion_V3,
		Services:               &authzv3.ExtAuthz_GrpcService{GrpcService: service},
		FailureModeAllow:       false,
		StatusOnError:          &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ValidateMutations:      true,
		EncodeRawHeaders:       true, // a header that appears twice must be seen twice
		IncludePeerCertificate: true,
		ClearRouteCache:        readsDecision(p),
		// The service sets and removes ordinary headers, Envoy's own among them,
		// and never the path, method or host that it decided on. What it may
		// not touch is an error and not passed over: a removal that does not
		// happen would let a forged header through.
		DecoderHeaderMutationRules: &mutationv3.HeaderMutationRules{
			AllowEnvoy:      wrapperspb.Bool(true),
			DisallowSystem:  wrapperspb.Bool(true),
			DisallowIsError: wrapperspb.Bool(true),
		},
	}
}

// wasmFilter runs the content filter. A VM that traps answers 503 and is
// loaded again for the next request.
func wasmFilter(p *policy.Policy) (*wasmfilterv3.Wasm, error) {
	// JSON, because that is what every mesh hands to a plugin.
	text, err := json.Marshal(map[string]string{"cluster": ClusterHTTP})
	if err != nil {
		return nil, err
	}
	config, err := pack(wrapperspb.String(string(text)))
	if err != nil {
		return nil, err
	}
	return &wasmfilterv3.Wasm{Config: &wasmv3.PluginConfig{
		Name: pluginName,
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			VmId:    pluginName,
			Runtime: "envoy.wasm.runtime.v8",
			Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
				Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: p.Envoy.Wasm}},
			}},
		}},
		Configuration: config,
		FailurePolicy: wasmv3.FailurePolicy_FAIL_RELOAD,
		ReloadConfig: &wasmv3.ReloadConfig{Backoff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(100 * time.Millisecond),
			MaxInterval:  durationpb.New(time.Second),
		}},
		// The filter holds a request's headers until its body is known.
		AllowOnHeadersStopIteration: wrapperspb.Bool(true),
	}}, nil
}

// anotherInstance asks another instance, or opens the stream of the access log
// there, where one cannot be reached or is about to end, so that none is missed.
// What may have been decided already is not asked again: it would count twice. All
// tries together have the service's time.
func anotherInstance() *corev3.RetryPolicy {
	return &corev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset-before-request",
		NumRetries: u32(2),
		// The longest interval is for Envoy also what each try may take.
		RetryBackOff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(5 * time.Millisecond), MaxInterval: durationpb.New(CheckTimeout),
		},
		RetryHostPredicate: []*corev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &corev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: &anypb.Any{
				TypeUrl: "type.googleapis.com/" + string(new(previousv3.PreviousHostsPredicate).ProtoReflect().Descriptor().FullName()),
			}},
		}},
		HostSelectionRetryMaxAttempts: 3,
	}
}

// grpcService is memgate's gRPC port.
func grpcService(timeout time.Duration) *corev3.GrpcService {
	s := &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: ClusterGRPC},
	}, RetryPolicy: anotherInstance()}
	if timeout > 0 {
		s.Timeout = durationpb.New(timeout)
	}
	return s
}
