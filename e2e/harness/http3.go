package harness

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// http3Listener is the name of the listener that speaks HTTP/3, where the policy has one.
const http3Listener = "edge-http3"

// HTTP3 is a client that speaks HTTP/3 with the edge, whatever port its URLs name: in
// tests TCP and UDP have ports of their own.
func (e *Envoy) HTTP3(t T, config *tls.Config) *http.Client {
	t.Helper()
	at := e.Listener(http3Listener)
	transport := &http3.Transport{
		TLSClientConfig: config, DisableCompression: true,
		QUICConfig: &quic.Config{HandshakeIdleTimeout: 20 * time.Second}, // the machine may be busy
		Dial: func(ctx context.Context, _ string, tlsConfig *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, at, tlsConfig, quicConfig)
		},
	}
	t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{
		Timeout: 30 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
