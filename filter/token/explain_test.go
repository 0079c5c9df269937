package token

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// What Explain says is what Verify does: the same refusal, in one stage, with none passed
// after it, for every attack there is.
func TestExplainAgreesWithVerify(t *testing.T) {
	c := newClock()
	r := ring()
	v := fileVerifier(t, c, jwks(r.rsa, r.weak, r.ec, r.ec384, r.ed, r.ec.with("kid", "twin"), r.ec.with("kid", "twin", "use", "sig")), IssuerConfig{RoleClaim: "roles"})
	all := []attack{{name: "good", token: r.ec.token("ES256")}}
	for _, list := range [][]attack{formAttacks(), headerAttacks(), algorithmAttacks(t), keyAttacks(), signatureAttacks(), claimAttacks()} {
		all = append(all, list...)
	}
	for _, a := range all {
		steps, p, err := v.Explain(context.Background(), a.token)
		_, want := v.Verify(context.Background(), a.token)
		if (err == nil) != (want == nil) || identity.ReasonOf(err) != identity.ReasonOf(want) || (p == nil) == (err == nil) {
			t.Errorf("%s: explained as %v, verified as %v", a.name, err, want)
		}
		refused := 0
		for i, s := range steps {
			if s.Stage != stages[i] {
				t.Fatalf("%s: stage %d is %s", a.name, i, s.Stage)
			}
			if refused > 0 && s.Result != NotReached {
				t.Errorf("%s: %s is %d after a refusal", a.name, s.Stage, s.Result)
			}
			if s.Result == Refused {
				refused++
				if !strings.HasPrefix(s.Note, string(identity.ReasonOf(err))) {
					t.Errorf("%s: %s is refused for %q, want %v", a.name, s.Stage, s.Note, err)
				}
			}
			signature := a.token[strings.LastIndexByte(a.token, '.')+1:]
			if len(a.token) > 20 && strings.Contains(s.Note, a.token) || len(signature) > 20 && strings.Contains(s.Note, signature) {
				t.Errorf("%s: %s shows the token", a.name, s.Stage)
			}
			if strings.Trim(s.Note, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~…") != "" {
				t.Errorf("%s: %s writes control characters to a terminal: %q", a.name, s.Stage, s.Note)
			}
		}
		if (refused == 1) != (err != nil) {
			t.Errorf("%s: %d stages refuse, error %v", a.name, refused, err)
		}
	}
}

func TestExplainStages(t *testing.T) {
	c := newClock()
	r := ring()
	v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{RoleClaim: "roles", Algorithms: []string{"ES256"}})
	claim := func(old, changed string) string {
		return r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, old, changed, 1))
	}
	for stage, token := range map[Stage]string{
		StageForm:      "a.b",
		StageHeader:    r.ec.sign("ES256", `{"alg":"ES256","jku":"https://evil.test"}`, goodClaims),
		StageClaims:    r.ec.sign("ES256", r.ec.header("ES256"), `[]`),
		StageIssuer:    claim("https://idp.test", "https://idp.test/"),
		StageType:      r.ec.sign("ES256", `{"alg":"ES256","typ":"dpop+jwt","kid":"ec"}`, goodClaims),
		StageAlgorithm: r.rsa.token("RS256"),
		StageKey:       r.ec384.sign("ES384", `{"alg":"ES256","kid":"nobody"}`, goodClaims),
		StageSignature: r.ec.token("ES256")[:len(r.ec.token("ES256"))-8] + "AAAAAAAA",
		StageAudience:  claim(`"memory","exp"`, `"elsewhere","exp"`),
		StageTimes:     claim("1777640400", "1777633200"),
		StageSubject:   claim(`"user-1"`, `""`),
		StageTenant:    claim(`"acme"`, `"a/b"`),
		StageScopes:    claim(`"memory:write memory:read"`, `7`),
		StageRoles:     claim(`"jti"`, `"roles":{},"jti"`),
	} {
		steps, _, err := v.Explain(context.Background(), token)
		if err == nil {
			t.Errorf("%s: accepted", stage)
			continue
		}
		for _, s := range steps {
			if (s.Result == Refused) != (s.Stage == stage) {
				t.Errorf("%s: %s is %d (%s)", stage, s.Stage, s.Result, s.Note)
			}
		}
	}
	c.advance(2 * time.Hour)
	steps, _, _ := v.Explain(context.Background(), r.ec.token("ES256"))
	if note := steps[9].Note; !strings.Contains(note, "token_expired") || !strings.Contains(note, "now 2026-05-01T14:00:00Z") || !strings.Contains(note, "exp 2026-05-01T13:00:00Z") {
		t.Errorf("an expired token: %q", note)
	}
}

