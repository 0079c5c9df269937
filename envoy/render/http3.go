package render

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

const quicSocket = "envoy.transport_sockets.quic"

// http3Listener is the edge by UDP: the same connection manager, so the same
// filters and routes, and the same certificate.
func http3Listener(p *policy.Policy, a addresses, manager *hcmv3.HttpConnectionManager) (*listenerv3.Listener, error) {
	manager = proto.Clone(manager).(*hcmv3.HttpConnectionManager)
	manager.StatPrefix, manager.CodecType, manager.Http2ProtocolOptions = "edge-http3", hcmv3.HttpConnectionManager_HTTP3, nil
	manager.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{
		QuicProtocolOptions: &corev3.QuicProtocolOptions{
			MaxConcurrentStreams: u32(maxStreams), InitialStreamWindowSize: u32(streamWindow), InitialConnectionWindowSize: u32(connectionWindow),
		},
		OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(true),
	}
	config, err := pack(manager)
	if err != nil {
		return nil, err
	}
	context := clientTLS(p.Envoy.TLS, "h3")
	context.CommonTlsContext.TlsParams = nil // QUIC is TLS 1.3 (RFC 9001)
	context.SessionTicketKeysType = nil
	quic, err := socket(quicSocket, &quicv3.QuicDownstreamTransport{
		DownstreamTlsContext: context,
		EnableEarlyData:      wrapperspb.Bool(false), // it can be replayed
		EnableResumption:     wrapperspb.Bool(false), // it would go by a certificate that was verified once
	})
	if err != nil {
		return nil, err
	}
	at := a.listen.proto()
	at.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	return &listenerv3.Listener{
		Name: "edge-http3", Address: at, PerConnectionBufferLimitBytes: u32(bufferLimit),
		UdpListenerConfig: &listenerv3.UdpListenerConfig{
			QuicOptions: new(listenerv3.QuicProtocolOptions),
			// Several datagrams by one read, so that the kernel drops fewer.
			DownstreamSocketConfig: &corev3.UdpSocketConfig{PreferGro: wrapperspb.Bool(true)},
		},
		FilterChains: []*listenerv3.FilterChain{{
			Filters:         []*listenerv3.Filter{{Name: hcmName, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config}}},
			TransportSocket: quic,
		}},
	}, nil
}

// altSvc tells clients of HTTP/3 (RFC 7838).
func altSvc(p *policy.Policy, a addresses) []*corev3.HeaderValueOption {
	if t := p.Envoy.TLS; t == nil || !t.HTTP3 {
		return nil
	}
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: "alt-svc", Value: fmt.Sprintf(`h3=":%d"; ma=86400`, publicPort(p, a))},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}
