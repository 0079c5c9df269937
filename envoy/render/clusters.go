package render

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/policy"
)

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// clusters returns the services that the edge talks to.
func clusters(p *policy.Policy, a addresses) ([]*clusterv3.Cluster, error) {
	h1, err := pack(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:     durationpb.New(30 * time.Second),
			MaxHeadersCount: u32(maxHeaders),
		},
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: new(corev3.Http1ProtocolOptions), // trailers end here
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	h2, err := pack(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						InitialStreamWindowSize:     u32(streamWindow),
						InitialConnectionWindowSize: u32(connectionWindow),
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(30 * time.Second),
							Timeout:  durationpb.New(5 * time.Second),
						},
					},
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	most := u32(p.Envoy.MaxConnections)
	list := []*clusterv3.Cluster{
		cluster(ClusterGRPC, a.grpc, h2, 250*time.Millisecond, most),
		cluster(ClusterHTTP, a.http, h1, 250*time.Millisecond, most),
		cluster(ClusterUpstream, a.upstream, h1, time.Second, most),
	}
	if p.Tracing != nil {
		list = append(list, cluster(ClusterTraces, a.traces, h2, 250*time.Millisecond, most))
	}
	return list, secure(p, a, list)
}

// cluster is one service. Its circuit breakers admit as many requests as the
// edge admits connections, so that they never refuse what the edge accepted
// from a client that sends one request at a time, and still bound a flood.
func cluster(name string, at address, options *anypb.Any, connect time.Duration, most *wrappedUint) *clusterv3.Cluster {
	discovery := clusterv3.Cluster_STRICT_DNS
	if at.numeric() {
		discovery = clusterv3.Cluster_STATIC
	}
	c := &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:                durationpb.New(connect),
		PerConnectionBufferLimitBytes: u32(bufferLimit),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     most,
			MaxPendingRequests: most,
			MaxRequests:        most,
			MaxRetries:         u32(16),
			TrackRemaining:     true,
		}}},
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{
			TcpKeepalive: &corev3.TcpKeepalive{KeepaliveTime: u32(60), KeepaliveInterval: u32(10), KeepaliveProbes: u32(3)},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptions: options},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{{
					HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: at.proto()}},
				}},
			}},
		},
	}
	if discovery == clusterv3.Cluster_STRICT_DNS {
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	}
	return c
}
