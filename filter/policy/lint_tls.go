package policy

import (
	"net"
	"strings"
)

// tls reports plain HTTP where it must not be, and certificates that are named
// by halves.
func (l *linter) tls() {
	e := &l.p.Envoy
	host, _, err := net.SplitHostPort(e.Listen)
	if err == nil && l.p.Environment == "production" && !l.p.overTLS() && !isLoopback(host) {
		l.err("envoy.listen", "plain-http", "speaks plain HTTP to others in production: set envoy.tls, or envoy.tls_in_front where a load balancer or a mesh ends TLS")
	}
	if key, ok := l.p.override(hsts); ok && l.p.Headers.Override[key] != "" && !l.p.overTLS() {
		l.warn(join("headers.override", key), "hsts-plain", "is not sent over plain HTTP (RFC 6797, section 7.2): set envoy.tls, or envoy.tls_in_front where something in front ends TLS")
	}
	if t := e.TLS; t != nil {
		l.clientTLS(t)
	}
	if i := e.Identity; i != nil {
		l.pair("envoy.identity", i.SDS, i.Certificate, i.Key)
		switch {
		case i.SDS != "" && i.CA != "":
			l.err("envoy.identity.ca", "tls", "is in the folder sds already (authorities.yaml)")
		case i.SDS == "" && i.CA == "":
			l.err("envoy.identity", "tls", "needs ca, the authorities of memgate's and the upstream's certificates, or sds")
		}
	}
	if l.p.Server.TLS != nil {
		l.fileSecrets()
		if e.Identity == nil {
			l.err("server.tls", "tls", "needs envoy.identity, which says whose certificate Envoy believes to be memgate's")
		}
	}
	if l.p.Upstream.TLS != nil && e.Identity == nil {
		l.err("upstream.tls", "tls", "needs envoy.identity, which says whose certificate Envoy believes to be the upstream's")
	}
}

func (l *linter) clientTLS(t *EnvoyTLS) {
	l.pair("envoy.tls", t.SDS, t.Certificate, t.Key)
	verified := t.ClientCertificate == ClientCertificateOptional || t.ClientCertificate == ClientCertificateRequired
	switch {
	case t.SDS != "" && t.ClientCA != "":
		l.err("envoy.tls.client_ca", "tls", "is in the folder sds already (clients.yaml)")
	case t.SDS == "" && verified && t.ClientCA == "":
		l.err("envoy.tls.client_certificate", "tls", "needs client_ca: without authorities no certificate can be verified")
	case !verified && t.ClientCA != "":
		l.err("envoy.tls.client_ca", "tls", "verifies nothing while client_certificate is %s", t.ClientCertificate)
	}
	if t.Redirect == "" {
		return
	}
	if problem := addressProblem(t.Redirect); problem != "" {
		l.err("envoy.tls.redirect", "address", "%s", problem)
	} else if t.Redirect == l.p.Envoy.Listen {
		l.err("envoy.tls.redirect", "address", "envoy.listen has this address already")
	}
}

// pair reports a certificate without its key, or none.
func (l *linter) pair(path, sds, certificate, key string) {
	switch {
	case sds != "" && (certificate != "" || key != ""):
		l.err(path+".sds", "tls", "stands instead of certificate and key; remove them")
	case sds == "" && (certificate == "" || key == ""):
		l.err(path, "tls", "needs certificate and key, or sds")
	}
}

// fileSecrets holds memgate's own certificate to files, which it follows.
func (l *linter) fileSecrets() {
	for _, f := range [...]struct {
		path string
		of   Secret
	}{{"server.tls.certificate", l.p.Server.TLS.Certificate}, {"server.tls.key", l.p.Server.TLS.Key}, {"server.tls.client_ca", l.p.Server.TLS.ClientCA}} {
		if strings.HasPrefix(string(f.of), schemeEnv) {
			l.err(f.path, "file-reference", "must be file:PATH: memgate follows the file when the certificate is renewed")
		}
	}
}
