package render

import (
	"net/netip"
	"path"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/policy"
)

const tlsSocket = "envoy.transport_sockets.tls"

// Secrets that Envoy follows, each in a file of that name with the ending .yaml
// in the folders envoy.tls.sds and envoy.identity.sds.
const (
	SecretEdge        = "edge"        // certificate and key of the edge
	SecretClients     = "clients"     // authorities of clients' certificates
	SecretIdentity    = "identity"    // certificate and key by which Envoy shows itself to services
	SecretAuthorities = "authorities" // authorities of the services' certificates
)

// ciphers of TLS 1.2: forward secrecy and authenticated encryption alone (RFC
// 9325, section 4.2). Those of TLS 1.3 are all of that kind.
var ciphers = []string{
	"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
	"[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384",
}

// curves of the key exchange, the first one safe against quantum computers too.
var curves = []string{"X25519MLKEM768", "X25519", "P-256"}

func parameters(least string) *tlsv3.TlsParameters {
	p := &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		CipherSuites:              ciphers,
		EcdhCurves:                curves,
	}
	if least == "TLSv1.3" {
		p.TlsMinimumProtocolVersion, p.CipherSuites = tlsv3.TlsParameters_TLSv1_3, nil
	}
	return p
}

// clientTLS is how the edge speaks TLS to clients that speak one of protocols.
func clientTLS(t *policy.EnvoyTLS, protocols ...string) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{TlsParams: parameters(t.MinVersion), AlpnProtocols: protocols}
	own(common, t.SDS, SecretEdge, t.Certificate, t.Key)
	context := &tlsv3.DownstreamTlsContext{
		CommonTlsContext:         common,
		RequireClientCertificate: wrapperspb.Bool(t.ClientCertificate == policy.ClientCertificateRequired),
		// A ticket's key would have to be shared and changed by all Envoys.
		SessionTicketKeysType: &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true},
	}
	switch t.ClientCertificate {
	case policy.ClientCertificateAny:
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED,
		}}
	case policy.ClientCertificateOptional, policy.ClientCertificateRequired:
		trust(common, t.SDS, SecretClients, t.ClientCA, nil)
	}
	return context
}

// clientCertificates says what the upstream learns of a client's certificate:
// nothing that the client says of itself, and of a verified one its subject and
// names. What was not verified is worth nothing there.
func clientCertificates(p *policy.Policy) (hcmv3.HttpConnectionManager_ForwardClientCertDetails, *hcmv3.HttpConnectionManager_SetCurrentClientCertDetails) {
	if t := p.Envoy.TLS; t == nil || t.ClientCertificate != policy.ClientCertificateOptional && t.ClientCertificate != policy.ClientCertificateRequired {
		return hcmv3.HttpConnectionManager_SANITIZE, nil
	}
	return hcmv3.HttpConnectionManager_SANITIZE_SET, &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: wrapperspb.Bool(true), Uri: true, Dns: true,
	}
}

// serviceTLS is how Envoy speaks TLS to a service whose certificate must have
// the name.
func serviceTLS(i *policy.EnvoyIdentity, name string, protocols ...string) *tlsv3.UpstreamTlsContext {
	common := &tlsv3.CommonTlsContext{TlsParams: parameters(""), AlpnProtocols: protocols}
	if i.SDS != "" || i.Certificate != "" {
		own(common, i.SDS, SecretIdentity, i.Certificate, i.Key)
	}
	context := &tlsv3.UpstreamTlsContext{CommonTlsContext: common}
	kind := tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	if _, err := netip.ParseAddr(name); err != nil {
		kind, context.Sni = tlsv3.SubjectAltNameMatcher_DNS, name
	}
	trust(common, i.SDS, SecretAuthorities, i.CA, []*tlsv3.SubjectAltNameMatcher{{
		SanType: kind,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}})
	return context
}

// own sets the certificate that Envoy shows.
func own(c *tlsv3.CommonTlsContext, sds, name, certificate, key string) {
	if sds != "" {
		c.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secret(sds, name)}
		return
	}
	c.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(certificate), PrivateKey: file(key)}}
}

// trust sets what the other side's certificate must be.
func trust(c *tlsv3.CommonTlsContext, sds, name, ca string, names []*tlsv3.SubjectAltNameMatcher) {
	v := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names}
	if sds == "" {
		v.TrustedCa = file(ca)
		c.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
		return
	}
	c.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: v, ValidationContextSdsSecretConfig: secret(sds, name),
		},
	}
}

// secret is one that Envoy reads again when something in its folder is renamed,
// as a Kubernetes volume and an atomic write both do.
func secret(folder, name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: path.Join(folder, name+".yaml"), WatchedDirectory: &corev3.WatchedDirectory{Path: folder},
		}},
	}}
}

func file(name string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
}

// socket wraps what a connection is secured by.
func socket(name string, m proto.Message) (*corev3.TransportSocket, error) {
	config, err := pack(m)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config}}, nil
}

// secure adds TLS to the clusters that speak it by the policy.
func secure(p *policy.Policy, a addresses, clusters []*clusterv3.Cluster) error {
	upstream := a.upstream.host
	if t := p.Upstream.TLS; t != nil && t.ServerName != "" {
		upstream = t.ServerName
	}
	for _, c := range clusters {
		name, protocol, plain := a.grpc.host, "h2", p.Server.TLS == nil
		switch c.Name {
		case ClusterHTTP:
			name, protocol = a.http.host, "http/1.1"
		case ClusterUpstream:
			name, protocol, plain = upstream, "http/1.1", p.Upstream.TLS == nil
		case ClusterTraces:
			name, plain = traceTLS(p, a)
		}
		if plain {
			continue
		}
		var err error
		if c.TransportSocket, err = socket(tlsSocket, serviceTLS(p.Envoy.Identity, name, protocol)); err != nil {
			return err
		}
	}
	return nil
}
