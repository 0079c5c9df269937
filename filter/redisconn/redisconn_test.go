package redisconn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/redisconn"
)

func TestMain(m *testing.M) {
	logging.Disable() // of connections that cannot be had, which is what is tested
	os.Exit(m.Run())
}

func TestURLsThatAreNone(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://:secret@h:port", "rediss://h?skip_verify=true", "redis://:secret@%zz"} {
		for _, cluster := range []bool{false, true} {
			client, err := redisconn.Open(url, cluster)
			if !errors.Is(err, redisconn.ErrURL) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v", url, err)
			}
			if err == nil {
				_ = client.Close()
			}
		}
	}
}

func TestSecure(t *testing.T) {
	for url, want := range map[string]bool{
		"rediss://example.com": true, "unix:///run/redis.sock": true, "redis://example.com": false, "redis://u:p@127.0.0.1:1": true,
		"redis://localhost": true, "redis://[::1]:6379": true, "redis://127.0.0.1@example.com": false, "redis://127.example.com": false, "redis://%zz": false,
	} {
		if got := redisconn.Secure(url); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}

// certificate makes a self-signed certificate for loopback, and returns the
// paths of it and of its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestTLS talks to a redis-server by TLS: with a certificate that the system
// trusts, and not with another.
func TestTLS(t *testing.T) {
	trusted, key := certificate(t)
	t.Setenv("SSL_CERT_FILE", trusted) // read once, by the first connection of this process
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	for name, want := range map[string]bool{"trusted": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			cert, key := trusted, key
			if !want {
				cert, key = certificate(t)
			}
			secure := harness.FreeAddress(t)
			_, port, _ := net.SplitHostPort(secure)
			harness.StartRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
			client, err := redisconn.Open("rediss://"+secure, false)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			answer, err := client.Ping(ctx).Result()
			var unknown x509.UnknownAuthorityError
			if want && (err != nil || answer != "PONG") || !want && !errors.As(err, &unknown) {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
}
