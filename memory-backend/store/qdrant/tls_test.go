package qdrant

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/qdrant/qdranttest"
)

// authority is one that signed the certificate of a server on loopback.
func authority(t *testing.T) (pool *x509.CertPool, server tls.Certificate) {
	t.Helper()
	make1 := func(parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made, key
	}
	ca, caKey := make1(nil, nil)
	leaf, leafKey := make1(ca, caKey)
	pool = x509.NewCertPool()
	pool.AddCert(ca)
	return pool, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}
}

// Memories and the API key go over TLS to a server that an authority of the configuration vouches for, and to no other.
func TestTLS(t *testing.T) {
	pool, certificate := authority(t)
	other, _ := authority(t)
	server, port := qdranttest.Serve(t, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	c := config(t, port)
	c.APIKey, c.Tries = "the-"+"key", 1
	for name, with := range map[string]*tls.Config{
		"another authority": {MinVersion: tls.VersionTLS12, RootCAs: other}, "the machine's authorities": {MinVersion: tls.VersionTLS12},
		"another name": {MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "qdrant.example.com"}, "no TLS": nil,
	} {
		c.TLS = with
		if s, err := Open(t.Context(), c); err == nil {
			s.Close()
			t.Errorf("%s: connected", name)
		} else if strings.Contains(err.Error(), c.APIKey) {
			t.Errorf("%s: the key is told: %v", name, err)
		}
	}
	server.With(func(s *qdranttest.State) {
		if len(s.Keys) != 0 {
			t.Errorf("keys were sent: %v", s.Keys)
		}
	})
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	s := openStore(t, c)
	if err := s.Add(t.Context(), "a", by, []*memory.Memory{canary("m1")}); err != nil {
		t.Fatal(err)
	}
	server.With(func(s *qdranttest.State) {
		if !s.Keys[c.APIKey] || len(s.Keys) != 1 {
			t.Errorf("keys %v", s.Keys)
		}
		// A key that Qdrant does not take is no reason to try again, and is not told.
		s.Before = func(string) error { return status.Error(codes.Unauthenticated, "Invalid API key") }
	})
	c.Tries = 4
	if _, err := Open(t.Context(), c); err == nil || strings.Contains(err.Error(), c.APIKey) || !strings.Contains(err.Error(), "Invalid API key") {
		t.Errorf("a key that is refused: %v", err)
	}
}
