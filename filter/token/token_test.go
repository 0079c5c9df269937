package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/tenant"
)

func TestNewRefuses(t *testing.T) {
	c := newClock()
	good := IssuerConfig{Issuer: testIssuer, Audiences: []string{"memory"}, Algorithms: []string{"ES256"}, Tenant: tenant.Rule{Claim: "tenant"}}
	if _, err := New(Config{Issuers: []IssuerConfig{good}, Now: c.now}); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*IssuerConfig){
		"no issuer":                 func(i *IssuerConfig) { i.Issuer = "" },
		"no audience":               func(i *IssuerConfig) { i.Audiences = nil },
		"empty audience":            func(i *IssuerConfig) { i.Audiences = []string{""} },
		"no algorithms":             func(i *IssuerConfig) { i.Algorithms = nil },
		"none":                      func(i *IssuerConfig) { i.Algorithms = []string{"none"} },
		"HMAC":                      func(i *IssuerConfig) { i.Algorithms = []string{"HS256"} },
		"ES256K":                    func(i *IssuerConfig) { i.Algorithms = []string{"ES256K"} },
		"negative leeway":           func(i *IssuerConfig) { i.Leeway = -1 },
		"large leeway":              func(i *IssuerConfig) { i.Leeway = time.Hour },
		"no tenant":                 func(i *IssuerConfig) { i.Tenant = tenant.Rule{} },
		"tenant twice":              func(i *IssuerConfig) { i.Tenant.Value = "acme" },
		"tenant invalid":            func(i *IssuerConfig) { i.Tenant = tenant.Rule{Value: "a/b"} },
		"template of no pointer":    func(i *IssuerConfig) { i.Tenant = tenant.Rule{Template: "{a}-{/b~2}"} },
		"broken pointer":            func(i *IssuerConfig) { i.Tenant.Claim = "/a~2" },
		"very long claim name":      func(i *IssuerConfig) { i.ScopeClaim = strings.Repeat("a", 300) },
		"discovery by plain HTTP":   func(i *IssuerConfig) { i.Issuer = "http://idp.test" },
		"discovery of no URL":       func(i *IssuerConfig) { i.Issuer = "idp" },
		"key set by plain HTTP":     func(i *IssuerConfig) { i.JWKSURL = "http://idp.test/jwks" },
		"key set with a user":       func(i *IssuerConfig) { i.JWKSURL = "https://u:p@idp.test/jwks" },
		"key set of another scheme": func(i *IssuerConfig) { i.JWKSURL = "ftp://idp.test/jwks" },
		"key set look-alike":        func(i *IssuerConfig) { i.JWKSURL = "http://127.0.0.1.evil.test/jwks" },
		"two key sets":              func(i *IssuerConfig) { i.JWKSURL, i.JWKSFile = "https://idp.test/jwks", "jwks.json" },
	} {
		bad := good
		edit(&bad)
		if _, err := New(Config{Issuers: []IssuerConfig{bad}, Now: c.now}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{Issuers: []IssuerConfig{good, good}, Now: c.now}); err == nil {
		t.Error("an issuer was accepted twice")
	}
	if _, err := New(Config{Issuers: []IssuerConfig{good}}); err == nil {
		t.Error("no clock was accepted")
	}
}

