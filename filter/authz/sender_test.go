package authz

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/session"
)

// sender is a client that holds a key and a certificate.
type sender struct {
	key         jwk.Key
	thumbprint  string
	certificate string // as Envoy passes it on
	x5t         string
}

func newSender(t testing.TB) *sender {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{}
	if s.key, err = jwk.Import(private); err != nil {
		t.Fatal(err)
	}
	hash, err := s.key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	s.thumbprint = base64.RawURLEncoding.EncodeToString(hash)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Unix(2_000_000_000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	s.x5t = base64.RawURLEncoding.EncodeToString(sum[:])
	s.certificate = strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), "+", "%20")
	return s
}

// proof signs a DPoP proof.
func (s *sender) proof(t testing.TB, f *fixture, method, target, id, of string) string {
	t.Helper()
	hash := sha256.Sum256([]byte(of))
	claims, err := jwt.NewBuilder().JwtID(id).IssuedAt(f.now).Claim("htm", method).Claim("htu", target).
		Claim("ath", base64.RawURLEncoding.EncodeToString(hash[:])).Build()
	if err != nil {
		t.Fatal(err)
	}
	public, err := s.key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	h := jws.NewHeaders()
	for name, value := range map[string]any{jws.TypeKey: "dpop+jwt", jws.JWKKey: public} {
		if err := h.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := jwt.Sign(claims, jwt.WithKey(jwa.ES256(), s.key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// bound issues a token with a confirmation claim.
func (f *fixture) bound(t testing.TB, cnf map[string]string) string {
	t.Helper()
	b := jwt.NewBuilder().Issuer("https://idp.example.com").Audience([]string{"memory"}).Subject("svc").
		JwtID("id-1").IssuedAt(f.now).Expiration(f.now.Add(time.Hour)).Claim("org_id", "acme").Claim("scope", "memory:write memory:read")
	if cnf != nil {
		b = b.Claim("cnf", cnf)
	}
	tok, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(tok, jwt.WithKey(jwa.ES256(), f.key))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// check is Envoy's message for a request.
func check(method, path, certificate string, lines ...string) *authv3.CheckRequest {
	list := []*corev3.HeaderValue{{Key: ":authority", Value: "edge.test"}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		list = append(list, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Certificate: certificate},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "req-1", Method: method, Path: path, Host: "edge.test", Scheme: "https",
			HeaderMap: &corev3.HeaderMap{Headers: list},
		}},
	}}
}

const senderRoutes = `
  - name: proven
    match: { methods: [GET], path: "/proven" }
    require: { scopes: ["memory:read"], sender_constrained: dpop }
  - name: certified
    match: { methods: [GET], path: "/certified" }
    require: { scopes: ["memory:read"], sender_constrained: mtls }
`

func TestSenders(t *testing.T) {
	f := newFixture(t, testPolicy+senderRoutes)
	a, b := newSender(t), newSender(t)
	plain := f.bound(t, nil)
	key := f.bound(t, map[string]string{"jkt": a.thumbprint})
	cert := f.bound(t, map[string]string{"x5t#S256": a.x5t})
	both := f.bound(t, map[string]string{"jkt": a.thumbprint, "x5t#S256": a.x5t})
	const target = "https://edge.test/tenants/acme/memories"
	id := 0
	proof := func(s *sender, target, of string) string {
		id++
		return "dpop: " + s.proof(t, f, "GET", target, "proof-"+string(rune('a'+id)), of)
	}
	used := proof(a, target, key)
	for _, c := range []struct {
		name, path, certificate string
		lines                   []string
		reason                  identity.Reason
		challenge               string // part of it
	}{
		{"not bound", "", "", []string{"authorization: Bearer " + plain}, ReasonAllowed, ""},
		{"not bound, with a stray proof", "", "", []string{"authorization: Bearer " + plain, proof(a, target, plain)}, ReasonAllowed, ""},
		{"bound and proven", "", "", []string{"authorization: DPoP " + key, used}, ReasonAllowed, ""},
		{"bound and proven, with a query", "?a=b", "", []string{"authorization: DPoP " + key, proof(a, target, key)}, ReasonAllowed, ""},
		{"on a route that wants it", "/proven", "", []string{"authorization: DPoP " + key, proof(a, "https://edge.test/proven", key)}, ReasonAllowed, ""},
		{"proof used twice", "", "", []string{"authorization: DPoP " + key, used}, identity.ReasonProofReplay, `DPoP realm="memgate", error="invalid_dpop_proof", algs="RS256 ES256 EdDSA"`},
		{"bound, as Bearer", "", "", []string{"authorization: Bearer " + key}, identity.ReasonProofDowngrade, `DPoP realm="memgate", error="invalid_token"`},
		{"bound, as Bearer, with a proof", "", "", []string{"authorization: Bearer " + key, proof(a, target, key)}, identity.ReasonProofDowngrade, `DPoP `},
		{"not bound, as DPoP", "", "", []string{"authorization: DPoP " + plain, proof(a, target, plain)}, identity.ReasonProofUnbound, `DPoP realm="memgate", error="invalid_token"`},
		{"no proof", "", "", []string{"authorization: DPoP " + key}, identity.ReasonProofMissing, `error="invalid_dpop_proof"`},
		{"two proofs", "", "", []string{"authorization: DPoP " + key, proof(a, target, key), proof(a, target, key)}, identity.ReasonProofRepeated, `error="invalid_dpop_proof"`},
		{"proof by another key", "", "", []string{"authorization: DPoP " + key, proof(b, target, key)}, identity.ReasonProofBinding, `error="invalid_dpop_proof"`},
		{"proof of another token", "", "", []string{"authorization: DPoP " + key, proof(a, target, plain)}, identity.ReasonProofToken, `error="invalid_dpop_proof"`},
		{"proof of another path", "", "", []string{"authorization: DPoP " + key, proof(a, "https://edge.test/proven", key)}, identity.ReasonProofURL, `error="invalid_dpop_proof"`},
		{"proof of another host", "", "", []string{"authorization: DPoP " + key, proof(a, strings.Replace(target, "edge", "other", 1), key)}, identity.ReasonProofURL, `error="invalid_dpop_proof"`},
		{"an API key as DPoP", "", "", []string{"authorization: DPoP mg_dev_x"}, identity.ReasonTokenNotCompact, `DPoP realm="memgate", error="invalid_token"`},
		{"a route that wants it, without", "/proven", "", []string{"authorization: Bearer " + plain}, identity.ReasonSenderUnconstrained, `DPoP realm="memgate", error="invalid_token"`},
		{"a route that wants it, no credentials", "/proven", "", nil, identity.ReasonNoCredentials, `DPoP realm="memgate", algs="RS256 ES256 EdDSA"`},
		{"no credentials elsewhere", "", "", nil, identity.ReasonNoCredentials, `Bearer realm="memgate", DPoP realm="memgate", algs=`},

		{"bound to the certificate", "", a.certificate, []string{"authorization: Bearer " + cert}, ReasonAllowed, ""},
		{"on a route that wants that", "/certified", a.certificate, []string{"authorization: Bearer " + cert}, ReasonAllowed, ""},
		{"bound to both", "/certified", a.certificate, []string{"authorization: DPoP " + both, proof(a, "https://edge.test/certified", both)}, ReasonAllowed, ""},
		{"bound to both, without a proof", "/certified", a.certificate, []string{"authorization: Bearer " + both}, identity.ReasonProofDowngrade, "DPoP "},
		{"bound to both, without a certificate", "/certified", "", []string{"authorization: DPoP " + both, proof(a, "https://edge.test/certified", both)}, identity.ReasonCertificateMissing, "DPoP "},
		{"no certificate", "", "", []string{"authorization: Bearer " + cert}, identity.ReasonCertificateMissing, `Bearer realm="memgate", error="invalid_token"`},
		{"a certificate in a header", "", "", []string{"authorization: Bearer " + cert, "x-forwarded-client-cert: Cert=\"" + a.certificate + "\""}, identity.ReasonCertificateMissing, ""},
		{"another certificate", "", b.certificate, []string{"authorization: Bearer " + cert}, identity.ReasonCertificateMismatch, ""},
		{"something else than a certificate", "", "-----BEGIN%20KEY-----%0A", []string{"authorization: Bearer " + cert}, identity.ReasonCertificateMissing, ""},
		{"bad encoding", "", "%zz", []string{"authorization: Bearer " + cert}, identity.ReasonCertificateMissing, ""},
		{"a route that wants that, without", "/certified", a.certificate, []string{"authorization: Bearer " + plain}, identity.ReasonSenderUnconstrained, ""},
		{"a route that wants that, bound otherwise", "/certified", a.certificate, []string{"authorization: DPoP " + key, proof(a, "https://edge.test/certified", key)}, identity.ReasonSenderUnconstrained, ""},
	} {
		path := "/tenants/acme/memories" + c.path
		if strings.HasPrefix(c.path, "/") {
			path = c.path
		}
		d := f.chain.Decide(context.Background(), fromCheck(check("GET", path, c.certificate, c.lines...)))
		if d.Reason != c.reason || d.Allowed != (c.reason == ReasonAllowed) {
			t.Errorf("%s: %s (%v), want %s", c.name, d.Reason, d.Err, c.reason)
		}
		if !d.Allowed && (d.Status != 401 || !strings.Contains(get(d.Response, "www-authenticate"), c.challenge)) {
			t.Errorf("%s: %d, challenge %q, want %q", c.name, d.Status, get(d.Response, "www-authenticate"), c.challenge)
		}
		if d.Allowed && !strings.Contains(strings.Join(d.Remove, " "), "dpop") {
			t.Errorf("%s: the proof goes to the upstream: %q", c.name, d.Remove)
		}
	}
}

// An issuer can want a binding of all its tokens, and the policy can say by which URL
// clients reach the edge.
func TestSendersOfIssuer(t *testing.T) {
	yaml := strings.Replace(testPolicy, "tenant: { claim: org_id }", "tenant: { claim: org_id }\n      sender_constrained: dpop\n  resource: { url: \"https://public.example.com/mcp\" }", 1)
	f := newFixture(t, yaml)
	a := newSender(t)
	plain, key := f.bound(t, nil), f.bound(t, map[string]string{"jkt": a.thumbprint})
	for name, c := range map[string]struct {
		lines  []string
		reason identity.Reason
	}{
		"proven at the public URL":    {[]string{"authorization: DPoP " + key, "dpop: " + a.proof(t, f, "GET", "https://public.example.com/tenants/acme/memories", "1", key)}, ReasonAllowed},
		"proven at the URL of inside": {[]string{"authorization: DPoP " + key, "dpop: " + a.proof(t, f, "GET", "https://edge.test/tenants/acme/memories", "2", key)}, identity.ReasonProofURL},
		"not bound":                   {[]string{"authorization: Bearer " + plain}, identity.ReasonSenderUnconstrained},
		"no credentials":              {nil, identity.ReasonNoCredentials},
	} {
		d := f.chain.Decide(context.Background(), fromCheck(check("GET", "/tenants/acme/memories", "", c.lines...)))
		if d.Reason != c.reason {
			t.Errorf("%s: %s, want %s", name, d.Reason, c.reason)
		}
		if challenge := get(d.Response, "www-authenticate"); !d.Allowed && (!strings.HasPrefix(challenge, "DPoP ") || !strings.Contains(challenge, "resource_metadata=")) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
}

// A session does not undo what the token that it was issued to is bound to.
func TestSessionOfBoundToken(t *testing.T) {
	f := newFixture(t, testPolicy+senderRoutes)
	f.chain.deps.Sessions = session.NewStore(10, func() time.Time { return f.now }, rand.Reader)
	a, b := newSender(t), newSender(t)
	key, other := f.bound(t, map[string]string{"jkt": a.thumbprint}), f.bound(t, map[string]string{"jkt": b.thumbprint})
	const target = "https://edge.test/tenants/acme/memories"
	decide := func(lines ...string) *Decision {
		return f.chain.Decide(context.Background(), fromCheck(check("GET", "/tenants/acme/memories", "", lines...)))
	}
	first := decide("authorization: DPoP "+key, "dpop: "+a.proof(t, f, "GET", target, "1", key))
	if !first.Allowed {
		t.Fatal(first.Reason)
	}
	// What the sessions API sees is the Txn-Token.
	claims, err := f.txn.Verify(context.Background(), first.Upstream[1].Value)
	if err != nil {
		t.Fatal(err)
	}
	p := *first.Principal
	if p.Bound = identity.ParseBinding(claims.Bound); p.Bound != (identity.Binding{Key: a.thumbprint}) {
		t.Fatalf("the Txn-Token says that it is bound to %q", claims.Bound)
	}
	text, _, err := f.chain.deps.Sessions.Activate(context.Background(), &p, "helper", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lines  []string
		reason identity.Reason
	}{
		"alone":                        {[]string{"x-session-token: " + text}, identity.ReasonSenderUnconstrained},
		"beside its token":             {[]string{"x-session-token: " + text, "authorization: DPoP " + key, "dpop: " + a.proof(t, f, "GET", target, "2", key)}, ReasonAllowed},
		"beside its token, unproven":   {[]string{"x-session-token: " + text, "authorization: DPoP " + key}, identity.ReasonProofMissing},
		"beside another's token":       {[]string{"x-session-token: " + text, "authorization: DPoP " + other, "dpop: " + b.proof(t, f, "GET", target, "3", other)}, identity.ReasonSessionMismatch},
		"beside one that is not bound": {[]string{"x-session-token: " + text, "authorization: Bearer " + f.bound(t, nil)}, identity.ReasonSessionMismatch},
	} {
		if d := decide(c.lines...); d.Reason != c.reason {
			t.Errorf("%s: %s, want %s", name, d.Reason, c.reason)
		}
	}
	unbound := p
	unbound.Bound = identity.Binding{}
	text, _, err = f.chain.deps.Sessions.Activate(context.Background(), &unbound, "helper", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if d := decide("x-session-token: " + text); !d.Allowed {
		t.Errorf("a session of a token that is not bound: %s", d.Reason)
	}
	d := f.chain.Decide(context.Background(), fromCheck(check("GET", "/proven", "", "x-session-token: "+text)))
	if d.Reason != identity.ReasonSenderUnconstrained {
		t.Errorf("a session on a route that wants a bound token: %s", d.Reason)
	}
}
