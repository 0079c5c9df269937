package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

// The edge by HTTP/3 is the edge: the same decisions, the same reading of bodies, the same
// headers, the same audit log.
func TestHTTP3(t *testing.T) {
	a := certificates(t)
	upstream := harness.StartUpstream(t)
	s := harness.StartStack(t, func(yaml string) string {
		yaml = with(`tls: { certificate: "`+a.path("edge.crt")+`", key: "`+a.path("edge.key")+`", http3: true, port: 8443, client_certificate: optional, client_ca: "`+a.path("ca.crt")+`" }, `, "", "")(yaml)
		lines := strings.Split(yaml, "\n")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "upstream: ") })
		lines[i] = `upstream: { address: "` + upstream.Addr + `", audience: memory }`
		return strings.Join(lines, "\n")
	})
	known := "Bearer " + s.Token("acme", scopes)
	plain := s.HTTP3(t, &tls.Config{RootCAs: a.pool(t)})
	do := func(c *http.Client, method, path, body string, headers ...string) *response {
		t.Helper()
		request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		r, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return &response{r, string(text)}
	}
	upstream.Answer("address", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"to":"jane.doe@example.com"}`)
	})

	t.Run("told of", func(t *testing.T) {
		const want = `h3=":8443"; ma=86400`
		if r := list(t, s, a.client(t)); r.Header.Get("Alt-Svc") != want || r.ProtoMajor != 2 {
			t.Errorf("by %s: Alt-Svc %q, want %q", r.Proto, r.Header.Get("Alt-Svc"), want)
		}
	})

	t.Run("refused", func(t *testing.T) {
		for name, c := range map[string]struct {
			method, path, body string
			headers            []string
			status             int
			problem            string
		}{
			"no credential":      {"GET", "/api/v2/agents", "", nil, 401, "unauthenticated"},
			"no route":           {"GET", "/nowhere", "", []string{"Authorization", known}, 403, "no-route"},
			"an escaped slash":   {"GET", "/api%2fv2/agents", "", []string{"Authorization", known}, 400, "bad-request"},
			"malformed JSON":     {"POST", "/api/v2/agents", `{"agent_id":`, []string{"Authorization", known}, 400, "malformed-json"},
			"a body beyond size": {"POST", "/api/v2/agents", `"` + strings.Repeat("a", 2<<20) + `"`, []string{"Authorization", known}, 413, "body-too-large"},
			"early data":         {"POST", "/api/v2/agents", `{"agent_id":"a"}`, []string{"Authorization", known, "Early-Data", "1"}, 425, "too-early"},
		} {
			r := do(plain, c.method, c.path, c.body, c.headers...)
			if r.StatusCode != c.status || !strings.Contains(r.body, c.problem) || r.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s, want %d %s", name, r.StatusCode, r.body, c.status, c.problem)
			}
			if upstream.Received(r.Header.Get("X-Request-Id")) != nil {
				t.Errorf("%s: reaches the upstream", name)
			}
		}
	})

	t.Run("allowed", func(t *testing.T) {
		r := do(plain, "GET", "/api/v2/agents", "", "Authorization", known, "Txn-Token", "forged", "X-Memgate-Tenant", "other",
			"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example", "X-Forwarded-Client-Cert", `Subject="CN=admin"`)
		if r.StatusCode != 200 || r.Proto != "HTTP/3.0" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%d by %s: %v %s", r.StatusCode, r.Proto, r.Header, r.body)
		}
		got := upstream.Received(r.Header.Get("X-Request-Id")).Header
		for name, want := range map[string]string{
			"X-Forwarded-Proto": "https", "X-Forwarded-Host": "", "X-Forwarded-Client-Cert": "", "X-Memgate-Tenant": "acme", "Authorization": "",
		} {
			if got.Get(name) != want {
				t.Errorf("the upstream gets %s: %q, want %q", name, got.Get(name), want)
			}
		}
		if got.Get("Txn-Token") == "forged" || got.Get("Txn-Token") == "" {
			t.Errorf("the upstream gets Txn-Token: %q", got.Get("Txn-Token"))
		}
		// The last is Envoy's own: no hop in front of it is trusted.
		if hops := strings.Split(got.Get("X-Forwarded-For"), ","); len(hops) != 2 || hops[1] == hops[0] {
			t.Errorf("the upstream gets X-Forwarded-For: %q", hops)
		}
		var event struct{ Route, Tenant, Decision string }
		s.Audited(t, r.Header.Get("X-Request-Id"), &event)
		if event.Route != "agent-list" || event.Tenant != "acme" || event.Decision != "allow" {
			t.Errorf("the audit log says %+v", event)
		}
	})

	// Envoy answers this with a problem in HTTP/1.1, and in HTTP/3 takes back the stream.
	t.Run("an underscore in a name", func(t *testing.T) {
		if r, err := try(plain, "GET", s.URL+"/api/v2/agents", "Authorization", known, "X_memgate_tenant", "other"); err == nil {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
		if r := do(plain, "GET", "/api/v2/agents", "", "Authorization", known); r.StatusCode != 200 {
			t.Errorf("afterwards: %d %s", r.StatusCode, r.body)
		}
	})

	t.Run("bodies", func(t *testing.T) {
		r := do(plain, "POST", "/api/v2/agents/a/remember", `{"content":"Write to jane.doe@example.com","type":"fact"}`, "Authorization", known, harness.AnswerHeader, "address")
		if r.StatusCode != 200 || r.body != `{"to":"[EMAIL_ADDRESS]"}` {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
		if got := upstream.Received(r.Header.Get("X-Request-Id")); got.Body != `{"content":"Write to [EMAIL_ADDRESS]","type":"fact"}` || got.ContentLength != int64(len(got.Body)) {
			t.Errorf("the upstream gets %d bytes %s", got.ContentLength, got.Body)
		}
		memory := `{"content":"` + strings.Repeat("All work and no play. ", 400) + `","type":"fact"},`
		large := `{"memories":[` + strings.Repeat(memory, 100) + `{"content":"jane.doe@example.com","type":"fact"}]}`
		if len(large) < 800<<10 {
			t.Fatal("not large")
		}
		r = do(plain, "POST", "/api/v2/agents/a/batch-remember", large, "Authorization", known)
		if got := upstream.Received(r.Header.Get("X-Request-Id")); r.StatusCode != 200 || got == nil || got.Body != strings.Replace(large, "jane.doe@example.com", "[EMAIL_ADDRESS]", 1) {
			t.Errorf("%d %.200s", r.StatusCode, r.body)
		}
	})

	t.Run("certificates", func(t *testing.T) {
		mine := s.HTTP3(t, &tls.Config{RootCAs: a.pool(t), Certificates: []tls.Certificate{a.pair(t, "client")}})
		r := do(mine, "GET", "/api/v2/agents", "", "Authorization", known)
		if got := upstream.Received(r.Header.Get("X-Request-Id")).Header.Get("X-Forwarded-Client-Cert"); r.StatusCode != 200 || !strings.Contains(got, "memgate development client") {
			t.Errorf("%d, and the upstream gets %q", r.StatusCode, got)
		}
		strangers := s.HTTP3(t, &tls.Config{RootCAs: a.pool(t), Certificates: []tls.Certificate{certificates(t).pair(t, "client")}})
		if r, err := try(strangers, "GET", s.URL+"/api/v2/agents", "Authorization", known); err == nil {
			t.Errorf("a certificate of others: %d", r.StatusCode)
		}
	})

	// A request in early data could be sent again by whoever recorded it.
	t.Run("early data", func(t *testing.T) {
		if early(t, s.Envoy, a, known) {
			t.Error("the edge takes early data")
		}
		// That this finds an edge which does take it.
		p, _, err := policy.Load(s.Config)
		if err != nil {
			t.Fatal(err)
		}
		b, err := render.Envoy(p)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(b.StaticResources.Listeners, func(l *listenerv3.Listener) bool { return l.Name == "edge-http3" })
		chain := b.StaticResources.Listeners[at].FilterChains[0]
		transport := new(quicv3.QuicDownstreamTransport)
		if err := chain.TransportSocket.GetTypedConfig().UnmarshalTo(transport); err != nil {
			t.Fatal(err)
		}
		transport.EnableEarlyData, transport.EnableResumption = wrapperspb.Bool(true), wrapperspb.Bool(true)
		config, err := anypb.New(transport)
		if err != nil {
			t.Fatal(err)
		}
		chain.TransportSocket.GetTypedConfig().Value = config.Value
		other := harness.StartEnvoy(t, b)
		harness.Eventually(t, func() error {
			if !early(t, other, a, known) {
				return errors.New("early data is not found where it is taken")
			}
			return nil
		})
	})
}

// early reports whether an Envoy takes early data of a client that it has seen before.
func early(t *testing.T, e *harness.Envoy, a authority, credential string) bool {
	t.Helper()
	config := &tls.Config{RootCAs: a.pool(t), NextProtos: []string{http3.NextProtoH3}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	used := false
	for _, method := range []string{http.MethodGet, http3.MethodGet0RTT} {
		conn, err := quic.DialAddrEarly(ctx, e.Listener("edge-http3"), config, &quic.Config{HandshakeIdleTimeout: 20 * time.Second, TokenStore: quic.NewLRUTokenStore(4, 4)})
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(ctx, method, e.URL+"/api/v2/agents", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", credential)
		r, err := new(http3.Transport).NewClientConn(conn).RoundTrip(request)
		if errors.Is(err, quic.Err0RTTRejected) {
			return false
		}
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if _, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %d %v", method, r.StatusCode, err)
		}
		used = conn.ConnectionState().Used0RTT
		_ = conn.CloseWithError(0, "")
	}
	return used
}