func TestClaimSelectors(t *testing.T) {
	r, c := ring(), newClock()
	payload := strings.TrimSuffix(goodClaims, "}") + `,"https://memgate.test/tenant":"named","a/b":{"c~d":"escaped"},"client_id":"app-1","scp":["x:y"]}`
	token := r.ec.sign("ES256", r.ec.header("ES256"), payload)
	for _, tt := range []struct {
		name                   string
		issuer                 IssuerConfig
		tenant, subject, scope string
	}{
		{"name that looks like a URL", IssuerConfig{Tenant: tenant.Rule{Claim: "https://memgate.test/tenant"}}, "named", "user-1", "memory:read"},
		{"pointer with escapes", IssuerConfig{Tenant: tenant.Rule{Claim: "/a~1b/c~0d"}}, "escaped", "user-1", "memory:read"},
		{"fixed tenant", IssuerConfig{Tenant: tenant.Rule{Value: "only"}}, "only", "user-1", "memory:read"},
		{"subject and scopes of other names", IssuerConfig{SubjectClaim: "client_id", ScopeClaim: "scp"}, "acme", "app-1", "x:y"},
	} {
		p, err := fileVerifier(t, c, jwks(r.ec), tt.issuer).Verify(context.Background(), token)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if p.Tenant != tt.tenant || p.Subject != tt.subject || !p.HasScope(tt.scope) {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
}

func TestTenantMapping(t *testing.T) {
	r, c := ring(), newClock()
	payload := strings.TrimSuffix(goodClaims, "}") + `,"org_id":"org-123","region":"eu","number":7,"nothing":null,"empty":""}`
	token := r.ec.sign("ES256", r.ec.header("ES256"), payload)
	acme := map[string]string{"org-123": "acme"}
	for _, tt := range []struct {
		name   string
		rule   tenant.Rule
		want   string
		reason identity.Reason
		note   string // of Explain
	}{
		{"claim", tenant.Rule{Claim: "org_id"}, "org-123", "", `"org-123"`},
		{"map", tenant.Rule{Claim: "org_id", Map: acme}, "acme", "", `"org_id" is "org-123", tenant: "acme"`},
		{"unmapped", tenant.Rule{Claim: "region", Map: acme}, "", identity.ReasonTenantUnmapped, `"region" is "eu"`},
		{"mapped number", tenant.Rule{Claim: "number", Map: map[string]string{"7": "acme"}}, "", identity.ReasonTenantInvalid, `"number" is neither a text nor a list`},
		{"mapped null", tenant.Rule{Claim: "nothing", Map: acme}, "", identity.ReasonTenantMissing, ""},
		{"template", tenant.Rule{Template: "{/org/id}-{region}"}, "acme-eu", "", `"/org/id" is "acme", "region" is "eu", tenant: "acme-eu"`},
		{"ambiguous", tenant.Rule{Template: "{org_id}-{region}"}, "", identity.ReasonTenantInvalid, `"org_id" is "org-123"`},
		{"other separator", tenant.Rule{Template: "{org_id}.{region}"}, "org-123.eu", "", ""},
		{"missing part", tenant.Rule{Template: "{region}-{zone}"}, "", identity.ReasonTenantMissing, `"zone" is absent`},
		{"null part", tenant.Rule{Template: "{region}-{nothing}"}, "", identity.ReasonTenantMissing, ""},
		{"empty part", tenant.Rule{Template: "{region}-{empty}"}, "", identity.ReasonTenantInvalid, ""},
		{"number as a part", tenant.Rule{Template: "{region}-{number}"}, "", identity.ReasonTenantInvalid, ""},
		{"list as a part", tenant.Rule{Template: "{region}-{org}"}, "", identity.ReasonTenantInvalid, ""},
		{"value", tenant.Rule{Value: "only"}, "only", "", `"only"`},
	} {
		v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{Tenant: tt.rule})
		p, err := v.Verify(context.Background(), token)
		switch {
		case tt.reason != "":
			if p != nil || identity.ReasonOf(err) != tt.reason {
				t.Errorf("%s: %+v, %v", tt.name, p, err)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case p.Tenant != tt.want:
			t.Errorf("%s: %q", tt.name, p.Tenant)
		}
		steps, _, _ := v.Explain(context.Background(), token)
		for _, s := range steps {
			if s.Stage == StageTenant && ((s.Result == Refused) != (tt.reason != "") || !strings.Contains(s.Note, tt.note)) {
				t.Errorf("%s: explained as %d, %s", tt.name, s.Result, s.Note)
			}
		}
	}
}

// Roles bring the scopes that the configuration says, beside those of the token,
// and one that it does not know brings none.
func TestRoles(t *testing.T) {
	r, c := ring(), newClock()
	roles := map[string][]string{"editor": {"memory:write", "memory:edit"}, "auditor": {"audit:read"}}
	for claim, want := range map[string][]string{
		`{"roles":["editor"]}`:           {"memory:edit", "memory:read", "memory:write"},
		`{"roles":["editor","auditor"]}`: {"audit:read", "memory:edit", "memory:read", "memory:write"},
		`{"roles":"auditor nobody"}`:     {"audit:read", "memory:read"},
		`{"roles":["nobody","Editor"]}`:  {"memory:read"},
		`{"roles":[]}`:                   {"memory:read"},
		`{"roles":null}`:                 {"memory:read"},
		`{"other":["editor"]}`:           {"memory:read"},
		`{"roles":[1]}`:                  nil,
		`{"roles":{"editor":true}}`:      nil,
		`{"roles":["editor","a b"]}`:     nil,
	} {
		payload := strings.Replace(goodClaims, `"scope":"memory:write memory:read"`, `"scope":"memory:read"`, 1)
		payload = strings.TrimSuffix(payload, "}") + `,"realm":` + claim + "}"
		token := r.ec.sign("ES256", r.ec.header("ES256"), payload)
		v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{RoleClaim: "/realm/roles", Roles: roles})
		p, err := v.Verify(context.Background(), token)
		if want == nil {
			if identity.ReasonOf(err) != identity.ReasonRolesInvalid {
				t.Errorf("%s: got %v %v", claim, p, err)
			}
			continue
		}
		if err != nil || !slices.Equal(p.Scopes, want) {
			t.Errorf("%s: %+v %v, want %v", claim, p, err, want)
		}
	}
}

func TestCachedTokenExpires(t *testing.T) {
	r, c := ring(), newClock()
	v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{Leeway: time.Second})
	token := r.ec.token("ES256")
	wantReason(t, v, token, "")
	c.advance(time.Hour)
	wantReason(t, v, token, "")
	if st := v.Stats(); st.CacheHits != 1 || st.CacheMisses != 1 {
		t.Fatalf("stats %+v", st)
	}
	c.advance(time.Second)
	wantReason(t, v, token, identity.ReasonTokenExpired)
	v.cache.sweep(c.now())
	if n := v.Stats().CacheEntries; n != 0 {
		t.Errorf("%d entries after the sweep", n)
	}
}

