//go:build mesh

package mesh

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
)

// services runs a system without an edge, and returns its policy.
func services(t *testing.T) (*harness.Stack, *policy.Policy) {
	t.Helper()
	s := harness.StartServices(t, nil)
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// certificate is a secret with a certificate for host, and what believes it.
func certificate(t *testing.T) (secret string, pool *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	if err := dev.Certificates(dev.CertificateOptions{Dir: dir, Hosts: []string{host}, For: time.Hour, Random: rand.Reader, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read("ca.crt")) {
		t.Fatal("no authority")
	}
	return fmt.Sprintf(`---
apiVersion: v1
kind: Secret
metadata: { name: edge-tls, namespace: NAME }
type: kubernetes.io/tls
data: { tls.crt: %s, tls.key: %s }
`, base64.StdEncoding.EncodeToString(read("edge.crt")), base64.StdEncoding.EncodeToString(read("edge.key"))), pool
}

// An edge of Envoy Gateway speaks TLS as memgate's own Envoy does, for its hosts
// alone, and sends plain HTTP there.
func TestEnvoyGateway(t *testing.T) {
	s, p := services(t)
	secret, pool := certificate(t)
	e := harness.StartEnvoyGateway(t, p, harness.EnvoyGatewayOptions{Host: host, TLS: secret})
	token := "Bearer " + s.Token("acme", scopes)
	client := func(version uint16) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: host, MaxVersion: version}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Timeout: 20 * time.Second, Transport: transport}
	}
	get := func(c *http.Client, host, path, token string) (*http.Response, error) {
		request, err := http.NewRequest("GET", e.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		if token != "" {
			request.Header.Set("Authorization", token)
		}
		response, err := c.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return response, err
	}
	modern := client(0)
	harness.Eventually(t, func() error {
		r, err := get(modern, host, "/api/v2/agents", token)
		if err == nil && r.StatusCode != 200 {
			err = fmt.Errorf("%s", r.Status)
		}
		return err
	})
	for what, c := range map[string]struct {
		host, path, token string
		status            int
	}{
		"with a token":         {host, "/api/v2/agents", token, 200},
		"without a credential": {host, "/api/v2/agents", "", 401},
		"an unknown route":     {host, "/nowhere", token, 403},
		"an escaped slash":     {host, "/api%2Fv2/agents", token, 400},
		// Envoy Gateway has no route for it, and answers by itself.
		"another host": {"other.example.com", "/api/v2/agents", token, 404},
	} {
		r, err := get(modern, c.host, c.path, c.token)
		if err != nil || r.StatusCode != c.status {
			t.Errorf("%s: %v %v, want %d", what, err, r, c.status)
			continue
		}
		if r.ProtoMajor != 2 || r.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%s: %s over TLS %x", what, r.Proto, r.TLS.Version)
		}
	}
	if _, err := get(client(tls.VersionTLS11), host, "/api/v2/agents", token); err == nil {
		t.Error("the edge speaks TLS 1.1")
	}
	for _, credential := range []string{"Authorization: " + token, "Accept: */*"} {
		r := harness.Raw(t, e.Plain, "GET /api/v2/agents HTTP/1.1", "Host: "+host, credential)
		if err := harness.Want(r, 301); err != nil || r.Header.Get("Location") != "https://"+host+"/api/v2/agents" {
			t.Errorf("over plain HTTP: %v, to %q", err, r.Header.Get("Location"))
		}
	}
}

// What Envoy Gateway cannot do as it is told closes the edge.
func TestEnvoyGatewayRefuses(t *testing.T) {
	s, p := services(t)
	harness.StartEnvoyGateway(t, p, harness.EnvoyGatewayOptions{}) // so that it runs for all
	for name, edit := range map[string]func(kind string, spec map[string]any) bool{
		"another hash of the filter": func(kind string, spec map[string]any) bool {
			if kind == "EnvoyExtensionPolicy" {
				code := spec["wasm"].([]any)[0].(map[string]any)["code"].(map[string]any)
				code["http"].(map[string]any)["sha256"] = strings.Repeat("0", 64)
			}
			return true
		},
		"no memgate to ask": func(kind string, spec map[string]any) bool {
			if kind == "SecurityPolicy" {
				grpc := spec["extAuth"].(map[string]any)["grpc"].(map[string]any)
				grpc["backendRefs"].([]any)[0].(map[string]any)["name"] = "nowhere"
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.Envoy = harness.StartEnvoyGateway(t, p, harness.EnvoyGatewayOptions{Edit: edit, Refused: true}).Envoy
			r := s.JSON(t, "GET", "/api/v2/agents", s.Token("acme", scopes), "")
			if r.Status != 500 && r.Status != 503 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
}
