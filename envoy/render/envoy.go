package render

import (
	"fmt"
	"net/netip"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/memgate/memgate/filter/policy"
)

// Names of the clusters. The Wasm filter learns ClusterHTTP from its plugin
// configuration.
const (
	ClusterGRPC     = "memgate-grpc" // the authz service and the access log receiver
	ClusterHTTP     = "memgate-http" // content policies and memgate's own routes
	ClusterUpstream = "upstream"     // the protected service
)

// node names this proxy in the requests that it makes to memgate.
const node = "memgate"

// Envoy returns the bootstrap of an Envoy that enforces p in front of
// p.Upstream. It fails when an address of the policy is not host:port, or when
// the admin interface would listen beyond loopback.
func Envoy(p *policy.Policy) (*bootstrapv3.Bootstrap, error) {
	a, err := addressesOf(p)
	if err != nil {
		return nil, err
	}
	listeners, err := listeners(p, a)
	if err != nil {
		return nil, err
	}
	overload, err := overloadManager(p)
	if err != nil {
		return nil, err
	}
	clusters, err := clusters(p, a)
	if err != nil {
		return nil, err
	}
	return &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: node, Cluster: node},
		Admin: &bootstrapv3.Admin{Address: a.admin.proto(), IgnoreGlobalConnLimit: true},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: listeners,
			Clusters:  clusters,
		},
		OverloadManager: overload,
	}, nil
}

// addresses are those that the policy names, taken apart.
type addresses struct {
	listen, admin, grpc, http, upstream address

	traces address // zero without tracing
}

func addressesOf(p *policy.Policy) (addresses, error) {
	var a addresses
	type named struct {
		to        *address
		key, text string
	}
	list := []named{
		{&a.listen, "envoy.listen", p.Envoy.Listen},
		{&a.admin, "envoy.admin", p.Envoy.Admin},
		{&a.grpc, "server.grpc", p.Server.GRPC},
		{&a.http, "server.http", p.Server.HTTP},
		{&a.upstream, "upstream.address", p.Upstream.Address},
	}
	if p.Tracing != nil {
		list = append(list, named{&a.traces, "tracing.otlp", p.Tracing.OTLP})
	}
	for _, f := range list {
		parsed, err := parseAddress(f.text)
		if err != nil {
			return a, fmt.Errorf("%s: %w", f.key, err)
		}
		*f.to = parsed
	}
	if p.Server.Host != "" {
		a.grpc.host, a.http.host = p.Server.Host, p.Server.Host
	}
	for _, f := range []struct {
		of   *address
		name string
	}{{&a.grpc, "server.grpc"}, {&a.http, "server.http"}, {&a.upstream, "upstream.address"}} {
		if f.of.host == "" || unspecified(f.of.host) {
			return a, fmt.Errorf("%s: %q is not an address that Envoy can connect to; set server.host", f.name, f.of.host)
		}
	}
	if ip, err := netip.ParseAddr(a.admin.host); err != nil || !ip.IsLoopback() {
		return a, fmt.Errorf("envoy.admin: %q is not a loopback address; the admin interface has no authentication", a.admin.host)
	}
	if a.listen.host == "" {
		a.listen.host = "0.0.0.0"
	}
	return a, nil
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
