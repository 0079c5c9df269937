package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

const testIssuer = "https://idp.test"

// start of all test clocks: 2026-05-01T12:00:00Z
const epoch = 1777636800

type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(epoch * 1e9)
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

type keyPair struct {
	kid     string
	private crypto.Signer
	jwk     map[string]any
}

type keyRing struct{ rsa, other, weak, ec, ec384, ec521, ed *keyPair }

var ring = sync.OnceValue(func() *keyRing {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	rsaKey := func(bits int) crypto.Signer { k, err := rsa.GenerateKey(rand.Reader, bits); return must(k, err) }
	ecKey := func(c elliptic.Curve) crypto.Signer { k, err := ecdsa.GenerateKey(c, rand.Reader); return must(k, err) }
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return &keyRing{
		rsa: newPair("rsa", rsaKey(2048)), other: newPair("other", rsaKey(2048)), weak: newPair("weak", rsaKey(1024)),
		ec: newPair("ec", ecKey(elliptic.P256())), ec384: newPair("ec384", ecKey(elliptic.P384())),
		ec521: newPair("ec521", ecKey(elliptic.P521())), ed: newPair("ed", must(ed, err)),
	}
})

func newPair(kid string, private crypto.Signer) *keyPair {
	members := map[string]any{"kid": kid}
	switch pub := private.Public().(type) {
	case *rsa.PublicKey:
		// By hand, since jwx refuses to write weak keys.
		members["kty"], members["n"], members["e"] = "RSA", b64(pub.N.Bytes()), "AQAB"
	default:
		k, err := jwk.Import(pub)
		if err != nil {
			panic(err)
		}
		b, err := json.Marshal(k)
		if err == nil {
			err = json.Unmarshal(b, &members)
		}
		if err != nil {
			panic(err)
		}
	}
	return &keyPair{kid: kid, private: private, jwk: members}
}

// with returns the pair with changed JWK members.
func (p *keyPair) with(members ...any) *keyPair {
	out := &keyPair{kid: p.kid, private: p.private, jwk: maps.Clone(p.jwk)}
	for i := 0; i < len(members); i += 2 {
		out.jwk[members[i].(string)] = members[i+1]
	}
	out.kid = out.jwk["kid"].(string)
	return out
}

func jwks(pairs ...*keyPair) []byte {
	keys := make([]any, len(pairs))
	for i, p := range pairs {
		keys[i] = p.jwk
	}
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign signs header and payload, given as text, with the algorithm alg.
func (p *keyPair) sign(alg, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	sig, err := jwsbb.Sign(p.private, alg, []byte(input), rand.Reader)
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

func (p *keyPair) header(alg string) string {
	return `{"alg":"` + alg + `","typ":"JWT","kid":"` + p.kid + `"}`
}

func (p *keyPair) token(alg string) string { return p.sign(alg, p.header(alg), goodClaims) }

const goodClaims = `{"iss":"https://idp.test","sub":"user-1","aud":"memory","exp":1777640400,"iat":1777636800,` +
	`"jti":"j-1","scope":"memory:write memory:read","org":{"id":"acme"}}`

var allAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}

func testConfig(c *clock, issuer IssuerConfig) Config {
	if issuer.Issuer == "" {
		issuer.Issuer = testIssuer
	}
	if issuer.Audiences == nil {
		issuer.Audiences = []string{"memory", "other-api"}
	}
	if issuer.Algorithms == nil {
		issuer.Algorithms = allAlgorithms
	}
	if r := &issuer.Tenant; r.Claim == "" && r.Template == "" && r.Value == "" {
		r.Claim = "/org/id"
	}
	return Config{Issuers: []IssuerConfig{issuer}, Now: c.now}
}

// fileVerifier returns a Verifier that has read set from a file.
func fileVerifier(t testing.TB, c *clock, set []byte, issuer IssuerConfig) *Verifier {
	t.Helper()
	issuer.JWKSFile = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(issuer.JWKSFile, set, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := New(testConfig(c, issuer))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	return v
}

// provider is an issuer over HTTP whose behaviour a test can change.
type provider struct {
	*httptest.Server
	fetches atomic.Int32
	serve   atomic.Pointer[http.HandlerFunc]
}

func newProvider(t testing.TB, set []byte) *provider {
	p := &provider{}
	p.set(set)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			p.fetches.Add(1)
		}
		(*p.serve.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) handle(h http.HandlerFunc) { p.serve.Store(&h) }
func (p *provider) set(b []byte) {
	p.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}
func (p *provider) fail() {
	p.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
}

func rsaPSSWithSalt(p *keyPair, header, payload string, salt int) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPSS(rand.Reader, p.private.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}
