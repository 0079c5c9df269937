package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/memgate/memgate/filter/identity"
)

// TestAcceptedTokens is the base that each attack differs from in one thing.
func TestAcceptedTokens(t *testing.T) {
	r := ring()
	c := newClock()
	set := jwks(r.rsa, r.ec, r.ec384, r.ec521, r.ed)
	v := fileVerifier(t, c, set, IssuerConfig{})
	pair := map[string]*keyPair{"RS": r.rsa, "PS": r.rsa, "ES256": r.ec, "ES384": r.ec384, "ES512": r.ec521, "EdDSA": r.ed, "Ed25519": r.ed}
	for _, alg := range allAlgorithms {
		p := pair[alg]
		if p == nil {
			p = pair[alg[:2]]
		}
		for range 2 { // cold, then cached
			got, err := v.Verify(context.Background(), p.token(alg))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			if got.Kind != identity.KindJWT || got.Subject != "user-1" || got.Tenant != "acme" || got.ID != "j-1" ||
				got.Issuer != testIssuer || strings.Join(got.Scopes, " ") != "memory:read memory:write" || got.Expires.Unix() != epoch+3600 {
				t.Fatalf("%s: %+v", alg, got)
			}
		}
	}
	es := func(old, repl string) string {
		return r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, old, repl, 1))
	}
	for name, token := range map[string]string{
		"audience in an array":     es(`"aud":"memory"`, `"aud":["x","memory"]`),
		"expired within leeway":    es(`1777640400`, `1777636775`),
		"nbf within leeway":        es(`"jti"`, `"nbf":1777636825,"jti"`),
		"fractional dates":         es(`"exp":1777640400`, `"exp":1777640400.5`),
		"no iat":                   es(`"iat":1777636800,`, ``),
		"no jti":                   es(`"jti":"j-1",`, ``),
		"no scope":                 es(`"scope":"memory:write memory:read",`, ``),
		"scopes in an array":       es(`"memory:write memory:read"`, `["memory:write","memory:read"]`),
		"no typ":                   r.ec.sign("ES256", `{"alg":"ES256","kid":"ec"}`, goodClaims),
		"typ at+jwt":               r.ec.sign("ES256", `{"alg":"ES256","typ":"application/AT+jwt","kid":"ec"}`, goodClaims),
		"certificate thumbprint":   r.ec.sign("ES256", `{"alg":"ES256","x5t":"abc","kid":"ec"}`, goodClaims),
		"no kid, one key fits":     r.ec.sign("ES256", `{"alg":"ES256"}`, goodClaims),
		"white space in the JSON":  r.ec.sign("ES256", ` { "alg" : "ES256" , "kid" : "ec" } `, goodClaims),
		"unknown member of header": r.ec.sign("ES256", `{"alg":"ES256","kid":"ec","nonce":"n"}`, goodClaims),
	} {
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type attack struct {
	name, token string
	reason      identity.Reason
}

// TestAttacks is the list of what must not get in, each with its typed reason. Tokens are
// signed correctly by a key of the issuer unless the attack is about just that.
func TestAttacks(t *testing.T) {
	c := newClock()
	r := ring()
	sameID := r.ec.with("kid", "twin")
	set := jwks(r.rsa, r.weak, r.ec, r.ec384, r.ed, sameID, sameID.with("use", "sig"),
		r.ec.with("kid", "enc", "use", "enc"),
		r.ec.with("kid", "ops", "key_ops", []string{"encrypt"}),
		r.rsa.with("kid", "rs256only", "alg", "RS256"))
	v := fileVerifier(t, c, set, IssuerConfig{})
	narrow := fileVerifier(t, c, set, IssuerConfig{Algorithms: []string{"ES256"}})
	typed := fileVerifier(t, c, set, IssuerConfig{RequireTyp: "at+jwt"})

	lists := []struct {
		of      string
		by      *Verifier
		attacks []attack
	}{
		{"form", v, formAttacks()},
		{"header", v, headerAttacks()},
		{"algorithm", v, algorithmAttacks(t)},
		{"algorithm that this issuer does not use", narrow, []attack{
			{"RS256", r.rsa.token("RS256"), identity.ReasonAlgorithmNotAllowed},
			{"EdDSA", r.ed.token("EdDSA"), identity.ReasonAlgorithmNotAllowed},
		}},
		{"type that this issuer does not use", typed, []attack{
			{"JWT", r.ec.token("ES256"), identity.ReasonTokenType},
			{"none", r.ec.sign("ES256", `{"alg":"ES256","kid":"ec"}`, goodClaims), identity.ReasonTokenType},
		}},
		{"key", v, keyAttacks()},
		{"signature", v, signatureAttacks()},
		{"claims", v, claimAttacks()},
	}
	for _, list := range lists {
		for _, a := range list.attacks {
			t.Run(list.of+"/"+a.name, func(t *testing.T) {
				p, err := list.by.Verify(context.Background(), a.token)
				if err == nil {
					t.Fatalf("accepted as %+v", p)
				}
				if got := identity.ReasonOf(err); got != a.reason {
					t.Errorf("got %v, want %s", err, a.reason)
				}
				if !identity.IsUnauthenticated(err) {
					t.Errorf("%v is not answered with 401", err)
				}
				if strings.Contains(err.Error(), a.token) && len(a.token) > 3 {
					t.Error("the error quotes the token")
				}
			})
		}
	}
	if n := v.Stats().CacheEntries; n != 0 {
		t.Errorf("%d attacks were cached", n)
	}
}

func formAttacks() []attack {
	r := ring()
	good := r.ec.token("ES256")
	part := strings.Split(good, ".")
	last := good[len(good)-1]
	const abc = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	trailing := good[:len(good)-1] + string(abc[strings.IndexByte(abc, last)|1])
	return []attack{
		{"empty", "", identity.ReasonTokenNotCompact},
		{"not a JWT", "hello", identity.ReasonTokenNotCompact},
		{"one dot", part[0] + "." + part[1], identity.ReasonTokenNotCompact},
		{"three dots", good + ".e30", identity.ReasonTokenNotCompact},
		{"only dots", "..", identity.ReasonTokenHeaderMalformed},
		{"JSON serialization", `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`, identity.ReasonTokenNotCompact},
		{"encrypted, five parts", part[0] + ".a.b.c." + part[2], identity.ReasonTokenEncrypted},
		{"8 KiB and one byte", good + strings.Repeat("A", MaxLength+1-len(good)), identity.ReasonTokenTooLong},
		{"huge", strings.Repeat("a.", 1<<20), identity.ReasonTokenTooLong},
		{"padding", part[0] + "." + part[1] + "." + part[2] + "==", identity.ReasonTokenBase64},
		{"padding in the header", part[0] + "=." + part[1] + "." + part[2], identity.ReasonTokenBase64},
		{"bits left over", trailing, identity.ReasonTokenBase64},
		{"line feed", part[0][:4] + "\n" + part[0][4:] + "." + part[1] + "." + part[2], identity.ReasonTokenBase64},
		{"carriage return in the payload", part[0] + "." + part[1] + "\r." + part[2], identity.ReasonTokenBase64},
		{"line feed after the signature", good + "\n", identity.ReasonTokenBase64},
		{"space", part[0] + "." + part[1] + ". " + part[2], identity.ReasonTokenBase64},
		{"garbage", part[0] + "." + part[1] + "." + part[2][:10] + "!" + part[2][11:], identity.ReasonTokenBase64},
		{"standard alphabet", part[0] + "." + part[1] + "." + strings.Repeat("+/", 43), identity.ReasonTokenBase64},
		{"NUL", part[0] + "." + part[1] + "\x00." + part[2], identity.ReasonTokenBase64},
		{"payload missing", part[0] + ".." + part[2], identity.ReasonTokenClaimsMalformed},
	}
}

func headerAttacks() []attack {
	r := ring()
	es := func(header string) string { return r.ec.sign("ES256", header, goodClaims) }
	public, err := json.Marshal(r.other.jwk)
	if err != nil {
		panic(err)
	}
	return []attack{
		{"no JSON", es(`alg=ES256`), identity.ReasonTokenHeaderMalformed},
		{"array", es(`["alg"]`), identity.ReasonTokenHeaderMalformed},
		{"trailing data", es(r.ec.header("ES256") + `{}`), identity.ReasonTokenHeaderMalformed},
		{"not UTF-8", es("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), identity.ReasonTokenHeaderMalformed},
		{"alg is a list", es(`{"alg":["ES256"],"kid":"ec"}`), identity.ReasonTokenHeaderMalformed},
		{"kid is a number", es(`{"alg":"ES256","kid":1}`), identity.ReasonTokenHeaderMalformed},
		{"typ is an object", es(`{"alg":"ES256","kid":"ec","typ":{}}`), identity.ReasonTokenHeaderMalformed},
		{"deep", es(`{"alg":"ES256","kid":"ec","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), identity.ReasonTokenHeaderMalformed},
		{"alg twice", es(`{"alg":"none","alg":"ES256","kid":"ec"}`), identity.ReasonTokenDuplicateMember},
		{"alg twice, by escape", es(`{"alg":"ES256","\u0061lg":"none","kid":"ec"}`), identity.ReasonTokenDuplicateMember},
		{"kid twice", es(`{"alg":"ES256","kid":"ec","kid":"rsa"}`), identity.ReasonTokenDuplicateMember},
		{"crit", es(`{"alg":"ES256","kid":"ec","crit":["exp"],"exp":1}`), identity.ReasonTokenCritical},
		{"crit empty", es(`{"alg":"ES256","kid":"ec","crit":[]}`), identity.ReasonTokenCritical},
		{"crit null", es(`{"alg":"ES256","kid":"ec","crit":null}`), identity.ReasonTokenCritical},
		{"b64 false", es(`{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}`), identity.ReasonTokenUnencoded},
		{"b64 false without crit", es(`{"alg":"ES256","kid":"ec","b64":false}`), identity.ReasonTokenUnencoded},
		{"zip", es(`{"alg":"ES256","kid":"ec","zip":"DEF"}`), identity.ReasonTokenCompressed},
		{"nested", es(`{"alg":"ES256","kid":"ec","cty":"JWT"}`), identity.ReasonTokenNested},
		{"nested, media type", es(`{"alg":"ES256","kid":"ec","cty":"application/jwt"}`), identity.ReasonTokenNested},
		{"encrypted, three parts", es(`{"alg":"RSA-OAEP","enc":"A256GCM"}`), identity.ReasonTokenEncrypted},
		{"embedded jwk", r.other.sign("RS256", `{"alg":"RS256","kid":"rsa","jwk":`+string(public)+`}`, goodClaims), identity.ReasonTokenEmbeddedKey},
		{"embedded jwk null", es(`{"alg":"ES256","kid":"ec","jwk":null}`), identity.ReasonTokenEmbeddedKey},
		{"jku", es(`{"alg":"ES256","kid":"ec","jku":"https://evil.test/jwks"}`), identity.ReasonTokenEmbeddedKey},
		{"x5u", es(`{"alg":"ES256","kid":"ec","x5u":"https://evil.test/cert"}`), identity.ReasonTokenEmbeddedKey},
		{"x5c", es(`{"alg":"ES256","kid":"ec","x5c":["MII"]}`), identity.ReasonTokenEmbeddedKey},
		{"typ of a DPoP proof", es(`{"alg":"ES256","kid":"ec","typ":"dpop+jwt"}`), identity.ReasonTokenType},
		{"typ of the edge's own token", es(`{"alg":"ES256","kid":"ec","typ":"txntoken+jwt"}`), identity.ReasonTokenType},
		{"typ of a logout token", es(`{"alg":"ES256","kid":"ec","typ":"logout+jwt"}`), identity.ReasonTokenType},
	}
}

func algorithmAttacks(t *testing.T) []attack {
	r := ring()
	mac := func(header string, key []byte) string {
		input := b64([]byte(header)) + "." + b64([]byte(goodClaims))
		m := hmac.New(sha256.New, key)
		m.Write([]byte(input))
		return input + "." + b64(m.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(r.rsa.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	modulus := r.rsa.private.Public().(*rsa.PublicKey).N.Bytes()
	unsigned := func(header string) string { return b64([]byte(header)) + "." + b64([]byte(goodClaims)) + "." }
	good := strings.Split(r.ec.token("ES256"), ".")
	swap := func(header string) string { return b64([]byte(header)) + "." + good[1] + "." + good[2] }
	return []attack{
		{"missing", r.ec.sign("ES256", `{"kid":"ec"}`, goodClaims), identity.ReasonAlgorithmMissing},
		{"none", unsigned(`{"alg":"none","kid":"ec"}`), identity.ReasonAlgorithmNone},
		{"None", unsigned(`{"alg":"None","kid":"ec"}`), identity.ReasonAlgorithmNone},
		{"nOnE with a signature", swap(`{"alg":"nOnE","kid":"ec"}`), identity.ReasonAlgorithmNone},
		{"HS256 with the public key as PEM", mac(`{"alg":"HS256","kid":"rsa"}`, pemKey), identity.ReasonAlgorithmSymmetric},
		{"HS256 with the public key as DER", mac(`{"alg":"HS256","kid":"rsa"}`, der), identity.ReasonAlgorithmSymmetric},
		{"HS256 with the modulus", mac(`{"alg":"HS256","kid":"rsa"}`, modulus), identity.ReasonAlgorithmSymmetric},
		{"HS256 with an empty key", mac(`{"alg":"HS256","kid":"rsa"}`, nil), identity.ReasonAlgorithmSymmetric},
		{"hs256 in lower case", mac(`{"alg":"hs256","kid":"rsa"}`, der), identity.ReasonAlgorithmSymmetric},
		{"es256 in lower case", r.ec.sign("ES256", `{"alg":"es256","kid":"ec"}`, goodClaims), identity.ReasonAlgorithmNotAllowed},
		{"with a space", r.ec.sign("ES256", `{"alg":"ES256 ","kid":"ec"}`, goodClaims), identity.ReasonAlgorithmNotAllowed},
		{"ES256K", swap(`{"alg":"ES256K","kid":"ec"}`), identity.ReasonAlgorithmNotAllowed},
		{"RS1", swap(`{"alg":"RS1","kid":"rsa"}`), identity.ReasonAlgorithmNotAllowed},
		{"invented", swap(`{"alg":"XX999","kid":"ec"}`), identity.ReasonAlgorithmNotAllowed},
		{"RS256 with an EC key", swap(`{"alg":"RS256","kid":"ec"}`), identity.ReasonKeyTypeMismatch},
		{"ES256 with an RSA key", swap(`{"alg":"ES256","kid":"rsa"}`), identity.ReasonKeyTypeMismatch},
		{"ES256 with a P-384 key", swap(`{"alg":"ES256","kid":"ec384"}`), identity.ReasonKeyTypeMismatch},
		{"ES384 with a P-256 key", swap(`{"alg":"ES384","kid":"ec"}`), identity.ReasonKeyTypeMismatch},
		{"EdDSA with an EC key", swap(`{"alg":"EdDSA","kid":"ec"}`), identity.ReasonKeyTypeMismatch},
		{"PS256 with a key for RS256", r.rsa.sign("PS256", `{"alg":"PS256","kid":"rs256only"}`, goodClaims), identity.ReasonKeyUse},
	}
}

func keyAttacks() []attack {
	r := ring()
	kid := func(id string) string {
		b, err := json.Marshal(id)
		if err != nil {
			panic(err)
		}
		return r.ec.sign("ES256", `{"alg":"ES256","kid":`+string(b)+`}`, goodClaims)
	}
	return []attack{
		{"kid unknown", kid("nobody"), identity.ReasonKeyUnknown},
		{"kid empty", kid(""), identity.ReasonTokenKidMalformed},
		{"kid is a path", kid("../../../../dev/null"), identity.ReasonTokenKidMalformed},
		{"kid is an absolute path", kid("/etc/passwd"), identity.ReasonTokenKidMalformed},
		{"kid is SQL", kid("x' UNION SELECT 'key';--"), identity.ReasonTokenKidMalformed},
		{"kid is a command", kid("$(id)"), identity.ReasonTokenKidMalformed},
		{"kid has a NUL", kid("ec\x00"), identity.ReasonTokenKidMalformed},
		{"kid has a line feed", kid("ec\nec"), identity.ReasonTokenKidMalformed},
		{"kid has 300 bytes", kid(strings.Repeat("k", 300)), identity.ReasonTokenKidMalformed},
		{"kid has 10 KB", kid(strings.Repeat("k", 10_000)), identity.ReasonTokenTooLong},
		{"kid of another case", kid("EC"), identity.ReasonKeyUnknown},
		{"no kid and several keys", r.rsa.sign("RS256", `{"alg":"RS256"}`, goodClaims), identity.ReasonKeyAmbiguous},
		{"kid of two keys", kid("twin"), identity.ReasonKeyAmbiguous},
		{"RSA key of 1024 bits", r.weak.token("RS256"), identity.ReasonKeyWeak},
		{"key for encryption", kid("enc"), identity.ReasonKeyUse},
		{"key for other operations", kid("ops"), identity.ReasonKeyUse},
	}
}

func signatureAttacks() []attack {
	r := ring()
	es := strings.Split(r.ec.token("ES256"), ".")
	rs := strings.Split(r.rsa.token("RS256"), ".")
	ed := strings.Split(r.ed.token("EdDSA"), ".")
	on := func(part []string, sig []byte) string { return part[0] + "." + part[1] + "." + b64(sig) }
	of := func(part []string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(part[2])
		if err != nil {
			panic(err)
		}
		return b
	}
	flipped := of(es)
	flipped[10] ^= 1
	order := r.ec.private.Public().(*ecdsa.PublicKey).Params().N
	sig := of(es)
	rBig, sBig := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{rBig, sBig})
	if err != nil {
		panic(err)
	}
	overflow := append(append([]byte{}, sig[:32]...), order.FillBytes(make([]byte, 32))...)
	changed := b64([]byte(strings.Replace(goodClaims, "acme", "evil", 1)))
	return []attack{
		{"missing", es[0] + "." + es[1] + ".", identity.ReasonSignatureLength},
		{"one bit", on(es, flipped), identity.ReasonSignatureInvalid},
		{"claims changed", es[0] + "." + changed + "." + es[2], identity.ReasonSignatureInvalid},
		{"of another key", r.other.sign("RS256", r.rsa.header("RS256"), goodClaims), identity.ReasonSignatureInvalid},
		{"ECDSA zero", on(es, make([]byte, 64)), identity.ReasonSignatureInvalid},
		{"ECDSA s is the group's order", on(es, overflow), identity.ReasonSignatureInvalid},
		{"ECDSA as ASN.1", on(es, der), identity.ReasonSignatureLength},
		{"ECDSA truncated", on(es, sig[:63]), identity.ReasonSignatureLength},
		{"ECDSA extended", on(es, append(of(es), 0)), identity.ReasonSignatureLength},
		{"RSA truncated", on(rs, of(rs)[:255]), identity.ReasonSignatureLength},
		{"RSA zero", on(rs, make([]byte, 256)), identity.ReasonSignatureInvalid},
		{"RSA extended", on(rs, append([]byte{0}, of(rs)...)), identity.ReasonSignatureLength},
		{"PSS signature as PKCS1", r.rsa.sign("PS256", r.rsa.header("RS256"), goodClaims), identity.ReasonSignatureInvalid},
		{"PSS salt of 20 bytes", rsaPSSWithSalt(r.rsa, r.rsa.header("PS256"), goodClaims, 20), identity.ReasonSignatureInvalid},
		{"PSS without salt", rsaPSSWithSalt(r.rsa, r.rsa.header("PS256"), goodClaims, 0), identity.ReasonSignatureInvalid},
		{"PSS with the longest salt", rsaPSSWithSalt(r.rsa, r.rsa.header("PS256"), goodClaims, rsa.PSSSaltLengthAuto), identity.ReasonSignatureInvalid},
		{"EdDSA zero", on(ed, make([]byte, 64)), identity.ReasonSignatureInvalid},
		{"EdDSA truncated", on(ed, of(ed)[:63]), identity.ReasonSignatureLength},
	}
}

func claimAttacks() []attack {
	r := ring()
	edit := func(old, repl string) string {
		if strings.Count(goodClaims, old) != 1 {
			panic(old)
		}
		return r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, old, repl, 1))
	}
	raw := func(payload string) string { return r.ec.sign("ES256", r.ec.header("ES256"), payload) }
	const iss, aud, exp, scope = `"iss":"https://idp.test",`, `"aud":"memory",`, `"exp":1777640400,`, `"memory:write memory:read"`
	many := strings.Repeat("s ", identity.MaxScopes+1)
	return []attack{
		{"no JSON", raw("hello"), identity.ReasonTokenClaimsMalformed},
		{"array", raw("[" + goodClaims + "]"), identity.ReasonTokenClaimsMalformed},
		{"trailing data", raw(goodClaims + "x"), identity.ReasonTokenClaimsMalformed},
		{"a JWT within", raw(r.ec.token("ES256")), identity.ReasonTokenClaimsMalformed},
		{"deep", edit(`{"id":"acme"}`, strings.Repeat(`{"a":`, 50)+"1"+strings.Repeat("}", 50)), identity.ReasonTokenClaimsMalformed},
		{"sub twice", edit(`"sub"`, `"sub":"admin","sub"`), identity.ReasonTokenDuplicateMember},
		{"sub twice, by escape", edit(`"sub"`, `"su\u0062":"admin","sub"`), identity.ReasonTokenDuplicateMember},
		{"tenant twice", edit(`"id":"acme"`, `"id":"acme","id":"evil"`), identity.ReasonTokenDuplicateMember},
		{"issuer missing", edit(iss, ``), identity.ReasonIssuerMissing},
		{"issuer is a list", edit(iss, `"iss":["https://idp.test"],`), identity.ReasonTokenClaimsMalformed},
		{"issuer unknown", edit(`https://idp.test`, `https://evil.test`), identity.ReasonIssuerUnknown},
		{"issuer with a slash", edit(`https://idp.test`, `https://idp.test/`), identity.ReasonIssuerUnknown},
		{"issuer in upper case", edit(`https://idp.test`, `https://IDP.test`), identity.ReasonIssuerUnknown},
		{"issuer look-alike", edit(`https://idp.test`, "https://\u0456dp.test"), identity.ReasonIssuerUnknown},
		{"issuer as prefix", edit(`https://idp.test`, `https://idp.test.evil.test`), identity.ReasonIssuerUnknown},
		{"audience missing", edit(aud, ``), identity.ReasonAudienceMissing},
		{"audience of another service", edit(`"memory",`, `"billing",`), identity.ReasonAudienceMismatch},
		{"audience as prefix", edit(`"memory",`, `"memory2",`), identity.ReasonAudienceMismatch},
		{"audiences of other services", edit(`"aud":"memory"`, `"aud":["billing","mail"]`), identity.ReasonAudienceMismatch},
		{"audience empty", edit(`"aud":"memory"`, `"aud":[]`), identity.ReasonAudienceMismatch},
		{"audience is an object", edit(`"aud":"memory"`, `"aud":{"memory":true}`), identity.ReasonTokenClaimsMalformed},
		{"audience holds a list", edit(`"aud":"memory"`, `"aud":["memory",["x"]]`), identity.ReasonTokenClaimsMalformed},
		{"very many audiences", edit(`"aud":"memory"`, `"aud":["memory"`+strings.Repeat(`,"x"`, maxAudiences)+`]`), identity.ReasonTokenClaimsMalformed},
		{"expiry missing", edit(exp, ``), identity.ReasonExpiryMissing},
		{"expiry null", edit(exp, `"exp":null,`), identity.ReasonTokenClaimsMalformed},
		{"expiry is text", edit(exp, `"exp":"1777640400",`), identity.ReasonTokenClaimsMalformed},
		{"expiry beyond all years", edit(exp, `"exp":1e300,`), identity.ReasonTokenClaimsMalformed},
		{"expiry negative", edit(exp, `"exp":-1,`), identity.ReasonTokenClaimsMalformed},
		{"expired", edit(exp, `"exp":1777636770,`), identity.ReasonTokenExpired},
		{"expired long ago", edit(exp, `"exp":1,`), identity.ReasonTokenExpired},
		{"not yet valid", edit(`"jti"`, `"nbf":1777636831,"jti"`), identity.ReasonTokenNotYetValid},
		{"nbf is text", edit(`"jti"`, `"nbf":"x","jti"`), identity.ReasonTokenClaimsMalformed},
		{"issued in the future", edit(`"iat":1777636800`, `"iat":1777636831`), identity.ReasonTokenIssuedInFuture},
		{"issued in the far future", edit(`"iat":1777636800`, `"iat":99999999999`), identity.ReasonTokenIssuedInFuture},
		{"issued before all time", edit(`"iat":1777636800`, `"iat":-1`), identity.ReasonTokenClaimsMalformed},
		{"issued beyond all years", edit(`"iat":1777636800`, `"iat":1e300`), identity.ReasonTokenClaimsMalformed},
		{"issued at text", edit(`"iat":1777636800`, `"iat":"now"`), identity.ReasonTokenClaimsMalformed},
		{"subject missing", edit(`"sub":"user-1",`, ``), identity.ReasonSubjectInvalid},
		{"subject empty", edit(`"user-1"`, `""`), identity.ReasonSubjectInvalid},
		{"subject is a number", edit(`"user-1"`, `1`), identity.ReasonSubjectInvalid},
		{"subject with a line feed", edit(`"user-1"`, `"a\nb"`), identity.ReasonSubjectInvalid},
		{"subject too long", edit(`"user-1"`, `"`+strings.Repeat("a", 300)+`"`), identity.ReasonSubjectInvalid},
		{"tenant missing", edit(`"id":"acme"`, `"name":"acme"`), identity.ReasonTenantMissing},
		{"tenant null", edit(`"acme"`, `null`), identity.ReasonTenantMissing},
		{"tenant's parent is text", edit(`{"id":"acme"}`, `"acme"`), identity.ReasonTenantMissing},
		{"tenant is a list", edit(`"acme"`, `["acme"]`), identity.ReasonTenantInvalid},
		{"tenant is a path", edit(`"acme"`, `"../acme"`), identity.ReasonTenantInvalid},
		{"tenant empty", edit(`"acme"`, `""`), identity.ReasonTenantInvalid},
		{"scope is a number", edit(scope, `1`), identity.ReasonScopesInvalid},
		{"scope holds a quote", edit(scope, `"a\"b"`), identity.ReasonScopesInvalid},
		{"scope holds a tab", edit(scope, `"a\tb"`), identity.ReasonScopesInvalid},
		{"scope in an array with a space", edit(scope, `["a admin"]`), identity.ReasonScopesInvalid},
		{"scope in an array is empty", edit(scope, `[""]`), identity.ReasonScopesInvalid},
		{"scope in an array is a number", edit(scope, `[1]`), identity.ReasonScopesInvalid},
		{"scope too long", edit(scope, `"`+strings.Repeat("a", identity.MaxScopeLength+1)+`"`), identity.ReasonScopesInvalid},
		{"very many scopes", edit(scope, `"`+many+`"`), identity.ReasonScopesInvalid},
		{"very many scopes in an array", edit(scope, `["`+strings.ReplaceAll(strings.TrimSpace(many), " ", `","`)+`"]`), identity.ReasonScopesInvalid},
	}
}
