package render

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uuidv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

// Bounds of the edge. Each is a default of the edge best practices or stricter.
const (
	bufferLimit      = 32 << 10 // bytes that Envoy buffers for one connection and direction
	maxHeaderKB      = 32       // KiB of request headers: a token of 8 KiB, a session, and room
	maxHeaders       = 100      // headers of a request
	maxStreams       = 100      // HTTP/2 requests at once on one connection
	streamWindow     = 64 << 10 // bytes of HTTP/2 flow control for one request
	connectionWindow = 1 << 20  // bytes of HTTP/2 flow control for one connection
	headersTimeout   = 10 * time.Second
	requestTimeout   = 60 * time.Second // for the client to send a whole request
	idleStream       = 5 * time.Minute
	idleConnection   = 15 * time.Minute
)

// hcmName is the network filter that speaks HTTP.
const hcmName = "envoy.filters.network.http_connection_manager"

// listeners are the edge, HTTP/1.1 and HTTP/2, hardened, and what the policy
// wants beside it: HTTP/3, and a redirect from plain HTTP.
func listeners(p *policy.Policy, a addresses) ([]*listenerv3.Listener, error) {
	manager, err := edgeManager(p, a)
	if err != nil {
		return nil, err
	}
	config, err := pack(manager)
	if err != nil {
		return nil, err
	}
	edge := &listenerv3.Listener{
		Name:                          "edge",
		Address:                       a.listen.proto(),
		PerConnectionBufferLimitBytes: u32(bufferLimit),
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       hcmName,
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config},
			}},
		}},
	}
	list := []*listenerv3.Listener{edge}
	t := p.Envoy.TLS
	if t == nil {
		return list, nil
	}
	if edge.FilterChains[0].TransportSocket, err = socket(tlsSocket, clientTLS(t, "h2", "http/1.1")); err != nil {
		return nil, err
	}
	if t.HTTP3 {
		l, err := http3Listener(p, a, manager)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	if t.Redirect != "" {
		l, err := redirectListener(p, a)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// edgeManager is how the edge reads requests.
func edgeManager(p *policy.Policy, a addresses) (*hcmv3.HttpConnectionManager, error) {
	manager, err := Manager(p)
	if err != nil {
		return nil, err
	}
	if manager.HttpFilters, err = httpFilters(p); err != nil {
		return nil, err
	}
	if manager.AccessLog, err = accessLog(p); err != nil {
		return nil, err
	}
	// The trace bits that Envoy would write into a request id make it no UUID
	// and tell a caller whether it is traced.
	ids, err := pack(&uuidv3.UuidRequestIdConfig{PackTraceReason: wrapperspb.Bool(false)})
	if err != nil {
		return nil, err
	}
	manager.RequestIdExtension = &hcmv3.RequestIDExtension{TypedConfig: ids}
	manager.StatPrefix = "edge"

	// The client's address, and no header that a client could forge.
	manager.UseRemoteAddress = wrapperspb.Bool(true)
	manager.XffNumTrustedHops = uint32(p.Envoy.TrustedHops)
	manager.ForwardClientCertDetails, manager.SetCurrentClientCertDetails = clientCertificates(p)

	manager.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes(p, altSvc(p, a))}
	return manager, tracing(p, manager)
}

// Manager is what the edge wants of Envoy's HTTP connection manager wherever it stands:
// how paths and headers are read, their bounds, and what Envoy's own answers look
// like. Filters, routes, logs and whom to believe a client's address are not in it.
func Manager(p *policy.Policy) (*hcmv3.HttpConnectionManager, error) {
	security, err := p.EnforcedHeaders()
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	replies, err := localReplies(security)
	if err != nil {
		return nil, err
	}
	return &hcmv3.HttpConnectionManager{
		CodecType: hcmv3.HttpConnectionManager_AUTO,

		// One meaning of a path for the authz service, the route table and
		// the upstream.
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		StripTrailingHostDot:         true,

		// One request id, made here, on every request and response.
		GenerateRequestId:            wrapperspb.Bool(true),
		PreserveExternalRequestId:    false,
		AlwaysSetRequestIdInResponse: true,

		// Nothing that names this software: Envoy adds no server header, and
		// the Wasm filter removes the upstream's.
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,

		// Bounds on time and size.
		RequestHeadersTimeout: durationpb.New(headersTimeout),
		RequestTimeout:        durationpb.New(requestTimeout),
		StreamIdleTimeout:     durationpb.New(idleStream),
		MaxRequestHeadersKb:   u32(maxHeaderKB),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  durationpb.New(idleConnection),
			MaxHeadersCount:              u32(maxHeaders),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:                    u32(maxStreams),
			InitialStreamWindowSize:                 u32(streamWindow),
			InitialConnectionWindowSize:             u32(connectionWindow),
			OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(true),
		},

		LocalReplyConfig: replies,
	}, nil
}

type wrappedUint = wrapperspb.UInt32Value

func u32(n int) *wrappedUint { return wrapperspb.UInt32(uint32(n)) }

// pack wraps a message for a typed_config, in a form that does not vary.
func pack(m proto.Message) (*anypb.Any, error) {
	out := new(anypb.Any)
	err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true})
	return out, err
}
