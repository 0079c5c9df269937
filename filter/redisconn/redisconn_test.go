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
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
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
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
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
	t.Run("cluster", func(t *testing.T) { clusterByTLS(t, trusted, key) })
}

// clusterByTLS talks to a Redis Cluster of two nodes that wants TLS and a password: each of
// both is found by one, with the same password, and by TLS alone.
func clusterByTLS(t *testing.T, cert, key string) {
	const password = "cluster-password"
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var secure []string
	var first string
	for i := range 2 {
		_, tlsPort, _ := net.SplitHostPort(harness.FreeAddress(t))
		_, bus, _ := net.SplitHostPort(harness.FreeAddress(t))
		node := harness.StartRedis(t, "--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no",
			"--tls-ca-cert-file", cert, "--tls-cluster", "yes", "--tls-replication", "yes", "--requirepass", password, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"))
		secure = append(secure, "127.0.0.1:"+tlsPort)
		admin, err := redisconn.Open("redis://:"+password+"@"+node.Addr, false)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if err := admin.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", i*8192, i*8192+8191).Err(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = bus
			continue
		}
		host, port, _ := net.SplitHostPort(secure[0])
		if err := admin.Do(ctx, "CLUSTER", "MEET", host, port, first).Err(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, func() error {
			info, err := admin.Do(ctx, "CLUSTER", "INFO").Text()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:2")) {
				err = errors.New(info)
			}
			return err
		})
	}
	open := func(url string) redis.UniversalClient {
		client, err := redisconn.Open(url, true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	client := open("rediss://:" + password + "@" + secure[0])
	harness.Eventually(t, func() error { // the other node is known
		for _, k := range []string{"foo", "bar", "hello", "a", "b", "c"} { // of both
			if err := client.Set(ctx, k, k, time.Minute).Err(); err != nil {
				return err
			}
			if got, err := client.Get(ctx, k).Result(); err != nil || got != k {
				return errors.Join(err, errors.New(k+" is "+got))
			}
		}
		return nil
	})
	var asked atomic.Int32
	if err := client.(*redis.ClusterClient).ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if asked.Add(1); !slices.Contains(secure, node.Options().Addr) || node.Options().TLSConfig == nil {
			t.Errorf("%s is not asked by TLS", node.Options().Addr)
		}
		return node.Ping(ctx).Err()
	}); err != nil || asked.Load() != 2 {
		t.Errorf("%d nodes, %v", asked.Load(), err)
	}
	for name, url := range map[string]string{"no password": "rediss://" + secure[0], "another password": "rediss://:x@" + secure[0], "no TLS": "redis://:" + password + "@" + secure[0]} {
		if err := open(url).Set(ctx, "foo", "bar", time.Minute).Err(); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