// A token that was verified just before its key was withdrawn, and cached just after, is
// not served from the cache.
func TestCacheChecksTheKey(t *testing.T) {
	r, c := ring(), newClock()
	v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{})
	token := r.ec.token("ES256")
	wantReason(t, v, token, "")
	v.order[0].keys.keys.Load().keys[0].withdrawn.Store(true)
	hits := v.Stats().CacheHits
	wantReason(t, v, token, "") // verified again, by what the key set says
	if v.Stats().CacheHits != hits {
		t.Error("served from the cache")
	}
}

func TestCacheIsBounded(t *testing.T) {
	r, c := ring(), newClock()
	cfg := testConfig(c, fileVerifier(t, c, jwks(r.ed), IssuerConfig{}).order[0].cfg)
	cfg.CacheSize = 128
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mint := func(n int) string {
		return r.ed.sign("EdDSA", r.ed.header("EdDSA"), strings.Replace(goodClaims, "j-1", strings.Repeat("j", 1+n%50)+string(rune('a'+n/50%26))+string(rune('a'+n/1300)), 1))
	}
	const tokens = 2000
	for n := range tokens {
		wantReason(t, v, mint(n), "")
	}
	st := v.Stats()
	if st.CacheEntries > 128 || st.CacheEntries < 64 {
		t.Errorf("%d entries, room is for 128", st.CacheEntries)
	}
	if st.CacheEvictions+uint64(st.CacheEntries) != tokens {
		t.Errorf("%d evictions and %d entries of %d tokens", st.CacheEvictions, st.CacheEntries, tokens)
	}
	cfg.CacheSize = -1
	if v, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	wantReason(t, v, mint(0), "")
	if v.Stats().CacheEntries != 0 {
		t.Error("a cache that was switched off keeps tokens")
	}
}

// FuzzParseCompact: whatever is taken apart must be exactly what its parts encode.
func FuzzParseCompact(f *testing.F) {
	r := ring()
	for _, token := range []string{r.ec.token("ES256"), r.ed.token("EdDSA"), "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "a.b.c.d.e"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		jws, reason := parseCompact(token, formOfToken)
		if (jws == nil) == (reason == "") {
			t.Fatalf("%v with reason %q", jws, reason)
		}
		if jws == nil {
			return
		}
		if jws.input+"."+b64(jws.signature) != token || !strings.HasSuffix(jws.input, "."+b64(jws.payload)) {
			t.Fatalf("%q has a second spelling", token)
		}
		if jws.header.algorithm == "" || strings.EqualFold(jws.header.algorithm, "none") {
			t.Fatalf("algorithm %q", jws.header.algorithm)
		}
	})
}

// FuzzVerify signs any header and claims correctly: only valid ones may get in, and
// always as the tenant and subject that were signed.
func FuzzVerify(f *testing.F) {
	r, c := ring(), newClock()
	v := fileVerifier(f, c, jwks(r.ed), IssuerConfig{})
	f.Add(r.ed.header("EdDSA"), goodClaims)
	f.Add(`{"alg":"EdDSA","kid":"ed","crit":[]}`, `{"iss":1}`)
	f.Add(`{"alg":"EdDSA"}`, strings.Replace(goodClaims, `"memory"`, `["memory"]`, 1))
	f.Fuzz(func(t *testing.T, header, payload string) {
		p, err := v.Verify(context.Background(), r.ed.sign("EdDSA", header, payload))
		if err != nil {
			var e *identity.Error
			if !errors.As(err, &e) || e.Reason == "" || e.Reason == identity.ReasonSignatureInvalid {
				t.Fatalf("error %v", err)
			}
			return
		}
		if p.Issuer != testIssuer || !identity.ValidSubject(p.Subject) || p.Tenant == "" || !p.Expires.After(c.now().Add(-time.Minute)) {
			t.Fatalf("principal %+v", p)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	r := ring()
	f.Add(jwks(r.rsa, r.ec, r.ed, r.weak))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := parseKeySet(b)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if k.refused == "" && k.public == nil {
				t.Fatalf("key %q is usable without a key", k.id)
			}
		}
	})
}

var benchAlgorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}

func benchPair(alg string) *keyPair {
	r := ring()
	switch alg {
	case "ES256":
		return r.ec
	case "EdDSA":
		return r.ed
	}
	return r.rsa
}

// BenchmarkVerify compares the first sight of a token with the bare check of its signature
// by the standard library, and with a look-up of a verified one.
//
//	go test -run xxx -bench Verify -count 6 ./filter/token | benchstat -col /of -
func BenchmarkVerify(b *testing.B) {
	c := newClock()
	r := ring()
	set := jwks(r.rsa, r.ec, r.ed)
	for _, alg := range benchAlgorithms {
		p := benchPair(alg)
		token := p.token(alg)
		b.Run("alg="+alg+"/of=signature", func(b *testing.B) {
			dot := strings.LastIndexByte(token, '.')
			sig, _ := decode(token[dot+1:])
			input := []byte(token[:dot])
			b.ReportAllocs()
			for b.Loop() {
				if !bareVerify(p.private.Public(), alg, input, sig) {
					b.Fatal("invalid")
				}
			}
		})
		for _, cold := range []bool{true, false} {
			name, size := "cached", 0
			if cold {
				name, size = "cold", -1
			}
			b.Run("alg="+alg+"/of="+name, func(b *testing.B) {
				cfg := testConfig(c, fileVerifier(b, c, set, IssuerConfig{}).order[0].cfg)
				cfg.CacheSize = size
				v, err := New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(context.Background(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkVerifyCachedParallel(b *testing.B) {
	v := fileVerifier(b, newClock(), jwks(ring().ec), IssuerConfig{})
	token := ring().ec.token("ES256")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(context.Background(), token); err != nil {
				b.Error(err)
			}
		}
	})
}

func bareVerify(public crypto.PublicKey, alg string, input, sig []byte) bool {
	digest := sha256.Sum256(input)
	switch pk := public.(type) {
	case *rsa.PublicKey:
		if alg == "PS256" {
			return rsa.VerifyPSS(pk, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(pk, crypto.SHA256, digest[:], sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.Verify(pk, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(pk, input, sig)
	}
	return false
}

// A token without a usable "jti" is named by what is signed, so that another signature of
// the same, which ECDSA lets anyone make of the first, has the same name.
func TestTokenNames(t *testing.T) {
	r, c := ring(), newClock()
	v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{})
	verify := func(claims string) *identity.Principal {
		t.Helper()
		p, err := v.Verify(context.Background(), r.ec.sign("ES256", r.ec.header("ES256"), claims))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := verify(goodClaims); p.ID != "j-1" || !p.Issued.Equal(time.Unix(epoch, 0)) || !p.Expires.Equal(time.Unix(epoch+3600, 0)) {
		t.Errorf("%+v", p)
	}
	names := map[string]bool{}
	for _, jti := range []string{`"jti":"",`, `"jti":"\u0001",`, `"jti":7,`, `"jti":"` + strings.Repeat("j", maxTokenID+1) + `",`, ""} {
		claims := strings.Replace(goodClaims, `"jti":"j-1",`, jti, 1)
		one, two := verify(claims), verify(claims)
		if one.ID != two.ID || !strings.HasPrefix(one.ID, "sha256:") || names[one.ID] {
			t.Errorf("%s: %q, %q", jti, one.ID, two.ID)
		}
		names[one.ID] = true
		if issuer, id, expires, err := Name(r.ec.sign("ES256", r.ec.header("ES256"), claims)); err != nil || id != one.ID || issuer != testIssuer || !expires.Equal(one.Expires) {
			t.Errorf("%s is called %q of %q until %v, %v", jti, id, issuer, expires, err)
		}
	}
	for _, text := range []string{"", "a.b.c", strings.Repeat("a", MaxLength+1), r.ec.sign("ES256", r.ec.header("ES256"), "{}")} {
		if _, _, _, err := Name(text); !identity.IsUnauthenticated(err) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	if p := verify(strings.Replace(goodClaims, `"iat":1777636800,`, "", 1)); !p.Issued.IsZero() {
		t.Errorf("without iat: issued %v", p.Issued)
	}
}
