package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

// certificate makes a self-signed one.
func certificate(t *testing.T, name string) (pair tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return pair, certPEM, keyPEM
}

// Tokens that the provider binds to a certificate (RFC 8705) count only on connections
// with that certificate. The Envoy is the rendered one with TLS put in front, as an
// operator does: memgate renders no TLS listener.
func TestCertificateBoundTokens(t *testing.T) {
	p := startProvider(t)
	s := harness.StartStack(t, p.accepting("sender_constrained: mtls"))
	mine, myPEM, _ := certificate(t, "mine")
	other, _, _ := certificate(t, "other")
	_, serverPEM, serverKey := certificate(t, "edge")

	config, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := render.Envoy(config)
	if err != nil {
		t.Fatal(err)
	}
	inline := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	context, err := anypb.New(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates: []*tlsv3.TlsCertificate{{CertificateChain: inline(serverPEM), PrivateKey: inline(serverKey)}},
		// Any certificate is asked for and taken: the thumbprint decides (RFC 8705, section 2.2).
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED, TrustedCa: inline(myPEM),
		}},
	}, RequireClientCertificate: wrapperspb.Bool(false)})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap.StaticResources.Listeners[0].FilterChains[0].TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: context},
	}
	edge := harness.StartEnvoy(t, bootstrap)

	token, _ := p.token("certificate", "ES256", "X-Test-Certificate", url.PathEscape(string(myPEM)))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(serverPEM)
	get := func(token string, certificates ...tls.Certificate) (int, string) {
		t.Helper()
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS12},
		}}
		request, err := http.NewRequest(http.MethodGet, "https://"+edge.Addr+"/api/v2/agents", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		// What a client says of its certificate counts for nothing.
		request.Header.Set("X-Forwarded-Client-Cert", `Cert="`+url.PathEscape(string(myPEM))+`"`)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	if status, body := get(token, mine); status != 200 {
		t.Errorf("its certificate: %d %s", status, body)
	}
	if status, body := get(token, other); status != 401 {
		t.Errorf("another certificate: %d %s", status, body)
	}
	if status, body := get(token); status != 401 {
		t.Errorf("no certificate: %d %s", status, body)
	}
	if status, body := get(p.bearer("acme", "ES256"), mine); status != 401 {
		t.Errorf("a token that is not bound: %d %s", status, body)
	}
	// On the listener as it is rendered, without TLS, there is no way.
	if r := list(t, s, token); r.Status != 401 {
		t.Errorf("without TLS: %d %s", r.Status, r.Body)
	}
}
