//go:build mesh

package mesh

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

const (
	scopes = "memory:read memory:write"
	host   = "api.example.com"
)

// start runs a system with Istio's Envoy in front.
func start(t *testing.T, o harness.IstioOptions) (*harness.Stack, *harness.Istio) {
	t.Helper()
	s := harness.StartServices(t, nil)
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	e := harness.StartIstio(t, p, o)
	s.Envoy = e.Envoy
	return s, e
}

// A gateway answers for its hosts alone, and redirects what memgate would let
// pass: memgate decides before.
func TestGateway(t *testing.T) {
	s, e := start(t, harness.IstioOptions{At: mesh.Gateway, Hosts: []string{host}})
	get := func(address, host string, more ...string) *harness.Response {
		return harness.Raw(t, address, append([]string{"GET /api/v2/agents HTTP/1.1", "Host: " + host}, more...)...)
	}
	token := "Authorization: Bearer " + s.Token("acme", scopes)
	harness.Eventually(t, func() error { return harness.Want(get(e.Addr, host, token), 200) })
	for what, c := range map[string]struct {
		r      *harness.Response
		status int
	}{
		// Envoy asks memgate only about requests that have a route: the filter closes.
		"another host":                         {get(e.Addr, "other.example.com", token), 503},
		"another host without a credential":    {get(e.Addr, "other.example.com"), 503},
		"without a credential":                 {get(e.Addr, host), 401},
		"over plain HTTP":                      {get(e.Plain, host, token), 301},
		"over plain HTTP without a credential": {get(e.Plain, host), 401},
	} {
		if err := harness.Want(c.r, c.status); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if at := c.r.Header.Get("Location"); c.status == 301 && !strings.HasPrefix(at, "https://"+host) {
			t.Errorf("%s: to %s", what, at)
		}
	}
}

// A sidecar sends everything to its workload, which has none of memgate's answers.
func TestSidecar(t *testing.T) {
	s, _ := start(t, harness.IstioOptions{At: mesh.Sidecar})
	token := s.Token("acme", scopes)
	harness.Eventually(t, func() error { return harness.Want(s.JSON(t, "GET", "/api/v2/agents", token, ""), 200) })
	if r := s.JSON(t, "POST", "/api/v2/agents/helper/activate", token, ""); r.Status != 401 && r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
