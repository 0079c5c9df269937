package dev

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// CertificateOptions say which certificates [Certificates] makes.
type CertificateOptions struct {
	Dir    string   // where they go
	SeenAs string   // the same folder as Envoy sees it; Dir when empty
	Hosts  []string // names and addresses of the edge
	For    time.Duration
	Random io.Reader
	Now    func() time.Time
}

// services are the names under which memgate and the upstream are reached, on
// one machine and in the containers.
var services = []string{"localhost", "127.0.0.1", "::1", "memgate", "memory-backend", "upstream"}

// Certificates makes an authority, unless there is one, and certificates of it
// for development: edge (what clients see), envoy (by which Envoy shows itself),
// memgate, upstream, and client; and the folder sds, which envoy.tls.sds and
// envoy.identity.sds can name. Keys are readable by their owner alone. Files are
// replaced at once, so that whoever follows them sees whole ones.
func Certificates(o CertificateOptions) error {
	if err := os.MkdirAll(filepath.Join(o.Dir, "sds"), 0o700); err != nil {
		return err
	}
	ca, err := o.authority()
	if err != nil {
		return err
	}
	for _, leaf := range []struct {
		name  string
		hosts []string
		usage x509.ExtKeyUsage
	}{
		{"edge", o.Hosts, x509.ExtKeyUsageServerAuth},
		{"memgate", services, x509.ExtKeyUsageServerAuth},
		{"upstream", services, x509.ExtKeyUsageServerAuth},
		{"envoy", nil, x509.ExtKeyUsageClientAuth},
		{"client", nil, x509.ExtKeyUsageClientAuth},
	} {
		template := &x509.Certificate{
			Subject:  pkix.Name{CommonName: "memgate development " + leaf.name},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{leaf.usage},
		}
		for _, host := range leaf.hosts {
			if ip := net.ParseIP(host); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, host)
			}
		}
		if _, err := o.issue(leaf.name, template, ca); err != nil {
			return err
		}
	}
	return o.secrets()
}

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// authority is the one in the folder, or a new one when there is none or it ends
// before what it would sign.
func (o *CertificateOptions) authority() (*issued, error) {
	ca, err := o.load("ca")
	if err == nil && o.Now().Add(o.For).Before(ca.certificate.NotAfter) {
		return ca, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return o.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "memgate development authority"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotAfter: o.Now().Add(o.For + 365*24*time.Hour),
	}, nil)
}

// issue makes a key and a certificate for it, by ca or by itself, and writes both.
func (o *CertificateOptions) issue(name string, template *x509.Certificate, ca *issued) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Random)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(o.Random, serial); err != nil {
		return nil, err
	}
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.NotBefore = o.Now().Add(-time.Minute)
	if template.NotAfter.IsZero() {
		template.NotAfter = o.Now().Add(o.For)
	}
	if ca == nil {
		ca = &issued{template, key}
	}
	der, err := x509.CreateCertificate(o.Random, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := o.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		return nil, err
	}
	if err := o.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issued{certificate, key}, err
}

func (o *CertificateOptions) load(name string) (*issued, error) {
	block := func(file string) ([]byte, error) {
		text, err := os.ReadFile(filepath.Join(o.Dir, file))
		if err != nil {
			return nil, err
		}
		b, _ := pem.Decode(text)
		if b == nil {
			return nil, fmt.Errorf("%s: not PEM; remove it to have a new authority made", filepath.Join(o.Dir, file))
		}
		return b.Bytes, nil
	}
	der, err := block(name + ".crt")
	if err != nil {
		return nil, err
	}
	raw, err := block(name + ".key")
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New(name + ".key: not a key that signs")
	}
	return &issued{certificate, signer}, nil
}

// secrets writes what Envoy gets by its secret discovery from files.
func (o *CertificateOptions) secrets() error {
	folder := o.SeenAs
	if folder == "" {
		var err error
		if folder, err = filepath.Abs(o.Dir); err != nil {
			return err
		}
	}
	type m = map[string]any
	in := func(name string) m { return m{"filename": filepath.Join(folder, name)} }
	watch := m{"path": folder}
	pair := func(name string) m {
		return m{"tls_certificate": m{"certificate_chain": in(name + ".crt"), "private_key": in(name + ".key"), "watched_directory": watch}}
	}
	authorities := m{"validation_context": m{"trusted_ca": in("ca.crt"), "watched_directory": watch}}
	for name, secret := range map[string]m{
		"edge": pair("edge"), "identity": pair("envoy"), "clients": authorities, "authorities": authorities,
	} {
		resource := m{"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": name}
		for key, value := range secret {
			resource[key] = value
		}
		text, err := yaml.Marshal(m{"resources": []any{resource}})
		if err != nil {
			return err
		}
		if err := o.write(filepath.Join("sds", name+".yaml"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file by a whole one.
func (o *CertificateOptions) write(name string, text []byte, mode fs.FileMode) error {
	path := filepath.Join(o.Dir, name)
	if err := os.WriteFile(path+".new", text, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
