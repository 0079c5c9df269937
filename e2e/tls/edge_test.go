package tls

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
)

// Clients get TLS 1.2 or 1.3 with forward secrecy, HTTP/2 if they like, and a
// redirect from plain HTTP that tells nobody anything.
func TestEdge(t *testing.T) {
	a := certificates(t)
	s := harness.StartStack(t, func(yaml string) string {
		return "environment: production\n" + with(`tls: { certificate: "`+a.path("edge.crt")+`", key: "`+a.path("edge.key")+`", redirect: "127.0.0.1:1", port: 8443 }, `, "", "")(yaml)
	})
	c := a.client(t)

	t.Run("request", func(t *testing.T) {
		r := list(t, s, c)
		if r.StatusCode != 200 || r.ProtoMajor != 2 {
			t.Errorf("%d by %s: %s", r.StatusCode, r.Proto, r.body)
		}
		if got := r.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("Strict-Transport-Security: %q", got)
		}
		denied := send(t, c, http.MethodGet, s.URL+"/api/v2/agents")
		if denied.StatusCode != 401 || denied.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("without a credential: %d %v", denied.StatusCode, denied.Header)
		}
		edge := send(t, c, http.MethodGet, s.URL+"/a%2fb")
		if edge.StatusCode != 400 || edge.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("refused by Envoy alone: %d %v", edge.StatusCode, edge.Header)
		}
	})

	t.Run("redirect", func(t *testing.T) {
		plain := "http://" + s.Listener("redirect")
		r := send(t, c, http.MethodPost, plain+"/api/v2/agents?a=b", "Authorization", "Bearer "+s.Token("acme", scopes))
		host, _, _ := net.SplitHostPort(s.Listener("redirect"))
		if want := "https://" + host + ":8443/api/v2/agents?a=b"; r.StatusCode != 308 || r.Header.Get("Location") != want {
			t.Errorf("%d %q, want 308 %q", r.StatusCode, r.Header.Get("Location"), want)
		}
		if r.Header.Get("Strict-Transport-Security") != "" {
			t.Error("Strict-Transport-Security over plain HTTP")
		}
		if r, err := try(c, http.MethodGet, "http://"+s.Addr+"/healthz"); err == nil && r.StatusCode < 400 {
			t.Errorf("plain HTTP to the TLS port: %d", r.StatusCode)
		}
	})

	t.Run("versions", func(t *testing.T) {
		for _, v := range []struct {
			name       string
			version    uint16
			suites     []uint16
			understood bool
		}{
			{"1.0", tls.VersionTLS10, nil, false},
			{"1.1", tls.VersionTLS11, nil, false},
			{"1.2", tls.VersionTLS12, nil, true},
			{"1.3", tls.VersionTLS13, nil, true},
			{"1.2 without forward secrecy", tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, false},
			{"1.2 with CBC", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}, false},
		} {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.Addr, &tls.Config{
				RootCAs: a.pool(t), MinVersion: v.version, MaxVersion: v.version, CipherSuites: v.suites,
			})
			if err == nil {
				conn.Close()
			}
			if (err == nil) != v.understood {
				t.Errorf("TLS %s: %v", v.name, err)
			}
		}
	})

	// Go offers X25519MLKEM768 first: what is agreed on cannot be read later.
	t.Run("key exchange", func(t *testing.T) {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.Addr, &tls.Config{
			RootCAs: a.pool(t), CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
		})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

// Certificates that Envoy follows are renewed without a restart.
func TestRenewal(t *testing.T) {
	a := certificates(t)
	s := harness.StartStack(t, with(`tls: { sds: "`+a.path("sds")+`" }, `, "", ""))
	serial := func() []byte {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.Addr, &tls.Config{RootCAs: a.pool(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Bytes()
	}
	before := serial()
	a.renew(t)
	harness.Eventually(t, func() error {
		if bytes.Equal(before, serial()) {
			return errOld
		}
		return nil
	})
	if r := list(t, s, a.client(t)); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

// What the upstream learns of a client's certificate is what Envoy verified.
func TestClientCertificates(t *testing.T) {
	a, stranger := certificates(t), certificates(t)
	for mode, want := range map[string]struct {
		mine, strangers, none int    // status, or 0 for no connection
		forwarded             string // of mine
	}{
		"required": {200, 0, 0, "memgate development client"},
		"optional": {200, 0, 200, "memgate development client"},
		"any":      {200, 200, 200, ""},
		"none":     {200, 200, 200, ""},
	} {
		t.Run(mode, func(t *testing.T) {
			ca := ""
			if want.strangers == 0 {
				ca = `, client_ca: "` + a.path("ca.crt") + `"`
			}
			upstream := harness.StartUpstream(t)
			s := harness.StartStack(t, func(yaml string) string {
				yaml = with(`tls: { certificate: "`+a.path("edge.crt")+`", key: "`+a.path("edge.key")+`", client_certificate: `+mode+ca+` }, `, "", "")(yaml)
				lines := strings.Split(yaml, "\n")
				i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "upstream: ") })
				lines[i] = `upstream: { address: "` + upstream.Addr + `", audience: memory }`
				return strings.Join(lines, "\n")
			})
			const forged = `By=spiffe://edge;Hash=00;Subject="CN=admin";URI=spiffe://cluster/admin`
			for who, c := range map[string]struct {
				client *http.Client
				status int
			}{
				"mine":     {a.client(t, a.pair(t, "client")), want.mine},
				"stranger": {a.client(t, stranger.pair(t, "client")), want.strangers},
				"none":     {a.client(t), want.none},
			} {
				r, err := try(c.client, http.MethodGet, s.URL+"/api/v2/agents",
					"Authorization", "Bearer "+s.Token("acme", scopes), "X-Forwarded-Client-Cert", forged)
				if c.status == 0 {
					if err == nil {
						t.Errorf("%s: %d, want no connection", who, r.StatusCode)
					}
					continue
				}
				if err != nil || r.StatusCode != c.status {
					t.Errorf("%s: %v %v", who, r, err)
					continue
				}
				got := upstream.Received(r.Header.Get("X-Request-Id")).Header.Values("X-Forwarded-Client-Cert")
				text := strings.Join(got, "|")
				if strings.Contains(text, "admin") {
					t.Errorf("%s: the upstream reads what the client says of itself: %s", who, text)
				}
				if who == "mine" && want.forwarded != "" && !strings.Contains(text, want.forwarded) {
					t.Errorf("%s: the upstream got %q", who, text)
				}
				if (who != "mine" || want.forwarded == "") && text != "" {
					t.Errorf("%s: the upstream got %q of a certificate that nobody verified", who, text)
				}
			}
		})
	}
}

// The names of the listeners are what suites and docs rely on.
func TestListeners(t *testing.T) {
	a := certificates(t)
	s := harness.StartStack(t, with(`tls: { sds: "`+a.path("sds")+`", redirect: "127.0.0.1:1" }, `, "", ""))
	if r := send(t, a.client(t), http.MethodGet, s.URL+"/healthz"); r.StatusCode != 200 || r.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("development: %d %v", r.StatusCode, r.Header)
	}
	if s.Listener("redirect") == s.Addr || render.SecretEdge != "edge" {
		t.Error("one listener for both")
	}
}
