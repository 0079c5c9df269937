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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
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
// with that certificate, by TCP as by QUIC. Any certificate is asked for and taken: the
// thumbprint decides (RFC 8705, section 2.2).
func TestCertificateBoundTokens(t *testing.T) {
	p := startProvider(t)
	mine, myPEM, _ := certificate(t, "mine")
	other, _, _ := certificate(t, "other")
	_, serverPEM, serverKey := certificate(t, "edge")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"edge.crt": serverPEM, "edge.key": serverKey} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edge := harness.StartStack(t, func(yaml string) string {
		return strings.Replace(p.accepting("sender_constrained: mtls")(yaml), "\nenvoy: {", "\nenvoy: { tls: { certificate: \""+
			filepath.Join(dir, "edge.crt")+"\", key: \""+filepath.Join(dir, "edge.key")+"\", client_certificate: any, http3: true },", 1)
	})

	token, _ := p.token("certificate", "ES256", "X-Test-Certificate", url.PathEscape(string(myPEM)))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(serverPEM)
	get := func(client func(*tls.Config) *http.Client, token string, certificates ...tls.Certificate) (int, string) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, "https://"+edge.Addr+"/api/v2/agents", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		// What a client says of its certificate counts for nothing.
		request.Header.Set("X-Forwarded-Client-Cert", `Cert="`+url.PathEscape(string(myPEM))+`"`)
		response, err := client(&tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS12}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	for protocol, client := range map[string]func(*tls.Config) *http.Client{
		"TCP": func(c *tls.Config) *http.Client {
			return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: c}}
		},
		"QUIC": func(c *tls.Config) *http.Client { return edge.HTTP3(t, c) },
	} {
		if status, body := get(client, token, mine); status != 200 {
			t.Errorf("%s, its certificate: %d %s", protocol, status, body)
		}
		if status, body := get(client, token, other); status != 401 {
			t.Errorf("%s, another certificate: %d %s", protocol, status, body)
		}
		if status, body := get(client, token); status != 401 {
			t.Errorf("%s, no certificate: %d %s", protocol, status, body)
		}
		if status, body := get(client, p.bearer("acme", "ES256"), mine); status != 401 {
			t.Errorf("%s, a token that is not bound: %d %s", protocol, status, body)
		}
	}
}
