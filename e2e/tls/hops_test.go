package tls

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/memgate/memgate/e2e/harness"
)

var errOld = errors.New("still the old certificate")

// hops is a policy with TLS between Envoy, memgate and the upstream.
func (a authority) hops() func(string) string {
	return with(
		`identity: { sds: "`+a.path("sds")+`" }, `,
		`tls: { certificate: "file:`+a.path("memgate.crt")+`", key: "file:`+a.path("memgate.key")+`", client_ca: "file:`+a.path("ca.crt")+`" }, `,
		`tls: {}, `)
}

// startHops starts a system in which each part shows a certificate to the other.
func startHops(t *testing.T, a authority) *harness.Stack {
	t.Helper()
	t.Setenv("SSL_CERT_FILE", a.path("ca.crt")) // for the backend, which fetches the keys of the Txn-Token
	t.Setenv("MEMORY_BACKEND_TLS_CERT", a.path("upstream.crt"))
	t.Setenv("MEMORY_BACKEND_TLS_KEY", a.path("upstream.key"))
	t.Setenv("MEMORY_BACKEND_TLS_CLIENT_CA", a.path("ca.crt"))
	return harness.StartStack(t, a.hops())
}

func TestHops(t *testing.T) {
	a := certificates(t)
	s := startHops(t, a)
	token := s.Token("acme", scopes)
	if r := s.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"a","pattern":"tool"}`); r.Status != 201 && r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	// Through the content filter, which gets its policy from memgate by the same TLS.
	if r := s.JSON(t, "POST", "/api/v2/agents/a/remember", token, `{"content":"write to jane.doe@example.com","type":"fact"}`); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	r := s.JSON(t, "POST", "/api/v2/agents/a/recall", token, `{"query":"write"}`)
	if r.Status != 200 || !strings.Contains(r.Body, "[EMAIL_ADDRESS]") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	// The sessions API, which Envoy reaches at memgate itself.
	if r := s.JSON(t, "POST", "/api/v2/agents/a/activate", token, ``); r.Status != 200 {
		t.Errorf("a session: %d %s", r.Status, r.Body)
	}

	t.Run("memgate takes Envoy alone", func(t *testing.T) {
		stranger := certificates(t)
		for name, c := range map[string]struct {
			with credentials.TransportCredentials
			ok   bool
		}{
			"Envoy's certificate": {credentials.NewTLS(&tls.Config{RootCAs: a.pool(t), Certificates: []tls.Certificate{a.pair(t, "envoy")}}), true},
			"a stranger's":        {credentials.NewTLS(&tls.Config{RootCAs: a.pool(t), Certificates: []tls.Certificate{stranger.pair(t, "envoy")}}), false},
			"none":                {credentials.NewTLS(&tls.Config{RootCAs: a.pool(t)}), false},
			"plain":               {insecure.NewCredentials(), false},
		} {
			conn, err := grpc.NewClient(s.MemgateGRPC, grpc.WithTransportCredentials(c.with))
			if err != nil {
				t.Fatal(err)
			}
			_, err = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
			conn.Close()
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		}
		anyone, envoy := a.client(t), a.client(t, a.pair(t, "envoy"))
		for path, status := range map[string][2]int{
			"/readyz":                {200, 200},
			"/.well-known/jwks.json": {200, 200},
			"/v1/content/00":         {403, 404},
			"/api/v2/agents":         {403, 404},
		} {
			if r := send(t, anyone, http.MethodGet, s.MemgateHTTP+path); r.StatusCode != status[0] {
				t.Errorf("%s without a certificate: %d", path, r.StatusCode)
			}
			if r := send(t, envoy, http.MethodGet, s.MemgateHTTP+path); status[1] == 200 && r.StatusCode != 200 || r.StatusCode == 403 {
				t.Errorf("%s with Envoy's certificate: %d", path, r.StatusCode)
			}
		}
		s.CLI("healthcheck", "--config", s.Config)
	})

	t.Run("the upstream takes Envoy alone", func(t *testing.T) {
		if r, err := try(a.client(t), http.MethodGet, s.BackendURL+"/healthz"); err == nil {
			t.Errorf("without a certificate: %d", r.StatusCode)
		}
		if r, err := try(a.client(t, a.pair(t, "envoy")), http.MethodGet, s.BackendURL+"/healthz"); err != nil || r.StatusCode != 200 {
			t.Errorf("with Envoy's certificate: %v", err)
		}
	})

	// memgate follows its files; a broken pair changes nothing.
	t.Run("renewal", func(t *testing.T) {
		before := s.Memgate.Log(0)
		a.renew(t)
		harness.Eventually(t, func() error {
			if r := s.JSON(t, "GET", "/api/v2/agents", token, ""); r.Status != 200 {
				return harness.Want(r, 200)
			}
			_, _ = try(a.client(t), http.MethodGet, s.MemgateHTTP+"/readyz")
			if !strings.Contains(s.Memgate.Log(0)[len(before):], "certificate read again") {
				return errOld
			}
			return nil
		})
	})
}

// A memgate that another than the named authority vouches for is not asked: the
// edge refuses everything.
func TestImpostor(t *testing.T) {
	a, stranger := certificates(t), certificates(t)
	s := harness.StartStack(t, with(
		`identity: { certificate: "`+a.path("envoy.crt")+`", key: "`+a.path("envoy.key")+`", ca: "`+stranger.path("ca.crt")+`" }, `,
		`tls: { certificate: "file:`+a.path("memgate.crt")+`", key: "file:`+a.path("memgate.key")+`" }, `, ""))
	if r := s.JSON(t, "GET", "/api/v2/agents", s.Token("acme", scopes), ""); r.Status != 503 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
