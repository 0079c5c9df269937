package policy

import (
	"maps"
	"strings"

	"github.com/memgate/memgate/filter/headers"
)

// EnvoyTLS is how the edge speaks TLS to its clients. All paths are as Envoy
// sees them.
type EnvoyTLS struct {
	Certificate       string `yaml:"certificate" doc:"path, as Envoy sees it, of the certificate and its chain (PEM)"`
	Key               string `yaml:"key" doc:"path, as Envoy sees it, of the certificate's key (PEM)"`
	SDS               string `yaml:"sds" doc:"instead of certificate, key and client_ca: a folder, as Envoy sees it, with the secrets edge.yaml (certificate and key) and clients.yaml (authorities of clients), which Envoy follows, so that a renewed certificate needs no restart; memgate dev certs writes such a folder"`
	MinVersion        string `yaml:"min_version" doc:"the oldest version that is spoken" enum:"TLSv1.2,TLSv1.3" default:"TLSv1.2"`
	ClientCertificate string `yaml:"client_certificate" doc:"none asks clients for no certificate; any asks and takes whatever comes, which is enough for tokens that are bound to one (RFC 8705), and tells the upstream nothing of it; optional refuses a certificate that is not of client_ca; required refuses connections without one" enum:"none,any,optional,required" default:"none"`
	ClientCA          string `yaml:"client_ca" doc:"path, as Envoy sees it, of the authorities of clients' certificates (PEM)"`
	HTTP3             bool   `yaml:"http3" doc:"speak HTTP/3 too, on the same port by UDP, and tell clients so (Alt-Svc)"`
	Redirect          string `yaml:"redirect" doc:"host:port on which plain HTTP is answered with a redirect to https; nothing listens there when empty"`
	Port              int    `yaml:"port" doc:"port that clients connect to, for redirect and Alt-Svc; that of envoy.listen when 0" default:"0" min:"0" max:"65535"`
}

// EnvoyIdentity is the certificate by which Envoy shows itself to memgate and
// to the upstream, and the authorities that theirs must come from.
type EnvoyIdentity struct {
	Certificate string `yaml:"certificate" doc:"path, as Envoy sees it, of the certificate and its chain (PEM)"`
	Key         string `yaml:"key" doc:"path, as Envoy sees it, of the certificate's key (PEM)"`
	CA          string `yaml:"ca" doc:"path, as Envoy sees it, of the authorities of memgate's and the upstream's certificates (PEM)"`
	SDS         string `yaml:"sds" doc:"instead of certificate, key and ca: a folder, as Envoy sees it, with the secrets identity.yaml and authorities.yaml, which Envoy follows"`
}

// ServerTLS is how memgate's own ports speak TLS.
type ServerTLS struct {
	Certificate Secret `yaml:"certificate" doc:"file:PATH of memgate's certificate and its chain (PEM); followed when it changes" required:"true"`
	Key         Secret `yaml:"key" doc:"file:PATH of the certificate's key (PEM)" required:"true"`
	ClientCA    Secret `yaml:"client_ca" doc:"file:PATH of the authorities of Envoy's certificate (PEM): the gRPC port then takes nobody else, and the HTTP port gives content policies and sessions to nobody else"`
}

// UpstreamTLS is how Envoy speaks TLS to the upstream, by envoy.identity.
type UpstreamTLS struct {
	ServerName string `yaml:"server_name" doc:"name that the upstream's certificate must have; the host of upstream.address when empty"`
}

// Kinds of [EnvoyTLS.ClientCertificate].
const (
	ClientCertificateNone     = "none"
	ClientCertificateAny      = "any"
	ClientCertificateOptional = "optional"
	ClientCertificateRequired = "required"
)

// hsts is the header of RFC 6797.
const hsts = "strict-transport-security"

// overTLS reports whether clients reach the edge by TLS, as far as the policy
// says.
func (p *Policy) overTLS() bool { return p.Envoy.TLS != nil || p.Envoy.TLSInFront }

// SecurityHeaders is the section headers as package headers takes it.
// Strict-Transport-Security is set only where clients come by TLS, as RFC 6797,
// section 7.2, wants it, and by itself only in production, so that no browser
// binds a developer's localhost to https for a year. Where clients come by plain
// HTTP it is taken off even the upstream's responses.
func (p *Policy) SecurityHeaders() (headers.Policy, error) {
	if !p.overTLS() {
		h, err := headers.New(p.Headers.Preset, p.Headers.Override)
		if err != nil {
			return h, err
		}
		return h.Without(hsts), nil
	}
	overrides := p.Headers.Override
	if _, own := p.override(hsts); !own && p.Environment == "production" {
		overrides = maps.Clone(overrides)
		if overrides == nil {
			overrides = make(map[string]string, 1)
		}
		overrides[hsts] = headers.HSTS
	}
	return headers.New(p.Headers.Preset, overrides)
}

// override is the value of an override, by its name in lower case, and the key
// that it has in the file.
func (p *Policy) override(name string) (key string, ok bool) {
	for key := range p.Headers.Override {
		if strings.EqualFold(key, name) {
			return key, true
		}
	}
	return "", false
}

// AsksForCertificates reports whether clients can show a certificate to the edge.
func (p *Policy) AsksForCertificates() bool {
	return p.Envoy.TLSInFront || p.Envoy.TLS != nil && p.Envoy.TLS.ClientCertificate != ClientCertificateNone
}