func TestVerifySignature(t *testing.T) {
	r := ring()
	pair := map[string]*keyPair{"RS": r.rsa, "PS": r.rsa, "ES256": r.ec, "ES384": r.ec384, "ES512": r.ec521, "EdDSA": r.ed, "Ed25519": r.ed}
	set := jwks(r.weak, r.other, r.rsa, r.ec, r.ec384, r.ec521, r.ed)
	for _, alg := range allAlgorithms {
		p := pair[alg]
		if p == nil {
			p = pair[alg[:2]]
		}
		for name, header := range map[string]string{
			"key id": p.header(alg), "no key id": `{"alg":"` + alg + `"}`, "type": `{"alg":"` + alg + `","typ":"anything","cty":"JWT"}`,
		} {
			for payload, text := range map[string]string{"claims": goodClaims, "nothing": "", "bytes": "\x00\xff", "text": "Payload"} {
				if err := VerifySignature(set, p.sign(alg, header, text)); err != nil {
					t.Errorf("%s, %s, %s: %v", alg, name, payload, err)
				}
			}
		}
	}
	one := []byte(`{"kty":"OKP","crv":"Ed25519","x":"` + r.ed.jwk["x"].(string) + `"}`)
	if err := VerifySignature(one, r.ed.token("EdDSA")); err != nil {
		t.Errorf("a single key without an id: %v", err)
	}
	odd := r.ec.with("kid", "../../a b\n")
	if err := VerifySignature(jwks(odd), odd.sign("ES256", `{"alg":"ES256","kid":"../../a b\n"}`, "x")); err != nil {
		t.Errorf("an odd key id: %v", err)
	}
	if err := VerifySignature(jwks(odd, r.rsa), odd.sign("ES256", `{"alg":"ES256","kid":"rsa"}`, "x")); identity.ReasonOf(err) != identity.ReasonKeyTypeMismatch {
		t.Errorf("the key id of another key: %v", err)
	}
	if err := VerifySignature(jwks(r.ec384), r.ec.token("ES256")); identity.ReasonOf(err) != identity.ReasonKeyUnknown {
		t.Errorf("no such key: %v", err)
	}
	for _, list := range [][]attack{algorithmAttacks(t), signatureAttacks()} {
		for _, a := range list {
			if err := VerifySignature(set, a.token); err == nil {
				t.Errorf("%s: valid", a.name)
			}
		}
	}
	for _, h := range []string{`"jwk":{}`, `"jku":"https://evil.test"`, `"x5u":"https://evil.test"`, `"x5c":[]`, `"crit":["exp"]`, `"b64":false`, `"alg":"ES256"`} {
		if err := VerifySignature(set, r.ec.sign("ES256", `{"alg":"ES256",`+h+`}`, "x")); err == nil {
			t.Errorf("header with %s: valid", h)
		}
	}
	for _, keys := range []string{"", "{}", "[]", `{"keys":[]}`, `{"keys":{}}`, `{"kty":"oct","k":"AAAA"}`} {
		if err := VerifySignature([]byte(keys), r.ec.token("ES256")); err == nil {
			t.Errorf("keys %q: valid", keys)
		}
	}
}

func FuzzVerifySignature(f *testing.F) {
	r := ring()
	keys := jwks(r.ec)
	f.Add(r.ec.token("ES256"))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		// Only what the key signed is valid, and the fuzzer does not have it.
		if VerifySignature(keys, token) == nil && !strings.HasPrefix(token, r.ec.token("ES256")[:20]) {
			t.Fatalf("valid: %q", token)
		}
	})
}
