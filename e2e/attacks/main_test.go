// Package attacks attacks the whole system through a real Envoy, the way that a
// caller from outside would. The table in table_test.go lists single messages,
// byte for byte; the other files hold attacks of several steps, over HTTP/2, and
// at the ports behind the edge.
//
// Two sets of rules hold for every message of every attack, whatever else its
// entry asks for: [upstreamRules] for what reaches the protected service, and
// [answerRules] for what the caller gets to see.
package attacks

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/txntoken"
)

const (
	scopes      = "memory:read memory:write"
	upstreamKey = "the-upstreams-own-key"
)

var (
	stack    *harness.Stack
	upstream *tap
	issuer   *counter
	txn      *txntoken.Verifier // as the service has it
)

func TestMain(m *testing.M) {
	_ = os.Setenv("ATTACKS_UPSTREAM_KEY", upstreamKey)
	harness.Main(m, func(t harness.T) {
		stack = harness.StartStack(t, func(yaml string) string {
			upstream = startTap(t, find(t, yaml, `upstream: \{ address: "([^"]+)"`))
			issuer = startCounter(t, find(t, yaml, `issuer: (\S+)`))
			for old, new := range map[string]string{
				`address: "` + upstream.behind + `"`: `address: "` + upstream.address + `", credential: { header: x-upstream-key, value: env:ATTACKS_UPSTREAM_KEY }`,
				"      audiences: [memory]\n":        "      audiences: [memory]\n      jwks_uri: " + issuer.url + "\n",
			} {
				if !strings.Contains(yaml, old) {
					t.Fatalf("memgate.yaml does not hold %s any more", old)
				}
				yaml = strings.Replace(yaml, old, new, 1)
			}
			return yaml
		})
		var err error
		txn, err = txntoken.NewVerifier(txntoken.VerifierConfig{
			Issuer: "memgate", Audience: "memory", Now: time.Now, JWKSURL: stack.MemgateHTTP + "/.well-known/jwks.json",
		})
		if err == nil {
			err = txn.Refresh(context.Background())
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
	})
}

func find(t harness.T, yaml, expression string) string {
	m := regexp.MustCompile(expression).FindStringSubmatch(yaml)
	if m == nil {
		t.Fatalf("memgate.yaml does not hold %s any more", expression)
	}
	return m[1]
}

// tap stands between Envoy and the memory backend and keeps what passes.
type tap struct {
	address, behind string

	mu   sync.Mutex
	seen []*seen
}

// seen is a request as it reached the service.
type seen struct {
	*http.Request
	body   string
	claims *txntoken.Claims // nil without a valid Txn-Token
}

func startTap(t harness.T, behind string) *tap {
	p := &tap{behind: behind}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s := &seen{Request: r.Clone(context.Background()), body: string(body)}
		s.Trailer = r.Trailer
		s.claims, _ = txn.VerifyHeader(r.Context(), r.Header.Values("Txn-Token"))
		p.mu.Lock()
		p.seen = append(p.seen, s)
		p.mu.Unlock()
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.address = server.Listener.Addr().String()
	return p
}

// of returns what reached the service of a tenant's requests, and of those with
// one of the ids.
func (p *tap) of(tenant string, ids ...string) []*seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*seen
next:
	for _, s := range p.seen {
		if s.claims != nil && s.claims.Tenant == tenant {
			out = append(out, s)
			continue
		}
		for _, id := range ids {
			if id != "" && s.Header.Get("X-Request-Id") == id {
				out = append(out, s)
				continue next
			}
		}
	}
	return out
}

// all returns everything that reached the service.
func (p *tap) all() []*seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// counter serves an issuer's keys and counts how often they are asked for.
type counter struct {
	url string

	mu sync.Mutex
	n  int
}

func startCounter(t harness.T, issuer string) *counter {
	c := new(counter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
		response, err := http.Get(issuer + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, response.Body)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/jwks.json"
	return c
}

func (c *counter) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
