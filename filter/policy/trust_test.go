package policy

import (
	"testing"

	"github.com/memgate/memgate/filter/identity"
)

func TestTrust(t *testing.T) {
	parse := func(sessions string) *Policy {
		p, _, err := Parse([]byte(write(map[string]string{"identity": `
  issuers:
    - { issuer: "https://people.example", audiences: [memory], tenant: org_id, trust: trusted }
    - { issuer: "https://other.example", audiences: [memory], tenant: org_id }
  api_keys: { file: file:k, trust: unconfirmed }
  sessions: {` + sessions + `}`})), "memgate.yaml", "")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	person := identity.Principal{Kind: identity.KindJWT, Issuer: "https://people.example"}
	agent := identity.Principal{Kind: identity.KindSession, Issuer: person.Issuer, Origin: identity.Origin{Kind: identity.KindJWT}}
	byKey := identity.Principal{Kind: identity.KindSession, Origin: identity.Origin{Kind: identity.KindAPIKey}}
	for sessions, want := range map[string][5]string{
		"":                   {"trusted", "", "unconfirmed", "trusted", "unconfirmed"},
		"trust: unconfirmed": {"trusted", "", "unconfirmed", "unconfirmed", "unconfirmed"},
		"trust: trusted":     {"trusted", "", "unconfirmed", "trusted", "trusted"},
	} {
		p := parse(sessions)
		for i, who := range []identity.Principal{person, {Kind: identity.KindJWT, Issuer: "https://other.example"}, {Kind: identity.KindAPIKey}, agent, byKey} {
			if got := p.Trust(&who); got != want[i] {
				t.Errorf("sessions {%s}: %s of %q is %q, want %q", sessions, who.Kind, who.Issuer, got, want[i])
			}
		}
		if got := p.Trust(&identity.Principal{Kind: identity.KindMesh}); got != "" {
			t.Errorf("a peer is %q", got)
		}
	}
	if _, _, err := Parse([]byte(write(map[string]string{"identity": "{ api_keys: { file: file:k, trust: high } }"})), "memgate.yaml", ""); len(Findings(err)) != 1 || Findings(err)[0].Rule != "enum" {
		t.Errorf("%v", err)
	}
}
