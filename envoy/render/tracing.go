package render

import (
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	tagv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

// ClusterTraces is the collector of traces.
const ClusterTraces = "traces"

const (
	// traceTimeout is how long the collector may take over some spans.
	traceTimeout = 5 * time.Second
	// spanName is that of the span of a request. A client could name it otherwise,
	// and a path is not for traces.
	spanName = "edge"
)

// traceContext are the headers by which a client chooses the trace that its
// request is part of, and what services behind note with it (W3C Trace Context,
// W3C Baggage).
var traceContext = [...]string{"traceparent", "tracestate", "baggage"}

// traceForcing are those by which Envoy would trace a request that was not drawn.
var traceForcing = [...]string{"x-client-trace-id", "x-envoy-force-trace"}

// untold are the tags that Envoy writes by itself and that hold what a client
// sends or who it is: they get the same value on all spans.
var untold = [...]string{"http.url", "user_agent", "peer.address", "downstream_cluster", "grpc.path", "grpc.authority", "grpc.content_type"}

// tracing has Envoy write a span for each request that is drawn, and tells
// services which it is, memgate among them. It does nothing without the section.
func tracing(p *policy.Policy, m *hcmv3.HttpConnectionManager) error {
	t := p.Tracing
	if t == nil {
		return nil
	}
	collector := grpcService(traceTimeout)
	collector.GetEnvoyGrpc().ClusterName = ClusterTraces
	config, err := pack(&tracev3.OpenTelemetryConfig{GrpcService: collector, ServiceName: t.Service + "-envoy"})
	if err != nil {
		return err
	}
	m.Tracing = &hcmv3.HttpConnectionManager_Tracing{
		ClientSampling:   new(typev3.Percent),
		RandomSampling:   &typev3.Percent{Value: float64(t.Sample) * 100 / float64(policy.Whole)},
		OverallSampling:  &typev3.Percent{Value: 100},
		MaxPathTagLength: wrapperspb.UInt32(0),
		Operation:        spanName,
		CustomTags:       tags(),
		Provider:         &tracev3.Tracing_Http{Name: "envoy.tracers.opentelemetry", ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: config}},
	}
	remove := traceForcing[:]
	if !t.TrustClient {
		remove = append(remove, traceContext[:]...)
	}
	early := new(earlyv3.HeaderMutation)
	for _, name := range remove {
		early.Mutations = append(early.Mutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}})
	}
	// Before Envoy reads them: filters come too late.
	mutation, err := pack(early)
	if err != nil {
		return err
	}
	m.EarlyHeaderMutationExtensions = []*corev3.TypedExtensionConfig{{Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: mutation}}
	return nil
}

// tags are the route that memgate found, and something in place of untold.
func tags() []*tagv3.CustomTag {
	list := []*tagv3.CustomTag{{Tag: "memgate.route", Type: &tagv3.CustomTag_Metadata_{Metadata: &tagv3.CustomTag_Metadata{
		Kind: &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Request_{Request: new(metadatav3.MetadataKind_Request)}},
		MetadataKey: &metadatav3.MetadataKey{
			Key:  "envoy.filters.http.ext_authz",
			Path: []*metadatav3.MetadataKey_PathSegment{{Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: "route"}}},
		},
	}}}}
	for _, name := range untold {
		list = append(list, &tagv3.CustomTag{Tag: name, Type: &tagv3.CustomTag_Literal_{Literal: &tagv3.CustomTag_Literal{Value: "-"}}})
	}
	return list
}

// traceTLS is the name that the collector's certificate must have, and whether
// there is one.
func traceTLS(p *policy.Policy, a addresses) (name string, plain bool) {
	switch t := p.Tracing; {
	case t == nil || t.TLS == nil:
		return "", true
	case t.TLS.ServerName != "":
		return t.TLS.ServerName, false
	}
	return a.traces.host, false
}
