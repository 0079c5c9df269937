package render

import (
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

// metadataNamespace is where Envoy keeps what the authz service said of a
// request, whatever its filter is called.
const metadataNamespace = "envoy.filters.http.ext_authz"

// ownTimeout bounds the answers of memgate's own routes.
const ownTimeout = 5 * time.Second

// routes sends memgate's own routes to memgate and everything else to the
// protected service. Which route a request has is decided once, by the authz
// service: Envoy picks its route again after that (clear_route_cache) and
// matches on the name that the service left in the metadata. There is no second
// reading of the path that could disagree with the first.
func routes(p *policy.Policy, add []*corev3.HeaderValueOption) *routev3.RouteConfiguration {
	var list []*routev3.Route
	for i := range p.Routes {
		r := &p.Routes[i]
		if !r.Own {
			continue
		}
		list = append(list, &routev3.Route{
			Name: r.Name,
			Match: &routev3.RouteMatch{
				PathSpecifier:   &routev3.RouteMatch_Prefix{Prefix: "/"},
				DynamicMetadata: []*matcherv3.MetadataMatcher{decided("route", r.Name)},
			},
			Action: action(ClusterHTTP, ownTimeout),
		})
	}
	list = append(list, &routev3.Route{
		Name:   ClusterUpstream,
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: action(ClusterUpstream, time.Duration(p.Upstream.Timeout)),
	})
	return &routev3.RouteConfiguration{
		Name:                 "edge",
		ValidateClusters:     wrapperspb.Bool(true),
		ResponseHeadersToAdd: add,
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    "edge",
			Domains: []string{"*"},
			Routes:  list,
			// The Wasm filter hands a checked body back to Envoy in one piece.
			RequestBodyBufferLimit: wrapperspb.UInt64(BodyLimit(p)),
		}},
	}
}

// readsDecision reports whether the route table reads the decision, so that a route is
// to be picked again after it.
func readsDecision(p *policy.Policy) bool {
	return slices.ContainsFunc(p.Routes, func(r policy.Route) bool { return r.Own })
}

// growth is how many times longer a body may get by rewriting: what replaces a
// finding can be longer than the finding.
const growth = 4

// BodyLimit is the largest body that Envoy holds for the Wasm filter, in bytes.
func BodyLimit(p *policy.Policy) uint64 {
	var most int64 = bufferLimit
	for i := range p.Routes {
		most = max(most, growth*int64(p.Routes[i].Content.MaxBody))
	}
	return uint64(most)
}

// decided matches requests for which the authz service set key to value.
func decided(key, value string) *matcherv3.MetadataMatcher {
	return &matcherv3.MetadataMatcher{
		Filter: metadataNamespace,
		Path: []*matcherv3.MetadataMatcher_PathSegment{{
			Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: key},
		}},
		Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{
			StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
		}},
	}
}

// action forwards to a cluster. A request is sent a second time only if the
// first certainly never reached the service, so that no write happens twice. A
// timeout of zero is none, for streams; the idle timeout then remains.
func action(cluster string, timeout time.Duration) *routev3.Route_Route {
	retry := &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset-before-request",
		NumRetries: u32(1),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(25 * time.Millisecond),
			MaxInterval:  durationpb.New(250 * time.Millisecond),
		},
	}
	if timeout > 0 {
		retry.PerTryTimeout = durationpb.New(timeout)
	}
	return &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
		Timeout:          durationpb.New(timeout),
		IdleTimeout:      durationpb.New(idleStream),
		RetryPolicy:      retry,
	}}
}
