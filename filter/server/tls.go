package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/memgate/memgate/filter/policy"
)

// certificatePoll is how long a certificate is used before its files are looked
// at again.
const certificatePoll = time.Second

// maxPEM bounds a file of certificates, in bytes.
const maxPEM = 1 << 20

// certificates are the files of server.tls. They are read again when they have
// changed, so that a renewed certificate needs no restart; files that cannot be
// used change nothing but the log.
type certificates struct {
	certificate, key, clientCA string // paths; clientCA is "" when clients show none
	now                        func() time.Time
	log                        *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamps [3]stamp
	pair   *tls.Certificate
	pool   *x509.CertPool // nil without clientCA
}

// certificatesOf reads the files of server.tls; nil without one.
func certificatesOf(p *policy.Policy, now func() time.Time, log *slog.Logger) (*certificates, error) {
	t := p.Server.TLS
	if t == nil {
		return nil, nil
	}
	path := func(s policy.Secret) string {
		if s == "" {
			return ""
		}
		return p.Path(strings.TrimPrefix(string(s), "file:"))
	}
	c := &certificates{certificate: path(t.Certificate), key: path(t.Key), clientCA: path(t.ClientCA), now: now, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("server.tls: %w", err)
	}
	return c, nil
}

// read takes the files. Its caller holds mu, or is alone.
func (c *certificates) read() error {
	// The stamps first: what changes while it is read is read again.
	stamps := [3]stamp{stampOf(c.certificate), stampOf(c.key), stampOf(c.clientCA)}
	chain, err := readPEM(c.certificate)
	if err != nil {
		return err
	}
	key, err := readPEM(c.key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("%s: %w", c.certificate, err)
	}
	var pool *x509.CertPool
	if c.clientCA != "" {
		authorities, err := readPEM(c.clientCA)
		if err != nil {
			return err
		}
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(authorities) {
			return fmt.Errorf("%s: holds no certificate", c.clientCA)
		}
	}
	c.stamps, c.pair, c.pool, c.looked = stamps, &pair, pool, c.now()
	return nil
}

func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", path, maxPEM)
	}
	return os.ReadFile(path)
}

// current is what the files hold now, or held when they were last good.
func (c *certificates) current() (*tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificatePoll {
		c.looked = now
		changed := !c.stamps[0].same(stampOf(c.certificate)) || !c.stamps[1].same(stampOf(c.key)) || !c.stamps[2].same(stampOf(c.clientCA))
		if changed {
			if err := c.read(); err != nil {
				c.log.Error("server.tls cannot be read, the certificate from before stays in use", "error", err)
			} else {
				c.log.Info("certificate read again", "file", c.certificate)
			}
		}
	}
	return c.pair, c.pool
}

// config is the TLS of a port. auth is what it wants of clients, where there are
// authorities for them.
func (c *certificates) config(auth tls.ClientAuthType, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pair, pool := c.current()
			out := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{*pair}}
			if pool != nil {
				out.ClientAuth, out.ClientCAs = auth, pool
			}
			return out, nil
		},
	}
}

// edgeOnly keeps everyone from h who does not show a certificate of the
// authorities, where there are any. c may be nil.
func (c *certificates) edgeOnly(h http.Handler) http.Handler {
	if c == nil || c.clientCA == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			plain(w, http.StatusForbidden, "this path is for the edge alone, which shows a certificate\n")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Pinned is the TLS by which a client on this machine reaches memgate's HTTP
// port: it believes the one certificate that server.tls names, whatever its
// names and authority. It is nil without server.tls.
func Pinned(p *policy.Policy) (*tls.Config, error) {
	c, err := certificatesOf(p, time.Now, slog.New(slog.DiscardHandler))
	if c == nil || err != nil {
		return nil, err
	}
	pair, _ := c.current()
	own := pair.Certificate[0]
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Verified below, against the very certificate.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || string(s.PeerCertificates[0].Raw) != string(own) {
				return errors.New("another certificate than server.tls names")
			}
			return nil
		},
	}, nil
}
