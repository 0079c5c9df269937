//go:build mesh

package mesh

import (
	"testing"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/policy"
)

// behind runs a system behind an Envoy of Envoy Gateway.
func behind(t *testing.T, o harness.EnvoyGatewayOptions) (*harness.Stack, *harness.EnvoyGateway) {
	t.Helper()
	s := harness.StartServices(t, nil)
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	e := harness.StartEnvoyGateway(t, p, o)
	s.Envoy = e.Envoy
	return s, e
}

func TestEnvoyGateway(t *testing.T) {
	s, _ := behind(t, harness.EnvoyGatewayOptions{})
	token := s.Token("acme", scopes)
	harness.Eventually(t, func() error { return harness.Want(s.JSON(t, "GET", "/api/v2/agents", token, ""), 200) })
	if r := s.JSON(t, "POST", "/api/v2/agents/helper/activate", token, ""); r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
