package idp

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// Tokens of the provider, in each algorithm, reach the memory service as their client's
// tenant, and no other one's memories.
func TestTokensOfACertifiedProvider(t *testing.T) {
	p := startProvider(t)
	s := harness.StartStack(t, p.accepting("refresh: 5m"))
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		token := p.bearer("acme", alg)
		agent := "agent-" + strings.ToLower(alg)
		if r := s.JSON(t, "POST", "/api/v2/agents", token, `{"agent_id":"`+agent+`","pattern":"tool"}`); r.Status != 201 {
			t.Fatalf("%s: %d %s", alg, r.Status, r.Body)
		}
		if r := s.JSON(t, "POST", "/api/v2/agents/"+agent+"/remember", token, `{"content":"the code word is `+alg+`","type":"fact"}`); r.Status >= 300 {
			t.Fatalf("%s: %d %s", alg, r.Status, r.Body)
		}
		if r := s.JSON(t, "POST", "/api/v2/agents/"+agent+"/recall", token, `{"query":"code word"}`); r.Status != 200 || !strings.Contains(r.Body, alg) {
			t.Errorf("%s: %d %s", alg, r.Status, r.Body)
		}
	}
	if r := list(t, s, p.bearer("other", "ES256")); r.Status != 200 || strings.Contains(r.Body, "agent-es256") {
		t.Errorf("another client: %d %s", r.Status, r.Body)
	}

	// What the operator's tool says of them agrees.
	good := p.bearer("acme", "RS256")
	if out := s.CLI("token", "verify", "--config", s.Config, good); !strings.HasSuffix(out, "valid\n") || strings.Contains(out, good) {
		t.Errorf("memgate token verify: %s", out)
	}
	dot := strings.LastIndexByte(good, '.')
	if out := s.CLIFails("token", "verify", "--config", s.Config, good[:dot+1]+strings.Repeat("A", len(good)-dot-1)); !strings.Contains(out, "signature_invalid") {
		t.Errorf("memgate token verify of a forged token: %s", out)
	}
	if out := s.CLIFails("token", "verify", "--config", s.Config, "--at", "2020-01-01T00:00:00Z", good); !strings.Contains(out, "token_issued_in_future") {
		t.Errorf("memgate token verify in 2020: %s", out)
	}

	// A new key is served at once: its id is unknown, which causes a reading that the
	// refresh, five minutes away, has no part in.
	p.do("add")
	fresh := p.bearer("acme", "ES256")
	harness.Eventually(t, func() error { return harness.Want(list(t, s, fresh), 200) })
	if r := list(t, s, good); r.Status != 200 {
		t.Errorf("a token of the old key, still published: %d %s", r.Status, r.Body)
	}
}

// A key that the provider withdraws stops to work with the next refresh, for a token that
// was accepted before too.
func TestWithdrawnKey(t *testing.T) {
	p := startProvider(t)
	s := harness.StartStack(t, p.accepting("refresh: 2s"))
	old := p.bearer("acme", "ES256")
	if r := list(t, s, old); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	p.do("add")
	p.do("withdraw")
	harness.Eventually(t, func() error { return harness.Want(list(t, s, p.bearer("acme", "ES256")), 200) })
	harness.Eventually(t, func() error { return harness.Want(list(t, s, old), 401) })
	if out := s.CLIFails("token", "verify", "--config", s.Config, old); !strings.Contains(out, "key        refuse  key_unknown") {
		t.Errorf("memgate token verify: %s", out)
	}
}

// The provider is needed for keys that are not known, and for nothing else.
func TestProviderDown(t *testing.T) {
	p := startProvider(t)
	s := harness.StartStack(t, p.accepting("refresh: 2s"))
	seen, unseen := p.bearer("acme", "ES256"), p.bearer("acme", "RS256")
	if r := list(t, s, seen); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	p.Stop()
	for name, token := range map[string]string{"seen": seen, "not seen": unseen} {
		if r := list(t, s, token); r.Status != 200 {
			t.Errorf("a token %s before, with a known key: %d %s", name, r.Status, r.Body)
		}
	}
	// It comes back with other keys only.
	p.start()
	back := p.bearer("acme", "ES256")
	harness.Eventually(t, func() error { return harness.Want(list(t, s, back), 200) })
	p.Stop()
	unknown := strings.Replace(back, back[:strings.IndexByte(back, '.')], "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im5vYm9keSJ9", 1)
	if r := list(t, s, unknown); r.Status != 401 {
		t.Errorf("an unknown key: %d %s", r.Status, r.Body)
	}
	if r := harness.Do(t, s.MemgateHTTP, harness.Request{Path: "/readyz"}); r.Status != 200 {
		t.Errorf("not ready with known keys: %d %s", r.Status, r.Body)
	}
}

// A discovery document that names another issuer is not believed (OpenID Connect
// Discovery 1.0, section 4.3), whatever keys it leads to.
func TestDiscoveryOfAnotherIssuer(t *testing.T) {
	p := startProvider(t)
	p.do("lie")
	s := harness.StartStack(t, nil)
	s.WritePolicy(p.accepting("refresh: 2s")(s.Policy()))
	token := p.bearer("acme", "ES256")
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 503) }) // 401 until the policy is in force
	if out := s.CLIFails("token", "verify", "--config", s.Config, token); !strings.Contains(out, "names another issuer") {
		t.Errorf("memgate token verify: %s", out)
	}
	if r := list(t, s, s.Token("acme", scopes)); r.Status != 200 {
		t.Errorf("a token of the other issuer: %d %s", r.Status, r.Body)
	}
	p.do("truth")
	harness.Eventually(t, func() error { return harness.Want(list(t, s, token), 200) })
}
