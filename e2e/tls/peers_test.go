package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// meshCA signs certificates with SPIFFE IDs.
type meshCA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newMeshCA(t *testing.T) *meshCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mesh"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := &meshCA{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if ca.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return ca
}

// peer makes a certificate with these URIs among its names, or with a DNS name only.
func (ca *meshCA) peer(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		u, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	if len(names) == 0 {
		template.DNSNames = []string{"web.acme.svc"}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A peer that Envoy verified makes requests in its own name where the policy names it, and
// nobody becomes a peer in any other way.
func TestPeers(t *testing.T) {
	a, ca, strangers := certificates(t), newMeshCA(t), newMeshCA(t)
	bundle := filepath.Join(t.TempDir(), "mesh.crt")
	if err := os.WriteFile(bundle, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	const web, reader = "spiffe://example.org/ns/acme/sa/web", "spiffe://example.org/reader"
	s := harness.StartStack(t, func(yaml string) string {
		yaml = with(`tls: { certificate: "`+a.path("edge.crt")+`", key: "`+a.path("edge.key")+`", client_certificate: optional, client_ca: "`+bundle+`" }, `, "", "")(yaml)
		return strings.Replace(yaml, "\nidentity:\n", `
identity:
  mesh:
    identities:
      - { id: "spiffe://example.org/ns/{tenant}/sa/{name}", scopes: ["memory:read", "memory:write"] }
      - { id: "`+reader+`", tenant: other, scopes: ["memory:read"] }
`, 1)
	})
	const forged = `By=spiffe://edge;Hash=00;URI=` + web
	do := func(method, path, body string, shown []tls.Certificate, headers ...string) (*response, error) {
		request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-Client-Cert", forged)
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		r, err := a.client(t, shown...).Do(request)
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		return &response{r, string(text)}, err
	}
	peer := func(names ...string) []tls.Certificate { return []tls.Certificate{ca.peer(t, names...)} }

	if r, err := do("POST", "/api/v2/agents", `{"agent_id":"of-the-web"}`, peer(web)); err != nil || r.StatusCode != 201 {
		t.Fatalf("a peer: %v %v", r, err)
	}
	for name, c := range map[string]struct {
		shown   []tls.Certificate
		headers []string
		status  int    // 0 for no connection
		holds   string // of the answer
	}{
		"a peer":                        {peer(web), nil, 200, "of-the-web"},
		"another peer of its tenant":    {peer("spiffe://example.org/ns/acme/sa/job"), nil, 200, "of-the-web"},
		"a peer of another tenant":      {peer(reader), nil, 200, `"agents":[]`},
		"a token through a peer":        {peer(reader), []string{"Authorization", "Bearer " + s.Token("acme", scopes)}, 200, "of-the-web"},
		"a bad token through a peer":    {peer(web), []string{"Authorization", "Bearer garbage"}, 401, "invalid-credentials"},
		"another trust domain":          {peer("spiffe://example.com/ns/acme/sa/web"), nil, 401, "invalid-credentials"},
		"a longer trust domain":         {peer("spiffe://example.org.evil.test/ns/acme/sa/web"), nil, 401, "invalid-credentials"},
		"an unknown path":               {peer("spiffe://example.org/ns/acme"), nil, 401, "invalid-credentials"},
		"two SPIFFE IDs":                {peer(web, reader), nil, 401, "invalid-credentials"},
		"two SPIFFE IDs, the other way": {peer(reader, web), nil, 401, "invalid-credentials"},
		"a URI beside it":               {peer(web, "https://example.org"), nil, 401, "invalid-credentials"},
		"not a SPIFFE ID":               {peer("spiffe://EXAMPLE.org/ns/acme/sa/web"), nil, 401, "invalid-credentials"},
		"another kind of URI":           {peer("https://example.org/ns/acme/sa/web"), nil, 401, "invalid-credentials"},
		"a DNS name":                    {peer(), nil, 401, "invalid-credentials"},
		"no certificate":                {nil, nil, 401, "unauthenticated"},
		"a certificate of others":       {[]tls.Certificate{strangers.peer(t, web)}, nil, 0, ""},
	} {
		r, err := do("GET", "/api/v2/agents", "", c.shown, c.headers...)
		if c.status == 0 {
			if err == nil {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			}
			continue
		}
		if err != nil || r.StatusCode != c.status || !strings.Contains(r.body, c.holds) {
			t.Errorf("%s: %v %+v", name, err, r)
		}
	}
	if r, err := do("POST", "/api/v2/agents", `{"agent_id":"x"}`, peer(reader)); err != nil || r.StatusCode != 403 {
		t.Errorf("a peer without the scope: %v %v", r, err)
	}
	if out := s.CLI("explain", "--config", s.Config, "--path", "/api/v2/agents", "--peer", web); !strings.Contains(out, "mesh") || !strings.Contains(out, web) {
		t.Errorf("memgate explain: %s", out)
	}
	// One that is revoked is refused at once, and others are not.
	if out := s.CLI("revoke", "subject", "--config", s.Config, reader); !strings.Contains(out, "peer "+reader+" is revoked for good") {
		t.Error(out)
	}
	harness.Eventually(t, func() error {
		r, err := do("GET", "/api/v2/agents", "", peer(reader))
		if err == nil && r.StatusCode != 401 {
			err = fmt.Errorf("a revoked peer: %d", r.StatusCode)
		}
		return err
	})
	if r, err := do("GET", "/api/v2/agents", "", peer(web)); err != nil || r.StatusCode != 200 {
		t.Errorf("another peer: %v %v", r, err)
	}
	harness.Eventually(t, func() error {
		lines, err := os.ReadFile(filepath.Join(s.Dir, "audit.log"))
		for _, want := range []string{`"mesh"`, `"` + web + `"`, `"peer_unknown"`, `"peer_ambiguous"`, `"peer_malformed"`, `"peer_revoked"`} {
			if err == nil && !strings.Contains(string(lines), want) {
				err = errors.New("no " + want + " in the audit log")
			}
		}
		return err
	})
}
