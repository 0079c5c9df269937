package observe

import (
	"fmt"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
)

// The metrics of keys, tokens, sessions and decisions move with what they count.
func TestMetricsMove(t *testing.T) {
	harness.Needs(t, harness.OwnRoutes)
	s := harness.StartStack(t, nil)
	issuer := `{issuer="` + s.Issuer() + `"}`
	refreshed := func(result string) string {
		return `memgate_jwks_refreshes_total{issuer="` + s.Issuer() + `",result="` + result + `"}`
	}
	before := s.Metrics(t)
	for name, want := range map[string]float64{"memgate_jwks_keys" + issuer: 1, refreshed("success"): 1, refreshed("failure"): 0, "memgate_token_cache_entries": 0, "memgate_sessions": 0} {
		if got, ok := before[name]; !ok || got != want {
			t.Errorf("at the start %s is %v (%v), want %v", name, got, ok, want)
		}
	}
	if age, ok := before["memgate_jwks_age_seconds"+issuer]; !ok || age < 0 || age > 600 {
		t.Errorf("the age of the keys is %v (%v)", age, ok)
	}

	token := s.Token("acme", "memory:read memory:write")
	for range 3 {
		if r := s.JSON(t, "GET", "/api/v2/agents", token, ""); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	if r := s.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"helper","pattern":"tool"}`); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := s.JSON(t, "POST", "/api/v2/agents/helper/activate", token, ""); r.Status >= 300 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := s.JSON(t, "GET", "/api/v2/agents", "not.a.token", ""); r.Status != 401 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	now := s.Metrics(t)
	for name, least := range map[string]float64{
		"memgate_token_cache_hits_total": 4, "memgate_token_cache_misses_total": 1, "memgate_token_cache_entries": 1, "memgate_sessions": 1, "memgate_api_keys{state=\"active\"}": 1,
		`memgate_check_duration_seconds_count{decision="allow",stage="allow"}`: 5, `memgate_check_duration_seconds_count{decision="deny",stage="verify"}`: 1,
		`memgate_decisions_total{decision="allow",reason="allowed",route="agent-list",stage="allow"}`: 3,
	} {
		if grew := now[name] - before[name]; grew < least && name != `memgate_api_keys{state="active"}` || now[name] < least {
			t.Errorf("%s is %v after %v, want %v more", name, now[name], before[name], least)
		}
	}

	// The issuer goes away, and a token names a key that nobody knows.
	s.IDP.Stop()
	p, _, err := policy.Load(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, func() error {
		foreign, err := dev.Mint(p, t.TempDir(), dev.Claims{Tenant: "acme", Subject: "x", Scope: "memory:read", TTL: time.Hour}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if r := s.JSON(t, "GET", "/api/v2/agents", foreign, ""); r.Status != 401 {
			return fmt.Errorf("%d %s", r.Status, r.Body)
		}
		if later := s.Metrics(t); later[refreshed("failure")] < 1 || later["memgate_jwks_searches_total"+issuer] < 1 {
			return fmt.Errorf("no failed refresh for a key that is not known")
		}
		return nil
	})
	s.IDP.Start()
}
