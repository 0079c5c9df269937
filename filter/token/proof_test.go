package token

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/memgate/memgate/filter/identity"
)

const proofToken = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"

func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func jwkOf(p *keyPair, members ...string) string {
	public := map[string]any{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if v, ok := p.jwk[name]; ok {
			public[name] = v
		}
	}
	for i := 0; i < len(members); i += 2 {
		public[members[i]] = members[i+1]
	}
	b, err := json.Marshal(public)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func proofHeader(p *keyPair, alg string) string {
	return `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":` + jwkOf(p) + `}`
}

func thumbprint(t testing.TB, p *keyPair) string {
	k, err := jwk.ParseKey([]byte(jwkOf(p)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(h)
}

var proofClaims = `{"jti":"p-1","htm":"POST","htu":"https://edge.test/a/b","iat":1777636800,"ath":"` + hashOf(proofToken) + `"}`

func proofVerifier(t testing.TB, c *clock, replay Replay) *ProofVerifier {
	t.Helper()
	if replay == nil {
		replay = NewMemoryReplay(1000, c.now)
	}
	v, err := NewProofVerifier(ProofConfig{Algorithms: []string{"ES256", "RS256", "EdDSA"}, MaxAge: time.Minute, Replay: replay, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProofs(t *testing.T) {
	r, c := ring(), newClock()
	v := proofVerifier(t, c, nil)
	want := Proof{Method: "POST", URL: "https://edge.test/a/b?q=1", Token: proofToken}
	for alg, p := range map[string]*keyPair{"ES256": r.ec, "RS256": r.rsa, "EdDSA": r.ed} {
		want.Key = thumbprint(t, p)
		if err := v.Verify(context.Background(), []string{p.sign(alg, proofHeader(p, alg), proofClaims)}, want); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	want.Key = thumbprint(t, r.ec)
	for i, claims := range []string{
		strings.Replace(proofClaims, "1777636800", "1777636741", 1),   // made 59 s ago
		strings.Replace(proofClaims, "1777636800", "1777636805", 1),   // by a clock that is 5 s ahead
		strings.Replace(proofClaims, "1777636800", "1777636800.5", 1), // with a fraction
		strings.Replace(proofClaims, "https://edge.test/a/b", "HTTPS://Edge.Test:443/a/%62?x#y", 1),
		strings.Replace(proofClaims, `"htm"`, `"nonce":"n","htm"`, 1),
	} {
		claims = strings.Replace(claims, "p-1", "other-"+string(rune('a'+i)), 1)
		if err := v.Verify(context.Background(), []string{r.ec.sign("ES256", proofHeader(r.ec, "ES256"), claims)}, want); err != nil {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

// TestProofAttacks is the list of proofs that must not do, each with its reason. Each
// differs in one thing from one that does.
func TestProofAttacks(t *testing.T) {
	r, c := ring(), newClock()
	sign := func(header, claims string) string { return r.ec.sign("ES256", header, claims) }
	head := proofHeader(r.ec, "ES256")
	good := sign(head, proofClaims)
	claim := func(old, changed string) string {
		if !strings.Contains(proofClaims, old) {
			t.Fatalf("no %s", old)
		}
		return sign(head, strings.Replace(proofClaims, old, changed, 1))
	}
	header := func(old, changed string) string {
		if !strings.Contains(head, old) {
			t.Fatalf("no %s", old)
		}
		return sign(strings.Replace(head, old, changed, 1), proofClaims)
	}
	withKey := func(key string) string { return sign(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+key+`}`, proofClaims) }
	hmacInput := b64([]byte(`{"typ":"dpop+jwt","alg":"HS256","jwk":`+jwkOf(r.ec)+`}`)) + "." + b64([]byte(proofClaims))
	mac := hmac.New(sha256.New, []byte(jwkOf(r.ec)))
	mac.Write([]byte(hmacInput))
	want := Proof{Method: "POST", URL: "https://edge.test/a/b", Token: proofToken, Key: thumbprint(t, r.ec)}
	for _, a := range []struct {
		name   string
		header []string
		reason identity.Reason
	}{
		{"none", nil, identity.ReasonProofMissing},
		{"two", []string{good, good}, identity.ReasonProofRepeated},
		{"two, joined", []string{good + ", " + good}, identity.ReasonProofRepeated},
		{"empty", []string{""}, identity.ReasonProofMalformed},
		{"garbage", []string{"a.b.c"}, identity.ReasonProofMalformed},
		{"too long", []string{claim("p-1", strings.Repeat("x", 4096))}, identity.ReasonProofMalformed},
		{"padding", []string{good + "="}, identity.ReasonProofMalformed},
		{"an access token", []string{r.ec.token("ES256")}, identity.ReasonProofType},
		{"no type", []string{header(`"typ":"dpop+jwt",`, ``)}, identity.ReasonProofType},
		{"type JWT", []string{header(`dpop+jwt`, `JWT`)}, identity.ReasonProofType},
		{"algorithm none", []string{b64([]byte(strings.Replace(head, "ES256", "none", 1))) + "." + b64([]byte(proofClaims)) + "."}, identity.ReasonProofAlgorithm},
		{"HMAC with the public key", []string{hmacInput + "." + b64(mac.Sum(nil))}, identity.ReasonProofAlgorithm},
		{"algorithm that is not on the list", []string{r.ec384.sign("ES384", proofHeader(r.ec384, "ES384"), proofClaims)}, identity.ReasonProofAlgorithm},
		{"no algorithm", []string{header(`"alg":"ES256",`, ``)}, identity.ReasonProofAlgorithm},
		{"algorithm of another key type", []string{header(`"ES256"`, `"RS256"`)}, identity.ReasonProofKey},
		{"no key", []string{sign(`{"typ":"dpop+jwt","alg":"ES256"}`, proofClaims)}, identity.ReasonProofKey},
		{"key by id", []string{sign(`{"typ":"dpop+jwt","alg":"ES256","kid":"ec"}`, proofClaims)}, identity.ReasonProofKey},
		{"key that is a text", []string{withKey(`"ec"`)}, identity.ReasonProofKey},
		{"private key", []string{withKey(jwkOf(r.ec, "d", "AAAA"))}, identity.ReasonProofKey},
		{"symmetric key", []string{withKey(`{"kty":"oct","k":"AAAA"}`)}, identity.ReasonProofKey},
		{"symmetric key without a value", []string{withKey(`{"kty":"oct"}`)}, identity.ReasonProofKey},
		{"point that is not on the curve", []string{withKey(strings.Replace(jwkOf(r.ec), r.ec.jwk["x"].(string), b64(make([]byte, 32)), 1))}, identity.ReasonProofKey},
		{"key in other base64", []string{withKey(strings.Replace(jwkOf(r.ec), r.ec.jwk["x"].(string), r.ec.jwk["x"].(string)+"=", 1))}, identity.ReasonProofKey},
		{"weak key", []string{r.weak.sign("RS256", proofHeader(r.weak, "RS256"), proofClaims)}, identity.ReasonProofKey},
		{"key by URL", []string{header(`"typ"`, `"jku":"https://evil.test","typ"`)}, identity.ReasonProofMalformed},
		{"certificate", []string{header(`"typ"`, `"x5c":["AAAA"],"typ"`)}, identity.ReasonProofMalformed},
		{"two keys", []string{header(`"typ"`, `"jwk":{},"typ"`)}, identity.ReasonProofMalformed},
		{"critical header", []string{header(`"typ"`, `"crit":["exp"],"typ"`)}, identity.ReasonProofMalformed},
		{"unencoded payload", []string{header(`"typ"`, `"b64":false,"typ"`)}, identity.ReasonProofMalformed},
		{"key of another", []string{r.other.sign("RS256", head[:0]+proofHeader(r.rsa, "RS256"), proofClaims)}, identity.ReasonProofSignature},
		{"no signature", []string{good[:strings.LastIndexByte(good, '.')+1]}, identity.ReasonProofSignature},
		{"zero signature", []string{good[:strings.LastIndexByte(good, '.')+1] + b64(make([]byte, 64))}, identity.ReasonProofSignature},
		{"claims of another proof", []string{strings.Join([]string{strings.Split(good, ".")[0], b64([]byte(strings.Replace(proofClaims, "p-1", "p-2", 1))), strings.Split(good, ".")[2]}, ".")}, identity.ReasonProofSignature},
		{"no claims", []string{sign(head, `[]`)}, identity.ReasonProofMalformed},
		{"claim twice", []string{claim(`"htm"`, `"htm":"GET","htm"`)}, identity.ReasonProofMalformed},
		{"no id", []string{claim(`"jti":"p-1",`, ``)}, identity.ReasonProofMalformed},
		{"empty id", []string{claim(`p-1`, ``)}, identity.ReasonProofMalformed},
		{"id that is a number", []string{claim(`"p-1"`, `1`)}, identity.ReasonProofMalformed},
		{"long id", []string{claim(`p-1`, strings.Repeat("x", 257))}, identity.ReasonProofMalformed},
		{"no method", []string{claim(`"htm":"POST",`, ``)}, identity.ReasonProofMethod},
		{"another method", []string{claim(`POST`, `GET`)}, identity.ReasonProofMethod},
		{"method in lower case", []string{claim(`POST`, `post`)}, identity.ReasonProofMethod},
		{"no URL", []string{claim(`"htu":"https://edge.test/a/b",`, ``)}, identity.ReasonProofURL},
		{"another path", []string{claim(`/a/b`, `/a/c`)}, identity.ReasonProofURL},
		{"a longer path", []string{claim(`/a/b`, `/a/b/`)}, identity.ReasonProofURL},
		{"another host", []string{claim(`edge.test`, `edge.test.evil`)}, identity.ReasonProofURL},
		{"the host as a user", []string{claim(`edge.test`, `edge.test@evil.test`)}, identity.ReasonProofURL},
		{"another port", []string{claim(`edge.test`, `edge.test:8443`)}, identity.ReasonProofURL},
		{"another scheme", []string{claim(`https:`, `http:`)}, identity.ReasonProofURL},
		{"path alone", []string{claim(`https://edge.test`, ``)}, identity.ReasonProofURL},
		{"another path by dots", []string{claim(`/a/b`, `/a/b/../c`)}, identity.ReasonProofURL},
		{"encoded slash", []string{claim(`/a/b`, `/a%2Fb`)}, identity.ReasonProofURL},
		{"no time", []string{claim(`"iat":1777636800,`, ``)}, identity.ReasonProofTime},
		{"old", []string{claim(`1777636800`, `1777636740`)}, identity.ReasonProofTime},
		{"very old", []string{claim(`1777636800`, `0`)}, identity.ReasonProofTime},
		{"from the future", []string{claim(`1777636800`, `1777636806`)}, identity.ReasonProofTime},
		{"time that is a text", []string{claim(`1777636800`, `"1777636800"`)}, identity.ReasonProofTime},
		{"no hash of the token", []string{claim(`,"ath":"`+hashOf(proofToken)+`"`, ``)}, identity.ReasonProofToken},
		{"another token", []string{claim(hashOf(proofToken), hashOf("another"))}, identity.ReasonProofToken},
		{"hash with padding", []string{claim(hashOf(proofToken), hashOf(proofToken)+"=")}, identity.ReasonProofToken},
		{"key that the token is not bound to", []string{r.ed.sign("EdDSA", proofHeader(r.ed, "EdDSA"), proofClaims)}, identity.ReasonProofBinding},
	} {
		replay := NewMemoryReplay(1000, c.now)
		v := proofVerifier(t, c, replay)
		err := v.Verify(context.Background(), a.header, want)
		if identity.ReasonOf(err) != a.reason || err == nil || !identity.IsUnauthenticated(err) {
			t.Errorf("%s: got %v, want %s", a.name, err, a.reason)
		}
		for i := range replay.shard {
			if len(replay.shard[i].until) > 0 {
				t.Errorf("%s: a refused proof is remembered", a.name)
			}
		}
		if err := v.Verify(context.Background(), []string{good}, want); err != nil {
			t.Fatalf("%s: the good proof is refused: %v", a.name, err)
		}
	}
}

type brokenReplay struct{}

func (brokenReplay) First(context.Context, [32]byte, time.Duration) (bool, error) {
	return true, errors.New("down")
}

func TestProofReplay(t *testing.T) {
	r, c := ring(), newClock()
	v := proofVerifier(t, c, nil)
	ctx := context.Background()
	want := Proof{Method: "POST", URL: "https://edge.test/a/b", Token: proofToken, Key: thumbprint(t, r.ec)}
	ofEC := []string{r.ec.sign("ES256", proofHeader(r.ec, "ES256"), proofClaims)}
	if err := v.Verify(ctx, ofEC, want); err != nil {
		t.Fatal(err)
	}
	again := []string{r.ec.sign("ES256", proofHeader(r.ec, "ES256"), proofClaims)} // another signature
	for _, proof := range [][]string{ofEC, again} {
		if err := v.Verify(ctx, proof, want); identity.ReasonOf(err) != identity.ReasonProofReplay {
			t.Errorf("used twice: %v", err)
		}
	}
	c.advance(59 * time.Second)
	if err := v.Verify(ctx, ofEC, want); identity.ReasonOf(err) != identity.ReasonProofReplay {
		t.Errorf("just before it is too old: %v", err)
	}
	// Another key may use the same id.
	want.Key = thumbprint(t, r.ed)
	if err := v.Verify(ctx, []string{r.ed.sign("EdDSA", proofHeader(r.ed, "EdDSA"), proofClaims)}, want); err != nil {
		t.Errorf("the same id by another key: %v", err)
	}
	c.advance(time.Second)
	if err := v.Verify(ctx, []string{r.ed.sign("EdDSA", proofHeader(r.ed, "EdDSA"), proofClaims)}, want); identity.ReasonOf(err) != identity.ReasonProofTime {
		t.Errorf("when it is forgotten it is too old: %v", err)
	}

	c = newClock()
	want.Key = thumbprint(t, r.ec)
	if err := proofVerifier(t, c, brokenReplay{}).Verify(ctx, ofEC, want); identity.ReasonOf(err) != identity.ReasonProofUnavailable || !identity.IsUnavailable(err) {
		t.Errorf("no memory: %v", err)
	}
}

func TestMemoryReplayIsBounded(t *testing.T) {
	c := newClock()
	m := NewMemoryReplay(64, c.now)
	full, kept := 0, 0
	id := func(n int) [32]byte { return sha256.Sum256([]byte{byte(n), byte(n >> 8)}) }
	for n := range 1000 {
		if ok, err := m.First(context.Background(), id(n), time.Minute); err != nil {
			full++
		} else if ok {
			kept++
		}
	}
	if kept != 64 || full != 936 {
		t.Errorf("%d kept, %d refused", kept, full)
	}
	held := 0
	for i := range m.shard {
		held += len(m.shard[i].until)
	}
	if held != 64 {
		t.Errorf("%d held", held)
	}
	if ok, err := m.First(context.Background(), id(0), time.Minute); ok || err != nil {
		t.Errorf("the first was forgotten: %v %v", ok, err)
	}
	c.advance(time.Minute)
	if ok, err := m.First(context.Background(), id(1001), time.Minute); !ok || err != nil {
		t.Errorf("no room after they are over: %v %v", ok, err)
	}
}

func TestTargetURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://Edge.test":                  "https://edge.test/",
		"https://edge.test:443/":             "https://edge.test/",
		"http://edge.test:80/a":              "http://edge.test/a",
		"http://edge.test:443/a":             "http://edge.test:443/a",
		"https://edge.test:/a":               "https://edge.test/a",
		"https://[::1]:8443/a":               "https://[::1]:8443/a",
		"https://[::1]/a":                    "https://[::1]/a",
		"https://edge.test/a?b=c#d":          "https://edge.test/a",
		"https://edge.test/%61%2f%c3%A4/%7e": "https://edge.test/a%2F%C3%A4/~",
		"https://edge.test/a/./b/../c":       "https://edge.test/a/c",
		"https://edge.test/a/..":             "https://edge.test/",
		"https://edge.test/../..":            "https://edge.test/",
		"https://edge.test/a/.":              "https://edge.test/a/",
		"https://edge.test/a%2e%2E/b":        "https://edge.test/a../b",
		"https://edge.test//a//b":            "https://edge.test//a//b",
		"https://u@edge.test/":               "",
		"https:///a":                         "",
		"ftp://edge.test/":                   "",
		"edge.test/a":                        "",
		"/a":                                 "",
		"":                                   "",
		"https:edge.test":                    "",
		"https://edge.test/a b":              "",
		"https://edge.test\\@evil.test/":     "",
		"https://edge.test/%zz":              "",
		"https://edge.test/" + strings.Repeat("a", 9000): "",
	} {
		got, ok := targetURL(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%.60s: %q %v, want %q", in, got, ok, want)
		}
	}
}

func FuzzTargetURL(f *testing.F) {
	for _, s := range []string{"https://a/%61/../b?c", "http://[::1]:80//", "https://a:443/%2E%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, ok := targetURL(raw)
		if !ok {
			return
		}
		if twice, ok := targetURL(once); !ok || twice != once {
			t.Fatalf("%q gives %q, and that %q", raw, once, twice)
		}
	})
}

func FuzzProof(f *testing.F) {
	r, c := ring(), newClock()
	good := r.ec.sign("ES256", proofHeader(r.ec, "ES256"), proofClaims)
	f.Add(good)
	f.Add("a.b.c")
	want := Proof{Method: "POST", URL: "https://edge.test/a/b", Token: proofToken, Key: thumbprint(f, r.ec)}
	f.Fuzz(func(t *testing.T, proof string) {
		err := proofVerifier(t, c, nil).Verify(context.Background(), []string{proof}, want)
		if err == nil && proof != good {
			t.Fatalf("accepted: %q", proof)
		}
		if err != nil && identity.IsUnavailable(err) {
			t.Fatalf("%q: %v", proof, err)
		}
	})
}

func TestBinding(t *testing.T) {
	r, c := ring(), newClock()
	v := fileVerifier(t, c, jwks(r.ec), IssuerConfig{})
	hash := hashOf("x")
	for cnf, want := range map[string]identity.Binding{
		`{"jkt":"` + hash + `"}`:                                 {Key: hash},
		`{"x5t#S256":"` + hash + `"}`:                            {Certificate: hash},
		`{"jkt":"` + hash + `","x5t#S256":"` + hash + `","a":1}`: {Key: hash, Certificate: hash},
		`null`: {}, `{}`: {}, `"x"`: {}, `[]`: {}, `{"jwk":{}}`: {}, `{"kid":"ec"}`: {}, `{"jkt":""}`: {}, `{"jkt":1}`: {},
		`{"jkt":"` + hash + `="}`: {}, `{"jkt":"AAAA"}`: {}, `{"jkt":"` + hash + `","x5t#S256":""}`: {},
	} {
		p, err := v.Verify(context.Background(), r.ec.sign("ES256", r.ec.header("ES256"), strings.Replace(goodClaims, `"jti"`, `"cnf":`+cnf+`,"jti"`, 1)))
		if want == (identity.Binding{}) {
			if identity.ReasonOf(err) != identity.ReasonConfirmation {
				t.Errorf("%s: %v", cnf, err)
			}
			continue
		}
		if err != nil || p.Bound != want {
			t.Errorf("%s: %+v %v", cnf, p, err)
		} else if identity.ParseBinding(p.Bound.String()) != p.Bound {
			t.Errorf("%s: %q is read back as another", cnf, p.Bound)
		}
	}
	if (identity.Binding{}).String() != "" || identity.ParseBinding("") != (identity.Binding{}) {
		t.Error("no binding is not nothing")
	}
}
