package render

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

// redirectName is the name of the listener that speaks plain HTTP beside TLS.
const redirectName = "redirect"

// redirectListener answers plain HTTP with a redirect to https that keeps the
// method (RFC 9110, section 15.4.9), and forwards nothing.
func redirectListener(p *policy.Policy, a addresses) (*listenerv3.Listener, error) {
	at, err := parseAddress(p.Envoy.TLS.Redirect)
	if err != nil {
		return nil, fmt.Errorf("envoy.tls.redirect: %w", err)
	}
	security, err := p.EnforcedHeaders()
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	// Not over plain HTTP (RFC 6797, section 7.2).
	replies, err := localReplies(security.Without("strict-transport-security"))
	if err != nil {
		return nil, err
	}
	router, err := pack(&routerv3.Router{SuppressEnvoyHeaders: true})
	if err != nil {
		return nil, err
	}
	manager, err := pack(&hcmv3.HttpConnectionManager{
		StatPrefix:                   redirectName,
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		StripTrailingHostDot:         true,
		UseRemoteAddress:             wrapperspb.Bool(true),
		ServerHeaderTransformation:   hcmv3.HttpConnectionManager_PASS_THROUGH,
		RequestHeadersTimeout:        durationpb.New(headersTimeout),
		RequestTimeout:               durationpb.New(headersTimeout),
		MaxRequestHeadersKb:          u32(maxHeaderKB),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout: durationpb.New(time.Minute), MaxHeadersCount: u32(maxHeaders),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
		}},
		LocalReplyConfig: replies,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: redirectName,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: redirectName, Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Name:  redirectName,
					Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{
						SchemeRewriteSpecifier: &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true},
						PortRedirect:           publicPort(p, a),
						ResponseCode:           routev3.RedirectAction_PERMANENT_REDIRECT,
					}},
				}},
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name: redirectName, Address: at.proto(), PerConnectionBufferLimitBytes: u32(bufferLimit),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: hcmName, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, nil
}

// publicPort is the port of the edge as clients know it.
func publicPort(p *policy.Policy, a addresses) uint32 {
	if port := p.Envoy.TLS.Port; port != 0 {
		return uint32(port)
	}
	return a.listen.port
}
