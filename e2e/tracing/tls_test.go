package tracing

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
)

// certificates makes an authority and what it vouches for, in a folder.
func certificates(t *testing.T) (path func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	if err := dev.Certificates(dev.CertificateOptions{
		Dir: dir, Hosts: []string{"localhost", "127.0.0.1"}, For: time.Hour, Random: rand.Reader, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

// A collector that wants TLS and certificates gets the spans of Envoy and of memgate, each of
// which shows its own. One whose certificate they do not believe gets nothing, and keeps
// nobody waiting.
func TestCollectorWithTLS(t *testing.T) {
	path := certificates(t)
	text, err := os.ReadFile(path("ca.crt"))
	authorities := x509.NewCertPool()
	if err != nil || !authorities.AppendCertsFromPEM(text) {
		t.Fatalf("no authority: %v", err)
	}
	var mu sync.Mutex
	var shown []string // by those who were let in
	demand := func(path func(string) string) grpc.ServerOption {
		pair, err := tls.LoadX509KeyPair(path("upstream.crt"), path("upstream.key"))
		if err != nil {
			t.Fatal(err)
		}
		return grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12,
			VerifyConnection: func(c tls.ConnectionState) error {
				// memgate shows the certificate of its own ports.
				_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					shown = append(shown, c.PeerCertificates[0].Subject.CommonName)
				}
				return err
			},
		}))
	}
	t.Setenv("SSL_CERT_FILE", path("ca.crt")) // for the backend, which fetches the keys of the Txn-Token
	address := harness.FreeAddress(t)
	c := listen(t, address, demand(path))
	s := harness.StartStack(t, traced(t, address, `sample: 1, service: edge-test, tls: { ca: "file:`+path("ca.crt")+`" }`,
		"\nenvoy: {", "\nenvoy: { identity: { sds: \""+path("sds")+"\" }, ",
		"\nserver: {", "\nserver: { tls: { certificate: \"file:"+path("memgate.crt")+"\", key: \"file:"+path("memgate.key")+"\", client_ca: \"file:"+path("ca.crt")+"\" }, "))
	token := s.Token("acme", "memory:read")
	joined(t, c, get(t, s, token, 200, nil))
	mu.Lock()
	for _, want := range []string{"envoy", "memgate"} {
		if !slices.ContainsFunc(shown, func(name string) bool { return strings.Contains(name, want) }) {
			t.Errorf("no certificate of %s was shown, but %q", want, shown)
		}
	}
	mu.Unlock()

	// Somebody else takes its place.
	c.server.Stop()
	impostor := listen(t, address, demand(certificates(t)))
	harness.Eventually(t, func() error {
		get(t, s, token, 200, nil)
		if lost := s.Metric(t, "memgate_trace_spans_dropped_total"); lost < 1 {
			return fmt.Errorf("%v spans were dropped", lost)
		}
		return nil
	})
	s.Memgate.Stop() // it sends what it has
	if got := impostor.all(); got != "" {
		t.Errorf("an impostor gets spans: %s", got)
	}
}
