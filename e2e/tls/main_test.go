// Package tls tests the edge with TLS on every hop: from clients, to memgate and
// to the upstream, with certificates as `memgate dev certs` makes them.
package tls

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

const scopes = "memory:read memory:write"

// authority is a folder of certificates.
type authority struct{ dir string }

func certificates(t *testing.T) authority {
	t.Helper()
	a := authority{t.TempDir()}
	a.renew(t)
	return a
}

// renew makes new certificates of the same authority.
func (a authority) renew(t *testing.T) {
	t.Helper()
	if err := dev.Certificates(dev.CertificateOptions{
		Dir: a.dir, Hosts: []string{"localhost", "127.0.0.1"}, For: time.Hour, Random: rand.Reader, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
}

func (a authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a authority) pool(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(a.path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in ca.crt")
	}
	return pool
}

func (a authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// with adds members to the policy's sections envoy, server and upstream.
func with(envoy, server, upstream string) func(string) string {
	return func(yaml string) string {
		yaml = strings.Replace(yaml, "\nenvoy: {", "\nenvoy: {"+envoy, 1)
		yaml = strings.Replace(yaml, "\nserver: {", "\nserver: {"+server, 1)
		return strings.Replace(yaml, "\nupstream: {", "\nupstream: {"+upstream, 1)
	}
}

// client is one of the edge's: it believes the authority and shows certificates.
func (a authority) client(t *testing.T, shown ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool(t), Certificates: shown, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Timeout: 20 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// response is one that was read whole.
type response struct {
	*http.Response
	body string
}

func send(t *testing.T, c *http.Client, method, url string, headers ...string) *response {
	t.Helper()
	r, err := try(c, method, url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(c *http.Client, method, url string, headers ...string) (*response, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	r, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return &response{r, string(text)}, err
}

// list asks for the agents of a tenant.
func list(t *testing.T, s *harness.Stack, c *http.Client, headers ...string) *response {
	t.Helper()
	return send(t, c, http.MethodGet, s.URL+"/api/v2/agents",
		append([]string{"Authorization", "Bearer " + s.Token("acme", scopes)}, headers...)...)
}
