package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
)

// secured is the listener with TLS on it, where the flags name a certificate.
// With authorities for clients nobody gets in without a certificate of theirs:
// the edge has one, its clients do not.
func (o *options) secured(l net.Listener) (net.Listener, error) {
	if o.tlsCert == "" {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if o.tlsClientCA != "" {
		text, err := os.ReadFile(o.tlsClientCA)
		if err != nil {
			return nil, fmt.Errorf("--tls-client-ca: %w", err)
		}
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("--tls-client-ca: holds no certificate")
		}
	}
	return tls.NewListener(l, config), nil
}

func (o *options) checkTLS() error {
	switch {
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case o.tlsClientCA != "" && o.tlsCert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	}
	return nil
}

// handshake connects to a service that shows the certificate of a file. Which
// clients the service lets in is not asked: this one has no certificate.
func handshake(ctx context.Context, address, certificate string) error {
	text, err := os.ReadFile(certificate)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	want, _ := pem.Decode(text)
	if want == nil {
		return fmt.Errorf("healthcheck: %s: holds no certificate", certificate)
	}
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Verified below, against the very certificate.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, want.Bytes) {
				return errors.New("it shows another certificate")
			}
			return nil
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	return conn.Close()
}
